"""Reading radar files: every form, every refusal, and nothing but `Refused` over bytes that nobody vouches for."""

import contextlib
import io
import itertools
import struct
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat

from firnline.errors import Refused
from firnline.ice import LIGHT_SPEED_M_S
from firnline.radar.formats import read_frame
from firnline.radar.polarity import guess_polarity
from firnline.radar.variables import Matlab5
from tests.support.ingest_files import (
    DT,
    GPS,
    START,
    cresis_variables,
    echoes,
    grey,
    impdar,
    irsno1b,
    mat5,
    mat73,
    picture,
)


@pytest.mark.parametrize(
    "content", [mat5(cresis_variables()), mat5(cresis_variables(), False), mat73(cresis_variables())]
)
def test_cresis_power_becomes_decibels_with_its_axes(content: bytes) -> None:
    frame = read_frame(content)
    np.testing.assert_allclose(frame.power_db, echoes(), atol=1e-4)
    assert frame.dt_s == pytest.approx(DT)
    assert frame.time_zero_s == pytest.approx(START)
    assert frame.gps_time_s[1] == pytest.approx(GPS + 0.1)
    assert frame.elevation_m[0] == 500
    assert frame.surface_twtt_s[0] == pytest.approx(START + 8 * DT)
    assert frame.bed_twtt_s is None


def test_rows_and_columns_and_swapped_axes_read_alike() -> None:
    variables = {name: np.asarray(values).T for name, values in cresis_variables().items()}
    np.testing.assert_allclose(read_frame(mat5(variables)).power_db, echoes(), atol=1e-4)


def test_cresis_zero_power_is_no_data_and_negative_values_are_decibels_already() -> None:
    power = np.power(10, echoes() / 10)
    power[30, 3] = 0
    frame = read_frame(mat5(cresis_variables(Data=power)))
    assert np.isnan(frame.power_db[30, 3])
    np.testing.assert_allclose(read_frame(mat5(cresis_variables(Data=echoes()))).power_db, echoes(), atol=1e-4)


@pytest.mark.parametrize("trace_axis", [0, 1])
@pytest.mark.parametrize("scales", [False, True])
def test_irsno1b_in_both_axis_orders(trace_axis: int, scales: bool) -> None:
    frame = read_frame(irsno1b(trace_axis, scales))
    np.testing.assert_allclose(frame.power_db, echoes(), atol=1e-4)
    assert frame.dt_s == pytest.approx(DT)
    assert frame.time_zero_s == pytest.approx(START)
    # 2012-03-30 is 1333065600; GPS time was 15 s ahead of UTC then.
    assert frame.gps_time_s[0] == pytest.approx(1_333_065_600 + 100 + 15)


@pytest.mark.parametrize("trace_axis", [0, 1])
def test_a_square_irsno1b_frame_is_told_by_its_dimension_scales(trace_axis: int) -> None:
    square = echoes(24, 24)
    frame = read_frame(irsno1b(trace_axis, scales=True, power_db=square))
    np.testing.assert_allclose(frame.power_db, square, atol=1e-4)


def test_fill_values_are_no_data() -> None:
    file = io.BytesIO(irsno1b())
    with h5py.File(file, "r+") as h5:
        h5["amplitude"][3, 30] = -9999
        h5["amplitude"].attrs["_FillValue"] = -9999.0
    assert np.isnan(read_frame(file.getvalue()).power_db[30, 3])


@pytest.mark.parametrize("whole_time", [True, False])
@pytest.mark.parametrize("form", ["mat", "nc"])
def test_truncation_and_elevation_correction_are_undone(whole_time: bool, form: str) -> None:
    # 20 samples kept from bin 6 (1-based) on; trace 0 was pushed down by 3 bins, trace 1 by none, the others by 1.
    kept = echoes(20 + 5, 18)[5:]
    correction = np.array([3, 0] + [1] * 16)
    time = START + DT * np.arange(40)
    changes = {
        "Truncate_Bins": np.arange(6, 26.0),
        "Elevation_Correction": correction.astype(float),
        "Bottom": np.full(18, START + 20 * DT),
    }
    time = time if whole_time else time[5:25]
    if form == "mat":
        content = mat5(cresis_variables(kept, Time=time, **changes))
    else:
        content = irsno1b(power_db=kept, fasttime=time * 1e6, **changes)
    frame = read_frame(content)
    assert frame.power_db.shape == (23, 18)
    np.testing.assert_allclose(frame.power_db[0:20, 0], kept[:, 0], atol=1e-4)
    np.testing.assert_allclose(frame.power_db[3:23, 1], kept[:, 1], atol=1e-4)
    np.testing.assert_allclose(frame.power_db[2:22, 2], kept[:, 2], atol=1e-4)
    assert np.isnan(frame.power_db[20:, 0]).all()
    assert np.isnan(frame.power_db[:3, 1]).all()
    assert frame.time_zero_s == pytest.approx(START + 5 * DT - 3 * DT)
    assert frame.surface_twtt_s[:2] == pytest.approx([START + 5 * DT, START + 8 * DT])
    assert frame.bed_twtt_s[2] == pytest.approx(START + 19 * DT)
    assert frame.elevation_m[:2] == pytest.approx([500 - 3 * DT * LIGHT_SPEED_M_S / 2, 500])


