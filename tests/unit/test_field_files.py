"""Files of the kinds that people have had trouble with, each read as its owner expects (INDEX.md beside them)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firnline.errors import Refused
from firnline.radar.formats import read_frame
from firnline.radar.radar_frame import RadarFrame

FOLDER = Path(__file__).parents[3] / "shared/data/field"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder shared/data/field is not on this machine")
GPS_S = 1_333_065_915.0


def _as_usual(frame: RadarFrame, missing: int = 0, clock_within_s: float = 1e-3) -> None:
    assert frame.power_db.shape == frame.file_shape == (200, 120)
    assert frame.missing_samples == missing
    if frame.format.startswith(("irsno1b", "cresis")):
        assert frame.dt_s == pytest.approx(2e-9)
        assert frame.time_zero_s == pytest.approx(1e-6)
        assert frame.gps_time_s[0] == pytest.approx(GPS_S, abs=clock_within_s)
        assert (frame.latitude[0], frame.latitude[-1]) == pytest.approx((70, 70.1))
        assert (frame.longitude[0], frame.longitude[-1]) == pytest.approx((-40, -40.2))


def _surface_seen(frame: RadarFrame) -> None:
    rows = np.nanargmax(np.where(np.isfinite(frame.power_db), frame.power_db, -np.inf), axis=0)
    assert np.median(np.abs(rows - 30)) <= 5
    assert frame.polarity == "bright-strong"


def _like_a_usual_frame(frame: RadarFrame) -> None:
    _as_usual(frame)
    _surface_seen(frame)


def _whole_seconds(frame: RadarFrame) -> None:
    _as_usual(frame, clock_within_s=1.0)
    _surface_seen(frame)


def _last_quarter_missing(frame: RadarFrame) -> None:
    _as_usual(frame, missing=6_000)
    assert np.isnan(frame.power_db[150:]).all()
    _surface_seen(frame)


def _around_the_date_line(frame: RadarFrame) -> None:
    assert frame.longitude[0] == pytest.approx(179.5)
    assert frame.longitude[-1] == pytest.approx(-179.5)
    assert np.abs(frame.longitude).max() <= 180


def _three_below_zero(frame: RadarFrame) -> None:
    _as_usual(frame, missing=3)
    _surface_seen(frame)


def _microseconds_noted(frame: RadarFrame) -> None:
    _as_usual(frame)
    _surface_seen(frame)
    assert any("microseconds" in note for note in frame.transforms)


def _turned_upright(frame: RadarFrame) -> None:
    assert frame.power_db.shape == (120, 120)
    _surface_seen(frame)
    assert frame.dt_s == pytest.approx(2e-9)
    assert any("upright" in note for note in frame.transforms)


def _by_elevation(frame: RadarFrame) -> None:
    assert frame.dt_s is None
    assert frame.time_zero_s is None
    assert any("elevation" in note for note in frame.transforms)


def _upper_rows_missing(frame: RadarFrame) -> None:
    _as_usual(frame, missing=4_800)
    assert np.isnan(frame.power_db[:40]).all()
    assert frame.polarity == "bright-strong"


def _figure(frame: RadarFrame) -> None:
    assert frame.polarity == "dark-strong"
    assert frame.file_shape == (400, 600)
    assert any("margins" in note for note in frame.transforms)
    # The axes run from column 75.5 to 540.5 and from row 48.5 to 356.5 of the figure.
    height, width = frame.power_db.shape
    assert frame.origin.first_trace == pytest.approx(76, abs=2)
    assert frame.origin.first_sample == pytest.approx(49, abs=2)
    assert frame.origin.first_trace + width == pytest.approx(540, abs=2)
    assert frame.origin.first_sample + height == pytest.approx(356, abs=2)
    # The surface is the trace's strongest echo, near sample 30 of 200.
    strongest = np.argmax(frame.power_db, axis=0) / height * 200
    assert np.median(np.abs(strongest - 30)) < 5


EXPECTED: dict[str, Callable[[RadarFrame], None] | str] = {
    "c01_nc_epoch1970.nc": _like_a_usual_frame,
    "c02_nc_epoch_noon.nc": _like_a_usual_frame,
    "x3_xarray_whole_seconds.nc": _whole_seconds,
    "c04_nc_fasttime_seconds.nc": _like_a_usual_frame,
    "c07_nc_missing_value.nc": _last_quarter_missing,
    "c10_nc_zstd.nc": "zstd",
    "c12_nc_lon360.nc": _around_the_date_line,
    "c20_mat73_sparse.mat": "sparse matrix: save it as full(Data)",
    "c25_mat5_negative_noise.mat": _three_below_zero,
    "c27_mat5_time_us.mat": _microseconds_noted,
    "c30_mat5_square_turned.mat": _turned_upright,
    "c35_mat5_impdar_elevation.mat": _by_elevation,
    "c42_tiff_f32_nodata.tif": _upper_rows_missing,
    "c43_tiff_overviews.tif": _like_a_usual_frame,
    "c46_tiff_la16.tif": _like_a_usual_frame,
    "c52_tiff_two_band.tif": "2 bands",
    "c54_jpeg_exif6.jpg": _like_a_usual_frame,
    "c55_png_figure.png": _figure,
    "ann_frame.mat": _like_a_usual_frame,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_field_file_comes_out_as_its_owner_expects(name: str) -> None:
    expected = EXPECTED[name]
    content = (FOLDER / name).read_bytes()
    if isinstance(expected, str):
        with pytest.raises(Refused, match=r"\.$") as refused:
            read_frame(content)
        assert expected in str(refused.value)
    else:
        expected(read_frame(content))


def test_no_field_file_of_a_frame_is_forgotten() -> None:
    frames = {file.name for file in FOLDER.iterdir() if file.name[0] in "cx" or file.name == "ann_frame.mat"}
    assert frames <= set(EXPECTED)
