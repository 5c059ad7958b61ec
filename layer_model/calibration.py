"""Confidence that means something: the expected share of traces within two pixels of the truth.

The network's support along a layer says how sure it is, not how often it is right. A logistic curve, fitted on
annotated frames (Platt 1999, with shares in place of classes), maps one to the other.

How much a support is worth differs from campaign to campaign: in simulated snow mostly by the strength of the
reflectors between the layers that have a line. Two more features feel a part of that, in the tracked layers alone: see
`roughness` and `unevenness`. The rest only the campaign's own annotation can tell.
"""

import numpy as np

UNCALIBRATED = {
    "ridge": 0.5,
    "layer": [0.0, 1.0, 0.0, 0.0],
    "frame": [0.0, 1.0, 0.0, 0.0],
    "layers": 0,
    "frames": 0,
}
"""Used until annotated frames say better: the support itself."""
USUAL_ROUGHNESS, ROUGHNESS_RANGE = -2.75, 1.5
USUAL_UNEVENNESS, UNEVENNESS_RANGE = 0.5, 0.3
"""Medians over simulated snow, and how far from them frames lie; beyond that nothing is known."""


def layer_features(layers, uneven):
    """(n, 4) for the n tracked layers of a frame: 1, log-odds of the mean support, `roughness`, `unevenness` of the frame.

    At the same support a rough layer is right more often than a smooth one, a layer of an even frame than one of an
    uneven frame. `layers` have `rows` and `support`, here and below.
    """
    if not layers:
        return np.empty((0, 4))
    sizes = np.array([layer.rows.size for layer in layers])
    total = np.add.reduceat(np.concatenate([layer.support for layer in layers]), np.cumsum(sizes) - sizes, dtype=float)
    ones = np.ones(len(layers))
    return np.stack([ones, _log_odds(total / sizes), roughness(layers), uneven * ones], axis=1)


def frame_features(layers, uneven):
    """(4,): 1, log-odds of the mean support over all traces of all layers, mean logarithm of a layer's length in
    hundreds of traces, by traces (layers that come in pieces are doubtful), `unevenness`.
    """
    if not layers:
        return np.array([1.0, _log_odds(0.0), -3.0, uneven])
    sizes = np.array([layer.rows.size for layer in layers])
    support = np.concatenate([layer.support for layer in layers]).mean(dtype=float)
    return np.array([1.0, _log_odds(support), np.average(np.log(sizes / 100.0), weights=sizes), uneven])


def roughness(layers):
    """(n,): logarithm of the mean bend (second difference) of each layer's rows, above the usual; 0 of under three
    traces.
    """
    sizes = np.array([layer.rows.size for layer in layers])
    rows, ends = np.concatenate([layer.rows for layer in layers]), np.cumsum(sizes)
    bend = np.zeros(rows.size)
    bend[:-2] = np.abs(rows[:-2] - 2 * rows[1:-1] + rows[2:])
    bend[ends - 1] = bend[ends - 2] = 0.0  # two rows of this layer, or the last of the one before it
    total = np.log(0.01 + np.add.reduceat(bend, ends - sizes) / np.maximum(sizes - 2, 1))
    above = np.minimum(np.maximum(total - USUAL_ROUGHNESS, -ROUGHNESS_RANGE), ROUGHNESS_RANGE)
    return np.where(sizes < 3, 0.0, above)


def unevenness(layers):
    """Standard deviation of the logarithm of the distances between neighbouring layers, over all traces of a frame, less
    the usual one; 0 where no trace has two layers.

    A year's snow is about as thick as the next year's: distances differ much where reflectors within a year have been
    tracked or layers missed. `layers` have `traces` and `rows`, and come by depth.
    """
    if not layers:
        return 0.0
    traces, rows = (np.concatenate([getattr(layer, part) for layer in layers]) for part in ("traces", "rows"))
    order = np.argsort(traces, kind="stable")
    distances = np.diff(rows[order])[np.diff(traces[order]) == 0]
    if not distances.size:
        return 0.0
    spread = np.log(np.maximum(distances, 1.0)).std()
    return float(np.clip(spread - USUAL_UNEVENNESS, -UNEVENNESS_RANGE, UNEVENNESS_RANGE))


def expected_share(features, weights):
    """Logistic curve of the features (..., k): (...) between 0 and 1. A model's curve of fewer weights knows the first
    features only.
    """
    level = np.asarray(features)[..., : len(weights)] @ np.asarray(weights, dtype=float)
    return 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(level, -30), 30)))


def prior_curve(name, curves):
    """Weights that `fit` starts from: the curve "layer" or "frame" of an earlier model, at zero for features it does not
    know.
    """
    known = list(curves[name])
    return known + UNCALIBRATED[name][len(known) :]


def fit(features, shares, sizes, prior, strength=5.0, steps=25):
    """Weights of the logistic curve through `shares` (n,) at `features` (n, k); each counts by `sizes` (n,), scaled
    to mean 1.

    Newton's method on the cross-entropy, drawn towards `prior` with the weight of `strength` samples, so that a
    handful of frames does not bend it far.
    """
    features, shares, sizes = (np.asarray(values, dtype=float) for values in (features, shares, sizes))
    prior = np.asarray(prior, dtype=float)
    if not len(features):
        return [float(w) for w in prior]
    sizes = sizes / sizes.mean()
    weights = prior.copy()
    for _ in range(steps):
        expected = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -30, 30)))
        slope = features.T @ (sizes * (expected - shares)) + strength * 0.1 * (weights - prior)
        bend = (features * (sizes * np.maximum(expected * (1 - expected), 1e-3))[:, None]).T @ features
        step = np.linalg.solve(bend + strength * 0.1 * np.eye(prior.size), slope)
        weights = weights - np.clip(step, -2.0, 2.0)
    return [round(float(w), 6) for w in weights]


def _log_odds(p):
    p = np.minimum(np.maximum(p, 0.01), 0.99)
    return np.log(p / (1 - p))
