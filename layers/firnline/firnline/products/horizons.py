"""From the polylines of a layers document to the horizons of a frame.

A document has no mark for a gap, so a layer that was traced in pieces has a polyline for each. Surface and bed are one
each. Pieces of an internal layer are joined across a short gap where the second begins as far below the next line above as the
first ended, nearer than half the way to any other line. A layer's number then counts from the surface: one more than the
highest number above it. `segment` finds which numbers of two frames mean the same layer.
"""

from dataclasses import dataclass, replace

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.documents.placement import samples_in_file
from firnline.geometry import Label, depth_order

BED_NUMBER = -1
_NEAREST = 0.5
"""Of the way to the next line, above or below, by which joined pieces may be off each other."""
_SHORT_GAP, _GAP_SHARE = 20, 0.12
"""Traces, and share of a frame's traces, over which pieces may be joined: the longer of the two."""


@dataclass(frozen=True)
class Horizon:
    """One line of a frame. `sample` (traces,) of the uploaded file, `confidence` (traces,), both NaN where it is not.

    number : 0 of the surface, from 1 of the layers by depth, -1 of the bed; of the layers along the segment, where that is
        known, and then below -1 of those that are in too few frames to be counted
    in_frame : the number within the frame
    join : confidence that it is the layer of that number of the frame before, NaN where none was or nobody looked
    """

    label: Label
    number: int
    sample: np.ndarray
    confidence: np.ndarray
    in_frame: int
    join: float = np.nan

    @property
    def name(self) -> str:
        if self.label != "layer":
            return self.label
        return f"layer_{self.number:03d}" if self.number > 0 else f"uncounted_{BED_NUMBER - self.number:03d}"

    def along(self, number: int, join: float) -> "Horizon":
        """The same line with its number along the segment."""
        return replace(self, number=number, join=join)


def horizons_of(document: LayersDocument, frame: FrameDocument) -> list[Horizon]:
    """The horizons of a document that lies on the picture of `frame`, from above to below."""
    samples = samples_in_file(document, frame)
    confidences = np.array([np.nan if layer.confidence is None else layer.confidence for layer in document.layers])
    drawn = np.isfinite(samples).any(axis=1)
    labels = [layer.label for layer in document.layers]
    groups: list[tuple[Label, list[int]]] = []
    for label in ("surface", "bed"):
        pieces = [index for index, own in enumerate(labels) if own == label and drawn[index]]
        groups += [(label, pieces)] if pieces else []
    layers = [index for index, own in enumerate(labels) if own == "layer" and drawn[index]]
    groups += [
        ("layer", [layers[place] for place in pieces]) for pieces in joined(samples[layers], _flat(samples, labels))
    ]
    rows = np.array([_merged(samples[pieces]) for _, pieces in groups]).reshape(len(groups), frame.file_traces)
    sure = [_merged(np.where(np.isfinite(samples[pieces]), confidences[pieces, None], np.nan)) for _, pieces in groups]
    order = depth_order(rows) if len(rows) else []
    numbers = iter(_numbers(rows[[place for place in order if groups[place][0] == "layer"]]))
    made = []
    for place in order:
        label = groups[place][0]
        number = {"surface": 0, "bed": BED_NUMBER}.get(label)
        number = next(numbers) if number is None else number
        made.append(Horizon(label, number, rows[place], sure[place], number))
    return made


def joined(samples: np.ndarray, surface: np.ndarray) -> list[list[int]]:
    """Which of the pieces (pieces, traces), by depth, belong to one layer each; `surface` (traces,) lies above them all."""
    drawn = [np.flatnonzero(np.isfinite(row)) for row in samples]
    begins, ends = (np.array([found[edge] for found in drawn], dtype=int) for edge in (0, -1))
    gap = begins[None, :] - ends[:, None]
    reach = max(_SHORT_GAP, round(_GAP_SHARE * samples.shape[1]))
    candidates = []
    for first, second in zip(*(places.tolist() for places in np.nonzero((gap > 0) & (gap <= reach))), strict=True):
        end, begin = int(ends[first]), int(begins[second])
        upper = _above(samples, surface, first, second, end, begin)
        before, after = samples[first, end] - upper[0], samples[second, begin] - upper[1]
        room = min(before, after, _below(samples, first, end), _below(samples, second, begin))
        if abs(after - before) <= _NEAREST * room:
            candidates.append((begin - end, float(abs(after - before)), first, second))
    candidates.sort()
    follows: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, first, second in candidates:
        if first not in follows and second not in taken:
            follows[first] = second
            taken.add(second)
    groups = []
    for start in sorted(set(range(len(samples))) - taken):
        group = [start]
        while group[-1] in follows:
            group.append(follows[group[-1]])
        groups.append(group)
    return groups


def _above(
    samples: np.ndarray, surface: np.ndarray, first: int, second: int, end: int, begin: int
) -> tuple[float, float]:
    """At the traces `end` and `begin`, the lowest line that lies above both pieces there: the surface, if there is no other."""
    at_end, at_begin = samples[:, end], samples[:, begin]
    with np.errstate(invalid="ignore"):
        above = (at_end < samples[first, end]) & (at_begin < samples[second, begin])
    if not above.any():
        return float(surface[end]), float(surface[begin])
    lowest = int(np.argmax(np.where(above, at_end, -np.inf)))
    return float(at_end[lowest]), float(at_begin[lowest])


def _below(samples: np.ndarray, line: int, trace: int) -> float:
    """How far the next line below a piece lies from it, in a trace; infinite where there is none."""
    apart = samples[:, trace] - samples[line, trace]
    return float(np.min(apart, initial=np.inf, where=apart > 0))


def _flat(samples: np.ndarray, labels: list[Label]) -> np.ndarray:
    """(traces,) the surface's sample, straight across its gaps, 0 where there is no surface at all."""
    surface = _merged(samples[[index for index, label in enumerate(labels) if label == "surface"]])
    known = np.flatnonzero(np.isfinite(surface))
    return np.interp(np.arange(samples.shape[1]), known, surface[known]) if known.size else np.zeros(samples.shape[1])


def _merged(rows: np.ndarray) -> np.ndarray:
    """(traces,) the first of the rows (pieces, traces) that is there, in each trace."""
    found = np.full(rows.shape[1], np.nan)
    for row in rows:
        found = np.where(np.isfinite(found), found, row)
    return found


def _numbers(rows: np.ndarray) -> list[int]:
    """From 1: one more than the highest number of a line above, on any shared trace. `rows` come by depth."""
    numbers: list[int] = []
    deepest = np.zeros(rows.shape[1], int)
    for row in rows:
        drawn = np.isfinite(row)
        numbers.append(int(deepest[drawn].max()) + 1)
        deepest[drawn] = numbers[-1]
    return numbers