def test_impdar_voltage_becomes_power_and_its_pick_the_bed() -> None:
    frame = read_frame(impdar())
    assert frame.power_db.shape == (64, 30)
    assert frame.power_db[31].mean() > frame.power_db[5].mean() + 30
    assert frame.dt_s == pytest.approx(4e-9)
    assert frame.picks.labels == ["bed"]
    assert frame.picks.rows[0].tolist() == [31.0] * 30


def test_several_impdar_picks_are_layers_and_uneven_time_is_resampled() -> None:
    travel_time = 4e-3 * np.concatenate([[0], np.arange(64)[1:] + 0.5])  # the first step is half as long again
    rows = np.array([[31.0] * 30, [40.0] * 30])
    frame = read_frame(impdar(travel_time=travel_time, picks={"samp2": rows}))
    assert frame.picks.labels == ["layer", "layer"]
    assert frame.dt_s == pytest.approx(4e-9)
    np.testing.assert_allclose(frame.picks.rows, rows + 0.5)
    assert any("resampled" in note for note in frame.transforms)


def test_sred_layers_vector_counts_rows_from_one() -> None:
    vectors = np.full((2, 24), np.nan)
    vectors[0], vectors[1, :5] = 9, 21
    frame = read_frame(mat5({"Data": echoes(), "layers_vector": vectors}))
    assert frame.format == "sred-mat"
    assert frame.picks.rows[0, 0] == 8
    assert frame.picks.rows[1, 4] == 20
    assert np.isnan(frame.picks.rows[1, 5])


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(
    ("form", "kind"),
    [*itertools.product(["PNG", "TIFF"], ["8", "16", "rgb", "palette", "alpha"]), ("JPEG", "8"), ("JPEG", "rgb")],
)
def test_pictures_come_out_bright_where_echoes_are_strong(inverted: bool, form: str, kind: str) -> None:
    pixels = grey(inverted)
    image = Image.fromarray(pixels)
    if kind == "16":
        image = Image.fromarray(pixels.astype(np.uint16) * 257)
    elif kind in ("rgb", "alpha"):
        image = image.convert("RGB" if kind == "rgb" else "RGBA")
    elif kind == "palette":
        image = image.convert("P")
    file = io.BytesIO()
    image.save(file, form)
    frame = read_frame(file.getvalue())
    assert frame.polarity == ("dark-strong" if inverted else "bright-strong")
    assert frame.power_db[8].mean() > frame.power_db[30].mean()


def test_polarity_given_with_the_upload_wins() -> None:
    frame = read_frame(picture(grey()), "dark-strong")
    assert frame.polarity == "dark-strong"
    assert frame.power_db[8].mean() < frame.power_db[30].mean()


def test_transparent_pixels_are_no_data() -> None:
    pixels = np.dstack([grey(), np.full_like(grey(), 255)])
    pixels[:4, :, 1] = 0
    frame = read_frame(picture(pixels))
    assert np.isnan(frame.power_db[:4]).all()
    assert np.isfinite(frame.power_db[4:]).all()


@pytest.mark.parametrize("name", ["demo", "antarctica_coast_2009", "greenland_sounder_2012"])
def test_polarity_of_simulated_frames(name: str) -> None:
    from firnline.documents.echogram import to_grey
    from workbench.simulator import campaigns, simulate_frame

    pixels = to_grey(simulate_frame(campaigns[name], 0, 1, traces=128).echogram_db).astype(float)
    assert guess_polarity(pixels)[0] == "bright-strong"
    assert guess_polarity(255 - pixels)[0] == "dark-strong"


