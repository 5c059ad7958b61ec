"""How files differ in ways that people have had trouble with: units, packing, clocks, axes, places, kinds of pictures."""

import io
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin
from scipy.sparse import csc_array

from firnline.documents.upload_key import parse_upload_key
from firnline.errors import Refused
from firnline.radar.formats import read_frame
from firnline.radar.time_units import gps_minus_utc, gps_time, seconds_per_unit
from tests.support.ingest_files import (
    DT,
    GPS,
    SAMPLES,
    START,
    TRACES,
    cresis_variables,
    echoes,
    grey,
    impdar,
    irsno1b,
    mat5,
    mat73,
    picture,
)


def _nc(change: Callable[[h5py.File], None], **changes: Any) -> bytes:
    file = io.BytesIO(irsno1b(**changes))
    with h5py.File(file, "r+") as h5:
        change(h5)
    return file.getvalue()


def _packed(values: np.ndarray, **attributes: Any) -> bytes:
    def change(h5: h5py.File) -> None:
        del h5["amplitude"]
        h5["amplitude"] = values
        for name, value in attributes.items():
            h5["amplitude"].attrs[name] = value

    return _nc(change)


def _refusal(content: bytes) -> str:
    with pytest.raises(Refused) as refused:
        read_frame(content)
    sentence = str(refused.value)
    assert "object at" not in sentence
    assert "0x" not in sentence
    assert sentence.endswith(".")
    return sentence


# ------------------------------------------------------------------------------------------------------- packing


@pytest.mark.parametrize("mark", ["_FillValue", "missing_value"])
@pytest.mark.parametrize("value", [-9999.0, 1e20, -3.4028235e38, 255.0])
def test_marked_samples_are_missing(mark: str, value: float) -> None:
    values = echoes().T.astype(np.float32)
    values[3:6, 30] = value
    frame = read_frame(_packed(values, **{mark: np.float32([value])}))
    assert frame.missing_samples == 3
    assert np.isnan(frame.power_db[30, 3:6]).all()
    np.testing.assert_allclose(np.delete(frame.power_db, 30, axis=0), np.delete(echoes(), 30, axis=0), atol=1e-4)


def test_several_missing_values_and_marks_written_as_text() -> None:
    values = echoes().T.astype(np.float32)
    values[0, 0], values[1, 1], values[2, 2] = -9999, -8888, -7777
    frame = read_frame(_packed(values, missing_value=np.float32([-9999, -8888]), _FillValue="-7777"))
    assert frame.missing_samples == 3


@pytest.mark.parametrize(
    ("dtype", "unsigned"), [("i2", None), ("u2", None), ("i1", "true"), ("u1", None), ("i4", None)]
)
def test_scaled_integers(dtype: str, unsigned: str | None) -> None:
    scale, offset = (1.0, -150.0) if dtype[1] == "1" else (0.01, -100.0 if dtype[0] == "i" else -300.0)
    power = np.clip(echoes(), offset, offset + 255) if dtype[1] == "1" else echoes()
    packed = np.rint((power.T - offset) / scale).astype(np.int64)
    stored = packed.astype("u1").view("i1") if unsigned else packed.astype(dtype)
    fill = {"i2": -32768, "u2": 0, "i1": -1, "u1": 255, "i4": -2147483648}[dtype]
    stored[5, 30] = fill
    attributes = {"scale_factor": scale, "add_offset": np.float64([offset]), "_FillValue": np.array([fill], dtype)}
    frame = read_frame(_packed(stored, **attributes, **({"_Unsigned": unsigned} if unsigned else {})))
    assert frame.missing_samples == 1
    assert np.isnan(frame.power_db[30, 5])
    expected = power.copy()
    expected[30, 5] = np.nan
    np.testing.assert_allclose(frame.power_db, expected, atol=0.51 * scale)


