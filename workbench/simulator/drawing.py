"""What an expert would draw: lines where they stand out, without pieces and gaps that nobody would bother about."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d

SHORTEST_RUN, SHORTEST_GAP = 24, 16
"""Columns."""


def smoothed(masks: Sequence[np.ndarray]) -> np.ndarray:
    """(lines, columns) bool: where each line is drawn, of masks (columns,) that say where it can be seen."""
    return np.array(
        [_runs_only(gaussian_filter1d(mask.astype(float), 4) > 0.5, SHORTEST_RUN, SHORTEST_GAP) for mask in masks]
    )


def _runs_only(mask: np.ndarray, shortest_run: int, shortest_gap: int) -> np.ndarray:
    """Close gaps and then drop runs that are shorter than an expert would bother about; (traces,) bool."""
    for value, shortest in ((False, shortest_gap), (True, shortest_run)):
        edges = np.flatnonzero(np.diff(mask)) + 1
        bounds = [0, *edges, mask.size]
        mask = mask.copy()
        for start, end in pairwise(bounds):
            at_border = value is False and (start == 0 or end == mask.size)
            if mask[start] == value and end - start < shortest and not at_border:
                mask[start:end] = not value
    return mask
