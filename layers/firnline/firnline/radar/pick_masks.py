"""Picks as a mask: a picture of the frame's size on which only the lines are drawn."""

import io
import warnings

import numpy as np
from PIL import Image

from firnline.errors import Refused
from firnline.limits import MAX_LAYERS, MAX_PICKS
from firnline.radar.radar_frame import Picks

_SAMPLED_PIXELS = 4_000_000
_TRACES_AT_ONCE = 1_024
_MOST_RUNS = 10_000_000
_BLURRED_SHARE = 0.15
"""A mask was compressed or smoothed if more than this share of its pixels off the background differ from such a neighbour."""
_DRAWN_SHARE = 0.4
"""In such a mask, pixels of at least this share of the strongest count: a line between two rows has half of it in each."""
_LONGEST_GAP, _STEEPEST_GAP = 6, 2
"""Free ends of lines are joined if they are at most so many traces apart, and at most so many rows for each trace."""
_SHORTEST_OF_BLURRED = 4
_MANY, _SCRAP = 60, 8
"""More lines than this, half of them shorter than this many traces, are scraps."""


def read_mask(content: bytes, traces: int, samples: int) -> Picks:
    """Every connected line of a mask as one row per trace: the middle of its pixels there.

    Lines may be of any colour on an even background of any other. A mask that was smoothed, or went through JPEG, is
    taken where its pixels are clearly nearer to the lines' colour.
    """
    drawn, blurred = _drawn(content, traces, samples)
    starts, tops, bottoms = _runs(drawn)
    line_of, count = _follow(starts, tops, bottoms, samples)
    lengths = np.bincount(line_of, minlength=count)
    kept = np.flatnonzero(lengths >= (_SHORTEST_OF_BLURRED if blurred else 2))
    if len(kept) > _MANY and np.median(lengths[kept]) < _SCRAP:
        raise Refused(
            f"the mask has {len(kept)} lines, most of them shorter than {_SCRAP} traces, as if it were noise; save it as "
            "PNG, without smoothing, with each line drawn through"
        )
    most = min(MAX_LAYERS, MAX_PICKS // traces)
    if len(kept) > most:
        raise Refused(f"the mask has {len(kept)} lines; at most {most} can be taken, so join or remove some")
    number = np.full(count, -1)
    number[kept] = np.arange(len(kept))
    rows = np.full((len(kept), traces), np.nan)
    inside = number[line_of] >= 0
    rows[number[line_of[inside]], starts[inside]] = (tops[inside] + bottoms[inside]) / 2
    return Picks(["layer"] * len(kept), rows)


def _drawn(content: bytes, traces: int, samples: int) -> tuple[np.ndarray, bool]:
    """(samples, traces) bool, and whether the mask was blurred."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is compared before it is unpacked
        warnings.simplefilter("ignore", UserWarning)
        try:
            image = Image.open(io.BytesIO(content), formats=["PNG", "JPEG"])
        except Image.DecompressionBombError as bomb:
            raise Refused(
                "it unpacks to far more pixels than the frame has; save the mask in the frame's size"
            ) from bomb
        with image:
            if image.size != (traces, samples):
                raise Refused(
                    f"the mask has {image.width} x {image.height} pixels, but the frame has {traces} x {samples}; save it "
                    "in the frame's size"
                )
            grey = _grey(image)
    sampled = grey[:: max(1, grey.size // _SAMPLED_PIXELS)]
    background = np.sort(sampled, axis=None)[sampled.size // 2]
    if background:
        grey = np.maximum(grey, background) - np.minimum(grey, background)
        sampled = grey[:: max(1, grey.size // _SAMPLED_PIXELS)]
    left, right = sampled[:, :-1], sampled[:, 1:]
    both = (left > 0) & (right > 0)
    blurred = bool((both & (left != right)).sum() > _BLURRED_SHARE * max(1, int((sampled > 0).sum())))
    drawn = grey > (_DRAWN_SHARE * float(grey.max()) if blurred else 0)
    if drawn.mean() > 0.5:
        raise Refused("more than half of the mask is drawn; only the lines may differ from the background")
    return drawn, blurred


def _grey(image: Image.Image) -> np.ndarray:
    """Unsigned (rows, columns); where there is transparency, what is opaque."""
    if image.mode.startswith("I"):
        return np.clip(np.asarray(image), 0, 65_535).astype(np.uint16)
    if image.has_transparency_data and not image.mode.startswith("F"):
        opaque = np.asarray((image if "A" in image.getbands() else image.convert("RGBA")).getchannel("A"))
        if (opaque < 128).mean() > 0.5:
            return opaque
    return np.asarray(image.convert("L"))


def _runs(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(trace, top row, bottom row) of the runs of drawn pixels along fast time, trace by trace, from above to below."""
    samples, traces = drawn.shape
    found, count = [], 0
    for start in range(0, traces, _TRACES_AT_ONCE):
        block = drawn[:, start : start + _TRACES_AT_ONCE].T
        edged = np.zeros((len(block), samples + 2), dtype=np.int8)
        edged[:, 1:-1] = block
        edges = np.flatnonzero(np.diff(edged, axis=1))
        tops, ends = edges[::2], edges[1::2]
        count += tops.size
        if count > _MOST_RUNS:
            raise Refused("the mask is full of specks; only the lines may differ from the background")
        found.append(
            [
                part.astype(np.int32)
                for part in (tops // (samples + 1) + start, tops % (samples + 1), ends % (samples + 1) - 1)
            ]
        )
    where, tops, bottoms = (np.concatenate(parts) for parts in zip(*found, strict=True))
    crowded = int(np.bincount(where).max(initial=0))
    if crowded > MAX_LAYERS:
        raise Refused(f"the mask has {crowded} lines over one another; at most {MAX_LAYERS} can be taken")
    return where, tops, bottoms


def _follow(where: np.ndarray, tops: np.ndarray, bottoms: np.ndarray, samples: int) -> tuple[np.ndarray, int]:
    """The line that each run belongs to, and how many lines there are.

    A run continues the line of the run that it touches in the trace before, diagonals included. Where lines meet or
    part, they end and new ones begin, so that none runs through the middle between two. Free ends that face each other
    over a short gap are one line.
    """
    scale = samples + 4  # numbers runs along traces, so that a search in one array is a search in each trace
    base = where.astype(np.int64) * scale
    top_places, bottom_places = base + tops, base + bottoms

    def touching(shift: int) -> tuple[np.ndarray, np.ndarray]:
        first = np.searchsorted(bottom_places, top_places + (shift * scale - 1), side="left").astype(np.int32)
        last = np.searchsorted(top_places, bottom_places + (shift * scale + 1), side="right").astype(np.int32)
        return first, np.maximum(last - first, 0)

    after, continuing = touching(1)
    _, continued = touching(-1)
    single = np.flatnonzero(continuing == 1)
    single = single[continued[after[single]] == 1]
    gap_ends, gap_starts = _facing(where, (tops + bottoms) / 2, continuing == 0, continued == 0)
    first_run: np.ndarray = np.arange(len(where), dtype=np.int32)
    first_run[after[single]] = single
    first_run[gap_starts] = gap_ends
    begins = first_run == np.arange(len(where))
    while True:  # each step doubles the way back along a line
        farther = first_run[first_run]
        if (farther == first_run).all():
            break
        first_run = farther
    return (np.cumsum(begins, dtype=np.int32) - 1)[first_run], int(begins.sum())


def _facing(
    where: np.ndarray, middles: np.ndarray, ends: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of runs (where a line ends, where it goes on), each the other's only choice."""
    ending, starting = np.flatnonzero(ends), np.flatnonzero(starts)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    taken_end, taken_start = np.zeros(len(where), dtype=bool), np.zeros(len(where), dtype=bool)
    scale = 2 * (float(middles.max(initial=0)) + 2 * _STEEPEST_GAP * _LONGEST_GAP)
    places = where[starting] * scale + middles[starting]
    for gap in range(2, _LONGEST_GAP + 1):  # the nearest first
        reach = _STEEPEST_GAP * gap
        aim = (where[ending] + float(gap)) * scale + middles[ending]
        first = np.searchsorted(places, aim - reach, side="left")
        number = np.searchsorted(places, aim + reach, side="right") - first
        chosen = np.flatnonzero((number == 1) & ~taken_end[ending])
        from_run, to_run = ending[chosen], starting[first[chosen]]
        alone = np.bincount(to_run, minlength=len(where))[to_run] == 1
        free = alone & ~taken_start[to_run]
        from_run, to_run = from_run[free], to_run[free]
        taken_end[from_run], taken_start[to_run] = True, True
        pairs.append((from_run, to_run))
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])
