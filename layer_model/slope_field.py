"""The slope that a map of layers shows, and the map averaged along it (predictive painting, Fomel 2010).

A slope field has one value for each block of 2 x 2 pixels of its map, in rows per column.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np


class SlopeSettings(NamedTuple):
    """What slopes are sought, and over what neighbourhood."""

    steepest: float = 5.0
    """Rows per column, beyond which a slope is cut off: simulated layers have up to 3."""
    smoothing: float = 1.0
    """Standard deviation, in pixels, of the smoothing before differences are taken: that of a ridge as the network is taught to
    draw it."""
    smoothing_reach: int = 3
    """Pixels to which it reaches, in its standard deviations: 0.3 % of its weight lie beyond."""
    window: int = 15
    """Blocks of one column, an odd number, over which a slope is averaged. Tall, since layers above one another are nearly
    parallel: steep neighbours outvote a level ghost between them. One column narrow, since their slope changes along
    the track."""
    flat: float = 1e-12
    """Squared probability per pixel below which nothing has a direction."""


SLOPES = SlopeSettings()


def gaussian(settings: SlopeSettings = SLOPES) -> np.ndarray:
    """Weights (2 * smoothing_reach + 1,) of the smoothing, with sum 1."""
    offsets = np.arange(-float(settings.smoothing_reach), settings.smoothing_reach + 1.0)
    weights = np.exp(-0.5 * (offsets / settings.smoothing) ** 2)
    return weights / weights.sum()


def slopes(image: np.ndarray, settings: SlopeSettings = SLOPES) -> np.ndarray:
    """Slope field (ceil(rows / 2), ceil(columns / 2)) float32 of the ridges of an image (rows, columns) float32: across
    the direction in which it changes most, by its structure tensor (Bigun & Granlund 1987).
    """
    height, width = image.shape
    smooth = weighted(weighted(image, gaussian(settings), 0), gaussian(settings), 1)
    down = np.zeros((height + height % 2, width + width % 2), smooth.dtype)
    along = np.zeros_like(down)
    np.subtract(smooth[2:], smooth[:-2], out=down[1 : height - 1, :width])
    np.subtract(smooth[:, 2:], smooth[:, :-2], out=along[:height, 1 : width - 1])
    product = np.empty_like(down)
    pairs = ((along, along), (along, down), (down, down))
    tensor = np.stack([_blocks(np.multiply(one, other, out=product)) for one, other in pairs])
    across, both, upright = weighted(tensor, np.full(settings.window, 1.0 / settings.window), 1)
    stretch, shear = across - upright, 2.0 * both
    level = np.sqrt(stretch * stretch + shear * shear) - stretch
    return np.minimum(np.maximum(-shear / np.maximum(level, settings.flat), -settings.steepest), settings.steepest)


def weighted(images: np.ndarray, weights: Sequence[float] | np.ndarray, axis: int) -> np.ndarray:
    """Sums of neighbours along an axis, weighted by an odd number of symmetric weights; edges mirrored, as
    `scipy.ndimage.correlate1d` does, which sums one pixel after the other in float64 and takes four times as long.
    """
    reach, size = len(weights) // 2, images.shape[axis]
    padded = np.pad(images, [(reach, reach) if a == axis else (0, 0) for a in range(images.ndim)], mode="symmetric")
    shifted = [padded[(slice(None),) * axis + (slice(start, start + size),)] for start in range(len(weights))]
    total = shifted[reach] * np.float32(weights[reach])
    pair = np.empty_like(total)
    for offset in range(1, reach + 1):
        np.add(shifted[reach - offset], shifted[reach + offset], out=pair)
        pair *= np.float32(weights[reach + offset])
        total += pair
    return total


def _blocks(image: np.ndarray) -> np.ndarray:
    """Sums over blocks of 2 x 2 pixels."""
    rows = image[::2] + image[1::2]
    return rows[:, ::2] + rows[:, 1::2]


def plainly_averaged_along(image: np.ndarray, slope: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """`image` (rows, columns) float32 averaged over the columns about it along the slope field: joins what noise tore
    apart, and levels the stairs by which a network draws a steep layer.

    Each of `steps`, odd numbers of columns, averages what the one before it gave with what lies so many columns to the
    left and right, on paths that follow the slope round its bends, interpolated between two rows. Beyond the edges the
    image goes on as it ends.

    `averaged_along` gives the same numbers, bit for bit, in a quarter of the time.
    """
    height, width = image.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)
    for reach in steps:
        total = image.copy()
        for step in (-reach, reach):
            rise = rise_along(slope, step)[rows // 2, columns // 2]
            whole = np.floor(rise)
            upper = np.clip(rows + whole.astype(int), 0, height - 1)
            lower = np.clip(rows + whole.astype(int) + 1, 0, height - 1)
            there = np.clip(columns + step, 0, width - 1)
            total += (image[lower, there] - image[upper, there]) * (rise - whole) + image[upper, there]
        image = total / np.float32(3)
    return image


def averaged_along(
    image: np.ndarray, slope: np.ndarray, steps: Sequence[int], settings: SlopeSettings = SLOPES
) -> np.ndarray:
    """What `plainly_averaged_along` gives, for a field no steeper than the settings' `steepest`.

    A block of the slope field moves as one: its two rows lie between three rows of the image, and its two columns are
    read at once, as the parts of one complex number. So a step reads 3 numbers for 4 pixels, instead of 8.
    """
    height, width = image.shape
    blocks, pairs = slope.shape
    aside = max(steps)
    beyond = int(aside * settings.steepest) + 2
    line = pairs + aside
    block = (2 * np.arange(blocks)[:, None] + beyond) * line + np.arange(pairs)
    # All steps share these: fresh memory of this size takes longer to get than to fill.
    share, at = np.empty((blocks, 2 * pairs), np.float32), np.empty_like(block)
    read = np.empty((3, blocks, pairs), np.complex64)
    upper, middle, lower = read.view(np.float32)
    for reach in steps:
        padded = np.pad(image, ((beyond, beyond + height % 2), (aside, 2 * line - width - aside)), mode="edge")
        parts = padded.view(np.complex64).ravel()
        total = padded[beyond:, aside:][: 2 * blocks, : 2 * pairs].copy()
        for step in (-reach, reach):
            rise = rise_along(slope, step)
            whole = np.floor(rise)
            rise -= whole
            share[:, ::2] = share[:, 1::2] = rise
            at[:] = whole
            at *= line
            at += block
            at += (step + aside) // 2
            for row, values in enumerate(read):
                parts[row * line :].take(at, out=values, mode="clip")
            lower -= middle
            lower *= share
            lower += middle
            total[1::2] += lower
            middle -= upper
            middle *= share
            middle += upper
            total[::2] += middle
        total /= np.float32(3)
        image = total[:height, :width]
    return image


def rise_along(slope: np.ndarray, step: int) -> np.ndarray:
    """Rows (as `slope`) by which a path along the slope field from each of its blocks rises over `step` columns, an odd
    number, negative to the left: the slope half way, where the path's own slope leads (Runge's midpoint method).
    """
    blocks, pairs = slope.shape
    ahead = int(np.rint(step / 4.0))
    rows = np.rint(np.arange(blocks, dtype=np.float32)[:, None] + np.float32(ahead) * slope).astype(np.intp)
    np.minimum(np.maximum(rows, 0, out=rows), blocks - 1, out=rows)
    rows *= pairs
    rows += np.minimum(np.maximum(np.arange(pairs) + ahead, 0), pairs - 1)
    return np.float32(step) * slope.ravel().take(rows)
