"""Layers on the picture become picks in the uploaded file: where they lie there, at what time, depth and place."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from firnline.documents.frame import FileOrigin, FrameDocument
from firnline.documents.framing import Framing
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex
from firnline.documents.picks import picks_csv, picks_rows
from firnline.geometry import Label
from firnline.radar.annotations import annotation_of
from firnline.radar.description import Source as FileSource
from firnline.radar.description import described
from firnline.radar.formats import read_here
from firnline.radar.radar_frame import Picks
from workbench.simulator.figures import Figure, figure_rows, write_figure
from workbench.simulator.files import write_irsno1b
from workbench.simulator.frame import SimulatedFrame, simulate_frame
from workbench.simulator.grid import Genuine
from workbench.simulator.variety import campaign_named

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
METRES_PER_NS = 0.299792458 / (2 * 1.78)


def frame(framing: Framing, traces: int, samples: int, file: tuple[int, int] | None = None, **more) -> FrameDocument:
    file = file or (traces, samples)
    return FrameDocument(
        frame_id="c/s/f", revision="0" * 12, width=framing.columns, height=framing.rows, traces=traces, samples=samples,
        file_traces=file[0], file_samples=file[1], framing=framing, format="cresis-mat-5", polarity="bright-strong",
        source_bucket="b", source_key="k", checksum_sha256="", created=CREATED, transforms=[], **more,
    )  # fmt: skip


def document(width: int, height: int, *layers: tuple[Label, list[tuple[float, float]], float | None]) -> LayersDocument:
    return LayersDocument(
        frame_id="c/s/f",
        image=ImageSize(width=width, height=height),
        coverage="complete",
        source=Source(kind="model", created=CREATED),
        layers=[
            Layer(label=label, confidence=confidence, vertices=[Vertex(x=x, y=y) for x, y in line])
            for label, line, confidence in layers
        ],
    )


def test_each_layer_has_a_row_for_each_trace_with_its_time_depth_and_place():
    """Given 4 traces of 12 samples, pictured two samples a row, then rows are the file's, and depths ice's."""
    told = frame(
        Framing(samples_per_row=2, rows=6, columns=4),
        4,
        12,
        dt_s=1e-9,
        time_zero_s=1e-6,
        latitude=[70.0, 70.1, None, 70.3],
        longitude=[-40.0, -40.1, -40.2, -40.3],
    )
    layers = document(4, 6, ("surface", [(0, 1), (2, 1)], 0.9), ("layer", [(1, 4), (3, 4)], None))
    rows = list(picks_rows(layers, told))
    assert [(row.layer, row.label, row.trace, row.sample) for row in rows] == [
        *((0, "surface", trace, 2.5) for trace in (0, 1, 2)),
        *((1, "layer", trace, 8.5) for trace in (1, 2, 3)),
    ]
    assert [row.twtt_s for row in rows[2:4]] == pytest.approx([1e-6 + 2.5e-9, 1e-6 + 8.5e-9], rel=1e-12)
    assert [row.depth_m for row in rows] == [
        0,
        0,
        0,
        pytest.approx(6 * METRES_PER_NS),
        pytest.approx(6 * METRES_PER_NS),
        None,
    ]
    assert [row.latitude for row in rows] == [70.0, 70.1, None, 70.1, None, 70.3]
    assert [row.longitude for row in rows][-1] == -40.3
    assert {row.confidence for row in rows[:3]} == {0.9}
    assert rows[3].confidence is None


def test_where_no_surface_is_drawn_the_files_own_counts():
    told = frame(
        Framing(rows=12, columns=4),
        4,
        12,
        dt_s=1e-9,
        time_zero_s=1e-6,
        surface_twtt_s=[None, 1e-6 + 1e-9, 1e-6 + 1e-9, None],
    )
    layers = document(4, 12, ("surface", [(0, 3), (1, 3)], None), ("bed", [(0, 8), (3, 8)], None))
    bed = [row for row in picks_rows(layers, told) if row.label == "bed"]
    expected = [5 * METRES_PER_NS, 5 * METRES_PER_NS, 7 * METRES_PER_NS]
    assert [row.depth_m for row in bed[:3]] == pytest.approx(expected)
    assert bed[3].depth_m is None


def test_a_picture_has_neither_time_nor_place_and_its_margins_and_repeated_columns_count():
    """Given a figure with margins of 10 and 5 in which each trace takes 3 columns, then picks are its own pixels."""
    told = frame(
        Framing(traces_per_column=3, rows=20, columns=4),
        12,
        20,
        (40, 30),
        origin=FileOrigin(first_trace=10, first_sample=5),
    )
    rows = list(picks_rows(document(4, 20, ("layer", [(1, 7), (2, 7)], 0.5)), told))
    assert [row.trace for row in rows] == [13, 14, 15, 16, 17, 18]
    assert {row.sample for row in rows} == {12.0}
    assert {(row.twtt_s, row.depth_m, row.latitude, row.longitude) for row in rows} == {(None,) * 4}


def test_rows_that_were_shifted_have_the_times_that_the_echo_took():
    """Given a frame whose traces were moved down by 0 and 4 samples as it was read, then times are the frame's."""
    told = frame(
        Framing(rows=16, columns=2),
        2,
        16,
        (2, 12),
        dt_s=1e-9,
        time_zero_s=0.0,
        origin=FileOrigin(sample_shift=[0.0, 4.0]),
    )
    rows = list(picks_rows(document(2, 16, ("layer", [(0, 8), (1, 8)], None)), told))
    assert [row.sample for row in rows] == [8.0, 4.0]
    assert [row.twtt_s for row in rows] == pytest.approx([8e-9, 8e-9])


