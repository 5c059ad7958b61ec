"""How an echogram is sampled is measured from itself, and its picture is made accordingly."""

import numpy as np
import pytest

from firnline.documents.framing import Framing
from firnline.limits import MAX_PICTURE_PIXELS
from firnline.radar.picture import averaged, make_picture
from firnline.radar.sampling import Extent, echo_extent, filled, trace_grid
from workbench.simulator import Genuine, campaign_named, simulate_frame


def noise_db(samples: int, traces: int, seed: int = 0) -> np.ndarray:
    """Thermal noise of one look, in decibels."""
    power = np.random.default_rng(seed).exponential(size=(samples, traces))
    return (10 * np.log10(power)).astype(np.float32)


def test_the_mean_of_a_cell_is_taken_of_power():
    echogram = np.array([[0, 10], [0, 10], [20, 0], [20, 0]], np.float32)
    picture = averaged(echogram, Framing(samples_per_row=2, traces_per_column=2, rows=2, columns=1))
    assert picture[:, 0] == pytest.approx([10 * np.log10(5.5), 10 * np.log10(50.5)], abs=1e-4)


def test_cells_cut_samples_in_proportion():
    echogram = np.array([[0], [10], [0]], np.float32)
    picture = averaged(np.repeat(echogram, 2, axis=1), Framing(samples_per_row=1.5, rows=2, columns=2))
    # Each row holds one sample of power 1 and half of the one of power 10.
    assert picture == pytest.approx(np.full((2, 2), 10 * np.log10((1 + 5) / 1.5)), abs=1e-4)


def test_missing_samples_have_no_weight_and_a_cell_of_few_others_is_missing():
    echogram = np.array([[np.nan, 4], [4, 4], [np.nan, np.nan], [np.nan, 4]], np.float32)
    picture = averaged(echogram, Framing(samples_per_row=2, traces_per_column=2, rows=2, columns=1))
    assert picture[0, 0] == pytest.approx(4)
    assert np.isnan(picture[1, 0])


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e4])
def test_power_is_averaged_whatever_the_unit_of_the_values(unit):
    echogram = noise_db(64, 8)
    framing = Framing(samples_per_row=2, rows=32, columns=8)
    picture = averaged(echogram * np.float32(unit), framing, 1 / unit)
    assert picture / unit == pytest.approx(averaged(echogram, framing), abs=1e-2)


@pytest.mark.parametrize("repeat", [1, 2, 3, 7])
def test_columns_that_repeat_a_trace_are_counted(repeat):
    echogram = np.repeat(noise_db(300, 60), repeat, axis=1)
    grid = trace_grid(echogram)
    assert grid.width == pytest.approx(repeat, abs=0.05)
    assert grid.first == pytest.approx(0.0, abs=0.05)


def test_drawn_traces_of_uneven_width_keep_their_places_to_the_end():
    """52 traces over 371 columns, as a plot draws them, begun in the middle of the first one."""
    traces = noise_db(300, 53)
    echogram = traces[:, ((np.arange(371) + 3) / (371 / 52)).astype(int)]
    grid = trace_grid(echogram)
    assert grid.width == pytest.approx(371 / 52, rel=2e-3)
    assert grid.first == pytest.approx(-3, abs=0.6)
    framing = make_picture(echogram).framing
    assert framing.columns in (52, 53)
    assert framing.column_of(3.5 * 371 / 52 - 3.5) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("apart", [2.0, 3.0, 5.0])
def test_interpolated_columns_are_found_by_their_speckle(apart):
    traces = noise_db(300, 120)
    place = np.arange(int(119 * apart)) / apart
    before, part = place.astype(int), place % 1
    echogram = traces[:, before] * (1 - part) + traces[:, before + 1] * part
    assert trace_grid(echogram.astype(np.float32)).width == pytest.approx(apart, rel=0.35)


def test_the_extent_holds_all_echo_and_little_else():
    echogram = noise_db(4000, 200)
    echogram[1500:1520] += 12
    echogram[2600:2604, 150:] += 9  # a short, weak echo far below
    extent = echo_extent(echogram)
    assert extent.top <= 1500
    assert extent.bottom >= 2604
    assert extent.bottom - extent.top < 1500


