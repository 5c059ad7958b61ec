"""Experts' surface and bed picks (`<stem>.picks.csv`, columns `<label>_row`) as layers documents."""

import csv
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from PIL import Image

from firnline.layers import ImageSize, Layer, LayersDocument, Source, Vertex, now

_LONGEST_BRIDGE = 5
"""Gaps of at most this many traces are bridged; over longer ones an expert saw nothing to pick, and neither do we."""


def frames_with_picks(folder: Path) -> Iterator[tuple[Path, str, LayersDocument]]:
    """(frame, flight segment, picks) of every `<stem>.png` that has a `<stem>.picks.csv` beside it.

    Names like `focused__<transect>.png`: both versions of a transect show the same ground, hence one segment.
    """
    for picks in sorted(folder.glob("*.picks.csv")):
        file = picks.with_name(picks.name.removesuffix(".picks.csv") + ".png")
        if file.exists():
            yield file, file.stem.rsplit("__", 1)[-1], read_picks(picks, file)


def read_picks(picks: Path, frame: Path) -> LayersDocument:
    """Surface and bed as an expert drew them: a partial annotation, since nobody drew the internal layers."""
    with Image.open(frame) as image:
        width, height = image.size
    with picks.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = np.array([int(row["col"]) for row in rows])
    layers = []
    for label in ("surface", "bed"):
        values = np.array([float(row[f"{label}_row"] or "nan") for row in rows])
        for run in _runs(columns, values):
            layers.append(Layer(label=label, vertices=[Vertex(x=float(x), y=float(y)) for x, y in run]))
    return LayersDocument(
        frame_id="", image=ImageSize(width=width, height=height),
        source=Source(kind="import", created=now()), coverage="partial", layers=layers,
    )  # fmt: skip


def _runs(columns: np.ndarray, values: np.ndarray) -> Iterator[np.ndarray]:
    """(points, 2) arrays of x, y: the picked stretches, parted where more than `_LONGEST_BRIDGE` traces have no pick."""
    picked = np.isfinite(values)
    points = np.column_stack([columns[picked], values[picked]])
    for run in np.split(points, np.flatnonzero(np.diff(points[:, 0]) > _LONGEST_BRIDGE + 1) + 1):
        if len(run) >= 2:
            yield run


def order(frame_id: str, holdout: str) -> tuple[bool, str]:
    """Frames of the holdout first, so that the first batch can be judged; then the flight segments in turn."""
    segment = frame_id.rsplit("/", 1)[0]
    return not any(fnmatchcase(segment, pattern) for pattern in holdout.split(",") if pattern), frame_id