def test_the_table_has_its_header_and_leaves_unknown_cells_empty():
    told = frame(Framing(rows=12, columns=4), 4, 12)
    text = picks_csv(document(4, 12, ("bed", [(0, 3), (1, 4)], 0.25)), told).decode()
    assert text.splitlines() == [
        "layer,label,trace,sample,twtt_s,depth_m,latitude,longitude,confidence",
        "0,bed,0,3.000,,,,,0.25",
        "0,bed,1,4.000,,,,,0.25",
    ]
    assert picks_csv(document(4, 12), told).decode().count("\n") == 1


def round_trip(file: Path, truth: np.ndarray, labels: list[Label]) -> tuple[np.ndarray, FrameDocument, list[dict]]:
    """Distances, in samples, of the picks of a frame whose true layers lie on its picture, from the truth."""
    content = file.read_bytes()
    source = FileSource("", file.name, None, CREATED, "")
    _, told = described(read_here(content), "c/s/f", "0" * 12, source)
    drawn = annotation_of(Picks(labels, truth), ".layers.csv", told, CREATED)
    rows = list(csv.DictReader(io.StringIO(picks_csv(drawn, told).decode())))
    lines = np.full((len(drawn.layers), truth.shape[1]), np.nan)
    for row in rows:
        lines[int(row["layer"]), int(row["trace"])] = float(row["sample"])
    distances = []
    for line in lines:
        shared = np.isfinite(truth) & np.isfinite(line)
        apart = [np.abs(row[both] - line[both]) for row, both in zip(truth, shared, strict=True) if both.any()]
        distances.append(min(apart, key=np.median))
    return np.concatenate(distances), told, rows


def simulated(genuine: Genuine) -> SimulatedFrame:
    return simulate_frame(campaign_named("demo"), 0, 0, traces=128, genuine=genuine)


@pytest.mark.parametrize(
    ("genuine", "share"),
    [
        (Genuine(oversampling=3, samples=1200), 1.0),
        (Genuine(oversampling=2, samples=1500, along=2), 0.98),
        (Genuine(oversampling=2, samples=900, repeat=3), 0.98),
    ],
    ids=["fine", "fine, with overlapping apertures", "fine, with repeated columns"],
)
def test_picks_of_genuine_frames_lie_where_the_layers_do(genuine: Genuine, share: float, tmp_path: Path):
    """Within half a row of the picture, whatever the framing did."""
    simulation = simulated(genuine)
    distances, told, rows = round_trip(write_irsno1b(simulation, tmp_path), simulation.rows, simulation.labels)
    assert told.framing.samples_per_row > 1.25
    assert np.mean(distances <= 0.5 * told.framing.samples_per_row / 2) >= share
    assert len(distances) >= 0.98 * np.isfinite(simulation.rows).sum()
    times = np.array([float(row["twtt_s"]) for row in rows])
    samples = np.array([float(row["sample"]) for row in rows])
    np.testing.assert_allclose(times, simulation.time[0] + samples * simulation.dt, atol=1e-3 * simulation.dt)


def test_picks_of_a_figure_lie_on_its_own_pixels(tmp_path: Path):
    simulation = simulated(Genuine(oversampling=2, samples=900))
    figure = Figure("dark-strong", 1.0, (60, 40, 20, 50), axes=True)
    file = write_figure(simulation, tmp_path / "figure.png", figure)
    distances, told, rows = round_trip(file, figure_rows(simulation, figure), simulation.labels)
    assert told.origin.first_trace > 50
    assert distances.max() <= 0.5 * told.framing.samples_per_row / 2
    assert {row["twtt_s"] + row["depth_m"] + row["latitude"] for row in rows} == {""}
