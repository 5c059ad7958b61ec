import numpy as np
import pytest

from firnline.learning import scoring

NAN = np.nan


def document(layers, coverage="complete", width=4):
    return {
        "image": {"width": width, "height": 50},
        "coverage": coverage,
        "layers": [{"label": label, "vertices": [{"x": x, "y": y} for x, y in line]} for label, line in layers],
    }


def test_rows_are_linear_between_vertices_and_absent_outside():
    rows = scoring.rows_from_layers(document([("layer", [(1, 10), (3, 14)])], width=5)["layers"], 5)
    np.testing.assert_array_equal(rows, [[NAN, 10, 12, 14, NAN]])


def test_gaps_split_a_layer():
    layers = scoring.layers_from_rows(np.array([[1, 2, NAN, 4, 5, NAN, 7]]), ["bed"])
    assert [[v["x"] for v in layer["vertices"]] for layer in layers] == [[0, 1], [3, 4]]


def test_each_true_point_is_matched_once():
    pairs, error = scoring.match_points(np.array([[10.0], [11.0]]), np.array([[10.5]]))
    assert pairs.tolist() == [1]
    assert error.tolist() == pytest.approx([0.5])


def test_more_pairs_go_before_nearer_pairs():
    # Nearest first would pair 11 with 11.2 and leave 9.5 alone.
    pairs, error = scoring.match_points(np.array([[11.0], [12.8]]), np.array([[9.5], [11.2]]))
    assert pairs.tolist() == [2]
    assert error.tolist() == pytest.approx([1.5 + 1.6])


def test_of_equally_many_pairs_the_nearest_count():
    pairs, error = scoring.match_points(np.array([[10.0], [11.9]]), np.array([[11.9]]))
    assert pairs.tolist() == [1]
    assert error.tolist() == pytest.approx([0.0])


def test_a_complete_frame():
    truth = document([("surface", [(0, 10), (3, 10)]), ("layer", [(0, 20), (3, 20)])])
    predicted = document([("surface", [(0, 11), (3, 11)]), ("layer", [(0, 30), (3, 30)])])
    scores = scoring.score_frames([(predicted, truth)])
    assert scores["precision_2px"] == scores["recall_2px"] == scores["f1_2px"] == 0.5
    assert scores["mae_px"] == pytest.approx(1.0)
    assert scores["surface_within_3px"] == 1.0
    assert scores["bed_within_3px"] is None
    assert scores["vertices_per_layer"] == 2


def test_a_partial_frame_never_counts_more_predictions_as_false():
    truth = document([("bed", [(0, 40), (3, 40)])], "partial")
    few = document([("bed", [(0, 41), (3, 41)])])
    many = document([("layer", [(0, y), (3, y)]) for y in (10, 20, 30)] + [("bed", [(0, 41), (3, 41)])])
    assert (
        scoring.score_frames([(few, truth)])["recall_2px"] == scoring.score_frames([(many, truth)])["recall_2px"] == 1.0
    )
    assert scoring.score_frames([(many, truth)])["f1_2px"] is None
    assert scoring.score_frames([(many, truth)])["bed_within_5px"] == 1.0


def test_thickness_is_between_neighbouring_layers():
    truth = document([("surface", [(0, 10), (3, 10)]), ("bed", [(0, 30), (3, 30)])])
    predicted = document([("surface", [(0, 11), (3, 11)]), ("bed", [(0, 29), (3, 29)])])
    assert scoring.score_frames([(predicted, truth)])["thickness_mae_px"] == pytest.approx(2.0)


@pytest.mark.parametrize("coverage", ["complete", "partial"])
def test_nothing_found_and_nothing_drawn(coverage):
    line = [("layer", [(0, 10), (3, 10)])]
    assert scoring.score_frames([(document([]), document(line, coverage))])["recall_2px"] == 0.0
    assert scoring.score_frames([(document(line), document([], coverage))])["recall_2px"] is None
    assert scoring.score_frames([])["f1_2px"] is None


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="different sizes"):
        scoring.score_frames([(document([], width=4), document([], width=5))])