@pytest.mark.parametrize(
    "limits",
    [
        {"valid_range": np.float32([-120, -50])},
        {"valid_min": np.float32(-120), "valid_max": np.float32(-50)},
        {"valid_min": -120.0},
    ],
)
def test_samples_outside_the_valid_range_are_missing(limits: dict[str, Any]) -> None:
    values = echoes().T.astype(np.float32)
    values[7, 25:28] = -500
    assert read_frame(_packed(values, **limits)).missing_samples == 3


@pytest.mark.parametrize("as_packed", [True, False])
def test_a_valid_range_of_packed_samples_is_told_by_its_type(as_packed: bool) -> None:
    stored = np.rint(echoes().T * 10).astype("i2")
    stored[7, 25:28] = -5000
    limits = np.int16([-1200, 0]) if as_packed else np.float64([-120, 0])
    assert read_frame(_packed(stored, scale_factor=0.1, valid_range=limits)).missing_samples == 3


def test_integers_that_were_never_written_are_missing() -> None:
    stored = np.rint(echoes().T * 10).astype("i2")
    stored[7, 25:28] = -32767
    assert read_frame(_packed(stored, scale_factor=0.1)).missing_samples == 3


@pytest.mark.parametrize("mark", [-9999.0, -999.0, -32768.0])
@pytest.mark.parametrize("linear", [True, False])
def test_undeclared_marks_far_below_everything_are_missing(mark: float, linear: bool) -> None:
    power = np.power(10, echoes() / 10) if linear else echoes()
    power[33:, :] = mark
    frame = read_frame(mat5(cresis_variables(Data=power)))
    assert frame.missing_samples == 7 * TRACES
    np.testing.assert_allclose(frame.power_db[:33], echoes()[:33], atol=1e-3)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3])
@pytest.mark.parametrize("level", [1e-12, 1.0, 1e9])
def test_linear_power_a_little_below_zero_is_missing(share: float, level: float) -> None:
    power = np.power(10, (echoes(200, 100) + 100) / 10) * level
    below = np.random.default_rng(1).random(power.shape) < share
    below[[8, 20]] = False
    power[below] *= -0.3
    frame = read_frame(mat5(cresis_variables(echoes(200, 100), Data=power)))
    assert frame.missing_samples == below.sum()
    told = np.isfinite(frame.power_db).any(axis=1)
    assert np.flatnonzero(told)[np.nanmean(frame.power_db[told], axis=1).argmax()] == 8
    np.testing.assert_allclose(frame.power_db[~below], 10 * np.log10(power[~below]), atol=1e-3)


@pytest.mark.parametrize("offset", [0, 60, 100, 130])
def test_decibels_where_power_is_expected_stay_decibels(offset: float) -> None:
    frame = read_frame(mat5(cresis_variables(Data=echoes() + offset)))
    np.testing.assert_allclose(frame.power_db, echoes() + offset, atol=1e-4)


def test_signed_voltage_where_power_is_expected_becomes_its_envelope() -> None:
    rng = np.random.default_rng(2)
    voltage = rng.normal(0, 1, (200, 100))
    voltage[50:58] += 200 * np.sin(np.arange(8) * 2)[:, None]
    frame = read_frame(mat5(cresis_variables(voltage, Data=voltage)))
    assert frame.missing_samples == 0
    assert 49 < np.argmax(frame.power_db.mean(axis=1)) < 58


def test_linear_power_in_a_netcdf_file_becomes_decibels() -> None:
    frame = read_frame(_packed(np.power(10, (echoes().T + 100) / 10)))
    np.testing.assert_allclose(frame.power_db, echoes() + 100, atol=1e-3)


# --------------------------------------------------------------------------------------------------------- units


