"""Uploading frames and following them until their layers are there."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from firnline import keys
from firnline.frames import ANNOTATION_SUFFIXES, revision_of
from firnline.limits import MAX_DOCUMENT_BYTES
from workbench.connection import Connection

PREDICTED = frozenset({"PREDICTED", "IN_REVIEW", "ACCEPTED", "CORRECTED"})
_SEGMENT_IN_NAME = re.compile(r"(?<=layer_)(\d{8}_\d{2})(?=\.mat\Z)|(\d{8}_\d{2})_\d{3,4}")
MAX_PICTURE_BYTES = 120_000_000


@dataclass(frozen=True)
class Upload:
    """A file on its way: where it went and which frame and revision it makes."""

    file: Path
    key: str
    frame_id: str
    revision: str


def segment_of(file: Path) -> str:
    """The flight segment that a file's name tells (`IRSNO1B_20120330_04_001.nc`, `layer_20120330_04.mat` →
    `20120330_04`), else its folder's name."""
    found = _SEGMENT_IN_NAME.search(file.name)
    return (
        found[1] or found[2]
        if found
        else re.sub(r"[^A-Za-z0-9._=-]+", "-", file.resolve().parent.name).strip("-.") or "frames"
    )


def upload(connection: Connection, file: Path, campaign: str, segment: str | None = None) -> Upload:
    """Put one file where Firnline looks for frames."""
    content = file.read_bytes()
    stem = file.name
    for suffix in (*ANNOTATION_SUFFIXES, file.suffix):
        if suffix and stem.lower().endswith(suffix.lower()):
            stem = stem[: -len(suffix)]
            break
    segment = segment or segment_of(file)
    key = f"{campaign}/{segment}/{file.name}"
    connection.frames.client.put_object(Bucket=connection.frames.name, Key=key, Body=content)
    return Upload(file, key, f"{campaign}/{segment}/{stem}", revision_of(content))


def follow(
    connection: Connection, uploads: Iterable[Upload], seconds: float, tell: Callable[[int, int], None]
) -> dict[str, dict]:
    """Wait until every upload is predicted or rejected; returns the frames' table rows by frame_id.

    `tell` is called with (done, rejected) as they come. Raises `TimeoutError` naming what is still missing.
    """
    waiting = {upload.frame_id: upload for upload in uploads}
    rows: dict[str, dict] = {}
    deadline = time.monotonic() + seconds
    while waiting:
        for frame_id, upload in list(waiting.items()):
            row = connection.register.get(frame_id)
            if row and row["revision"] == upload.revision and row["status"] in PREDICTED | {"REJECTED"}:
                rows[frame_id] = row
                del waiting[frame_id]
        tell(len(rows), sum(row["status"] == "REJECTED" for row in rows.values()))
        if waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(waiting)} of {len(waiting) + len(rows)} frames had no layers after {seconds:.0f} s, "
                    f"{next(iter(waiting))} among them: see `firnline status` and the dead-letter queues."
                )
            time.sleep(0.5)
    return rows


def fetch_layers(connection: Connection, row: dict, out: Path, stem: str) -> tuple[Path, Path]:
    """Write a predicted frame's layers document and overlay to `<stem>.layers.json` and `<stem>.png` in `out`."""
    which = (row["frame_id"], row["revision"], row["model_version"])
    document, picture = out / f"{stem}.layers.json", out / f"{stem}.png"
    document.write_bytes(connection.workspace.read(keys.prediction(*which), MAX_DOCUMENT_BYTES))
    picture.write_bytes(connection.workspace.read(keys.prediction_overlay(*which), MAX_PICTURE_BYTES))
    return document, picture
