"""Experts' surface and bed picks (`<stem>.picks.csv`, columns `<label>_row`), read as ingest reads an annotation."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from PIL import Image

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument, now
from firnline.documents.upload_key import revision_of
from firnline.radar.annotations import read_annotation


def frames_with_picks(folder: Path) -> Iterator[tuple[Path, str, LayersDocument]]:
    """(frame, flight segment, picks) of every `<stem>.png` that has a `<stem>.picks.csv` beside it.

    Names like `focused__<transect>.png`: both versions of a transect show the same ground, hence one segment.
    """
    for picks in sorted(folder.glob("*.picks.csv")):
        file = picks.with_name(picks.name.removesuffix(".picks.csv") + ".png")
        if file.exists():
            yield file, file.stem.rsplit("__", 1)[-1], read_picks(picks, file)


def read_picks(picks: Path, frame: Path) -> LayersDocument:
    """Surface and bed as an expert drew them, on the file's own pixels.

    The annotation is partial, since nobody drew the internal layers.
    """
    with Image.open(frame) as image:
        width, height = image.size
    content, created = frame.read_bytes(), now()
    document = FrameDocument.of_whole_file(
        width, height, frame_id=frame.stem, revision=revision_of(content), format="png", polarity="dark-strong",
        source_bucket="", source_key=frame.name, checksum_sha256="", created=created, transforms=[],
    )  # fmt: skip
    return read_annotation(picks.read_bytes(), ".layers.csv", document, created)


def order(frame_id: str, holdout: str) -> tuple[bool, str]:
    """The frames: those of the holdout first, so that the first batch can be judged, then the flight segments in turn."""
    segment = frame_id.rsplit("/", 1)[0]
    return not any(fnmatchcase(segment, pattern) for pattern in holdout.split(",") if pattern), frame_id
