"""The frames that the benchmark runs on: read back from channels, thinned for the annotation experiment, real ones in folds."""

import io
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from firnline.documents.echogram import decode_png, encode_png, to_grey
from firnline.geometry import LABELS, LAYER, kinds_of
from firnline.learning import records, scoring
from firnline.radar.formats import read_frame
from workbench import expert_picks
from workbench.benchmark.measures import Truth

SHARD = "part-00000.rec"


class Frame(NamedTuple):
    """An echogram (rows, traces) uint8 with its truth; `sounder`: its radar reaches the bed."""

    grey: np.ndarray
    truth: Truth
    sounder: bool


class RealFrame(NamedTuple):
    """A real frame as a framed record; `transect`: the ground that it shows."""

    name: str
    transect: str
    record: bytes


class Fold(NamedTuple):
    """Frames of one fold of leave-transects-out; no transect is in two of the three."""

    train: list[RealFrame]
    validation: list[RealFrame]
    test: list[RealFrame]


def frame_of(record: bytes, sounder: bool) -> Frame:
    """The `Frame` in a framed record."""
    return next(_frames([record], sounder))


def read_channel(folder: Path, sounder: bool = False) -> list[Frame]:
    """The frames of a channel's shard, in stored order."""
    with (folder / SHARD).open("rb") as stream:
        return list(_decoded(records.iterate_records(stream), sounder))


def write_shard(folder: Path, framed: list[bytes]) -> None:
    """One RecordIO shard of framed records."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SHARD).write_bytes(b"".join(framed))


def _frames(framed: list[bytes], sounder: bool) -> Iterator[Frame]:
    return _decoded(records.iterate_records(io.BytesIO(b"".join(framed))), sounder)


def _decoded(payloads: Iterator[bytes], sounder: bool) -> Iterator[Frame]:
    for payload in payloads:
        record = records.unpack_record(payload)
        grey = decode_png(record.png)
        labels = [LABELS[kind] for kind in record.kinds]
        yield Frame(grey, Truth(record.rows.astype(float), labels, record.complete, len(grey)), sounder)


def thinned(payload: bytes, rng: np.random.Generator, partial: bool) -> bytes:
    """A record with half of its internal layers' lines taken away at random, framed.

    `partial`: the frame says so. Else it goes on claiming whatever it claimed: a training that believes it takes the
    layers without a line for ice without layers (the plain loss).
    """
    record = records.unpack_record(payload)
    layers = np.flatnonzero(record.kinds == LAYER)
    gone = rng.choice(layers, size=layers.size // 2, replace=False)
    rows, kinds = np.delete(record.rows, gone, axis=0), np.delete(record.kinds, gone)
    return records.pack_record(record.png, rows, kinds, record.complete and not partial, record.number)


def real_frames(folder: Path) -> list[RealFrame]:
    """Real frames with surface and bed picked, read and scaled as ingest does it; partial annotations."""
    frames = []
    for number, (file, transect, picks) in enumerate(expert_picks.frames_with_picks(folder)):
        grey = to_grey(read_frame(file.read_bytes()).power_db)
        kinds = kinds_of(layer.label for layer in picks.layers)
        frames.append(
            RealFrame(file.stem, transect, records.pack_record(encode_png(grey), picks.rows(), kinds, False, number))
        )
    return frames


def other_picks(frames: list[RealFrame]) -> list[tuple[dict, Truth]]:
    """(document, truth) of frames that show the same ground, each with what was picked on the other: how far experts
    agree, which no tracker can be expected to exceed.
    """
    truth = [frame_of(frame.record, sounder=True).truth for frame in frames]
    documents = [{"layers": scoring.layers_from_rows(one.rows, one.labels)} for one in truth]
    return [
        (documents[other], truth[one])
        for one, other in permutations(range(len(frames)), 2)
        if frames[one].transect == frames[other].transect
    ]


def without_thin_ice(truth: Truth, thinnest: float = 6.0) -> Truth:
    """The annotation without the bed where it is less than `thinnest` rows below the surface."""
    rows, labels = truth.rows.copy(), np.array(truth.labels)
    surface = np.fmax.reduce(rows[labels == "surface"], axis=0, initial=-np.inf)
    beds = labels == "bed"
    rows[beds] = np.where(rows[beds] < surface + thinnest, np.nan, rows[beds])
    return truth._replace(rows=rows)


def leave_transects_out(frames: list[RealFrame], per_fold: int = 2) -> list[Fold]:
    """Folds that test `per_fold` transects each, every transect once; the next fold's test transects are this one's
    validation.
    """
    transects = sorted({frame.transect for frame in frames})
    groups = [set(transects[i : i + per_fold]) for i in range(0, len(transects), per_fold)]
    if len(groups) < 3:
        raise ValueError(
            f"{len(transects)} transects are too few for folds that test {per_fold} each: give 3 groups at least"
        )
    folds = []
    for number, test in enumerate(groups):
        validation = groups[(number + 1) % len(groups)]
        folds.append(
            Fold(
                [frame for frame in frames if frame.transect not in test | validation],
                [frame for frame in frames if frame.transect in validation],
                [frame for frame in frames if frame.transect in test],
            )
        )
    return folds
