"""The benchmark's measures on frames small enough to check by eye."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.benchmark.measures import (
    Points,
    Truth,
    calibration,
    dense_points,
    edge_scores,
    line_scores,
    response_counts,
    response_scores,
    ridge_points,
)

NAN = np.nan


def truth(rows: list[list[float]], labels: list[str], complete: bool = True) -> Truth:
    return Truth(np.array(rows, dtype=float), labels, complete, height=40)


def layer(label: str, *points: tuple[int, float], confidence: float = 0.5) -> dict:
    return {"label": label, "confidence": confidence, "vertices": [{"x": x, "y": y} for x, y in points]}


def points(*found: tuple[int, int, float]) -> Points:
    rows, columns, strength = np.array(found, dtype=float).reshape(-1, 3).T
    return Points(rows.astype(int), columns.astype(int), strength)


def test_ridge_points_are_the_maxima_of_each_column() -> None:
    response = np.array([[0.0, 0.9], [0.8, 0.1], [0.2, 0.3], [0.3, 0.3], [0.1, 0.0]])
    found = ridge_points(response)
    assert sorted(zip(found.columns.tolist(), found.rows.tolist(), found.strength.tolist(), strict=True)) == [
        (0, 1, 0.8),
        (0, 3, 0.3),
        (1, 3, 0.3),
    ]


def test_points_become_one_stack_per_column() -> None:
    dense = dense_points(points((5, 0, 1), (9, 2, 1), (7, 2, 1)), width=3)
    np.testing.assert_array_equal(np.sort(dense, axis=0), [[5, NAN, 7], [NAN, NAN, 9]])


def test_a_true_point_answers_for_one_found_point_only() -> None:
    rows = np.array([[10.0, 10.0]])
    twice = points((9, 0, 0.9), (11, 0, 0.4), (13, 1, 0.6))
    counts = response_counts(twice, rows, np.array([0.0, 0.5, 0.8, 1.0]), tolerance=2)
    np.testing.assert_array_equal(counts, [[1, 3, 2], [1, 2, 2], [1, 1, 2], [0, 0, 2]])


def test_one_threshold_for_all_frames_or_one_for_each() -> None:
    # The first frame is perfect at the upper threshold alone, the second at the lower alone.
    counts = np.array([[[4, 8, 4], [4, 4, 4]], [[4, 4, 4], [0, 0, 4]]])
    scores = edge_scores(counts)
    assert scores["ods"] == pytest.approx(2 * 8 / (12 + 8))
    assert scores["ois"] == 1.0
    # Recall 0.5 at precision 1, then recall 1 at precision 8 / 12.
    assert scores["ap"] == pytest.approx(0.5 * 1 + 0.5 * 8 / 12)


def random_frame(seed: int) -> tuple[Points, Truth]:
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.uniform(2, 38, (3, 12)), axis=0)
    noise = (rng.integers(0, 40, 20), rng.integers(0, 12, 20), rng.uniform(0, 1, 20))
    return Points(*noise), Truth(rows, ["layer"] * 3, True, 40)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=4, unique=True))
@settings(max_examples=25)
def test_scores_do_not_depend_on_the_order_of_frames_or_points(seeds: list[int]) -> None:
    frames = [random_frame(seed) for seed in seeds]
    turned = [(Points(*(values[::-1] for values in found)), true) for found, true in frames[::-1]]
    assert response_scores(frames) == response_scores(turned)


@given(st.integers(0, 1000))
@settings(max_examples=25)
def test_of_a_single_frame_both_thresholds_are_the_same(seed: int) -> None:
    scores = response_scores([random_frame(seed)])["2px"]
    assert scores["ods"] == scores["ois"]
    assert 0 <= scores["ap"] <= 1


@given(st.integers(0, 1000), st.floats(0.1, 5))
@settings(max_examples=25)
def test_the_scale_of_a_response_does_not_matter(seed: int, scale: float) -> None:
    found, true = random_frame(seed)
    assert response_scores([(found, true)]) == response_scores(
        [(found._replace(strength=found.strength * scale), true)]
    )


def test_a_perfect_response_scores_one() -> None:
    true = truth([[5] * 6, [20] * 6], ["surface", "layer"])
    found = points(*[(row, column, 0.7) for row in (5, 20) for column in range(6)])
    assert response_scores([(found, true)])["2px"] == {"ods": 1.0, "ois": 1.0, "ap": 1.0}


def test_layers_as_drawn() -> None:
    true = truth([[5] * 5, [20, 20, 20, 20, NAN], [30] * 5], ["surface", "layer", "bed"])
    found = {
        "image": {"width": 5, "height": 40},
        "confidence": 0.9,
        "layers": [
            layer("surface", (0, 6), (4, 6), confidence=1.0),
            layer("layer", (0, 20), (4, 20), confidence=0.85),
            layer("bed", (0, 34), (4, 34), confidence=0.05),
        ],
    }
    scores = line_scores([(found, true)])
    assert scores["within"] == {
        "surface": {"2px": 1.0, "3px": 1.0, "5px": 1.0},
        "layer": {"2px": 1.0, "3px": 1.0, "5px": 1.0},
        "bed": {"2px": 0.0, "3px": 0.0, "5px": 1.0},
    }
    assert scores["f1_2px"] == pytest.approx(2 * 9 / (15 + 14), abs=1e-5)
    assert scores["layer_mae_px"] == 0.5  # the surface is 1 px off, the layer 0; the bed is no match
    assert scores["ice_thickness_mae_px"] == 3.0
    assert scores["vertices_per_layer"] == 2
    # Confidence 1.0 and share 1, 0.85 and 4 of 5 traces, 0.05 and 0: each a third of the traces.
    assert scores["calibration"]["layer"]["ece"] == pytest.approx((0 + 0.05 + 0.05) / 3, abs=1e-4)
    assert scores["calibration"]["frame"]["ece"] == pytest.approx(0.9 - 9 / 15, abs=1e-4)


def test_a_partial_annotation_judges_what_is_drawn_alone() -> None:
    true = truth([[5, 5, NAN], [30, 30, 30]], ["surface", "bed"], complete=False)
    found = {"layers": [layer("surface", (0, 5), (2, 5)), layer("layer", (0, 15), (2, 15))], "confidence": 0.5}
    scores = line_scores([(found, true)])
    assert scores["within"] == {
        "surface": {"2px": 1.0, "3px": 1.0, "5px": 1.0},
        "bed": {"2px": 0.0, "3px": 0.0, "5px": 0.0},
    }
    assert scores["f1_2px"] is None
    assert scores["ice_thickness_mae_px"] is None
    assert scores["calibration"] is None


def test_calibration_weighs_by_traces() -> None:
    found = calibration([(0.95, 0.5, 3), (0.15, 0.15, 1)])
    assert found["ece"] == pytest.approx(0.75 * 0.45)
    assert [row["from"] for row in found["bins"]] == [0.1, 0.9]
    assert calibration([]) == {"ece": None, "bins": []}


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 100)), min_size=1, max_size=30))
@settings(deadline=None)
def test_calibration_error_is_a_share(samples: list[tuple[float, float, float]]) -> None:
    assert 0 <= calibration(samples)["ece"] <= 1
    assert calibration([(share, share, weight) for _, share, weight in samples])["ece"] == pytest.approx(0, abs=1e-4)
