import calibration
import numpy as np
import pytest
import tracker
import validation
from dataset import Frame, labels_of
from lines import Layer

UNCALIBRATED = calibration.UNCALIBRATED


def layer(rows, first=0, label="layer", support=0.8):
    rows = np.broadcast_to(np.asarray(rows, dtype=float), (100,)) if np.ndim(rows) == 0 else np.asarray(rows)
    return Layer(label, first, rows, np.full(len(rows), support))


def test_it_learns_that_the_network_is_too_sure(rng):
    support = rng.uniform(0.5, 0.95, 200)
    features = calibration.layer_features([layer(20, support=s) for s in support], 0.0)
    shares = np.clip(support - 0.3 + 0.05 * rng.standard_normal(200), 0, 1)
    weights = calibration.fit(features, shares, np.ones(200), UNCALIBRATED["layer"])
    assert np.abs(calibration.expected_share(features, weights) - (support - 0.3)).mean() < 0.06


def test_it_learns_what_uneven_frames_are_worth(rng):
    uneven = rng.uniform(-0.3, 0.3, 200)
    features = np.array([calibration.frame_features([layer(20), layer(40)], u) for u in uneven])
    weights = calibration.fit(features, 0.6 - uneven, np.ones(200), UNCALIBRATED["frame"])
    assert np.abs(calibration.expected_share(features, weights) - (0.6 - uneven)).mean() < 0.05


def test_it_stays_at_its_prior_without_samples_and_near_it_with_few():
    prior = [-0.9, 3.2, 1.5, -3.4]
    assert calibration.fit([], [], [], prior) == prior
    boundaries = calibration.layer_features([layer(20, support=0.97)] * 6, 0.1)
    near = calibration.fit(boundaries, np.ones(6), np.ones(6), prior)
    [doubtful] = calibration.layer_features([layer(20, support=0.6)], 0.1)
    assert calibration.expected_share(doubtful, near) == pytest.approx(
        calibration.expected_share(doubtful, prior), abs=0.1
    )


def test_a_curve_of_an_earlier_model_knows_the_first_features_only():
    [features] = calibration.layer_features([layer(np.tile([0.0, 3.0], 30))], 0.2)
    assert calibration.expected_share(features, [0.0, 1.0]) == pytest.approx(0.8)
    assert calibration.prior_curve("layer", {"layer": [0.3, 2.0]}) == [0.3, 2.0, 0.0, 0.0]
    assert calibration.prior_curve("frame", UNCALIBRATED) == UNCALIBRATED["frame"]


def test_reflectors_between_the_years_make_a_frame_uneven():
    years = [layer(row) for row in (20, 40, 60, 80)]
    between = sorted([*years, layer(44), layer(66, first=30)], key=lambda one: one.rows[0])
    assert calibration.unevenness(years) == -calibration.CALIBRATION.unevenness_range
    assert calibration.unevenness(years) < calibration.unevenness(between) <= calibration.CALIBRATION.unevenness_range
    assert calibration.unevenness([]) == calibration.unevenness(years[:1]) == 0.0
    assert calibration.unevenness([layer(20), layer(40, first=200)]) == 0.0


def test_roughness_tells_bends_from_slopes(rng):
    slope, rough = np.linspace(0, 80, 200), rng.normal(0, 1, 200)
    told = calibration.roughness([layer(rows) for rows in ([3.0], slope, np.zeros(200), rough, [4.0, 9.0])])
    assert told[1] == pytest.approx(told[2], abs=1e-6)
    assert told[1] < told[3] <= calibration.CALIBRATION.roughness_range
    assert told[0] == told[4] == 0.0


def test_samples_and_documents_use_the_same_features():
    tracked = [layer(10, label="surface", support=0.95), layer(30), layer(50, support=0.6), layer(90, label="bed")]
    rows = np.array([np.full(100, 10.0), np.full(100, 30.0), np.full(100, 90.0)], np.float32)
    kinds = np.array([0, 1, 2])
    curves = {"layer": [-0.9, 3.2, 1.5, -3.4], "frame": [-0.1, 1.1, 0.5, -0.4]}
    document = tracker.layers_document(tracked, (128, 100), curves, {})
    whole = Frame(np.zeros((128, 100), np.uint8), rows, kinds, True, 0)
    assert labels_of(whole) == ["surface", "layer", "bed"]
    samples = validation.layer_samples(whole, tracked)
    assert [share for _, share, _ in samples] == [1, 1, 0, 1]
    for (features, _, _), drawn in zip(samples, document["layers"]):
        assert drawn["confidence"] == pytest.approx(calibration.expected_share(features, curves["layer"]), abs=1e-4)
    [(features, share, _)] = validation.frame_samples(whole, tracked)
    assert share == 0.75
    assert document["confidence"] == pytest.approx(calibration.expected_share(features, curves["frame"]), abs=1e-4)
    partial = whole._replace(complete=False)
    assert [share for _, share, _ in validation.layer_samples(partial, tracked)] == [1, 1]
    assert validation.frame_samples(partial, tracked)[0][1] == 1


def test_an_empty_document_has_a_low_confidence():
    assert tracker.layers_document([], (64, 80), UNCALIBRATED, {})["confidence"] < 0.05
