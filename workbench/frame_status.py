"""What `firnline status` shows: how far the frames are, and how many corrections wait."""

from collections import Counter
from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table as Listing

from firnline.documents.polarity import polarity_of_row
from workbench.connection import Connection

STATUSES = ("READY", "PREDICTED", "IN_REVIEW", "ACCEPTED", "CORRECTED", "REJECTED")
REASONS = ("reason", "review_reason", "annotation_reason", "picks_reason")
"""Of the sentences that a row may have, the first that is there is shown."""


def rows_of(connection: Connection, segment: str | None) -> list[dict]:
    """The rows of a `<campaign>/<segment>`, or of all frames."""
    if segment:
        return list(connection.register.of_segment(*segment.split("/", 1)))
    return [row for name in STATUSES for row in connection.register.of_status(name)]


def counted(rows: Iterable[dict]) -> str:
    """How many frames there are of each status, and how many are annotated: two lines."""
    rows = list(rows)
    statuses = Counter(row["status"] for row in rows)
    annotated = Counter(row["annotated"] for row in rows if row.get("annotated"))
    told = (
        f"annotated {annotated.total()}, of them {annotated['complete']} completely; "
        "they count in the next training, `firnline retrain` starts one"
        if annotated
        else "annotated 0"
    )
    return "  ".join(f"{name} {statuses[name]}" for name in STATUSES) + f"\n{told}"


def listing(rows: Iterable[dict], limit: int) -> Listing:
    """The first `limit` frames of each status."""
    shown: Counter[str] = Counter()
    table = Listing("frame", "status", "confidence", "model", "polarity", "note", box=None)
    for row in rows:
        shown[row["status"]] += 1
        if shown[row["status"]] > limit:
            continue
        polarity = polarity_of_row(row)
        note = next((row[name] for name in REASONS if row.get(name)), "")
        if polarity and not polarity.sure:
            note = f"{note} {polarity.sentence}".lstrip()
        confidence = f"{row['confidence']:.2f}" if "confidence" in row else ""
        table.add_row(
            row["frame_id"], row["status"], confidence, row.get("model_version", ""),
            polarity.short if polarity else "", escape(note),
        )  # fmt: skip
    return table


def corrections(connection: Connection) -> str:
    """How many corrections there are, and how many of them no training has seen: a line."""
    counts = connection.corrections.counts()
    pending = [item["batch"] for item in connection.corrections.batches("PENDING")]
    return (
        f"corrections {counts['total']}, of them {counts['total'] - counts['claimed']} not yet in a batch; "
        f"{counts['last_batch']} batches claimed" + (f", waiting: {pending}" if pending else "")
    )
