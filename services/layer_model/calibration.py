"""Confidence that means something: the expected share of traces within two pixels of the truth.

The network's support along a layer says how sure it is, not how often it is right. A logistic curve, fitted on the
validation frames (Platt 1999, with shares in place of classes), maps one to the other.
"""

import numpy as np

UNCALIBRATED = {"ridge": 0.5, "layer": [0.0, 1.0], "frame": [0.0, 1.0, 0.0], "layers": 0, "frames": 0}
"""Used until validation frames say better: the support itself."""


def layer_features(support):
    """(2,): 1, log-odds of the mean support."""
    return np.array([1.0, _log_odds(float(np.mean(support)))])


def frame_features(supports, sizes):
    """(3,): 1, log-odds of the mean support over all traces of all layers, mean logarithm of a layer's length in
    hundreds of traces, by traces: layers that come in pieces are doubtful.
    """
    if not len(supports):
        return np.array([1.0, _log_odds(0.0), -3.0])
    lengths = np.log(np.asarray(sizes) / 100.0)
    return np.array([1.0, _log_odds(float(np.average(supports, weights=sizes))), np.average(lengths, weights=sizes)])


def expected_share(features, weights):
    """Logistic curve of the features; between 0 and 1."""
    return float(1.0 / (1.0 + np.exp(-np.clip(np.dot(features, weights), -30, 30))))


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
    p = min(max(p, 0.01), 0.99)
    return float(np.log(p / (1 - p)))
