"""Genuine frames: the same ice at the size, the sampling and in the pictures in which labs have it."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from firnline.documents.layers import LayersDocument
from workbench.simulator import (
    Figure,
    Genuine,
    SimulatedFrame,
    campaigns,
    draw_figure,
    figure_rows,
    simulate_frame,
    write_figure,
    write_irsno1b,
    write_truth,
)

TRACES = 128


def _frame(name: str = "demo", **genuine: float) -> SimulatedFrame:
    return simulate_frame(campaigns[name], 1, 2, traces=TRACES, genuine=Genuine(**({"samples": 1500} | genuine)))


def _correlation(power: np.ndarray, lag: int, axis: int) -> float:
    """Of the speckle of homogeneous ground, `lag` samples or columns apart."""
    power = np.moveaxis(power, axis, 0)
    return float(np.corrcoef(power[lag:].ravel(), power[:-lag].ravel())[0, 1])


def _air(frame: SimulatedFrame) -> np.ndarray:
    """Linear power of the noise well above the surface, dropped columns left out."""
    top = int(np.nanmin(frame.rows[0])) - round(60 * campaigns["demo"].window / 256 / frame.dt)
    power = 10 ** (frame.echogram_db[:top] / 10)
    power = power[:, np.isfinite(power[0])]
    return power / power.mean(axis=0)


@pytest.mark.parametrize("name", ["demo", "antarctica_coast_2009"])
@pytest.mark.parametrize(("oversampling", "along", "repeat"), [(1.0, 1.0, 1), (3.0, 1.0, 1), (4.0, 2.0, 2)])
def test_the_layers_are_those_of_the_same_ice(name: str, oversampling: float, along: float, repeat: int) -> None:
    plain = simulate_frame(campaigns[name], 1, 2, traces=TRACES)
    frame = _frame(name, oversampling=oversampling, along=along, repeat=repeat)
    columns = int(TRACES * along) * repeat
    assert frame.echogram_db.shape == (1500, columns)
    assert frame.rows.shape == (len(frame.labels), columns)
    assert all(values.shape == (columns,) for values in (frame.lat, frame.gps_time, frame.surface_twtt))
    first = np.median(frame.rows[0].reshape(TRACES, -1).mean(axis=1) - oversampling * plain.rows[0])
    for label, row in zip(plain.labels, plain.rows, strict=True):
        here = (frame.rows.reshape(len(frame.rows), TRACES, -1).mean(axis=2) - first) / oversampling
        drawn = np.isfinite(row)
        apart = np.abs(here - row)[[kind == label for kind in frame.labels]][:, drawn]
        # Between two traces, of a bed that is rough, lies another row than theirs; where a layer meets it, perhaps none.
        apart = apart[np.isfinite(apart).mean(axis=1) > 0.97]
        assert np.nanmedian(apart, axis=1).min() < (0.01 if along == 1 else 0.3)


def test_the_echo_lies_where_the_layers_and_the_times_say() -> None:
    frame = _frame("greenland_2012", oversampling=4, samples=4000)
    np.testing.assert_allclose((frame.surface_twtt - frame.time[0]) / frame.dt, frame.rows[0])
    brightest = np.nan_to_num(frame.echogram_db, nan=-200).argmax(axis=0)
    assert np.median(np.abs(brightest - frame.rows[0])) < 3
    assert frame.dt == pytest.approx(campaigns["greenland_2012"].window / 1024)


def test_most_of_the_window_is_noise() -> None:
    frame = _frame("greenland_2012", oversampling=2, samples=4000)
    level = np.nanmean(10 ** (frame.echogram_db / 10), axis=1)
    assert np.sum(level > 2 * np.median(level)) < 600
    assert frame.rows[0].min() > 0.1 * (4000 - 512)


def test_speckle_is_correlated_over_the_pulse_and_over_the_aperture() -> None:
    once, finely = _air(_frame(oversampling=1)), _air(_frame(oversampling=4, samples=4000))
    assert _correlation(finely, 4, axis=0) == pytest.approx(_correlation(once, 1, axis=0), abs=0.05)
    assert _correlation(finely, 1, axis=0) > 0.9
    assert abs(_correlation(once, 1, axis=1)) < 0.1
    overlapping = _air(_frame(along=2.0))
    assert _correlation(overlapping, 1, axis=1) > 0.35
    assert abs(_correlation(overlapping, 4, axis=1)) < 0.1


def test_as_many_looks_in_a_row_of_a_trace_however_finely_it_is_sampled() -> None:
    def spread(frame: SimulatedFrame, scale: int, along: int) -> float:
        air = _air(frame)
        rows = len(air) // (16 * scale)
        air = air[: rows * 16 * scale, : air.shape[1] // along * along]
        return float(air.reshape(rows, 16 * scale, -1, along).mean(axis=(1, 3)).std())

    expected = spread(_frame(samples=4000), 1, 1)
    assert spread(_frame(oversampling=4, samples=8000), 4, 1) == pytest.approx(expected, rel=0.15)
    # Dropped columns shift which two make a trace.
    assert spread(_frame(samples=4000, along=2.0), 1, 2) == pytest.approx(expected, rel=0.2)


def test_the_same_arguments_give_the_same_frame_and_repeated_columns_repeat() -> None:
    first, second = (_frame(repeat=3) for _ in range(2))
    np.testing.assert_array_equal(first.echogram_db, second.echogram_db)
    np.testing.assert_array_equal(first.echogram_db[:, ::3], first.echogram_db[:, 2::3])


@pytest.mark.parametrize("wrong", [{"oversampling": 0.1}, {"along": 0.5}, {"repeat": 0}, {"samples": 200}])
def test_impossible_records_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="cannot be simulated"):
        Genuine(**wrong)


def test_irsno1b_of_genuine_size(tmp_path: Path) -> None:
    frame = _frame(samples=10_000, oversampling=4)
    with h5py.File(write_irsno1b(frame, tmp_path)) as file:
        assert file["amplitude"].shape == (10_000, TRACES)
        assert np.diff(file["fasttime"][:]) == pytest.approx(frame.dt * 1e6)


@pytest.mark.parametrize("polarity", ["bright-strong", "dark-strong"])
def test_figures(tmp_path: Path, polarity: str) -> None:
    frame = _frame("greenland_2012", samples=400, repeat=4)
    figure = Figure(polarity=polarity, gamma=0.8, margins=(60, 20, 30, 40), axes=True)
    with Image.open(write_figure(frame, tmp_path, figure)) as image:
        assert image.mode == "RGB"
        picture = np.asarray(image.convert("L")).astype(float)
    np.testing.assert_array_equal(picture, draw_figure(frame, figure))
    assert picture.shape == (400 + 60, 4 * TRACES + 90)
    assert (picture[:, -5:] == 255).all()
    assert (picture[:, :60] == 0).any()
    rows = figure_rows(frame, figure)
    assert rows.shape == (len(frame.labels), 4 * TRACES + 90)
    surface = picture[20:-40, 60:-30][np.rint(frame.rows[0]).astype(int), np.arange(4 * TRACES)]
    assert np.median(surface) > 240 if polarity == "bright-strong" else np.median(surface) < 15
    truth = LayersDocument.model_validate_json(write_truth(frame, tmp_path / "t.json", figure).read_bytes())
    assert (truth.image.width, truth.image.height) == (picture.shape[1], picture.shape[0])
    assert truth.layers[0].vertices[0].x == 60
    assert truth.layers[0].vertices[0].y == pytest.approx(rows[0, 60], abs=0.02)


def test_a_figure_without_room_for_its_axes_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        Figure(axes=True)
