"""Surface and bed: one path each through the echogram (Viterbi 1967, as Crandall et al. 2012 use it for ice boundaries),
along which the network's log-probability and what the echo itself says add up.

The network draws either boundary well, but a handful of frames to train on may swap their names: a transmitter's line
for the surface, a shelf's base or a multiple for the bed. The echo tells them apart by physics: nothing attenuates
the surface's return, so it is the first that is as bright as any in its trace, or nearly; and below the bed there is
only noise.
"""

import numpy as np
from echogram_input import brightest_before, prominence
from lines import pieces, sub_pixel
from scipy.ndimage import uniform_filter1d

PRESENT = 0.25
"""Least probability along a boundary."""
UNSEEN = 1e-3
"""Probability where the map shows nothing: a boundary may still pass there, if the echo says so."""
BRIGHTEST = 20.0
"""What the surface's path pays for each half range of grey by which it is darker than the brightest of its trace."""
FIRST, AS_BRIGHT = 2.0, 0.3
"""What it pays where something as bright lies above, and the half ranges of grey by which that may be darker to count."""
LAST = 2.0
"""What the bed's path gains for each half range of grey by which it stands out."""
SEEN = 0.25
"""Share of columns in which the map must see a boundary, for the echo alone to carry it on elsewhere."""
FAINTEST, AT_ITS_BEST = 0.4, 90
"""Half ranges of grey by which a bed is brighter than what lies below it, in its best tenth of columns: this percentile of
them. A layer deep in the snow, below which a radar sees nothing more, looks like a bed to the network; what it lacks is
a bed's strength.
"""
THINNEST = 2
"""Rows from surface to bed."""
BELOW, ABOVE, OWN = 48, 6, 3
"""Rows below and above a bed that it is compared with, and rows that belong to its own echo."""


def find_boundaries(probability, brightness, gap, shortest):
    """Surface and bed as lists of (first column, rows, support), and the map (rows, columns) of the internal layers: a bed
    that does not stand out is one of them.

    Parameters
    ----------
    probability : (3, rows, columns) float32 array: surface, internal layer, bed
    brightness : (rows, columns) float array in half ranges of grey, or None: the map alone decides
    gap, shortest : columns; shorter gaps are bridged, shorter pieces dropped
    """
    surface_image, layers, bed_image = probability
    surface, above = _boundary(surface_image, layers, brightness, SURFACE, None, gap, shortest)
    bed, _ = _boundary(bed_image, layers, brightness, BED, above, gap, shortest)
    if not bed or brightness is None or _stands_out(bed, brightness):
        return surface, bed, layers
    return surface, [], np.maximum(layers, bed_image)


def _boundary(image, layers, brightness, kind, above, gap, shortest):
    """Pieces of one boundary, and the rows (columns,) of its whole path; below the path `above`, if there is one."""
    shown = (image.max(axis=0, initial=0.0) > PRESENT).sum()
    if shown < shortest:
        return [], None
    gain = np.log(np.maximum(image, np.float32(UNSEEN)))
    evidence = None
    if brightness is not None and shown > SEEN * image.shape[1]:
        evidence = kind.evidence(brightness)
        gain += evidence
    if above is not None:
        gain[np.arange(len(gain))[:, None] < above + THINNEST] = -100.0
    path = best_path(gain, kind.cost)
    return _supported(image, layers, path, evidence, kind.plain, gap, shortest), path


def _stands_out(lines, brightness):
    """Whether the pieces of a bed (first column, rows, support) are anywhere brighter than mere noise below them."""
    smooth = uniform_filter1d(brightness, 3, axis=1, mode="nearest")
    rows = np.rint(np.concatenate([rows for _, rows, _ in lines])).astype(int)
    columns = np.concatenate([first + np.arange(rows.size) for first, rows, _ in lines])
    excess = prominence(smooth, BELOW, ABOVE, OWN, 0.0)[np.clip(rows, 0, len(smooth) - 1), columns]
    return np.percentile(excess, AT_ITS_BEST) >= FAINTEST


