"""Which frames look alike, in cases that a reader can check by eye."""

from dataclasses import replace

import numpy as np
import pytest

from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, now
from firnline.review.diversity import Diversity, difference, frames_between, look_of, mean_spacing
from firnline.store.rows import Look

LOOK = Look(
    stem="003", loop_name="loop-3", confidence=0.6, layers=10, line_confidence=0.7, spacing=12.0,
    brightness=(0.1, 0.4, 0.8),
)  # fmt: skip
NEAR = Diversity(apart=2, difference=0.15)


def like(**figures) -> Look:
    return LOOK.model_copy(update={"stem": "004", "loop_name": "loop-4", **figures})


@pytest.mark.parametrize(
    ("one", "other", "away"),
    [
        ("003", "005", 2),
        ("IRSNO1B_20120330_04_003", "Data_20120330_04_002", 1),
        ("line7a", "line9b", 2),
        ("north", "003", None),
        ("20120330101500", "003", None),
    ],
)
def test_the_last_number_of_a_name_is_the_place_along_the_track(one, other, away):
    assert frames_between(one, other) == away


def test_the_difference_is_that_of_the_figure_that_differs_most():
    assert difference(LOOK, like()) == 0
    assert difference(LOOK, like(layers=8)) == pytest.approx(0.2)  # 2 of 10
    assert difference(LOOK, like(spacing=9.0)) == pytest.approx(0.25)  # 3 of 12
    assert difference(LOOK, like(line_confidence=0.6)) == pytest.approx(0.1)
    assert difference(LOOK, like(brightness=(0.1, 0.4, 0.5), layers=9)) == pytest.approx(0.3)
    nothing = like(layers=0, spacing=0.0)
    assert difference(nothing, nothing) == 0
    assert difference(LOOK, nothing) == 1


@pytest.mark.parametrize(
    ("look", "passed_over"),
    [
        (like(), True),
        (like(confidence=0.51), True),
        (like(confidence=0.49), False),  # clearly less sure
        (like(layers=8), False),  # another look
        (like(stem="005"), True),
        (like(stem="006"), False),  # too far away
        (like(stem="003"), False),  # an earlier revision of the frame itself
    ],
)
def test_a_frame_is_passed_over_beside_one_like_it(look, passed_over):
    assert bool(NEAR.alike(look, [LOOK])) is passed_over


def test_the_nearest_stands_for_a_frame():
    reviewed = [like(stem="002"), like(stem="005"), like(stem="004")]
    assert [other.stem for other in NEAR.alike(LOOK, reviewed)] == ["002", "004", "005"]
    assert NEAR.alike(LOOK, []) == []
    assert replace(NEAR, apart=0).alike(LOOK, reviewed) == []


def test_the_figures_of_a_prediction():
    def line(row: float, end: int, confidence: float) -> Layer:
        return Layer(label="layer", confidence=confidence, vertices=[Vertex(x=0, y=row), Vertex(x=end, y=row)])

    document = LayersDocument(
        frame_id="c/s/7", image=ImageSize(width=4, height=40), source=Source(kind="model", created=now()),
        coverage="complete", confidence=0.5, layers=[line(5, 3, 0.9), line(15, 3, 0.5), line(35, 1, 0.4)],
    )  # fmt: skip
    grey = np.repeat(np.uint8([[0, 51, 102, 153, 204, 255, 255, 255, 255, 255]]), 4, axis=0)
    look = look_of("7", "loop", 0.5, document, grey)
    assert (look.layers, look.line_confidence) == (3, 0.6)
    assert look.spacing == pytest.approx((4 * 10 + 2 * 20) / 6, abs=1e-4)
    assert look.brightness[0] < look.brightness[1] < look.brightness[2] == 1.0
    assert mean_spacing(np.full((1, 4), 3.0)) == mean_spacing(np.zeros((0, 4))) == 0
