"""Training data: RecordIO channels in SageMaker's input modes, decoded, augmented and cut into batches as a stream.

Memory does not grow with the data set: at most `SHUFFLE` frames of `SHUFFLE_BYTES` in all are held at a time. What is cut
from a large frame is cut from a window on its track, so that it costs no more than what is cut from a small one.
"""

from __future__ import annotations

import os
import stat
import time
from typing import Iterable, Iterator, List, Literal, NamedTuple, Sequence, Tuple

import numpy as np
from echogram_input import decode_png, normalise
from losses import draw_targets

from firnline.geometry import BED, LABELS, SURFACE
from firnline.learning.records import iterate_records, unpack_record

SHUFFLE = 64
SHUFFLE_BYTES = 1 << 28
WINDOW_PIXELS = 1 << 20
"""A frame of more pixels is large."""
WINDOW_MARGIN = 192
"""Traces of a window on either side of a crop, so that its input knows its neighbourhood."""
MAX_CROPS_PER_FRAME = 4
CLIMBING, STEEPEST, HIGHEST_CLIMB = 0.4, 2.5, 120.0
"""Share of frames seen so; rows a trace; rows."""
NARROWED, NARROWEST = 0.15, 48
"""Share of frames of which only a stretch is seen, and its fewest traces."""
OVERLAPPING, MOST_OVERLAP = 0.25, 1.8
"""Share of frames whose traces share their speckle, and columns for each trace at most."""
TALL, MOST_ABOVE, MOST_BELOW = 0.15, 60, 160
"""Share of frames in a window far longer than their echo; rows of noise that are added at most."""
REHEARSE_EVERY = 3
"""A network that learns new radars alone forgets the old ones. A model that is trained further sees one of the frames
that came with it after each three new ones (rehearsal, Robins 1995)."""


class Frame(NamedTuple):
    """An annotated echogram: grey (H, W) uint8, rows (L, W) float32 with NaN in gaps, kinds (L,) int."""

    grey: np.ndarray
    rows: np.ndarray
    kinds: np.ndarray
    complete: bool
    number: int


Crop = Tuple[np.ndarray, ...]
"""Data, target and weight; of a batch the same, stacked."""


class Channel:
    """One input channel of a training job: a folder of RecordIO files (File and FastFile mode) or a sequence of pipes
    (Pipe mode).

    In Pipe mode SageMaker offers a FIFO ``<channel>_0`` for the first pass over the data, ``<channel>_1`` for the
    second, and so on. A channel that is absent or empty has no frames. `seen` counts the frames that have been read, those
    of later passes not again.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.passes = self.seen = 0
        self.piped = _is_pipe(self._pipe())

    @property
    def present(self) -> bool:
        return self.piped or bool(self._files())

    def _pipe(self) -> str:
        return f"{self.path}_{self.passes}"

    def _files(self) -> List[str]:
        if not self.path or not os.path.isdir(self.path):
            return []
        return sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.path)
            for name in names
            if name.endswith(".rec")
        )

    def frames(self) -> Iterator[Frame]:
        """One pass over the channel's frames, in stored order."""
        for payload in self.payloads():
            yield decode(payload)

    def payloads(self) -> Iterator[bytes]:
        """One pass over the channel's records, undecoded."""
        if self.piped:
            _await_pipe(self._pipe())
        sources = [self._pipe()] if self.piped else self._files()
        self.passes += 1
        read = 0
        for source in sources:
            with open(source, "rb") as stream:
                for payload in iterate_records(stream):
                    read += 1
                    self.seen = max(self.seen, read)
                    yield payload


def _is_pipe(path: str) -> bool:
    return os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)


def _await_pipe(path: str, seconds: float = 120) -> None:
    """The platform makes the pipe of the next pass once the one before it is drained."""
    deadline = time.monotonic() + seconds
    while not _is_pipe(path):
        if time.monotonic() > deadline:
            raise FileNotFoundError(f"The input pipe {path} did not appear within {seconds} s.")
        time.sleep(0.05)


