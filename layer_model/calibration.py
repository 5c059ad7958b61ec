"""Confidence that means something: the expected share of traces within two pixels of the truth.

The network's support along a layer says how sure it is, not how often it is right. A logistic curve, fitted on
annotated frames (Platt 1999, with shares in place of classes), maps one to the other.

How much a support is worth differs from campaign to campaign: in simulated snow mostly by the strength of the
reflectors between the layers that have a line. Two features of the tracked layers tell a part of that: `roughness` and
`unevenness`. The rest only the campaign's own annotation can tell.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Union

import numpy as np
from lines import Layer

UNCALIBRATED: Dict[str, Any] = {
    "ridge": 0.5,
    "layer": [0.0, 1.0, 0.0, 0.0],
    "frame": [0.0, 1.0, 0.0, 0.0],
    "layers": 0,
    "frames": 0,
}
"""Used until annotated frames say better: the support itself."""


class CalibrationSettings(NamedTuple):
    """What the features are measured against, and how far a curve follows few frames."""

    usual_roughness: float = -2.75
    """Logarithm of rows of bend: the median over simulated snow."""
    roughness_range: float = 1.5
    """By which frames differ from that; beyond it nothing is known."""
    no_log_of_zero: float = 0.01
    """Rows of bend that a straight line counts as having."""
    usual_unevenness: float = 0.5
    """Standard deviation of the logarithm of distances: the median over simulated snow."""
    unevenness_range: float = 0.3
    """By which frames differ from that; beyond it nothing is known."""
    hundred_traces: float = 100.0
    """Traces in which a layer's length is told."""
    no_layers: float = -3.0
    """Logarithm of a mean length, in hundreds of traces, that a frame without layers counts as having: five traces."""
    least_share: float = 0.01
    """Support closer to 0 or 1 than this says no more: its log-odds would grow without bound."""
    level_range: float = 30.0
    """Log-odds beyond which the curve is flat, in floating point too."""
    prior_strength: float = 0.5
    """What a unit of difference from the curve that a fit starts from costs: that of five samples whose outcome varies by
    a tenth, so that a handful of frames does not bend it far."""
    most_certain: float = 1e-3
    """Least variance that a sample's outcome counts as having, lest Newton's steps run away."""
    longest_step: float = 2.0
    """Of a weight, in one of Newton's steps."""
    steps: int = 25
    """Of Newton's method."""
    decimals: int = 6
    """Of a weight in the model card."""


CALIBRATION = CalibrationSettings()


def layer_features(layers: Sequence[Layer], uneven: float) -> np.ndarray:
    """(n, 4) for the n tracked layers of a frame: 1, log-odds of the mean support, `roughness`, `unevenness` of the frame.

    At the same support a rough layer is right more often than a smooth one, a layer of an even frame than one of an
    uneven frame.
    """
    if not layers:
        return np.empty((0, 4))
    sizes = np.array([layer.rows.size for layer in layers])
    total = np.add.reduceat(np.concatenate([layer.support for layer in layers]), np.cumsum(sizes) - sizes, dtype=float)
    ones = np.ones(len(layers))
    return np.stack([ones, _log_odds(total / sizes), roughness(layers), uneven * ones], axis=1)


def frame_features(layers: Sequence[Layer], uneven: float) -> np.ndarray:
    """(4,): 1, log-odds of the mean support over all traces of all layers, mean logarithm of a layer's length in
    hundreds of traces, by traces (layers that come in pieces are doubtful), `unevenness`.
    """
    if not layers:
        return np.array([1.0, _log_odds(0.0), CALIBRATION.no_layers, uneven])
    sizes = np.array([layer.rows.size for layer in layers])
    support = np.concatenate([layer.support for layer in layers]).mean(dtype=float)
    length = np.average(np.log(sizes / CALIBRATION.hundred_traces), weights=sizes)
    return np.array([1.0, _log_odds(support), length, uneven])