def test_noise_alone_and_echo_everywhere_are_kept_whole():
    ramp = noise_db(500, 100) + np.linspace(60, 0, 500, dtype=np.float32)[:, None]
    assert echo_extent(ramp).top == 0
    picture = make_picture(noise_db(500, 100))
    assert picture.power_db.shape == (500, 100)
    assert picture.framing.is_identity


def test_a_gain_step_is_no_echo():
    echogram = noise_db(3000, 320)
    echogram[:, 160:] += 4
    echogram[1000:1100] += 10
    extent = echo_extent(echogram)
    assert extent == Extent(pytest.approx(1000, abs=4), pytest.approx(1100, abs=4))


@pytest.mark.parametrize("campaign", ["greenland_2014", "greenland_sounder_2012"])
@pytest.mark.parametrize("finer", [1, 3, 4])
def test_a_frame_sampled_finer_is_brought_to_the_scale_that_the_network_knows(campaign, finer):
    frame = simulate_frame(campaign_named(campaign), 3, 1, samples=256 * finer)
    framing = make_picture(frame.echogram_db).framing
    assert 0.5 <= framing.samples_per_row / finer <= 1.6
    if finer == 1:
        assert framing.samples_per_row == 1


def test_a_frame_of_genuine_size_is_cut_to_its_ice_and_nothing_of_a_layer_is_lost():
    frame = simulate_frame(campaign_named("greenland_2014"), 3, 1, traces=300, samples=768)
    echogram = noise_db(6000, 300) + np.nanmedian(frame.echogram_db[-40:])
    echogram[2000:2768] = np.where(np.isfinite(frame.echogram_db), frame.echogram_db, echogram[2000:2768])
    picture = make_picture(echogram)
    assert picture.framing.rows < 600
    rows = picture.framing.lines_on_picture(frame.rows + 2000)
    assert np.isfinite(rows).sum() >= 0.999 * np.isfinite(frame.rows).sum()
    assert any(note.startswith("trimmed to the echo") for note in picture.notes)


def test_a_picture_never_exceeds_its_limit(monkeypatch):
    monkeypatch.setattr("firnline.radar.picture.MAX_PICTURE_PIXELS", 40_000)
    picture = make_picture(noise_db(400, 301))
    assert picture.power_db.shape == (400, 100)
    assert picture.framing.traces_per_column == pytest.approx(3.01)
    assert "40,000" in " ".join(picture.notes) or "million" in " ".join(picture.notes)
    assert MAX_PICTURE_PIXELS == 16_000_000


def test_an_echogram_whose_traces_are_all_but_empty_is_still_measured():
    echogram = np.full((200, 50), np.nan, np.float32)
    echogram[90:110] = noise_db(20, 50)
    assert filled(echogram).shape[1] == 0
    assert make_picture(echogram).power_db.shape[1] == 50


@pytest.mark.parametrize(
    ("campaign", "genuine"),
    [
        ("demo", Genuine(1, 6000, along=2)),
        ("demo", Genuine(4, 10_000, along=3)),
        ("varied_snow_5030", Genuine(3, 8000)),
        ("varied_sounder_5002", Genuine(3, 2400)),
        ("varied_sounder_5001", Genuine(2, 1600, along=2)),
    ],
)
def test_a_band_limited_record_is_cut_to_its_echo_and_scaled_within_bounds(campaign, genuine):
    """Its noise is correlated over the pulse and over the aperture, so that few of its samples are independent."""
    frame = simulate_frame(campaign_named(campaign), 0, 1, traces=256, genuine=genuine)
    framing = make_picture(frame.echogram_db).framing
    scale = genuine.oversampling
    assert framing.first_sample < np.nanmin(frame.rows) - 20 * scale or framing.first_sample == 0
    assert framing.sample_of(framing.rows) > np.nanmax(frame.rows)
    if campaign_named(campaign).kind == "snow":
        assert framing.rows * framing.samples_per_row < 520 * scale
    assert 0.7 < framing.samples_per_row / scale < 1.9
