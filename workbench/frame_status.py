"""What `firnline status` shows: how far the frames are, and how many corrections wait."""

from collections import Counter
from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table as Listing

from firnline.documents.polarity import polarity_of_row
from firnline.errors import Refused
from firnline.store.rows import STATUSES, FrameRow
from workbench.connection import Connection


def rows_of(connection: Connection, segment: str | None) -> list[FrameRow]:
    """The rows of a `<campaign>/<segment>`, or of all frames; `Refused` for a name that is none."""
    if segment:
        return list(connection.register.of_segment(*named_segment(segment)))
    return [row for name in STATUSES for row in connection.register.of_status(name)]


def named_segment(segment: str) -> tuple[str, str]:
    """(campaign, segment) of `<campaign>/<segment>`; `Refused` for anything else."""
    campaign, slash, name = segment.partition("/")
    if not (campaign and slash and name) or "/" in name:
        raise Refused(f"'{segment}' names no segment: give <campaign>/<segment>.")
    return campaign, name


def counted(rows: Iterable[FrameRow]) -> str:
    """How many frames there are of each status, and how many are annotated: two lines."""
    rows = list(rows)
    statuses = Counter(row.status for row in rows)
    annotated = Counter(row.annotated for row in rows if row.annotated)
    told = (
        f"annotated {annotated.total()}, of them {annotated['complete']} completely; "
        "they count in the next training, `firnline retrain` starts one"
        if annotated
        else "annotated 0"
    )
    return "  ".join(f"{name} {statuses[name]}" for name in STATUSES) + f"\n{told}"


def listing(rows: Iterable[FrameRow], limit: int) -> Listing:
    """The first `limit` frames of each status."""
    shown: Counter[str] = Counter()
    table = Listing("frame", "status", "confidence", "model", "polarity", "note", box=None)
    for row in rows:
        shown[row.status] += 1
        if shown[row.status] > limit:
            continue
        polarity = polarity_of_row(row)
        note = row.reason or row.review_reason or row.annotation_reason or row.picks_reason
        if polarity and not polarity.sure:
            note = f"{note} {polarity.sentence}".lstrip()
        confidence = "" if row.confidence is None else f"{row.confidence:.2f}"
        table.add_row(
            row.frame_id, row.status, confidence, row.model_version or "",
            polarity.short if polarity else "", escape(note),
        )  # fmt: skip
    return table


def corrections(connection: Connection) -> str:
    """How many corrections there are, and how many of them no training has seen: a line."""
    counts = connection.corrections.counts()
    pending = [batch.batch for batch in connection.corrections.batches("PENDING")]
    return (
        f"corrections {counts.total}, of them {counts.unclaimed} not yet in a batch; "
        f"{counts.last_batch} batches claimed" + (f", waiting: {pending}" if pending else "")
    )
