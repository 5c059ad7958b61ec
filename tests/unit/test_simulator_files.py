"""The files of simulated frames say what the frames hold, in the units and names of the real formats."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from scipy.io import loadmat

from firnline.documents.layers import LayersDocument
from workbench.simulator import (
    SimulatedFrame,
    campaigns,
    simulate_campaign,
    simulate_frame,
    write_cresis,
    write_irsno1b,
    write_truth,
)


@pytest.fixture(scope="module")
def snow() -> SimulatedFrame:
    frame = simulate_frame(campaigns["demo"], 1, 2, traces=200, samples=128)
    assert np.isnan(frame.echogram_db).any()
    return frame


@pytest.fixture(scope="module")
def sounder() -> SimulatedFrame:
    return simulate_frame(campaigns["antarctica_coast_2009"], 0, 1, traces=200, samples=128)


@pytest.mark.parametrize("trace_axis", [0, 1])
def test_irsno1b(snow: SimulatedFrame, tmp_path: Path, trace_axis: int) -> None:
    path = write_irsno1b(snow, tmp_path, trace_axis=trace_axis)
    assert path.name == "IRSNO1B_20170403_02_002.nc"
    with h5py.File(path) as file:
        amplitude = file["amplitude"][:] if trace_axis == 1 else file["amplitude"][:].T
        np.testing.assert_allclose(amplitude, snow.echogram_db, rtol=1e-5)
        assert file["time"].attrs["units"] == "seconds since 2017-04-03 00:00:00"
        midnight = 1491177600
        np.testing.assert_allclose(file["time"][:] + midnight + 18, snow.gps_time)
        np.testing.assert_allclose(file["fasttime"][:], snow.time * 1e6)
        np.testing.assert_allclose(np.radians(file["heading"][:]), snow.heading)
        np.testing.assert_allclose(file["Surface"][:], snow.surface_twtt)
        assert np.isnan(file["Bottom"][:]).all()


def test_irsno1b_opens_as_netcdf(snow: SimulatedFrame, tmp_path: Path) -> None:
    with xarray.open_dataset(write_irsno1b(snow, tmp_path), engine="h5netcdf") as file:
        assert file["amplitude"].dims == ("fasttime", "time")
        assert file["lat"].dims == ("time",)
        assert str(file["time"].values[0]).startswith("2017-04-03T")


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_cresis(sounder: SimulatedFrame, tmp_path: Path, version: str) -> None:
    path = write_cresis(sounder, tmp_path, version=version)
    assert path.name == "Data_20090106_01_001.mat"
    if version == "5":
        read = loadmat(path)
    else:
        with h5py.File(path) as file:
            assert file["Data"].attrs["MATLAB_class"] == b"double"
            read = {name: file[name][:].T for name in file}
        header = path.read_bytes()[:128]
        assert header.startswith(b"MATLAB 7.3 MAT-file")
        assert header.endswith(b"\x00\x02IM")
    np.testing.assert_allclose(10 * np.log10(read["Data"]), sounder.echogram_db)
    np.testing.assert_allclose(read["Time"][:, 0], sounder.time)
    for name, values in {
        "GPS_time": sounder.gps_time,
        "Latitude": sounder.lat,
        "Longitude": sounder.lon,
        "Elevation": sounder.elevation,
        "Heading": sounder.heading,
        "Surface": sounder.surface_twtt,
        "Bottom": sounder.bed_twtt,
    }.items():
        np.testing.assert_allclose(read[name], values[None])


def test_truth_is_within_a_tenth_of_a_pixel(snow: SimulatedFrame, tmp_path: Path) -> None:
    document = LayersDocument.model_validate_json(write_truth(snow, tmp_path / "truth.json").read_bytes())
    assert document.coverage == "complete"
    assert document.source.kind == "import"
    assert (document.image.width, document.image.height) == (200, 128)
    pieces = iter(document.rows())
    for row in snow.rows:
        drawn = np.full_like(row, np.nan)
        while (np.isnan(drawn) & np.isfinite(row)).any():
            drawn = np.fmax(drawn, next(pieces))
        np.testing.assert_array_equal(np.isnan(drawn), np.isnan(row))
        assert np.nanmax(np.abs(drawn - row)) <= 0.1
    assert next(pieces, None) is None


def test_truth_of_unlabelled_stratigraphy_is_partial(sounder: SimulatedFrame, tmp_path: Path) -> None:
    truth = write_truth(sounder, tmp_path / "truth.json")
    assert LayersDocument.model_validate_json(truth.read_bytes()).coverage == "partial"


def test_a_campaign_is_half_nc_half_mat_by_segments(tmp_path: Path) -> None:
    written = simulate_campaign("demo", tmp_path, frames=6, segments=2)
    assert [file.name for file, _ in written] == [
        "IRSNO1B_20170403_01_001.nc",
        "Data_20170403_01_002.mat",
        "IRSNO1B_20170403_01_003.nc",
        "Data_20170403_02_001.mat",
        "IRSNO1B_20170403_02_002.nc",
        "Data_20170403_02_003.mat",
    ]
    assert all(file.exists() and truth.exists() for file, truth in written)
    with pytest.raises(ValueError, match="no campaign 'nowhere'"):
        simulate_campaign("nowhere", tmp_path, frames=1, segments=1)