def decode(payload: bytes) -> Frame:
    """The `Frame` in a record. Raises RecordError or EchogramError."""
    record = unpack_record(payload)
    grey = decode_png(record.png)
    if record.rows.shape[1] != grey.shape[1]:
        raise ValueError(
            f"Record {record.number} has an echogram of {grey.shape[1]} traces, but layers of {record.rows.shape[1]}."
        )
    return Frame(grey, record.rows, record.kinds, record.complete, record.number)


def labels_of(frame: Frame) -> List[str]:
    return [LABELS[kind] for kind in frame.kinds]


def with_rehearsal(frames: Iterable[Frame], rehearsal: Sequence[bytes], rng: np.random.RandomState) -> Iterator[Frame]:
    """`frames` with a frame drawn from `rehearsal`, undecoded records, after every `REHEARSE_EVERY` of them."""
    for i, frame in enumerate(frames, 1):
        yield frame
        if rehearsal and i % REHEARSE_EVERY == 0:
            yield decode(rehearsal[rng.randint(len(rehearsal))])


def shuffled(
    frames: Iterable[Frame], rng: np.random.RandomState, size: int = SHUFFLE, most_bytes: int = SHUFFLE_BYTES
) -> Iterator[Frame]:
    """The same frames, in an order drawn from a window of `size` frames, or of as many as `most_bytes` hold."""
    window: List[Frame] = []
    held = 0
    for frame in frames:
        window.append(frame)
        held += frame.grey.nbytes + frame.rows.nbytes
        while window and (len(window) >= size or held > most_bytes):
            drawn = window.pop(rng.randint(len(window)))
            held -= drawn.grey.nbytes + drawn.rows.nbytes
            yield drawn
    while window:
        yield window.pop(rng.randint(len(window)))


def window_of(frame: Frame, traces: int, rng: np.random.RandomState) -> Frame:
    """A piece of a frame's track, of at most so many traces and drawn at random; the frame itself if it is no longer.

    Whole in depth, for the network sees the whole of a trace. Of a partial annotation it holds a trace with a line.
    """
    width = frame.grey.shape[1]
    if width <= traces:
        return frame
    drawn = np.isfinite(frame.rows).any(axis=0) | frame.complete
    at = np.flatnonzero(drawn) if drawn.any() else np.arange(width)
    left = min(max(at[rng.randint(at.size)] - rng.randint(traces), 0), width - traces)
    here = slice(left, left + traces)
    return frame._replace(grey=frame.grey[:, here], rows=frame.rows[:, here])


def augment(frame: Frame, rng: np.random.RandomState) -> Tuple[np.ndarray, np.ndarray]:
    """(grey float32, rows) of a frame as another flight might have seen it.

    Flown the other way (mirrored along the track), a short stretch of it, by a radar whose apertures overlap, another depth
    scale (layers thicker or thinner), climbing and falling over the ice, in a longer window, another gain with a slope
    over depth, more noise, a ringing transmitter, some weak traces. Never upside down: fast time has a direction.
    """
    grey, rows = frame.grey.astype(np.float32), frame.rows.copy()
    if rng.rand() < 0.5:
        grey, rows = grey[:, ::-1], rows[:, ::-1]
    if rng.rand() < NARROWED:
        grey, rows = narrowed(grey, rows, rng)
    if rng.rand() < OVERLAPPING:
        grey, rows = overlapping(grey, rows, rng.uniform(1.2, MOST_OVERLAP))
    if rng.rand() < 0.6:
        factor = np.exp(rng.uniform(-0.3, 0.3))
        grey, rows = stretch(grey, factor), rows * factor
    if rng.rand() < CLIMBING and BED not in frame.kinds:
        grey, rows = climbed(grey, rows, rng)
    if rng.rand() < TALL:
        grey, rows = in_long_window(grey, rows, rng)
    height, width = grey.shape
    if rng.rand() < 0.7:
        slope = np.linspace(rng.uniform(-25, 25), rng.uniform(-25, 25), height, dtype=np.float32)[:, None]
        grey = (grey - 128) * np.float32(np.exp(rng.uniform(-0.3, 0.3))) + 128 + slope
    if rng.rand() < 0.5:
        grey = grey + rng.uniform(2, 18) * rng.standard_normal(grey.shape).astype(np.float32)
    if rng.rand() < 0.5:
        grey = with_ringing(grey, rows, frame.kinds, rng)
    if rng.rand() < 0.3:
        weak = rng.uniform(0, 40) * (rng.rand(width) < rng.uniform(0.01, 0.06))
        grey = grey - weak.astype(np.float32)
    return np.clip(grey, 0, 255), rows