def test_content_counts_and_not_the_name_or_the_order_of_variables() -> None:
    variables = dict(reversed(cresis_variables().items())) | {"param": {"cmd": "x"}, "note": "text"}
    assert read_frame(mat5(variables)).format == "cresis-mat-5"


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("compressed", [True, False])
def test_matlab5_reads_what_scipy_reads(dtype: str, compressed: bool) -> None:
    values = (np.arange(30).reshape(5, 6) * 3).astype(dtype)
    content = mat5({"a": values, "abcdefgh": values[:1, :2], "s": {"inner": values.T, "n": 1}}, compressed)
    ours, theirs = Matlab5(content), loadmat(io.BytesIO(content))
    for name in ("a", "abcdefgh"):
        np.testing.assert_array_equal(ours.array(name), theirs[name])
    np.testing.assert_array_equal(ours.array("s.inner"), theirs["s"]["inner"][0, 0])
    assert ours.array("s.absent") is None
    assert ours.array("a.field") is None


# ------------------------------------------------------------------------------------------------ refusals


def _nan(**changes: object) -> bytes:
    return mat5(cresis_variables(Data=np.full((40, 24), np.nan)))


def _mat_bomb() -> bytes:
    """A compressed variable that says it has 40 x 24 values and unpacks to 400 MB."""
    header = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, 40, 24) + struct.pack("<HH4s", 1, 4, b"Data")
    payload = struct.pack("<II", 14, 400_000_000) + header + struct.pack("<II", 9, 399_000_000) + bytes(20_000_000)
    packed = zlib.compress(payload, 9)
    time = mat5({"Time": START + DT * np.arange(40), "Latitude": np.zeros(24)})
    return time + struct.pack("<II", 15, len(packed)) + packed


def _mat_claim() -> bytes:
    header = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, 90_000, 90_000)
    payload = header + struct.pack("<HH4s", 1, 4, b"Data") + struct.pack("<II", 9, 0)
    return (
        mat5({"Time": DT * np.arange(40.0), "Latitude": np.zeros(24)}) + struct.pack("<II", 14, len(payload)) + payload
    )


