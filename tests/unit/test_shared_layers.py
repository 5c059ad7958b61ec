import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, order_by_depth
from firnline.geometry import CROSSING_TOLERANCE_PX, dense_rows, first_crossing
from firnline.learning import scoring
from tests.support.retraining_world import document
from tests.support.review_world import HEIGHT, WIDTH, line


@st.composite
def documents(draw):
    """Layers documents of up to six layers, which follow each other in depth and may have gaps at both ends."""
    width, height = draw(st.integers(2, 40)), draw(st.integers(20, 60))
    depths = sorted(draw(st.lists(st.integers(0, height - 1), max_size=6)))
    layers = []
    for depth in depths:
        x = sorted(draw(st.sets(st.integers(0, width - 1), min_size=2, max_size=width)))
        layers.append(Layer(label="layer", vertices=[Vertex(x=at, y=depth) for at in x]))
    return LayersDocument(
        frame_id="c/s/f",
        image=ImageSize(width=width, height=height),
        coverage="complete",
        layers=layers,
        source=Source(kind="human", created=datetime(2026, 1, 1, tzinfo=UTC)),
    )


@given(documents())
def test_a_document_survives_its_json(document):
    read = LayersDocument.model_validate_json(document.to_json())
    assert read == document
    np.testing.assert_array_equal(read.rows(), document.rows())
    assert json.loads(document.to_json())["schema"] == "firnline.layers/1"


@given(documents())
def test_dense_rows_are_those_that_scoring_reads(document):
    theirs = scoring.rows_from_layers(document.model_dump(mode="json")["layers"], document.image.width)
    np.testing.assert_allclose(document.rows(), theirs)


@given(documents())
def test_shuffled_layers_come_back_in_order_of_depth(document):
    rng = np.random.default_rng(3)
    shuffled = [document.layers[i] for i in rng.permutation(len(document.layers))]
    ordered = order_by_depth(shuffled, document.image.width)
    assert [layer.vertices[0].y for layer in ordered] == sorted(layer.vertices[0].y for layer in document.layers)


@given(st.lists(st.lists(st.floats(0, 50), min_size=4, max_size=4), min_size=1, max_size=5))
def test_a_crossing_is_found_exactly_if_there_is_one(rows):
    rows = np.array(rows)
    pairs = [(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))]
    crossed = any((rows[i] > rows[j] + CROSSING_TOLERANCE_PX).any() for i, j in pairs)
    found = first_crossing(rows)
    assert (found is not None) == crossed
    if found:
        upper, lower, trace = found
        assert upper < lower
        assert rows[upper, trace] > rows[lower, trace] + CROSSING_TOLERANCE_PX


def test_a_gap_does_not_hide_a_crossing():
    rows = np.array([[30.0, 30.0], [np.nan, np.nan], [10.0, np.nan]])
    assert first_crossing(rows) == (0, 2, 0)


def test_rows_are_interpolated_inside_and_nan_outside():
    rows = dense_rows([[(1, 10), (3, 14)]], 6)
    np.testing.assert_array_equal(rows, [[np.nan, 10, 12, 14, np.nan, np.nan]])


def test_no_layers_have_no_rows():
    assert dense_rows([], 5).shape == (0, 5)


def changed(**changes):
    body = json.loads(document("c/s/f").to_json())
    for path, value in changes.items():
        target = body
        *way, last = path.split("__")
        for step in way:
            target = target[int(step) if step.isdigit() else step]
        target[last] = value
    return json.dumps(body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "firnline.layers/2"}, "firnline.layers/1"),
        ({"surprise": 1}, "Extra inputs"),
        ({"coverage": "some"}, "complete"),
        ({"layers__0__label": "ice"}, "surface"),
        ({"layers__0__vertices": [{"x": 1, "y": 1}]}, "at least 2"),
        ({"layers__0__vertices": [{"x": 5, "y": 1}, {"x": 5, "y": 2}]}, "left to right"),
        ({"layers__0__vertices": [{"x": 0, "y": 1}, {"x": WIDTH, "y": 2}]}, "outside the image"),
        ({"layers__0__vertices": [{"x": 0, "y": 1}, {"x": 1, "y": HEIGHT}]}, "outside the image"),
        ({"layers__0__vertices": [{"x": 0, "y": 30}, {"x": 9, "y": 30}]}, "cross at trace 0"),
        ({"layers__0__confidence": 1.1}, "less than or equal to 1"),
        ({"image__width": 1}, "greater than or equal to 2"),
    ],
)
def test_what_is_no_layers_document_is_refused_in_words(change, words):
    with pytest.raises(ValidationError, match=words):
        LayersDocument.model_validate_json(changed(**change))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number):
    with pytest.raises(ValidationError):
        LayersDocument.model_validate_json(document("f").to_json().replace(b'"y":10.0', f'"y":{number}'.encode()))


def test_touching_layers_are_in_order():
    assert first_crossing(document("f", line("surface", 10), line("layer", 10)).rows()) is None
