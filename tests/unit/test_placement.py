"""Layers go from the file to the picture and back, and come out where they were."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firnline.documents.frame import FileOrigin, FrameDocument
from firnline.documents.framing import Framing
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex
from firnline.documents.placement import on_picture, samples_in_file

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def frame(framing: Framing, traces: int, samples: int, file=None, origin=None) -> FrameDocument:
    file = file or (traces, samples)
    return FrameDocument(
        frame_id="c/s/f", revision="0" * 12, width=framing.columns, height=framing.rows, traces=traces, samples=samples,
        file_traces=file[0], file_samples=file[1], framing=framing, origin=origin or FileOrigin(), format="png",
        polarity="bright-strong", source_bucket="b", source_key="k", checksum_sha256="", created=CREATED, transforms=[],
    )  # fmt: skip


def drawn(width: int, height: int, *lines: list[tuple[float, float]]) -> LayersDocument:
    return LayersDocument(
        frame_id="",
        image=ImageSize(width=width, height=height),
        coverage="partial",
        source=Source(kind="import", created=CREATED),
        layers=[Layer(label="layer", vertices=[Vertex(x=x, y=y) for x, y in line]) for line in lines],
    )


@given(st.floats(1, 6), st.floats(1, 5), st.floats(0, 300), st.floats(100, 400), st.floats(100, 400))
def test_a_line_drawn_on_the_file_is_found_there_again(per_row, per_column, top, start, end):
    framing = Framing(
        first_sample=round(top),
        samples_per_row=per_row,
        traces_per_column=per_column,
        rows=int(np.ceil(1000 / per_row)),
        columns=round(200 / per_column),
    )
    document = frame(framing.model_copy(update={"traces_per_column": 200 / framing.columns}), 200, 2000)
    line = drawn(200, 2000, [(0, top + start), (199, top + end)])
    samples = samples_in_file(on_picture(line, document), document)
    inner = slice(6, -6)  # a column's cell knows only its mean
    assert np.abs(samples[0][inner] - line.rows()[0][inner]).max() < 0.26 * per_row


def test_a_document_of_an_unframed_file_stays_as_it_is():
    document = frame(Framing(rows=60, columns=40), 40, 60)
    line = drawn(40, 60, [(3, 10.25), (30, 20.5)])
    assert on_picture(line, document) == line.model_copy(update={"frame_id": "c/s/f"})


def test_repeated_columns_have_their_picks_each():
    document = frame(Framing(traces_per_column=7, rows=50, columns=4), 28, 50)
    samples = samples_in_file(drawn(4, 50, [(1, 20), (2, 20)]), document)
    assert np.flatnonzero(np.isfinite(samples[0])).tolist() == list(range(7, 21))
    assert samples[0][7:21] == pytest.approx(np.full(14, 20.0))


def test_a_repeated_trace_stays_on_its_own_sample_and_an_averaged_one_runs_on():
    line = drawn(4, 50, [(0, 10), (3, 40)])
    repeated = frame(Framing(traces_per_column=2, rows=50, columns=4, repeated=True), 8, 50)
    assert samples_in_file(line, repeated)[0] == pytest.approx([10, 10, 20, 20, 30, 30, 40, 40])
    averaged = frame(Framing(traces_per_column=2, rows=50, columns=4), 8, 50)
    assert samples_in_file(line, averaged)[0][1:7] == pytest.approx([12.5, 17.5, 22.5, 27.5, 32.5, 37.5])


def test_shifts_and_margins_of_the_file_are_undone():
    origin = FileOrigin(first_trace=5, first_sample=8, sample_shift=[3.0] * 20)
    document = frame(Framing(rows=40, columns=20), 20, 40, file=(30, 60), origin=origin)
    samples = samples_in_file(drawn(20, 40, [(0, 10), (19, 10)]), document)
    assert np.flatnonzero(np.isfinite(samples[0])).tolist() == list(range(5, 25))
    assert samples[0][5:25] == pytest.approx(np.full(20, 10 - 3 + 8))
    again = on_picture(drawn(30, 60, [(5, 15), (24, 15)]), document)
    assert again.rows()[0] == pytest.approx(np.full(20, 10.0))


@given(st.floats(0, 19), st.floats(0, 39))
def test_any_pixel_comes_back_from_the_file(column, row):
    origin = FileOrigin(
        first_trace=5,
        first_sample=8,
        sample_shift=list(np.linspace(0, 4, 20)),
        sample_of_row=list(np.arange(60) ** 1.05),
    )
    document = frame(Framing(first_sample=3, samples_per_row=1.5, rows=36, columns=20), 20, 60, origin=origin)
    back = document.on_picture(*document.in_file(column, row))
    assert np.abs(np.array(back) - [column, row]).max() < 1e-6