def roughness(layers: Sequence[Layer]) -> np.ndarray:
    """(n,): logarithm of the mean bend (second difference) of each layer's rows, above the usual; 0 of under three
    traces.
    """
    sizes = np.array([layer.rows.size for layer in layers])
    rows, ends = np.concatenate([layer.rows for layer in layers]), np.cumsum(sizes)
    bend = np.zeros(rows.size)
    bend[:-2] = np.abs(rows[:-2] - 2 * rows[1:-1] + rows[2:])
    bend[ends - 1] = bend[ends - 2] = 0.0  # two rows of this layer, or the last of the one before it
    total = np.log(CALIBRATION.no_log_of_zero + np.add.reduceat(bend, ends - sizes) / np.maximum(sizes - 2, 1))
    most = CALIBRATION.roughness_range
    above = np.minimum(np.maximum(total - CALIBRATION.usual_roughness, -most), most)
    return np.where(sizes < 3, 0.0, above)


def unevenness(layers: Sequence[Layer]) -> float:
    """Standard deviation of the logarithm of the distances between neighbouring layers, over all traces of a frame, less
    the usual one; 0 where no trace has two layers.

    A year's snow is about as thick as the next year's: distances differ much where reflectors within a year have been
    tracked or layers missed. Layers come by depth.
    """
    if not layers:
        return 0.0
    traces = np.concatenate([layer.traces for layer in layers])
    rows = np.concatenate([layer.rows for layer in layers])
    order = np.argsort(traces, kind="stable")
    distances = np.diff(rows[order])[np.diff(traces[order]) == 0]
    if not distances.size:
        return 0.0
    spread = np.log(np.maximum(distances, 1.0)).std()
    most = CALIBRATION.unevenness_range
    return float(np.clip(spread - CALIBRATION.usual_unevenness, -most, most))


def expected_share(features: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Logistic curve of the features (..., k): (...) between 0 and 1. A model's curve of fewer weights knows the first
    features only.
    """
    level = np.asarray(features)[..., : len(weights)] @ np.asarray(weights, dtype=float)
    most = CALIBRATION.level_range
    return 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(level, -most), most)))


def prior_curve(name: str, curves: Mapping[str, Any]) -> List[float]:
    """Weights that `fit` starts from: the curve "layer" or "frame" of an earlier model, at zero for features it does not
    know.
    """
    known = list(curves[name])
    return known + UNCALIBRATED[name][len(known) :]


def fit(
    features: Sequence[np.ndarray],
    shares: Sequence[float],
    sizes: Sequence[float],
    prior: Sequence[float],
    settings: CalibrationSettings = CALIBRATION,
) -> List[float]:
    """Weights of the logistic curve through `shares` (n,) at `features` (n, k); each counts by `sizes` (n,), scaled
    to mean 1.

    Newton's method on the cross-entropy, drawn towards `prior`.
    """
    given, wanted, counts = (np.asarray(values, dtype=float) for values in (features, shares, sizes))
    start = np.asarray(prior, dtype=float)
    if not len(given):
        return [float(w) for w in start]
    counts = counts / counts.mean()
    weights = start.copy()
    for _ in range(settings.steps):
        level = np.clip(given @ weights, -settings.level_range, settings.level_range)
        expected = 1.0 / (1.0 + np.exp(-level))
        slope = given.T @ (counts * (expected - wanted)) + settings.prior_strength * (weights - start)
        varies = np.maximum(expected * (1 - expected), settings.most_certain)
        bend = (given * (counts * varies)[:, None]).T @ given
        step = np.linalg.solve(bend + settings.prior_strength * np.eye(start.size), slope)
        weights = weights - np.clip(step, -settings.longest_step, settings.longest_step)
    return [round(float(w), settings.decimals) for w in weights]


def _log_odds(p: Union[float, np.ndarray]) -> Any:
    p = np.minimum(np.maximum(p, CALIBRATION.least_share), 1 - CALIBRATION.least_share)
    return np.log(p / (1 - p))