@pytest.mark.parametrize(
    ("units", "seconds"),
    [
        *((unit, 1.0) for unit in ("s", "S", "sec", "Seconds", "second", "seconds (two-way)", "s.")),
        *((unit, 1e-3) for unit in ("ms", "msec", "milliseconds")),
        *(
            (unit, 1e-6)
            for unit in ("us", "µs", "μs", "usec", "micro-seconds", "Microseconds", "1e-6 s", "10^-6 seconds")
        ),
        *((unit, 1e-6) for unit in ("two-way travel time (us)", "us TWT", "[us]", "microsecond", "1.0E-06 seconds")),
        *((unit, 1e-9) for unit in ("ns", "nsec", "nanoseconds", "TWTT in ns", "10**-9 s")),
        *((unit, None) for unit in ("", "m", "metres", "dB", "counts", "1")),
    ],
)
def test_units_of_time(units: str, seconds: float | None) -> None:
    assert seconds_per_unit(units) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("units", "factor"), [("s", 1), ("ms", 1e3), ("microseconds", 1e6), ("µs", 1e6), ("ns", 1e9), ("", 1e6), ("", 1)]
)
def test_fast_time_in_any_unit(units: str, factor: float) -> None:
    def change(h5: h5py.File) -> None:
        if units:
            h5["fasttime"].attrs["units"] = units

    frame = read_frame(_nc(change, fasttime=factor * (START + DT * np.arange(SAMPLES))))
    assert frame.dt_s == pytest.approx(DT)
    assert frame.time_zero_s == pytest.approx(START)


def test_units_that_were_left_behind_are_noticed() -> None:
    frame = read_frame(
        _nc(lambda h5: h5["fasttime"].attrs.update(units="microseconds"), fasttime=START + DT * np.arange(SAMPLES))
    )
    assert frame.dt_s == pytest.approx(DT)
    assert any("taken as seconds" in note for note in frame.transforms)


@pytest.mark.parametrize("factor", [1e6, 1e9])
@pytest.mark.parametrize("surface_too", [True, False])
def test_matlab_times_that_are_no_radars_are_read_by_their_surface(factor: float, surface_too: bool) -> None:
    time = START + DT * np.arange(SAMPLES)
    surface = np.full((1, TRACES), START + 8 * DT) * (factor if surface_too else 1)
    frame = read_frame(mat5(cresis_variables(Time=time[:, None] * factor, Surface=surface)))
    assert frame.dt_s == pytest.approx(DT)
    assert frame.surface_twtt_s[0] == pytest.approx(START + 8 * DT)
    assert any("taken as" in note for note in frame.transforms)


@pytest.mark.parametrize("time", [np.arange(40.0), 1 + np.arange(40.0), 1e7 * np.arange(40.0), 1e-22 * np.arange(40)])
def test_times_that_no_radar_has_are_refused(time: np.ndarray) -> None:
    assert "which no radar has" in _refusal(mat5(cresis_variables(Time=time, Surface=None)))


def test_a_range_axis_is_no_time() -> None:
    sentence = _refusal(_nc(lambda h5: h5["fasttime"].attrs.update(units="meters")))
    assert "no time" in sentence


@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e3])
def test_impdar_travel_time_is_checked_against_its_step(factor: float) -> None:
    frame = read_frame(impdar(travel_time=4e-3 * np.arange(64) * factor))
    assert frame.dt_s == pytest.approx(4e-9)


