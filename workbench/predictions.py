"""What `firnline predict` does with its frames, and how it shows what came back."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table as Listing

from firnline.documents.polarity import Polarity, ToldPolarity, polarity_of_row
from firnline.store.rows import FrameRow
from workbench import uploads
from workbench.connection import Connection
from workbench.progress import Stages


@dataclass(frozen=True)
class Answer:
    """What became of an uploaded file: its frame's row, or that of its refusal; `document`: where its layers went."""

    file: Path
    row: FrameRow
    document: Path | None = None

    @property
    def polarity(self) -> ToldPolarity | None:
        return None if self.document is None else polarity_of_row(self.row)


def predict(
    connection: Connection,
    files: Sequence[Path],
    campaign: str,
    segment: str | None,
    polarity: Polarity | None,
    seconds: float,
    stages: Stages,
) -> list[Answer]:
    """Upload the files, and wait until each has its layers or is rejected. Raises TimeoutError after `seconds`."""
    sent = [uploads.upload(connection, file, campaign, segment, polarity) for file in stages.track(files, "uploading")]
    predicting = stages.begin("predicting", total=len(sent))
    rows = uploads.follow(connection, sent, seconds, lambda done, _: predicting.reach(done))
    return [Answer(item.file, rows[item.frame_id]) for item in sent]


def fetch(connection: Connection, answers: Iterable[Answer], out: Path, overwrite: bool) -> list[Answer]:
    """Write the layers, overlays and picks of what was not rejected into `out`."""
    return [
        answer
        if answer.row.status == "REJECTED"
        else Answer(
            answer.file,
            answer.row,
            uploads.fetch_layers(connection, answer.row, out, answer.file.stem, overwrite).document,
        )
        for answer in answers
    ]


def refused(file: Path, reason: str) -> str:
    """A line, in Rich's markup, on a file that is not uploaded."""
    return f"[red]{escape(str(file))} is refused:[/red] {escape(reason)}"


def listing(answers: Iterable[Answer]) -> Listing:
    table = Listing("frame", "layers", "confidence", "polarity", "status", "written to", box=None)
    for answer in answers:
        row, told = answer.row, answer.polarity
        if answer.document is None:
            table.add_row(answer.file.name, "", "", "", "[red]rejected[/red]", escape(row.reason))
            continue
        layers = json.loads(answer.document.read_text())["layers"]
        table.add_row(
            answer.file.name, str(len(layers)), f"{row.confidence:.2f}", told.short if told else "", row.status,
            str(answer.document),
        )  # fmt: skip
    return table


def guesses(answers: Iterable[Answer]) -> list[str]:
    """A sentence for each picture whose polarity was a guess."""
    told = ((answer.file.name, answer.polarity) for answer in answers)
    return [f"{name}: {polarity.sentence}" for name, polarity in told if polarity and not polarity.sure]
