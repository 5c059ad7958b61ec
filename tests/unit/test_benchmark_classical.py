"""The classical trackers on an echogram whose layers are known."""

import numpy as np
import pytest

from firnline.geometry import first_crossing
from firnline.learning import scoring
from workbench.benchmark import classical
from workbench.benchmark.measures import Truth, line_scores

HEIGHT, WIDTH = 128, 200


@pytest.fixture(scope="module")
def echogram() -> tuple[np.ndarray, Truth]:
    """Dark air, a surface, three layers of which one fades out for a while, a bed, and noise below it."""
    rng = np.random.default_rng(1)
    x = np.arange(WIDTH)
    wave = 4 * np.sin(x / 30)
    rows = np.stack([20 + 0.3 * wave, 42 + wave, 58 + wave, 74 + wave, 96 + 1.5 * wave])
    labels = ["surface", "layer", "layer", "layer", "bed"]
    depth = np.arange(HEIGHT)[:, None]
    grey = 50 + 14 * rng.standard_normal((HEIGHT, WIDTH))
    grey[(depth > rows[0]) & (depth < rows[-1])] += 30
    for row, strength in zip(rows, [190, 90, 80, 90, 150], strict=True):
        echo = strength * np.exp(-0.5 * ((depth - row) / 1.4) ** 2)
        echo[:, 90:100] *= strength != 80
        grey += echo
    return np.clip(grey, 0, 255).astype(np.uint8), Truth(rows, labels, True, HEIGHT)


@pytest.mark.parametrize("name", ["ridge", "canny"])
def test_finds_surface_layers_and_bed(name: str, echogram: tuple[np.ndarray, Truth]) -> None:
    grey, truth = echogram
    tracked = classical.TRACKERS[name](grey, True)
    scores = line_scores([(tracked.document, truth)])
    assert scores["f1_2px"] > 0.85
    assert scores["within"]["surface"]["3px"] > 0.95
    assert scores["within"]["bed"]["5px"] > 0.9
    rows = scoring.rows_from_layers(tracked.document["layers"], WIDTH)
    assert first_crossing(rows) is None
    assert tracked.points.rows.size > 3 * WIDTH


@pytest.mark.parametrize("name", ["ridge", "canny"])
def test_snow_radar_has_no_bed(name: str, echogram: tuple[np.ndarray, Truth]) -> None:
    labels = [layer["label"] for layer in classical.TRACKERS[name](echogram[0], False).document["layers"]]
    assert labels.count("surface") == 1
    assert "bed" not in labels


def test_the_ridge_filter_sees_position_and_slope() -> None:
    x = np.arange(80)
    depth = np.arange(90)[:, None]
    image = np.exp(-0.5 * ((depth - (15 + 0.75 * x)) / 1.5) ** 2)
    response, slope = classical.ridge_response(image)
    at = np.rint(15 + 0.75 * x[20:60]).astype(int)
    assert np.abs(response.argmax(axis=0)[20:60] - at).max() <= 1
    assert np.abs(slope[at, x[20:60]] - 0.75).max() <= 0.25


def test_the_local_path_begins_and_ends_with_the_evidence() -> None:
    gain = np.full((7, 12), -1.0)
    gain[2, 3:6] = gain[3, 6:9] = 2.0
    first, rows, total = classical.viterbi(gain, None, 1, 0.5, local=True)
    assert (first, rows.tolist(), total) == (3, [2, 2, 2, 3, 3, 3], 11.5)


def test_the_whole_path_crosses_gaps() -> None:
    gain = np.zeros((5, 6))
    gain[1, :2] = gain[1, 4:] = 3.0
    gain[4, 2:4] = 1.0
    first, rows, total = classical.viterbi(gain, None, 3, 1.0, local=False)
    assert (first, rows.tolist(), total) == (0, [1] * 6, 12.0)


def test_layers_keep_clear_of_each_other_and_end_where_support_ends() -> None:
    response = np.zeros((40, 100))
    response[10, :] = 5.0
    response[12, :] = 4.0
    response[25, :30] = response[25, 70:] = 5.0
    lines = classical.link(response, None, {"surface": np.zeros(100)}, classical.RIDGE_LINKING)
    assert sorted((first, int(rows[0]), rows.size) for first, rows in lines) == [
        (0, 10, 100),
        (0, 25, 30),
        (70, 25, 30),
    ]