def surface_evidence(brightness):
    """Log-likelihood of a surface, (rows, columns), up to a constant in each column: how near it is to the brightest of
    its trace, and whether it is the first that is so bright.
    """
    smooth = uniform_filter1d(brightness, 5, axis=1, mode="nearest")
    smooth -= smooth.min()
    above = (brightest_before(smooth) - smooth) / np.float32(AS_BRIGHT)
    above += 1
    smooth -= smooth.max(axis=0)
    smooth *= np.float32(BRIGHTEST)
    return smooth - np.float32(FIRST) * np.minimum(np.maximum(above, 0), 1)


def bed_evidence(brightness):
    """Log-likelihood of a bed, (rows, columns): how it stands out against what lies below it, where there is nothing but
    noise, and just above it.
    """
    smooth = uniform_filter1d(brightness, 3, axis=1, mode="nearest")
    return np.float32(LAST) * prominence(smooth, BELOW, ABOVE, OWN, 1.2)


class Boundary:
    """What tells one boundary from the other: `cost` of going up or down one row, against log-probabilities; `evidence`,
    a function of brightness; `plain`, the evidence, on average, along a boundary that the echo alone carries.
    """

    def __init__(self, cost, evidence, plain):
        self.cost, self.evidence, self.plain = cost, evidence, plain


# Beds are rough: 8 rows in 10 traces is common.
SURFACE, BED = Boundary(2.0, surface_evidence, -6.0), Boundary(0.1, bed_evidence, 1.0)


def best_path(gain, cost, jump=3):
    """Rows (columns,) float of the path with the largest sum of gains (rows, columns).

    The path is sought on pairs of columns, the stronger of each standing for both. Going d rows up or down costs
    `cost * d`; 1 + 2 + ... + `jump` rows at most from pair to pair.
    """
    height, width = gain.shape
    pairs = gain[:, ::2].copy()
    np.maximum(pairs[:, : width // 2], gain[:, 1::2], out=pairs[:, : width // 2])
    gain = np.ascontiguousarray(pairs.T, np.float32)
    furthest = jump * (jump + 1) // 2
    reached = np.full((len(gain), height + 2 * furthest), -np.inf, np.float32)
    scores = reached[:, furthest:-furthest]
    best, paid = gain[0].copy(), np.empty(height, np.float32)
    scores[0] = best
    # Shifts by 1, 2, ... rows, each taken or not, make every shift up to their sum: the same maximum, half the work.
    shifts = [(np.float32(cost * d), best[d:], paid[:-d], best[:-d], paid[d:]) for d in range(1, jump + 1)]
    for score, column in zip(scores[1:], gain[1:]):
        for fee, lower, paid_above, upper, paid_below in shifts:
            np.subtract(best, fee, paid)
            np.maximum(lower, paid_above, lower)
            np.maximum(upper, paid_below, upper)
        np.add(best, column, best)
        score[:] = best
    fees = np.float32(cost) * np.abs(np.arange(-furthest, furthest + 1))
    path = [int(best.argmax())]
    for score in reached[-2::-1]:
        path.append(path[-1] - furthest + int((score[path[-1] : path[-1] + fees.size] - fees).argmax()))
    path.reverse()
    return np.interp(np.arange(width), np.arange(len(gain)) * 2 + 0.5, path)


def _supported(image, layers, path, evidence, plain, gap, shortest):
    """The path, moved to the nearest ridge of the map `image` in every column, cut where neither the map supports it nor
    the echo, if the map sees such a boundary in the frame at all.

    A path that is more of an internal layer, by the map `layers`, than a boundary has no support by the map.
    """
    columns = np.arange(path.size)
    path = _on_ridge(image, path)
    rows, support = sub_pixel(image, path, columns)
    average = uniform_filter1d(support, 9, mode="nearest")
    present = (average > PRESENT) & (average > uniform_filter1d(layers[path, columns], 9, mode="nearest"))
    if evidence is not None:
        present |= uniform_filter1d(evidence[path, columns], 9, mode="nearest") > plain
    return pieces(0, rows, support, present, gap, shortest)


def _on_ridge(image, rows, reach=2):
    """Whole rows (columns,) of the highest pixel within `reach` rows of `rows` in each column."""
    columns = np.arange(rows.size)
    around = np.rint(rows).astype(int) + np.arange(-reach, reach + 1)[:, None]
    around = np.clip(around, 0, image.shape[0] - 1)
    return around[image[around, columns].argmax(axis=0), columns]