# -------------------------------------------------------------------------------------------------------- clocks


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("units", "count", "utc"),
    [
        ("seconds since 1970-01-01", 1_333_065_600, "2012-03-30 00:00:00"),
        ("seconds since 2012-03-30 12:00:00", 10, "2012-03-30 12:00:10"),
        ("seconds since 2012-03-30T12:00:00Z", 10, "2012-03-30 12:00:10"),
        ("seconds since 2012-3-30 12:00", 10, "2012-03-30 12:00:10"),
        ("seconds since 2012-03-30 12", 10, "2012-03-30 12:00:10"),
        ("seconds since 2012-03-30 12:00:00.5 UTC", 10, "2012-03-30 12:00:10.500000"),
        ("seconds since 2012-03-30 00:00:00 +02:00", 0, "2012-03-29 22:00:00"),
        ("seconds since 2012-03-30 00:00:00 -0330", 0, "2012-03-30 03:30:00"),
        ("seconds since 2012-03-30 00:00:00 -6", 0, "2012-03-30 06:00:00"),
        ("days since 2000-01-01", 4_472.5, "2012-03-30 12:00:00"),
        ("hours since 2012-03-30 00:00:00", 12, "2012-03-30 12:00:00"),
        ("minutes since 2012-03-30", 90, "2012-03-30 01:30:00"),
        ("milliseconds since 1970-01-01", 1_333_065_600_000, "2012-03-30 00:00:00"),
        ("microseconds since 2012-03-30", 5_000_000, "2012-03-30 00:00:05"),
        ("nanoseconds since 1970-01-01 00:00:00", 1_333_065_600_123_000_000, "2012-03-30 00:00:00.123000"),
    ],
)
def test_clocks_with_any_epoch(units: str, count: float, utc: str) -> None:
    found = gps_time(np.array([count]), units, "standard", "time")
    assert found is not None
    assert found[0][0] == pytest.approx(_seconds(utc) + 15, abs=1e-5)


@pytest.mark.parametrize(
    "units", ["", "seconds", "seconds since the start", "furlongs since 2012-03-30", "s since 2012-13-45"]
)
def test_clocks_that_tell_nothing(units: str) -> None:
    assert gps_time(np.arange(3.0), units, "", "") is None
    frame = read_frame(_nc(lambda h5: h5["time"].attrs.update(units=units)))
    assert frame.gps_time_s is None
    assert any("no time of the traces" in note for note in frame.transforms)


def test_a_models_calendar_is_no_clock() -> None:
    assert gps_time(np.arange(3.0), "days since 2012-03-30", "noleap", "") is None


def test_gps_time_needs_no_leap_seconds() -> None:
    found = gps_time(np.array([1_017_100_800.0]), "seconds since 1980-01-06 00:00:00", "", "GPS time")
    assert found is not None
    assert found[0][0] == _seconds("1980-01-06") + 1_017_100_800


@pytest.mark.parametrize(
    ("day", "leap"), [("1970-01-01", 0), ("2012-06-30", 15), ("2012-07-01", 16), ("2016-12-31", 17), ("2020-05-01", 18)]
)
def test_leap_seconds_are_those_of_the_date(day: str, leap: int) -> None:
    assert gps_minus_utc(np.array([_seconds(day)]))[0] == leap


@pytest.mark.parametrize("factor", [1.0, 1e3, 1e6, 1e9])
def test_gps_time_in_milli_to_nanoseconds(factor: float) -> None:
    frame = read_frame(mat5(cresis_variables(GPS_time=(GPS + 0.1 * np.arange(TRACES)) * factor)))
    assert frame.gps_time_s[1] == pytest.approx(GPS + 0.1, abs=1e-3)


def test_matlab_day_numbers() -> None:
    frame = read_frame(mat5(cresis_variables(GPS_time=GPS / 86_400 + 719_529 + np.arange(TRACES) / 864_000)))
    assert frame.gps_time_s[1] == pytest.approx(GPS + 15 + 0.1, abs=1e-4)


def test_times_that_are_none_are_left_out() -> None:
    assert read_frame(mat5(cresis_variables(GPS_time=np.zeros(TRACES)))).gps_time_s is None
    clock = GPS + 0.1 * np.arange(TRACES)
    clock[4] = 0
    assert np.isnan(read_frame(mat5(cresis_variables(GPS_time=clock))).gps_time_s).tolist() == [
        k == 4 for k in range(24)
    ]


# -------------------------------------------------------------------------------------------- axes and positions


def _square(side: int = 60) -> np.ndarray:
    power = echoes(side, side)
    power[:8] -= 15
    return power


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("surface", [True, False])
@pytest.mark.parametrize("decibels", [True, False])
def test_a_square_frame_is_set_upright_by_its_echoes(turned: bool, surface: bool, decibels: bool) -> None:
    power = _square() if decibels else np.power(10, _square() / 10)
    variables = cresis_variables(_square(), Data=power.T if turned else power)
    if not surface:
        del variables["Surface"]
    np.testing.assert_allclose(read_frame(mat5(variables)).power_db, _square(), atol=1e-3)


