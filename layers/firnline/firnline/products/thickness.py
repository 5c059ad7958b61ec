"""How thick what lies between lines is. Lines are (lines, traces) by depth, NaN where a line is not."""

import numpy as np


def next_below(depth_m: np.ndarray) -> np.ndarray:
    """(lines, traces) int: which line comes next below each, in each trace; -1 where none does, or the line is not there."""
    below = np.full(depth_m.shape, -1)
    nearest = np.full(depth_m.shape[1:], -1)
    for line in range(len(depth_m) - 1, -1, -1):
        drawn = np.isfinite(depth_m[line])
        below[line] = np.where(drawn, nearest, -1)
        nearest = np.where(drawn, line, nearest)
    return below


def at_line(values: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(lines, traces) of `values` (lines, traces) at line `line` of each trace; NaN where that is -1."""
    if not len(values):
        return np.full(line.shape, np.nan)
    return np.asarray(np.where(line >= 0, np.take_along_axis(values, np.maximum(line, 0), axis=0), np.nan))


def layer_thickness(depth_m: np.ndarray) -> np.ndarray:
    """(lines, traces) metres from each line down to the next; NaN where none lies below."""
    return np.asarray(at_line(depth_m, next_below(depth_m)) - depth_m)


def first_of(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(traces,) in each trace the value, of (lines, traces) `values`, of the uppermost of the `chosen` (lines,) lines that has one;
    NaN where none has.

    The depth of the first internal layer is the snow depth, where that is the last summer's surface; of the bed, the ice
    thickness.
    """
    found = np.full(values.shape[1:], np.nan)
    for line in np.flatnonzero(chosen)[::-1]:
        found = np.where(np.isfinite(values[line]), values[line], found)
    return found