def _h5(**datasets: dict[str, object]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        for name, options in datasets.items():
            h5.create_dataset(name, **options)
    return file.getvalue()


def _linked() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5["fasttime"], h5["lat"] = np.arange(40.0), np.arange(24.0)
        h5["amplitude"] = h5py.ExternalLink("/etc/passwd", "x")
    return file.getvalue()


def _external() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5["fasttime"], h5["lat"] = np.arange(40.0), np.arange(24.0)
        h5.create_dataset("amplitude", (40, 24), "u1", external=[("/etc/passwd", 0, 960)])
    return file.getvalue()


def _huge_png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def _two_pages() -> bytes:
    file = io.BytesIO()
    page = Image.fromarray(grey())
    page.save(file, "TIFF", save_all=True, append_images=[page])
    return file.getvalue()


_JET = np.zeros((40, 24, 3), np.uint8)
_JET[:20, :, 0], _JET[20:, :, 2] = 255, 255

REFUSALS = {
    "empty": (b"", "is empty"),
    "unknown": (b"hello, this is no radar file" * 20, "neither a PNG"),
    "classic NetCDF": (b"CDF\x01" + bytes(100), "NetCDF-4"),
    "truncated png": (picture(grey())[:200], "damaged"),
    "truncated jpeg": (picture(grey(), "JPEG")[:150], "damaged"),
    "truncated mat": (mat5(cresis_variables())[:2000], "damaged"),
    "truncated nc": (irsno1b()[:4000], "damaged"),
    "all NaN": (_nan(), "not a single valid sample"),
    "no contrast": (picture(np.full((40, 24), 77, np.uint8)), "no contrast"),
    "too small": (picture(grey()[:10]), "at least 16 x 16"),
    "png bomb": (_huge_png(30_000), "Split it"),
    "large png": (_huge_png(10_100), "Split it"),
    "mat bomb": (_mat_bomb(), "damaged"),
    "mat that claims too much": (_mat_claim(), "claims to hold 90000 x 90000"),
    "nc bomb": (
        _h5(
            amplitude={"shape": (90_000, 90_000), "dtype": "f4", "chunks": (1000, 1000), "compression": "gzip"},
            fasttime={"data": np.arange(40.0)},
            lat={"data": np.arange(24.0)},
        ),
        "claims to hold 90000 x 90000",
    ),
    "nc chunk bomb": (
        _h5(
            amplitude={"shape": (40, 24), "dtype": "f4", "chunks": (11_000, 11_000), "maxshape": (None, None)},
            fasttime={"data": np.arange(40.0)},
            lat={"data": np.arange(24.0)},
        ),
        "claims to hold 11000 x 11000",
    ),
    "external link": (_linked(), "only a link"),
    "external storage": (_external(), "in another file"),
    "two pages": (_two_pages(), "several pages"),
    "colour map": (picture(_JET), "colour map"),
    "no echogram": (mat5({"x": np.zeros(3)}), "found are x"),
    "layer file": (mat5({"twtt": np.zeros((2, 3)), "gps_time": np.zeros(3)}), "<frame>.layers.mat"),
    "no Time": (mat5(cresis_variables(Time=None)), "'Time' is missing"),
    "no fasttime": (irsno1b(fasttime=None), "'fasttime' is missing"),
    "no lat": (irsno1b(lat=None), "'lat' is missing"),
    "no traces": (mat5(cresis_variables(GPS_time=None, Latitude=None)), "'GPS_time' is missing"),
    "wrong Time": (mat5(cresis_variables(Time=DT * np.arange(39.0))), "'Data' is 40 x 24"),
    "wrong per-trace length": (mat5(cresis_variables(Elevation=np.zeros((1, 23)))), "elevation has 23 values"),
    "Time a table": (mat5(cresis_variables(Time=np.zeros((40, 2)))), "one row or one column"),
    "time runs backwards": (mat5(cresis_variables(Time=np.arange(40.0)[::-1])), "does not grow"),
    "time with NaN": (mat5(cresis_variables(Time=np.full(40, np.nan))), "missing values"),
    "complex": (mat5(cresis_variables(Data=echoes() * 1j)), "plain real numbers"),
    "text": (mat5(cresis_variables(Data="echogram")), "plain real numbers"),
    "cell": (mat5(cresis_variables(Data=np.array([[1, "x"]], dtype=object))), "plain real numbers"),
    "three axes": (mat5(cresis_variables(Data=np.zeros((4, 5, 6)))), "3 axes"),
    "bad bins": (mat5(cresis_variables(Truncate_Bins=np.arange(40.0))), "Truncate_Bins"),
    "bins beyond the end": (
        mat5(cresis_variables(Truncate_Bins=np.arange(90.0, 130), Time=START + DT * np.arange(50))),
        "beyond the end",
    ),
    "bad correction": (
        mat5(cresis_variables(Truncate_Bins=np.arange(1.0, 41), Elevation_Correction=np.zeros(3))),
        "Elevation_Correction",
    ),
    "huge correction": (
        mat5(cresis_variables(Truncate_Bins=np.arange(1.0, 41), Elevation_Correction=np.full(24, 1e9))),
        "Split it",
    ),
    "sred of other traces": (mat5({"Data": echoes(), "layers_vector": np.zeros((2, 7))}), "layers_vector"),
}


@pytest.mark.parametrize(("content", "words"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_read_is_refused_in_a_sentence(content: bytes, words: str) -> None:
    with pytest.raises(Refused) as refused:
        read_frame(content)
    sentence = str(refused.value)
    assert words in sentence, sentence
    assert sentence[0].isupper() or sentence[0] == "'"
    assert sentence.endswith(".")


def test_a_bomb_is_never_unpacked() -> None:
    bomb = REFUSALS["mat bomb"][0]
    tracemalloc.start()
    with pytest.raises(Refused):
        read_frame(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


_WHOLE = [
    mat5(cresis_variables()),
    mat5(cresis_variables(), False),
    mat73(cresis_variables()),
    irsno1b(scales=True),
    impdar(),
    picture(grey()),
    picture(grey(), "JPEG"),
    picture(grey(), "TIFF"),
]


def _read_or_refuse(content: bytes) -> None:
    with contextlib.suppress(Refused):
        read_frame(content)


@given(st.sampled_from([b"", *(whole[:132] for whole in _WHOLE)]), st.binary(max_size=600))
def test_random_bytes_raise_nothing_but_refused(start: bytes, rest: bytes) -> None:
    _read_or_refuse(start + rest)


@settings(max_examples=300)
@given(st.sampled_from(_WHOLE), st.data())
def test_damaged_files_raise_nothing_but_refused(whole: bytes, data: st.DataObject) -> None:
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    _read_or_refuse(bytes(content[: data.draw(st.integers(1, len(content)))]))
    _read_or_refuse(bytes(content))