@pytest.mark.parametrize("turned", [True, False])
def test_impdar_frames_lie_either_way(turned: bool) -> None:
    voltage = np.random.default_rng(5).normal(0, 1e-3, (64, 30))
    voltage[28:36] += np.sin(np.arange(8))[:, None]
    for lat in (np.full(30, 58.6), None):
        frame = read_frame(impdar(data=voltage.T if turned else voltage, lat=lat, long=lat, elev=lat, picks={}))
        assert frame.power_db.shape == (64, 30)


@pytest.mark.parametrize("form", ["mat5", "mat73", "nc"])
def test_positions_of_zero_are_unknown(form: str) -> None:
    zeros = np.zeros(TRACES)
    if form == "nc":
        content = irsno1b(lat=zeros, lon=zeros)
    else:
        content = (mat5 if form == "mat5" else mat73)(cresis_variables(Latitude=zeros, Longitude=zeros))
    frame = read_frame(content)
    assert frame.positions_unknown
    assert np.isnan(frame.latitude).all()
    assert any("positions unknown" in note for note in frame.transforms)


def test_a_few_lost_positions_do_not_count_for_all() -> None:
    latitude, longitude = np.linspace(70, 71, TRACES), np.linspace(-40, -41, TRACES)
    latitude[3:5] = longitude[3:5] = 0
    latitude[7] = -9999
    frame = read_frame(mat5(cresis_variables(Latitude=latitude, Longitude=longitude)))
    assert not frame.positions_unknown
    assert np.flatnonzero(np.isnan(frame.longitude)).tolist() == [3, 4, 7]


def test_longitudes_counted_to_360() -> None:
    frame = read_frame(irsno1b(lon=np.linspace(318, 320, TRACES)))
    assert frame.longitude[[0, -1]] == pytest.approx([-42, -40])


@pytest.mark.parametrize("by_elevation", [1, 0])
def test_impdar_rows_of_elevation_have_no_time(by_elevation: int) -> None:
    frame = read_frame(impdar(flags={"elev": by_elevation, "nmo": np.array([1.0, 1.69e8])}))
    assert (frame.dt_s is None) == bool(by_elevation)


def test_the_band_of_a_cresis_file() -> None:
    band = {"radar": {"wfs": {"f0": 180e6, "f1": 210e6}, "fs": 111e6}}
    frame = read_frame(mat5(cresis_variables(param_records=band)))
    assert (frame.bandwidth_hz, frame.centre_frequency_hz) == (30e6, 195e6)
    impossible = {"radar": {"wfs": {"f0": 2e9, "f1": 8e9}}}
    assert read_frame(mat5(cresis_variables(param_records=impossible))).bandwidth_hz is None


@pytest.mark.parametrize("text", ["300 MHz", "3e8", 3e8, "0.3 GHz"])
def test_the_band_of_a_netcdf_file(text: object) -> None:
    assert read_frame(_nc(lambda h5: h5.attrs.update(bandwidth=text))).bandwidth_hz == pytest.approx(3e8)


# ------------------------------------------------------------------------------------------------------ refusals


def _sparse73() -> bytes:
    variables = cresis_variables()
    table = csc_array(variables.pop("Data"))
    file = io.BytesIO(mat73(variables))
    with h5py.File(file, "r+") as h5:
        group = h5.create_group("Data")
        group.attrs["MATLAB_sparse"] = np.uint64(SAMPLES)
        group["data"], group["ir"], group["jc"] = table.data, table.indices, table.indptr
    return file.getvalue()


