"""Simulated frames: repeatable, continuous along the flight, ordered in depth, in geometry like that of real ice."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from scipy.ndimage import gaussian_filter1d
from scipy.signal import detrend

from workbench.simulator import campaigns, simulate_frame
from workbench.simulator.frame import LIGHT_SPEED
from workbench.simulator.stratigraphy import lay_down
from workbench.simulator.track import TrackFields

REAL_DATA = Path(os.environ.get("FIRNLINE_REAL_DATA", Path(__file__).resolve().parents[2] / "../shared/data/real"))
SNOW = [name for name, campaign in campaigns.items() if campaign.kind == "snow"]
SOUNDERS = [name for name, campaign in campaigns.items() if campaign.kind == "sounder"]


def test_the_same_arguments_give_the_same_frame() -> None:
    first, second = (simulate_frame(campaigns["demo"], 2, 3) for _ in range(2))
    np.testing.assert_array_equal(first.echogram_db, second.echogram_db)
    np.testing.assert_array_equal(first.rows, second.rows)
    assert first.name == "20170403_03_003"
    other = simulate_frame(campaigns["demo"], 2, 4)
    assert not np.array_equal(first.echogram_db, other.echogram_db, equal_nan=True)


@pytest.mark.parametrize("name", campaigns)
def test_the_next_frame_continues_the_flight_line(name: str) -> None:
    frame, following = (simulate_frame(campaigns[name], 1, number) for number in (4, 5))
    for values in ("surface_twtt", "lat", "lon", "gps_time", "elevation"):
        before, after = getattr(frame, values), getattr(following, values)
        largest_step = np.abs(np.diff(before)).max()
        assert abs(after[0] - before[-1]) <= 3 * largest_step + 1e-12, values


@pytest.mark.parametrize("name", campaigns)
def test_layers_are_ordered_never_cross_and_lie_inside(name: str) -> None:
    for segment in range(4):
        frame = simulate_frame(campaigns[name], segment, segment, traces=300, samples=200)
        assert frame.echogram_db.shape == (200, 300)
        assert frame.rows.shape == (len(frame.labels), 300)
        assert np.nanmin(frame.rows) >= 0
        assert np.nanmax(frame.rows) <= 199
        deepest = np.fmax.accumulate(frame.rows, axis=0)[:-1]
        below = frame.rows[1:]
        shared = np.isfinite(deepest) & np.isfinite(below)
        assert (below[shared] > deepest[shared]).all()
        assert frame.labels[0] == "surface"
        assert frame.labels.count("bed") <= 1
        missing = np.isnan(frame.echogram_db)
        assert (missing.all(axis=0) == missing.any(axis=0)).all()


def test_snow_radars_see_annual_layers_and_sounders_a_bed() -> None:
    for name in SNOW:
        frames = [simulate_frame(campaigns[name], segment, 0) for segment in range(6)]
        assert all(5 <= frame.labels.count("layer") <= 25 and frame.bed_twtt is None for frame in frames), name
        assert all(frame.complete for frame in frames)
    for name in SOUNDERS:
        frames = [simulate_frame(campaigns[name], segment, 0) for segment in range(6)]
        assert sum("bed" in frame.labels for frame in frames) >= 5, name


def test_the_surface_is_where_the_two_way_time_says() -> None:
    frame = simulate_frame(campaigns["greenland_2012"], 0, 0)
    row = (frame.surface_twtt - frame.time[0]) / frame.dt
    np.testing.assert_allclose(row, frame.rows[0])
    brightest = np.argmax(gaussian_filter1d(np.nan_to_num(frame.echogram_db, nan=-200), 3, axis=1), axis=0)
    assert np.median(np.abs(brightest - row)) < 1


@pytest.mark.parametrize("wrong", [{"traces": 10}, {"samples": 10}, {"segment": -1}, {"number": -1}])
def test_impossible_frames_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="cannot be simulated"):
        simulate_frame(campaigns["demo"], **({"segment": 0, "number": 0} | wrong))


def _depths_of_experts() -> list[tuple[np.ndarray, float]]:
    """(depths (traces, layers) m, trace spacing m) of every frame's layers without a gap."""
    found = []
    for file in sorted((REAL_DATA / "geometry").glob("*.mat")):
        info = loadmat(file, squeeze_me=True, struct_as_record=False)["layer_info"]
        depths = info.surface[:, None] - info.layer_elevations
        whole = np.isfinite(depths).all(axis=0)
        depths = depths[:, whole]
        depths = depths[:, depths.min(axis=0) > 20]
        if depths.shape[1] > 1:
            found.append((depths, float(np.median(np.diff(info.dist)))))
    return found


def _slope_and_relief(depths: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Per layer: deviation of the slope over 150 m, per metre of depth; deviation of the depth without its trend, as a
    share of the depth."""
    mean = depths.mean(axis=0)
    slope = np.diff(gaussian_filter1d(depths, 5, axis=0), axis=0).std(axis=0) / spacing
    return slope / mean, detrend(depths, axis=0).std(axis=0) / mean


def test_deep_layers_slope_and_undulate_like_those_of_experts() -> None:
    """Medians within a factor of 1.6 of those of experts' layers."""
    experts = _depths_of_experts()
    if not experts:
        pytest.skip(f"no experts' layers in {REAL_DATA / 'geometry'}")
    campaign = campaigns["greenland_sounder_2012"]
    metres_per_row = campaign.window / 256 * LIGHT_SPEED / (2 * 1.78)
    position = np.arange(1300) * campaign.trace_spacing
    simulated = []
    for segment in range(8):
        ice = lay_down(campaign, segment, TrackFields(position, *campaign.wavelengths))
        depths = (ice.layers - ice.surface).T * metres_per_row
        simulated.append((depths[:, np.isfinite(depths).all(axis=0)], campaign.trace_spacing))
    real, ours = (
        [np.median(np.concatenate(parts)) for parts in zip(*(_slope_and_relief(*one) for one in group), strict=True)]
        for group in (experts, simulated)
    )
    for measure, expected, found in zip(("slope", "relief"), real, ours, strict=True):
        assert expected / 1.6 < found < expected * 1.6, measure
