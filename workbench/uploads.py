"""Uploading frames and following them until their layers are there."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.documents.picks import picks_csv
from firnline.documents.polarity import Polarity
from firnline.documents.upload_key import parse_upload_key, refusal_id, revision_of
from firnline.errors import Refused
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_FILE_BYTES
from firnline.store import keys
from firnline.store.rows import FrameRow
from workbench.connection import Connection
from workbench.waiting import wait_until

PREDICTED = frozenset({"PREDICTED", "IN_REVIEW", "ACCEPTED", "CORRECTED"})
_SEGMENT_IN_NAME = re.compile(r"(?<=layer_)(\d{8}_\d{2})(?=\.mat\Z)|(\d{8}_\d{2})_\d{3,4}")
_LONGEST_SEGMENT = 100
MAX_OVERLAY_BYTES = 120_000_000


class CannotPredict(Exception):
    """Nothing was uploaded. The message says for each file what is in the way, and what to do."""


@dataclass(frozen=True)
class Upload:
    """An uploaded file: where it went, and which frame and revision it makes.

    `refused_before` is the sequencer of the latest refusal of this key before it, empty if there is none.
    """

    file: Path
    key: str
    frame_id: str
    revision: str
    refused_before: str = ""


@dataclass(frozen=True)
class Outputs:
    """What `firnline predict` writes for a frame, each under a name that no frame and no annotation of it has."""

    document: Path
    overlay: Path
    picks: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.document, self.overlay, self.picks)


def outputs_of(out: Path, stem: str) -> Outputs:
    return Outputs(out / f"{stem}.layers.json", out / f"{stem}.overlay.png", out / f"{stem}.picks.csv")


def segment_of(file: Path) -> str:
    """The flight segment that a file's name tells (`IRSNO1B_20120330_04_001.nc`, `layer_20120330_04.mat` →
    `20120330_04`), else its folder's name."""
    found = _SEGMENT_IN_NAME.search(file.name)
    if found:
        return found[1] or found[2]
    folder = re.sub(r"[^A-Za-z0-9._=-]+", "-", file.resolve().parent.name)[:_LONGEST_SEGMENT]
    return folder.strip("-._=") or "frames"


def key_of(file: Path, campaign: str, segment: str | None = None) -> str:
    return f"{campaign}/{segment or segment_of(file)}/{file.name}"


def refusal_of(file: Path, campaign: str, segment: str | None) -> str | None:
    """Why a file cannot be a frame to predict, by its name alone; None if it can."""
    try:
        key = parse_upload_key(key_of(file, campaign, segment))
    except Refused as refusal:
        return str(refusal)
    if key.is_annotation:
        return f"'{file.name}' is an annotation, which has no layers to predict: `firnline upload` takes it."
    return None


def check_outputs(files: Sequence[Path], out: Path, overwrite: bool) -> None:
    """Check that `out` can take the outputs of all `files` and that they replace nothing; makes the folder.

    With `overwrite`, earlier outputs may be replaced, but never a file that is itself to be predicted. Raises
    CannotPredict.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotPredict(f"{out} cannot be made ({error.strerror}): choose another folder with --out.") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise CannotPredict(f"{out} cannot be written to: choose another folder with --out.")
    said, inputs, meant_for = [], {file.resolve() for file in files}, dict[Path, Path]()
    for file in files:
        outputs = outputs_of(out, file.stem)
        if (other := meant_for.setdefault(outputs.document, file)) is not file:
            said.append(f"{file} and {other} would both be written to {outputs.document}: predict them one by one, "
                        "each with an --out of its own.")  # fmt: skip
            continue
        for path in outputs.paths:
            if path.resolve() in inputs:
                said.append(f"{path} is one of the files to predict: choose another folder with --out.")
            elif os.path.lexists(path) and not overwrite:
                said.append(f"{path} exists: choose another folder with --out, or replace it with --overwrite.")
    if said:
        raise CannotPredict("\n".join([*said, "Nothing was uploaded."]))


def upload(
    connection: Connection, file: Path, campaign: str, segment: str | None = None, polarity: Polarity | None = None
) -> Upload:
    """Put one file where Firnline looks for frames; `polarity` overrides what the pixels of a picture say."""
    content = file.read_bytes()
    key = key_of(file, campaign, segment)
    try:
        frame_id = parse_upload_key(key).frame_id
    except Refused:  # the stack refuses it too, and writes down why
        frame_id = refusal_id(key)
    known = [connection.register.get(one) for one in {frame_id, refusal_id(key)}]
    refused = [row.sequencer for row in known if row and row.status == "REJECTED" and row.source_key == key]
    metadata = {"polarity": polarity} if polarity else {}
    connection.frames.client.put_object(Bucket=connection.frames.name, Key=key, Body=content, Metadata=metadata)
    return Upload(file, key, frame_id, revision_of(content, polarity), max(refused, default=""))


def follow(
    connection: Connection, uploads: Iterable[Upload], seconds: float, tell: Callable[[int, int], None]
) -> dict[str, FrameRow]:
    """Wait until every upload is predicted or rejected; returns the frames' table rows by frame_id.

    `tell` is called with (done, rejected) as they come. Raises `TimeoutError` naming what is still missing.
    """
    waiting = list(uploads)
    rows: dict[str, FrameRow] = {}

    def all_answered() -> bool:
        for upload in list(waiting):
            row = _answer(connection, upload)
            if row:
                rows[upload.frame_id] = row
                waiting.remove(upload)
        tell(len(rows), sum(row.status == "REJECTED" for row in rows.values()))
        return not waiting

    def too_long() -> TimeoutError:
        return TimeoutError(
            f"{len(waiting)} of {len(waiting) + len(rows)} frames had no layers after {seconds:.0f} s, "
            f"{waiting[0].frame_id} among them: see `firnline status` and the dead-letter queues."
        )

    wait_until(all_answered, seconds, too_long)
    return rows


def _answer(connection: Connection, upload: Upload) -> FrameRow | None:
    """The row that says what became of an upload, its frame's or that of its refusal; None as long as there is none."""
    row = connection.register.get(upload.frame_id)
    if row and row.revision == upload.revision and (row.status in PREDICTED or _is_refused_since(row, upload)):
        return row
    refused = connection.register.get(refusal_id(upload.key))
    return refused if refused and _is_refused_since(refused, upload) else None


def _is_refused_since(row: FrameRow, upload: Upload) -> bool:
    return row.status == "REJECTED" and row.sequencer > upload.refused_before


def frame_document(connection: Connection, row: FrameRow) -> FrameDocument:
    """What ingest wrote of the frame of a table row: how its picture lies on the uploaded file."""
    content = connection.workspace.read(keys.frame(row.frame_id, row.revision), MAX_FILE_BYTES)
    return FrameDocument.model_validate_json(content)


def fetch_layers(connection: Connection, row: FrameRow, out: Path, stem: str, overwrite: bool = True) -> Outputs:
    """Write what was predicted of a frame to `outputs_of(out, stem)`.

    Raises FileExistsError without `overwrite`, if any of them is there.
    """
    which = (row.frame_id, row.revision, row.predicted_by)
    document = connection.workspace.read(keys.prediction(*which), MAX_DOCUMENT_BYTES)
    overlay = connection.workspace.read(keys.prediction_overlay(*which), MAX_OVERLAY_BYTES)
    picks = picks_csv(LayersDocument.model_validate_json(document), frame_document(connection, row))
    outputs = outputs_of(out, stem)
    for path, content in zip(outputs.paths, (document, overlay, picks), strict=True):
        with path.open("wb" if overwrite else "xb") as stream:
            stream.write(content)
    return outputs
