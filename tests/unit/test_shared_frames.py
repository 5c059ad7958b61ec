import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firnline.documents.echogram import decode_png, encode_png, to_grey
from firnline.documents.frame import FrameDocument
from firnline.documents.overlay import BED_COLOUR, LAYER_COLOURS, SURFACE_COLOUR, draw_layers
from firnline.documents.upload_key import parse_upload_key, revision_of
from firnline.errors import Refused
from firnline.review.human_loop import loop_name
from firnline.store import keys
from firnline.store.bucket import split_uri
from tests.support.retraining_world import document
from tests.support.review_world import line

PART = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._=-]{0,40}\Z")


@given(PART, PART, PART, st.sampled_from([".png", ".nc", ".mat", ".TIFF", ".layers.json", ".layers.png"]))
def test_keys_come_apart_and_together(campaign, segment, stem, suffix):
    key = parse_upload_key(f"{campaign}/{segment}/{stem}{suffix}")
    assert key.frame_id.startswith(f"{campaign}/{segment}/")
    assert f"{key.frame_id}{key.suffix}".lower() == f"{campaign}/{segment}/{stem}{suffix}".lower()
    assert key.is_annotation == key.suffix.startswith(".layers")


@pytest.mark.parametrize(
    "key",
    [
        "a.png",
        "a/b.png",
        "a/b/c/d.png",
        "a/../c.png",
        "a//c.png",
        "a/b/.png",
        "a/b/c.exe",
        "a/b/c d.png",
        "a/b/ü.png",
        "a/b/c.png\n",
        "a/b/" + "c" * 120 + ".png",
        "/a/b.png",
        "",
    ],
)
def test_keys_that_name_no_frame_are_refused_in_a_sentence(key):
    with pytest.raises(Refused, match=r"\."):
        parse_upload_key(key)


@given(PART, PART, PART)
def test_loop_names_are_a2is(campaign, segment, stem):
    frame_id = f"{campaign}/{segment}/{stem}"
    name = loop_name("workspace", frame_id, "0" * 12, "first")
    assert re.fullmatch(r"[a-z0-9](-*[a-z0-9])*", name)
    assert len(name) <= 63
    assert name == loop_name("workspace", frame_id, "0" * 12, "first")
    assert name != loop_name("workspace", frame_id, "1" * 12, "first")
    assert name != loop_name("workspace", frame_id, "0" * 12, "second")
    assert name != loop_name("another", frame_id, "0" * 12, "first"), "names are the account's, frames the stack's"


def test_a_loops_name_begins_well_whatever_the_frame_is_called():
    assert loop_name("workspace", "A/_/=", "r", "m")[0].isalnum()


def test_the_same_bytes_are_the_same_revision():
    assert revision_of(b"echo") == revision_of(b"echo") == "092c79e8f80e"
    assert revision_of(b"echo") != revision_of(b"Echo")


@given(st.lists(st.floats(-200, 200, width=32), min_size=4, max_size=40), st.floats(0.5, 100))
def test_the_grey_picture_does_not_depend_on_gain(values, gain):
    power = np.array(values, dtype=np.float32)[:, None]
    grey = to_grey(power)
    assert grey.dtype == np.uint8
    assert grey.min() >= 1
    order = np.argsort(power[:, 0], kind="stable")
    assert (np.diff(grey[order, 0].astype(int)) >= 0).all()
    if np.ptp(power) > 1:
        assert np.abs(to_grey(power * np.float32(gain)).astype(int) - grey).max() <= 1


def test_missing_samples_are_black_and_flat_frames_grey():
    grey = to_grey(np.array([[np.nan, 1.0], [2.0, 3.0]]))
    assert grey[0, 0] == 0
    assert (grey.ravel()[1:] > 0).all()
    assert (to_grey(np.ones((3, 3))) == 128).all()
    with pytest.raises(ValueError, match="finite"):
        to_grey(np.full((2, 2), np.nan))


def test_png_there_and_back():
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    np.testing.assert_array_equal(decode_png(encode_png(grey)), grey)


def test_bombs_are_not_decoded():
    bomb = encode_png(np.zeros((7000, 7000), dtype=np.uint8))
    assert len(bomb) < 100_000
    with pytest.raises(ValueError, match="pixels"):
        decode_png(bomb)


def test_layers_are_drawn_where_they_lie_in_their_colours():
    grey = np.zeros((48, 64), dtype=np.uint8)
    layers = [line("surface", 5), line("layer", 15), line("layer", 25), line("bed", 35)]
    picture = draw_layers(grey, document("c/s/f", *layers))
    assert picture.shape == (48, 64, 3)
    assert [tuple(picture[row, 30]) for row in (5, 15, 25, 35)] == [
        SURFACE_COLOUR,
        LAYER_COLOURS[0],
        LAYER_COLOURS[1],
        BED_COLOUR,
    ]
    assert not picture[10].any()
    assert not grey.any()


def test_a_frame_document_refuses_what_it_does_not_know():
    known = {
        "frame_id": "c/s/f",
        "revision": "r",
        "width": 4,
        "height": 5,
        "traces": 8,
        "samples": 5,
        "file_traces": 8,
        "file_samples": 5,
        "framing": {"rows": 5, "columns": 4, "traces_per_column": 2},
        "format": "png",
        "polarity": "bright-strong",
        "source_bucket": "b",
        "source_key": "k",
        "checksum_sha256": "x",
        "created": datetime(2026, 1, 1, tzinfo=UTC),
        "transforms": [],
    }
    document = FrameDocument(**known)
    assert FrameDocument.model_validate_json(document.to_json()) == document
    with pytest.raises(ValueError, match="Extra inputs"):
        FrameDocument(**known, surprise=1)
    with pytest.raises(ValueError, match="latitude has 4 values for 8 traces"):
        FrameDocument(**known, latitude=[70.0] * 4)
    with pytest.raises(ValueError, match="picture of another size"):
        FrameDocument(**known | {"width": 8})


def test_a_frame_of_before_framing_is_its_own_picture():
    old = {
        "schema": "firnline.frame/1", "frame_id": "c/s/f", "revision": "r", "width": 4, "height": 5, "format": "png",
        "polarity": "bright-strong", "source_bucket": "b", "source_key": "k", "checksum_sha256": "x",
        "created": "2026-01-01T00:00:00Z", "transforms": [],
    }  # fmt: skip
    document = FrameDocument.model_validate_json(json.dumps(old))
    assert document.framing.is_identity
    assert document.in_file(2, 3) == (2, 3)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3:///key", "http://bucket/key", "bucket/key", ""])
def test_addresses_that_are_none(uri):
    with pytest.raises(ValueError, match="s3://bucket/key"):
        split_uri(uri)


def test_keys_lie_where_the_contracts_say():
    assert split_uri("s3://b/a/c.png") == ("b", "a/c.png")
    assert keys.echogram("c/s/f", "r") == "frames/c/s/f/r/echogram.png"
    assert keys.correction_prefix("c/s/f", "loop") == "corrections/c/s/f/loop/"
    assert keys.dataset_prefix("retrain-1") + keys.comparison_prefix("x") == "datasets/retrain-1/comparisons/x/"