def narrowed(grey: np.ndarray, rows: np.ndarray, rng: np.random.RandomState) -> Tuple[np.ndarray, np.ndarray]:
    """A stretch of a frame (rows, traces), of `NARROWEST` to 256 traces: short lines of a figure, or of a fjord."""
    width = grey.shape[1]
    kept = min(width, int(np.exp(rng.uniform(np.log(NARROWEST), np.log(256)))))
    start = rng.randint(width - kept + 1)
    return grey[:, start : start + kept], rows[:, start : start + kept]


def overlapping(grey: np.ndarray, rows: np.ndarray, columns: float) -> Tuple[np.ndarray, np.ndarray]:
    """A frame (rows, traces) with `columns` columns for each trace, so that neighbours share their speckle; as wide as it
    was, of less ground. Interpolated along the track, the layers as the echo; these end where they did.
    """
    width = grey.shape[1]
    at = np.arange(width) / columns
    before = np.minimum(at.astype(int), width - 2)
    part = (at - before).astype(np.float32)
    grey, rows = (lines[:, before] * (1 - part) + lines[:, before + 1] * part for lines in (grey, rows))
    return grey, rows


def in_long_window(grey: np.ndarray, rows: np.ndarray, rng: np.random.RandomState) -> Tuple[np.ndarray, np.ndarray]:
    """A frame (rows, traces) with noise above and below: rows from its edges stand for what lies beyond."""
    height, width = grey.shape
    above, below = rng.randint(MOST_ABOVE + 1), rng.randint(MOST_BELOW + 1)
    edge = rng.randint(0, min(8, height), (above + below, width))
    noise = np.take_along_axis(grey, np.concatenate([edge[:above], height - 1 - edge[above:]]), axis=0)
    return np.concatenate([noise[:above], grey, noise[above:]]), rows + above


def climbed(grey: np.ndarray, rows: np.ndarray, rng: np.random.RandomState) -> Tuple[np.ndarray, np.ndarray]:
    """A frame (rows, traces) as from an aircraft whose height above the ice changes along the track: surface and layers
    steeper by up to `STEEPEST` rows a trace. The frame grows by as many rows as the height changes; noise fills them.

    Not for a sounder's frame, with its bed: there the transmitter's lines, which stay level, must not climb.
    """
    height, width = grey.shape
    traces, offset = np.arange(width), np.zeros(width)
    for _ in range(2):
        length = np.exp(rng.uniform(np.log(60), np.log(800))) / (2 * np.pi)
        offset += np.sin(traces / length + rng.uniform(0, 2 * np.pi)) * length
    offset *= rng.uniform(0, STEEPEST) / np.abs(np.diff(offset)).max()
    offset *= min(1.0, HIGHEST_CLIMB / np.ptp(offset))
    offset = np.rint(offset - offset.min()).astype(int)
    taken = np.arange(height + offset.max())[:, None] - offset
    # Air and the ground's depths are noise: rows from a frame's edges stand for what the window did not hold.
    edge = rng.randint(0, min(8, height), taken.shape)
    taken = np.where(taken < 0, edge, np.where(taken >= height, height - 1 - edge, taken))
    return np.take_along_axis(grey, taken, axis=0), rows + offset


