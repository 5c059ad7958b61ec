"""What training rewards: targets, what an annotation vouches for, and the loss."""

from __future__ import annotations

from typing import Any, Sequence, Tuple

import mxnet as mx
import numpy as np

from firnline.geometry import BED, LABELS, LAYER, SURFACE

SIDE_WEIGHT = 0.5
ABSENT_BED_WEIGHT = 0.3
"""A radar that does not reach the bed says little about what a bed looks like: without this, retraining on snow radar
frames alone unlearns the bed.
"""
DOUBT = 0.5
"""Weight of ground without a line in a trace of a partial annotation that has internal layers drawn."""
_REACH = 4


def draw_targets(
    rows: np.ndarray,
    kinds: np.ndarray,
    complete: bool,
    height: int,
    stride: int = 1,
    spread: float = 1.0,
    band: int = 5,
) -> Tuple[np.ndarray, np.ndarray]:
    """Targets and their weights for one echogram.

    Parameters
    ----------
    rows : (L, W) float array, row of each drawn layer in each trace, NaN in gaps
    kinds : (L,) int array, 0 surface, 1 layer, 2 bed
    complete : bool; False: layers without a line exist, so that only drawn lines vouch for anything
    height : rows of the echogram
    stride : traces per output column
    spread : standard deviation of a ridge, in rows
    band : rows on either side of a drawn line that a partial annotation vouches for

    Returns
    -------
    target : (3, height, ceil(W / stride)) float32, soft ridges of height 1
    weight : same shape, 1 where the annotation says what is there, else 0 (see also `ABSENT_BED_WEIGHT`). Of a
        partial annotation: the band about each drawn line; above the surface and below the bed there is no layer; a
        trace has one surface and one bed, which lies on the surface where there is no ice, so that a surface without
        a bed says nothing of a bed beside it; where internal layers are drawn, the rest of the trace counts `DOUBT`.
    """
    lines = columns_of(rows, stride)
    width = lines.shape[1]
    target = np.zeros((len(LABELS), height, width), np.float32)
    weight = np.full((len(LABELS), height, width), 1.0 if complete else 0.0, np.float32)
    if complete and BED not in kinds:
        weight[BED] = ABSENT_BED_WEIGHT
    offsets = np.arange(-_REACH, _REACH + 1)[:, None]
    depth = np.arange(height)[:, None]
    for line, kind in zip(lines, kinds):
        columns = np.flatnonzero(np.isfinite(line))
        line = line[columns]
        near = np.rint(line).astype(int) + offsets
        ridge = np.exp(-0.5 * ((near - line) / spread) ** 2).astype(np.float32)
        inside = (near >= 0) & (near < height)
        at = near[inside], np.broadcast_to(columns, near.shape)[inside]
        target[kind][at] = np.maximum(target[kind][at], ridge[inside])
        if complete:
            continue
        below = depth - line
        near = np.abs(below) <= band
        vouched = [near, near, near]
        if kind == SURFACE:
            vouched = [True, near | (below < 0), below < -band]
        if kind == BED:
            vouched = [near | (below > 0), near | (below > 0), True]
        for output, said in zip(weight, vouched):
            output[:, columns] = np.maximum(output[:, columns], said)
    if not complete:
        # Most ground has no layer, so a drawn trace says a little against layers where it has no line: weights do not
        # change which pixels are likelier (Elkan & Noto 2008), but ground that is never judged is drawn full of layers.
        drawn = np.isfinite(lines[np.asarray(kinds) == LAYER]).any(axis=0)
        weight[LAYER] = np.maximum(weight[LAYER], np.float32(DOUBT) * drawn)
    return target, weight


def columns_of(rows: np.ndarray, stride: int) -> np.ndarray:
    """Rows (L, W) averaged over `stride` traces, gaps left out: (L, ceil(W / stride))."""
    rows = np.asarray(rows, dtype=np.float32)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % stride)), constant_values=np.nan)
    groups = rows.reshape(len(rows), -1, stride)
    known = np.isfinite(groups)
    with np.errstate(invalid="ignore"):
        return np.where(known, groups, 0.0).sum(axis=2) / known.sum(axis=2)


def balanced_cross_entropy(logits: Any, target: Any, weight: Any, balance: float = 0.5) -> Any:
    """Class-balanced cross-entropy, the mean over what is vouched for; a scalar NDArray.

    Ridges are outweighed by background. Xie & Tu (2015) weigh them up by the full ratio background : ridge, which
    makes ridges thick; `balance` is the exponent of that ratio (1: as they do; 0: not at all). The ratio is taken per
    frame and output.

    Parameters
    ----------
    logits, target, weight : (N, 3, H, W) NDArrays
    """
    # Pooling, dot and Activation are oneDNN's and BLAS's; MXNet's own sum, relu and abs took a sixth of a training step.
    pixels = target.shape[2] * target.shape[3]
    ridge = mx.nd.Pooling(target * weight, global_pool=True, pool_type="avg") * pixels
    ground = mx.nd.Pooling(weight, global_pool=True, pool_type="avg") * pixels - ridge
    emphasis = mx.nd.clip((ground / mx.nd.maximum(ridge, mx.nd.ones_like(ridge))) ** balance, 1.0, 30.0)
    positive = mx.nd.Activation(logits, act_type="relu")
    entropy = positive - logits * target + mx.nd.Activation(logits - 2 * positive, act_type="softrelu")
    scale = weight * (1.0 + mx.nd.broadcast_mul(target, emphasis - 1.0))
    entropy, scale = entropy.reshape(-1), scale.reshape(-1)
    return mx.nd.dot(entropy, scale) / (mx.nd.dot(scale, mx.nd.ones_like(scale)) + 1.0)


def deep_supervision_loss(outputs: Sequence[Any], target: Any, weight: Any) -> Any:
    """Loss of the fused output plus that of the side outputs, which weigh `SIDE_WEIGHT` together.

    `outputs` as the networks give them. A coarse side output answers for the highest ridge in each of its cells.
    """
    total = balanced_cross_entropy(outputs[0], target, weight)
    for side in outputs[1:]:
        cell = target.shape[2] // side.shape[2]
        here, vouched = target, weight
        if cell > 1:
            here = mx.nd.Pooling(target, kernel=(cell, cell), stride=(cell, cell), pool_type="max")
            vouched = mx.nd.Pooling(weight, kernel=(cell, cell), stride=(cell, cell), pool_type="avg")
        total = total + SIDE_WEIGHT / len(outputs[1:]) * balanced_cross_entropy(side, here, vouched)
    return total
