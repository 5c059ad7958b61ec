"""The pictures of the documentation: lines lie where the axes of the file say, and a review gives back what was submitted."""

from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from firnline.documents.frame import FrameDocument
from firnline.documents.framing import Framing
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex
from workbench.pictures.drawing import ADDED, View, three_panels, write_small
from workbench.pictures.frames import Traced
from workbench.pictures.review import mended

WIDTH, HEIGHT = 64, 48
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def document(kind, *layers):
    return LayersDocument(
        frame_id="simulated/20260101_01/a",
        image=ImageSize(width=WIDTH, height=HEIGHT),
        source=Source(kind=kind, model_version="first" if kind == "model" else None, created=NOW),
        coverage="complete",
        confidence=0.5 if kind == "model" else None,
        layers=[
            Layer(label=label, vertices=[Vertex(x=left, y=row), Vertex(x=right, y=row)])
            for label, row, left, right in layers
        ],
    )


@pytest.fixture
def frame():
    """A picture whose column is two traces and whose row is four samples of 1 ns, from sample 100."""
    framing = Framing(first_sample=100, samples_per_row=4, traces_per_column=2, rows=HEIGHT, columns=WIDTH)
    return FrameDocument(
        frame_id="simulated/20260101_01/a", revision="0123456789ab", width=WIDTH, height=HEIGHT, traces=2 * WIDTH,
        samples=400, file_traces=2 * WIDTH, file_samples=400, framing=framing, format="irsno1b", polarity="bright-strong",
        dt_s=1e-9, time_zero_s=1e-6, source_bucket="frames", source_key="a.nc", checksum_sha256="", created=NOW, transforms=[],
    )  # fmt: skip


@pytest.fixture
def grey():
    return np.random.default_rng(3).integers(1, 255, (HEIGHT, WIDTH), dtype=np.uint8)


def test_lines_lie_in_traces_and_two_way_travel_time_of_the_file(grey, frame):
    proposal = document("model", ("surface", 10, 0, 63))
    figure = three_panels(grey, frame, proposal, proposal, View(0, HEIGHT, "ns"), (9, 3))
    echogram, proposed, corrected = figure.axes
    assert echogram.get_xlim() == (-0.5, 127.5)
    assert echogram.get_ylim() == pytest.approx((1099.5 + HEIGHT * 4, 1099.5))
    assert [len(panel.lines) for panel in (echogram, proposed, corrected)] == [0, 1, 1]
    assert proposed.lines[0].get_xdata() == pytest.approx([0.5, 126.5])
    assert proposed.lines[0].get_ydata() == pytest.approx([1141.5, 1141.5])
    assert corrected.collections[0].get_segments() == []


def test_what_the_reviewer_drew_is_marked(grey, frame):
    proposal = document("model", ("surface", 10, 0, 63), ("layer", 20, 0, 30))
    correction = document("human", ("surface", 11, 0, 63), ("layer", 20, 0, 63))
    figure = three_panels(grey, frame, proposal, correction, View(0, HEIGHT, "ns"), (9, 3))
    (stretch,) = figure.axes[2].collections[0].get_segments()
    assert stretch[[0, -1], 0] == pytest.approx([2 * 31 + 0.5, 2 * 63 + 0.5])
    assert [line.get_color() for line in figure.legends[0].get_lines()][-1] == ADDED


def test_a_frame_without_time_is_refused(grey, frame):
    silent = frame.model_copy(update={"dt_s": None})
    proposal = document("model", ("surface", 10, 0, 63))
    with pytest.raises(ValueError, match="tells no two-way travel time"):
        three_panels(grey, silent, proposal, proposal, View(0, HEIGHT, "ns"), (9, 3))


def test_a_small_picture_keeps_greys_grey_and_colours_apart(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = np.arange(8)[:, None] * 32
    pixels[4], pixels[5] = (86, 180, 233), (240, 228, 66)
    assert write_small(Image.fromarray(pixels), tmp_path / "a.png") < 1000
    with Image.open(tmp_path / "a.png") as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    assert np.ptp(found[:4], axis=2).max() == 0
    assert np.abs(found - pixels).max() <= 16


def test_a_review_gives_the_layers_that_the_reviewer_submits(grey, frame):
    truth = document("import", ("surface", 10, 0, 63), ("layer", 25, 5, 40))
    got = mended(Traced(grey, frame, document("model", ("surface", 12, 0, 63)), truth))
    assert (got.source.kind, got.coverage) == ("human", "complete")
    assert np.array_equal(got.rows(), truth.rows(), equal_nan=True)