def with_ringing(grey: np.ndarray, rows: np.ndarray, kinds: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """`grey` with up to four bright bands of constant row above the surface, as a transmitter that rings, or leaks into
    the receiver, leaves them: from faint to saturated, often the brightest thing of all, and never the surface.
    """
    surface = rows[np.flatnonzero(kinds == SURFACE)]
    if not np.isfinite(surface).any():
        return grey
    air = np.nanmin(surface) - 5
    depth = np.arange(grey.shape[0], dtype=np.float32)
    for _ in range(rng.randint(1, 5)):
        if air <= 3:
            break
        row, width = rng.uniform(0, air), rng.uniform(0.6, min(8.0, max(0.7, air / 3)))
        band = np.exp(rng.uniform(3.0, 6.5) - 0.5 * ((depth - row) / width) ** 2) * (depth < air)
        grey = grey + band.astype(np.float32)[:, None]
    return grey


def stretch(grey: np.ndarray, factor: float) -> np.ndarray:
    """Rows resampled so that row r comes to lie at r * factor; linear interpolation."""
    height = max(16, round(grey.shape[0] * factor))
    at = np.clip(np.arange(height) / factor, 0, grey.shape[0] - 1)
    upper = np.minimum(at.astype(int), grey.shape[0] - 2)
    part = (at - upper).astype(np.float32)[:, None]
    return grey[upper] * (1 - part) + grey[upper + 1] * part


def crops(
    frame: Frame, size: Tuple[int, int], stride: int, rng: np.random.RandomState, augmented: bool = True
) -> Iterator[Crop]:
    """(data, target, weight) triples cut from one frame, more of them from a large one.

    Parameters
    ----------
    size : (rows, traces) of a crop, both multiples of 16
    stride : traces per output column

    Yields
    ------
    data (CHANNELS, rows, traces), target and weight (3, rows, traces / stride), float32. Beyond the frame's edge the weight
    is 0.
    """
    area = float(size[0] * size[1])
    large = frame.grey.size > WINDOW_PIXELS
    for _ in range(max(1, min(MAX_CROPS_PER_FRAME, round(frame.grey.size / area)))):
        part = window_of(frame, size[1] + 2 * WINDOW_MARGIN, rng) if large else frame
        grey, rows = augment(part, rng) if augmented else (part.grey, part.rows)
        data = normalise(grey)
        target, weight = draw_targets(rows, part.kinds, part.complete, grey.shape[0], stride)
        top = rng.randint(max(1, grey.shape[0] - size[0] + 1))
        left = stride * rng.randint(max(1, (grey.shape[1] - size[1]) // stride + 1))
        yield (
            _cut(data, top, left, size, "edge"),
            _cut(target, top, left // stride, (size[0], size[1] // stride)),
            _cut(weight, top, left // stride, (size[0], size[1] // stride)),
        )


def _cut(
    image: np.ndarray, top: int, left: int, size: Tuple[int, int], mode: Literal["constant", "edge"] = "constant"
) -> np.ndarray:
    part = image[:, top : top + size[0], left : left + size[1]]
    missing = (0, 0), (0, size[0] - part.shape[1]), (0, size[1] - part.shape[2])
    return np.pad(part, missing, mode=mode) if any(after for _, after in missing) else part


def batches(
    channel: Channel,
    batch_size: int,
    size: Tuple[int, int],
    stride: int,
    rng: np.random.RandomState,
    rehearsal: Sequence[bytes] = (),
) -> Iterator[Crop]:
    """One pass over a channel as (data, target, weight) arrays of exactly `batch_size` crops.

    Complete and partial annotations come mixed. Crops that hold nothing to learn from are left out, and so is an
    incomplete last batch, unless it is the only one: then its crops are repeated.
    """
    held: List[Crop] = []
    given = False
    for frame in shuffled(with_rehearsal(channel.frames(), rehearsal, rng), rng):
        for crop in crops(frame, size, stride, rng):
            if crop[2].any():
                held.append(crop)
            if len(held) == batch_size:
                yield tuple(np.stack(part) for part in zip(*held))
                held, given = [], True
    if held and not given:
        yield tuple(np.stack([part[i % len(held)] for i in range(batch_size)]) for part in zip(*held))