def _filtered(code: int) -> bytes:
    """A file whose amplitude names a filter that nobody registered."""
    file = io.BytesIO(irsno1b())
    with h5py.File(file, "r+") as h5:
        del h5["amplitude"]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((TRACES, SAMPLES))
        properties.set_deflate(4)
        space = h5py.h5s.create_simple((TRACES, SAMPLES))
        h5py.h5d.create(h5.id, b"amplitude", h5py.h5t.IEEE_F32LE, space, properties).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(echoes().T, "f4")
        )
    content = bytearray(file.getvalue())
    # In the object header a filter is its code, the length of its name, flags, the number of its values, then the name.
    at = content.index(struct.pack("<HHHH", 1, 8, 1, 1) + b"deflate\0")
    content[at : at + 2] = struct.pack("<H", code)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_sparse73(), ["sparse", "full(Data)"]),
        (mat5(cresis_variables(Data=csc_array(np.eye(SAMPLES, TRACES)))), ["sparse", "full(Data)"]),
        (mat5(cresis_variables(Data=echoes() * 1j)), ["complex", "abs(Data)**2"]),
        (mat73(cresis_variables(Data=echoes() * 1j)), ["complex", "abs(Data)**2"]),
        (_packed(echoes().T * 1j), ["complex", "abs(amplitude)**2"]),
        (_filtered(32015), ["Zstandard (zstd)", "32015", "gzip"]),
        (_filtered(32001), ["Blosc"]),
        (_filtered(32999), ["32999"]),
        (mat5({"vdat": np.zeros(30), "Time": np.zeros(3)}), ["no echogram", "Time, vdat"]),
        (b"\xff\x04" + struct.pack("<HHHH", 1024, 512, 16, 0) + bytes(2000), ["GSSI", "ImpDAR"]),
        (struct.pack("<25f", 1, 0, 500, 0, 0, 2, *[0] * 19) + bytes(1100), ["pulseEKKO", "ImpDAR"]),
        (b"*** Burst Header ***\r\n" + bytes(300), ["ApRES", "abs(profile)**2"]),
        (struct.pack("<5i", 0, 40, 24, 0, 5) + b"Data\0" + bytes(7680), ["MATLAB's version 4", "-v7"]),
        (b"CDF\x02" + bytes(100), ["nccopy"]),
        (b"%PDF-1.4" + bytes(200), ["PDF"]),
        (b"PK\x03\x04" + bytes(200), ["ZIP"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_firnline_cannot_read_is_named(content: bytes, words: list[str]) -> None:
    sentence = _refusal(content)
    for word in words:
        assert word in sentence


def test_a_gprmax_output_is_named() -> None:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.attrs["gprMax"] = "3.1.5"
        h5["rxs/rx1/Ez"] = np.zeros((100, 20))
    assert "gprMax" in _refusal(file.getvalue())


@pytest.mark.parametrize("suffix", ["DZT", "dt1", "rd3", "h5", "sgy"])
def test_raw_files_of_other_radars_are_refused_by_name_with_the_way_out(suffix: str) -> None:
    with pytest.raises(Refused, match="ImpDAR"):
        parse_upload_key(f"greenland/20120330_04/line.{suffix}")


@pytest.mark.parametrize("dtype", ["f4", "i2", "u2", "i4", "u1"])
def test_numeric_types_of_matlab(dtype: str) -> None:
    values = np.clip(echoes() + 120, 0, 250).astype(dtype)
    frame = read_frame(mat5(cresis_variables(Data=values)))
    assert frame.power_db.dtype == np.float32
    assert np.argmax(frame.power_db.mean(axis=1)) == 8


# ------------------------------------------------------------------------------------------------------ pictures


def _tiff(values: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    big = options.pop("bigtiff", False)
    with tifffile.TiffWriter(file, bigtiff=big) as writer:
        writer.write(values, **({"photometric": "minisblack"} | options))
    return file.getvalue()


def _seen(frame: Any, like: np.ndarray | None = None) -> None:
    assert frame.power_db.shape == (SAMPLES, TRACES)
    assert frame.polarity == "bright-strong"
    told = np.isfinite(frame.power_db).any(axis=1)
    assert np.flatnonzero(told)[np.nanmean(frame.power_db[told], axis=1).argmax()] == 8
    if like is not None:
        np.testing.assert_allclose(frame.power_db, like)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4", "f4", "f8", "f2", "i1"])
@pytest.mark.parametrize(
    "options", [{}, {"bigtiff": True}, {"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}]
)
def test_tiffs_of_any_numbers(dtype: str, options: dict[str, Any]) -> None:
    values = (grey() // (2 if dtype == "i1" else 1)).astype(dtype)
    byteorder = options.get("byteorder")
    if byteorder:
        file = io.BytesIO()
        with tifffile.TiffWriter(file, byteorder=byteorder) as writer:
            writer.write(values, photometric="minisblack")
        content = file.getvalue()
    else:
        content = _tiff(values, **options)
    _seen(read_frame(content), values.astype(float))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"])
def test_tiffs_compressed_by_pillow(compression: str) -> None:
    _seen(read_frame(picture(grey(), "TIFF", compression=compression)))


@pytest.mark.parametrize("text", ["-9999", "-9999.0", "nan", "-3.4028234663852886e+38"])
def test_gdal_no_data(text: str) -> None:
    values = grey().astype(np.float32)
    values[:12] = float(text)
    frame = read_frame(_tiff(values, extratags=[(42113, "s", 0, text, True)]))
    assert frame.missing_samples == 12 * TRACES
    assert frame.polarity == "bright-strong"


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_gdal_no_data_under_lzw(dtype: str) -> None:
    values = np.maximum(grey(), 1).astype(dtype)
    values[:5] = 0
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[42113] = 2
    tags[42113] = "0"
    frame = read_frame(picture(values, "TIFF", compression="tiff_lzw", tiffinfo=tags))
    assert frame.missing_samples == 5 * TRACES


def test_gdal_no_data_of_integers() -> None:
    values = grey()
    values[values == 0] = 1
    values[:5] = 0
    assert read_frame(_tiff(values, extratags=[(42113, "s", 0, "0", True)])).missing_samples == 5 * TRACES


@pytest.mark.parametrize("flagged", [True, False])
def test_overviews_are_no_pages(flagged: bool) -> None:
    file = io.BytesIO()
    values = np.kron(grey(), np.ones((2, 2), np.uint8))
    with tifffile.TiffWriter(file) as writer:
        writer.write(values, photometric="minisblack", metadata=None)
        for step in (2, 4):
            writer.write(
                values[::step, ::step], photometric="minisblack", metadata=None, subfiletype=1 if flagged else 0
            )
    frame = read_frame(file.getvalue())
    assert frame.power_db.shape == values.shape


def test_two_full_pages_are_refused() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for _ in range(2):
            writer.write(grey(), photometric="minisblack", metadata=None)
    assert "several pages" in _refusal(file.getvalue())


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_grey_with_alpha(dtype: str, planar: str) -> None:
    alpha = np.full_like(grey(), 255 if dtype == "u1" else 1).astype(dtype)
    alpha[30:33] = 0
    values = np.stack([grey().astype(dtype), alpha], axis=0 if planar == "separate" else -1)
    frame = read_frame(_tiff(values, planarconfig=planar, extrasamples=["unassalpha"]))
    _seen(frame)
    assert frame.missing_samples == 3 * TRACES


@pytest.mark.parametrize("bands", [2, 3, 4, 5])
def test_bands_are_refused(bands: int) -> None:
    values = np.stack([grey().astype(np.float32)] * bands)
    sentence = _refusal(_tiff(values, planarconfig="separate", extrasamples=["unspecified"] * (bands - 1)))
    assert f"{bands} bands" in sentence


def test_complex_tiffs_are_refused() -> None:
    assert "abs(" in _refusal(_tiff(grey().astype(np.complex64)))


def test_white_may_be_zero() -> None:
    frame = read_frame(_tiff(grey(inverted=True), photometric="miniswhite"))
    _seen(frame)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_orientation_tags_are_followed(form: str, orientation: int) -> None:
    backwards = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    image = Image.fromarray(grey())
    stored = image if backwards is None else image.transpose(Image.Transpose(backwards))
    file = io.BytesIO()
    if form == "TIFF":
        file.write(_tiff(np.asarray(stored), extratags=[(274, "H", 1, orientation, True)]))
    else:
        exif = Image.Exif()
        exif[274] = orientation
        stored.save(file, form, exif=exif, **({"quality": 95} if form == "JPEG" else {}))
    frame = read_frame(file.getvalue())
    _seen(frame)
    if form != "JPEG":
        np.testing.assert_allclose(frame.power_db, grey())


@pytest.mark.parametrize("mode", ["1", "P", "LA", "PA", "RGBA", "CMYK", "I;16", "I", "RGB"])
def test_pillow_modes(mode: str) -> None:
    image = Image.fromarray(grey())
    if mode == "I;16":
        image = Image.fromarray(grey().astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(grey().astype(np.int32) * 200)
    else:
        image = image.convert("LA" if mode == "PA" else mode)
    file = io.BytesIO()
    # PNG has neither inks nor 32 bits.
    form = {"CMYK": "JPEG", "I": "TIFF"}.get(mode, "PNG")
    image.save(file, form, **({"quality": 95} if mode == "CMYK" else {}))
    _seen(read_frame(file.getvalue()))


def test_a_colour_palette_is_a_colour_map() -> None:
    image = Image.fromarray(grey()).convert("P")
    image.putpalette([channel for k in range(256) for channel in (k, 0, 255 - k)])
    file = io.BytesIO()
    image.save(file, "PNG")
    assert "colour map" in _refusal(file.getvalue())


# -------------------------------------------------------------------------------------------------------- figures


def _figure(dark: bool, **options: Any) -> tuple[bytes, tuple[float, float, float, float]]:
    """A figure as Matplotlib draws it, and its axes' left, top, right, bottom in pixels."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    power = echoes(200, 120)
    power[:8] -= 6
    fig, ax = plt.subplots(figsize=options.get("figsize", (6, 4)), dpi=100)
    shown = ax.imshow(power, aspect="auto", cmap="gray_r" if dark else "gray")
    ax.set(title="Data_20120330_04_0939", xlabel="trace", ylabel="sample")
    if options.get("colourbar"):
        fig.colorbar(shown)
    if options.get("bare"):
        ax.set_axis_off()
    file = io.BytesIO()
    fig.savefig(file, format=options.get("form", "png"), transparent=options.get("transparent", False))
    box = ax.get_window_extent()
    height = fig.bbox.height
    plt.close(fig)
    return file.getvalue(), (box.x0, height - box.y1, box.x1, height - box.y0)


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"colourbar": True},
        {"transparent": True},
        {"form": "jpg"},
        {"bare": True},
        {"figsize": (9, 3)},
        {"figsize": (3, 6)},
    ],
    ids=str,
)
def test_the_margins_of_a_figure_are_cut(dark: bool, options: dict[str, Any]) -> None:
    content, (left, top, right, bottom) = _figure(dark, **options)
    frame = read_frame(content)
    assert frame.polarity == ("dark-strong" if dark else "bright-strong")
    assert any("margins" in note for note in frame.transforms)
    height, width = frame.power_db.shape
    origin = frame.origin
    edges = (origin.first_trace, origin.first_sample, origin.first_trace + width, origin.first_sample + height)
    np.testing.assert_allclose(edges, (left, top, right, bottom), atol=4)
    assert frame.file_shape == tuple(int(100 * side) for side in options.get("figsize", (6, 4))[::-1])


def test_a_light_frame_without_margins_is_left_alone() -> None:
    pixels = np.clip(255 - (echoes(100, 60) + 103) * 4, 0, 255).astype(np.uint8)
    pixels[60:] = 255
    frame = read_frame(picture(pixels))
    assert frame.power_db.shape == (100, 60)
