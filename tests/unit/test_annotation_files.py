"""Annotations as the field keeps them: layer files, organisers, tables of spreadsheets, masks of editors."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from firnline.documents.frame import FrameDocument
from firnline.documents.layer_lines import fitting
from firnline.documents.layers import LayersDocument
from firnline.documents.upload_key import organiser_beside, parse_upload_key
from firnline.errors import Refused, legible
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_DOCUMENT_VERTICES, MAX_SENTENCE_CHARACTERS, MAX_VERTICES
from firnline.radar.annotations import Geometry, document_of, read_annotation, read_picks
from firnline.radar.formats import read_frame
from firnline.radar.layer_files import read_organiser
from firnline.radar.radar_frame import Picks
from tests.support.ingest_files import cell, mat5, mat73, picture

UPLOADED = datetime(2026, 11, 22, tzinfo=UTC)
TRACES, SAMPLES = 60, 200
GPS = 1_333_065_915.0
CLOCKED = Geometry(TRACES, SAMPLES, GPS + np.arange(TRACES), dt_s=2e-9, time_zero_s=1e-6)
SURFACE, LAYER, BED = 30.0, 90.0, 160.0


def twtt(*rows: float, points: int = TRACES) -> np.ndarray:
    return 1e-6 + 2e-9 * np.repeat(np.array(rows)[:, None], points, axis=1)


def layer_file(ids: list[int], *rows: float, form=mat5, **changes: Any) -> bytes:
    variables = {"gps_time": GPS + np.arange(TRACES)[None], "id": np.array([ids], np.uint8), "twtt": twtt(*rows)}
    return form(variables | changes)


def organiser(**names: str) -> bytes:
    """`layer_<segment>.mat`; keywords `_5="surface"` name ids."""
    ids = [int(key.removeprefix("_")) for key in names]
    return mat5(
        {"lyr_id": np.array([ids], np.uint8), "lyr_name": cell(*names.values()), "file_type": "layer_organizer"}
    )


def labels_by_row(picks: Picks) -> dict[float, str]:
    return {float(np.nanmean(row).round()): label for label, row in zip(picks.labels, picks.rows, strict=True)}


@pytest.mark.parametrize(
    ("ids", "rows", "expected"),
    [
        ([1, 2], [SURFACE, BED], ["surface", "bed"]),
        ([1, 2], [BED, SURFACE], ["bed", "surface"]),
        ([2, 1], [SURFACE, BED], ["surface", "bed"]),
        ([1, 2, 3], [BED, SURFACE, LAYER], ["bed", "surface", "layer"]),
        ([3, 1, 2], [SURFACE, LAYER, BED], ["surface", "layer", "bed"]),
        ([2, 3, 1], [LAYER, BED, SURFACE], ["layer", "layer", "surface"]),
        ([5, 9], [SURFACE, BED], ["layer", "layer"]),
    ],
)
def test_the_uppermost_line_is_the_surface_whatever_its_id(ids, rows, expected) -> None:
    assert read_picks(layer_file(ids, *rows), ".layers.mat", CLOCKED).labels == expected


def test_an_organiser_names_the_layers_of_the_file_beside_it() -> None:
    content = layer_file([5, 1, 7], SURFACE, LAYER, BED)
    picks = read_picks(content, ".layers.mat", CLOCKED, organiser(_1="L1", _5="surface", _7="bottom"))
    assert picks.labels == ["surface", "layer", "bed"]
    picks = read_picks(content, ".layers.mat", CLOCKED, organiser(_1="L1", _5="bottom", _7="Surface"))
    assert picks.labels == ["surface", "layer", "bed"]  # of the two, the upper one is the surface
    with pytest.raises(Refused, match="organiser beside it cannot be used"):
        read_picks(content, ".layers.mat", CLOCKED, mat5({"lyr_id": np.array([[1, 2]])}))
    with pytest.raises(Refused, match="organiser beside it is damaged"):
        read_picks(content, ".layers.mat", CLOCKED, content[:300])
    with pytest.raises(Refused, match="is an organiser"):
        read_picks(organiser(_1="surface"), ".layers.mat", CLOCKED)


def test_which_file_is_the_organiser() -> None:
    assert parse_upload_key("c/20181030_01/layer_20181030_01.mat").is_organiser
    assert parse_upload_key("c/ross/layer_ross.mat").is_organiser
    assert not parse_upload_key("c/ross/layer_cake.mat").is_organiser
    assert not parse_upload_key("c/ross/layer_ross.layers.mat").is_organiser
    beside = ["layer_20181030_01.mat", "layer_20181030_02.mat", "layer_s.mat", "layer_cake.mat"]
    assert organiser_beside("Data_20181030_02_001", "s", beside) == "layer_20181030_02.mat"
    assert organiser_beside("frame7", "s", beside) == "layer_s.mat"
    assert organiser_beside("frame7", "t", beside[:1]) == "layer_20181030_01.mat"
    assert organiser_beside("frame7", "t", beside[:2]) is None


@pytest.mark.parametrize("form", [mat5, mat73])
def test_times_that_repeat_or_are_missing_or_out_of_order_cost_their_points_only(form) -> None:
    times = GPS + np.arange(TRACES, dtype=float)
    times[20] = times[19]
    times[30] = np.nan
    times[[40, 41]] = times[[41, 40]]
    picks = read_picks(layer_file([1, 2], SURFACE, BED, form=form, gps_time=times[None]), ".layers.mat", CLOCKED)
    assert picks.labels == ["surface", "bed"]
    np.testing.assert_allclose(picks.rows, [[SURFACE] * TRACES, [BED] * TRACES], atol=1e-3)
    with pytest.raises(Refused, match="fewer than two different times"):
        read_picks(layer_file([1], BED, form=form, gps_time=np.full((1, TRACES), GPS)), ".layers.mat", CLOCKED)


def test_a_line_does_not_go_straight_over_a_long_hole_of_its_points() -> None:
    kept = np.r_[0:15, 45:TRACES]
    content = layer_file([1], SURFACE, gps_time=(GPS + kept)[None], twtt=twtt(SURFACE, points=30))
    rows = read_picks(content, ".layers.mat", CLOCKED).rows
    assert np.flatnonzero(np.isfinite(rows[0])).tolist() == kept.tolist()


def older_file(
    values: list[tuple[np.ndarray, np.ndarray]], names: list[str] | None = None, as_array: bool = False
) -> dict:
    layers = []
    for number, (manual, auto) in enumerate(values):
        parts = [{"data": manual[None]}, {"data": auto[None]}]
        value: Any = cell(*parts)
        if as_array:
            value = np.array([tuple(part.values()) for part in parts], dtype=[("data", object)])[None]
        layers.append({"value": value, "quality": np.ones((1, TRACES))} | ({"name": names[number]} if names else {}))
    return {"GPS_time": GPS + np.arange(TRACES)[None], "layerData": cell(*layers)}


@pytest.mark.parametrize("as_array", [False, True])
@pytest.mark.parametrize("names", [None, ["surface", "bottom"], ["bottom", "surface"]])
def test_the_older_form_holds_what_was_picked_by_hand_and_what_was_traced(names, as_array) -> None:
    nothing = np.full(TRACES, np.nan)
    by_hand = np.where(np.arange(TRACES) < 10, twtt(SURFACE + 1)[0], np.nan)
    content = mat5(older_file([(by_hand, twtt(SURFACE)[0]), (twtt(BED)[0], nothing)], names, as_array))
    picks = read_picks(content, ".layers.mat", CLOCKED)
    assert picks.labels == ["surface", "bed"]
    np.testing.assert_allclose(picks.rows[0], np.where(np.arange(TRACES) < 10, SURFACE + 1, SURFACE), atol=1e-3)
    np.testing.assert_allclose(picks.rows[1], BED, atol=1e-3)


def test_the_older_form_in_a_file_of_version_7_3() -> None:
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as h5:
        h5["GPS_time"] = (GPS + np.arange(TRACES))[:, None]
        stored = h5.create_group("#refs#")
        layers = h5.create_dataset("layerData", (2, 1), dtype=h5py.ref_dtype)
        for number, (row, name) in enumerate([(SURFACE, "surface"), (BED, "bottom")]):
            layer = stored.create_group(f"layer{number}")
            layer["name"] = np.array([[ord(letter)] for letter in name], np.uint16)
            layer["name"].attrs["MATLAB_class"] = np.bytes_("char")
            value = layer.create_dataset("value", (2, 1), dtype=h5py.ref_dtype)
            for place, values in enumerate([np.full(TRACES, np.nan), twtt(row)[0]]):
                part = stored.create_group(f"value{number}{place}")
                part["data"] = values[:, None]
                value[place, 0] = part.ref
            layers[number, 0] = layer.ref
        layers.attrs["MATLAB_class"] = np.bytes_("cell")
    content = bytearray(file.getvalue())
    content[:128] = b"MATLAB 7.3 MAT-file, test".ljust(124) + b"\x00\x02IM"
    assert labels_by_row(read_picks(bytes(content), ".layers.mat", CLOCKED)) == {SURFACE: "surface", BED: "bed"}


HOSTILE_FILES = {
    "values claimed": (mat5({"gps_time": np.zeros((1, 9_500_000)), "id": 1, "twtt": np.zeros(2)}), "claims to hold"),
    "layers without points": (
        mat5({"GPS_time": np.arange(9.0)[None], "layerData": cell({"value": 3.0})}),
        "none of its",
    ),
    "points that do not belong": (mat5(older_file([(np.zeros(3), np.zeros(3))])), "has 3 points"),
    "no layers": (mat5({"GPS_time": np.arange(9.0)[None], "layerData": 3.0}), "no list of"),
    "layers of numbers": (mat5({"GPS_time": np.arange(9.0)[None], "layerData": cell(1.0, 2.0)}), "no struct"),
    "many parts": (mat5({"layerData": cell(*[0.0] * 60_000), "GPS_time": np.arange(3.0)}), "too many parts"),
    "names for times": (mat5({"gps_time": "noon", "id": 1, "twtt": 2.0}), "'gps_time' is missing"),
}


@pytest.mark.parametrize(("content", "words"), HOSTILE_FILES.values(), ids=HOSTILE_FILES)
def test_hostile_layer_files_are_refused_in_a_sentence(content: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        read_picks(content, ".layers.mat", CLOCKED)
    assert str(refused.value).startswith("The annotation *.layers.mat")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", ["", "sep=;\r\n", "# picked by hand\r\n"])
def test_a_spreadsheet_with_semicolons_and_decimal_commas(encoding: str, head: str) -> None:
    lines = ["col;surface_row;Bed_row", *(f"{x};30,{x:02d};{'NA' if x == 7 else '160,5'}" for x in range(20))]
    picks = read_picks((head + "\r\n".join(lines)).encode(encoding), ".layers.csv", CLOCKED)
    assert picks.labels == ["surface", "bed"]
    np.testing.assert_allclose(picks.rows[0, :20], 30 + np.arange(20) / 100)
    assert np.flatnonzero(np.isnan(picks.rows[1, :20])).tolist() == [7]
    assert np.nanmax(picks.rows[1]) == 160.5


def test_tabs_and_quoted_decimal_commas() -> None:
    assert read_picks(b"surface_row\tbed_row\n1,5\t-9999\n2\t7", ".layers.csv", CLOCKED).rows[:, 0].tolist()[0] == 1.5
    assert read_picks(b'surface_row,bed_row\n"1,5",3\n2,7', ".layers.csv", CLOCKED).rows[:, 0].tolist() == [1.5, 3]


def test_a_line_without_a_pick_counts_as_a_trace() -> None:
    rows = read_picks(b"surface_row,bed_row\n1,9\n,\n3,9\n\n4,9\n,\n", ".layers.csv", CLOCKED).rows
    np.testing.assert_array_equal(rows[0, :5], [1, np.nan, 3, 4, np.nan])


def lines_drawn(thickness: int = 1) -> tuple[np.ndarray, list[np.ndarray]]:
    """A mask of 240 x 160 with four lines, and their rows."""
    x = np.arange(160)
    rows = [at + 6 * np.sin(x / 20 + at) for at in (30, 80, 120, 200)]
    mask = np.zeros((240, 160), np.uint8)
    for row in rows:
        for trace, y in enumerate(np.rint(row).astype(int)):
            mask[y - thickness // 2 : y - thickness // 2 + thickness, trace] = 255
    return mask, rows


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def through_jpeg(mask: np.ndarray, quality: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(saved(Image.fromarray(mask), "JPEG", quality=quality))))


def instances(mask: np.ndarray) -> np.ndarray:
    """Each line in a grey of its own, the first one hardly brighter than black."""
    numbered = mask.copy()
    for number, (top, bottom) in enumerate([(0, 55), (55, 100), (100, 160), (160, 240)], start=1):
        numbered[top:bottom][mask[top:bottom] > 0] = number
    return numbered


MASKS = {
    "as drawn": lambda mask: saved(Image.fromarray(mask)),
    "dark on white": lambda mask: saved(Image.fromarray(255 - mask)),
    "grey on grey": lambda mask: saved(Image.fromarray(np.where(mask > 0, 90, 140).astype(np.uint8))),
    "numbered": lambda mask: saved(Image.fromarray(instances(mask))),
    "black on transparent": lambda mask: saved(Image.fromarray(np.dstack([mask * 0] * 3 + [mask]))),
    "white, opaque": lambda mask: saved(Image.fromarray(np.dstack([mask] * 3 + [mask * 0 + 255]))),
    "coloured": lambda mask: saved(Image.fromarray(np.dstack([mask, mask // 3, mask * 0]))),
    "smoothed": lambda mask: saved(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(0.6))),
    "jpeg, as it is": lambda mask: saved(Image.fromarray(mask), "JPEG", quality=75),
    **{f"through jpeg {q}": lambda mask, q=q: saved(Image.fromarray(through_jpeg(mask, q))) for q in (95, 75, 50, 30)},
    "dark on white through jpeg": lambda mask: saved(Image.fromarray(through_jpeg(255 - mask, 70))),
}


@pytest.mark.parametrize("thickness", [1, 2, 3])
@pytest.mark.parametrize("form", MASKS)
def test_masks_of_editors_hold_their_four_lines(form: str, thickness: int) -> None:
    mask, rows = lines_drawn(thickness)
    picks = read_picks(MASKS[form](mask), ".layers.png", Geometry(160, 240))
    assert len(picks.labels) == 4
    found = picks.rows[np.argsort(np.nanmean(picks.rows, axis=1))]
    assert np.isfinite(found).mean() > 0.95
    assert np.nanmax(np.abs(found - np.array(rows))) <= 1.5


def test_a_mask_of_noise_is_refused_and_never_scraps() -> None:
    rng = np.random.default_rng(4)
    for noise in (rng.random((240, 160)) < 0.02, rng.random((240, 160)) < 0.1):
        with pytest.raises(Refused, match="as if it were noise"):
            read_picks(picture(noise.astype(np.uint8) * 255), ".layers.png", Geometry(160, 240))


def frame(width: int, height: int) -> FrameDocument:
    return FrameDocument.of_whole_file(
        width, height, frame_id="c/s/f", revision="0" * 12, format="png", polarity="bright-strong",
        source_bucket="frames", source_key="c/s/f.png", checksum_sha256="0", created=UPLOADED, transforms=[],
    )  # fmt: skip


def test_an_annotation_of_80_layers_and_4000_traces_is_small_enough_for_all_who_read_it() -> None:
    rng = np.random.default_rng(7)
    rows = 500 + 20 * np.arange(80)[:, None] + rng.uniform(-0.4, 0.4, (80, 4000))
    document = document_of(Picks(["layer"] * 80, rows), frame(4000, 2500), UPLOADED)
    assert len(document.layers) == 80
    assert len(document.to_json()) <= MAX_DOCUMENT_BYTES
    assert np.abs(document.rows() - rows).max() < 0.5


def test_a_line_of_more_vertices_than_one_may_have_keeps_its_course() -> None:
    x = np.arange(60_000)
    rows = 200 + 50 * np.sin(x / 90)[None]
    document = document_of(Picks(["layer"], rows), frame(60_000, 400), UPLOADED)
    assert len(document.layers[0].vertices) <= MAX_VERTICES
    assert np.abs(document.rows() - rows).max() < 0.05
    assert LayersDocument.model_validate_json(document.to_json()) == document


@given(
    st.lists(st.tuples(st.integers(2, 400), st.floats(0, 3), st.integers(0, 2**32 - 1)), min_size=1, max_size=5),
    st.integers(40, 400),
)
def test_fitting_lines_stay_within_their_tolerance(lines, together) -> None:
    drawn = []
    for count, roughness, seed in lines:
        rng = np.random.default_rng(seed)
        steps = np.cumsum(rng.uniform(0.1, 2, count))
        drawn.append(np.column_stack([steps, np.cumsum(rng.normal(0, roughness, count))]))
    try:
        fitted = fitting(drawn, each=together, together=together)
    except Refused as refusal:
        assert "too rough" in str(refusal)  # noqa: PT017 - either may be
        return
    assert sum(map(len, fitted)) <= together
    for line, given_line in zip(fitted, drawn, strict=True):
        assert {tuple(vertex) for vertex in line} <= {tuple(vertex) for vertex in given_line}
        assert (line[[0, -1]] == given_line[[0, -1]]).all()
        assert np.abs(np.interp(given_line[:, 0], *line.T) - given_line[:, 1]).max() <= 1.5


def test_a_thousand_lines_are_put_in_order_and_contradictions_leave_them() -> None:
    rng = np.random.default_rng(2)
    rows = np.repeat(np.arange(1000.0)[:, None] * 2, 500, axis=1)
    strays = rng.choice(500, 20, replace=False)
    rows[400, strays] = 1990.0  # far below its place, across 594 others
    shuffled = rng.permutation(1000)
    document = document_of(Picks(["layer"] * 1000, rows[shuffled]), frame(500, 2100), UPLOADED)
    assert [layer.vertices[0].y for layer in document.layers] == sorted(rows[:, 0])
    assert np.ptp(document.rows(), axis=1).max() == 0
    assert sum(len(layer.vertices) for layer in document.layers) < MAX_DOCUMENT_VERTICES


def test_sentences_are_lines_of_a_bounded_length() -> None:
    assert str(Refused("a\nb\x00c\x1b[31m\u2028\u202e d \ud800")) == "a b c [31m d \ufffd"
    cut = legible("begin " + "x" * 10_000_000 + " end.")
    assert len(cut) <= MAX_SENTENCE_CHARACTERS
    assert cut.startswith("begin x")
    assert cut.endswith("x end.")


EXPECTED = {
    "a02_ids_swapped.layers.mat": [("surface", 30.1), ("bed", 158.9)],
    "a04_duplicate_gps.layers.mat": [("surface", 30.1), ("layer", 69.6), ("bed", 158.9)],
    "a06_layerData.layers.mat": [("surface", 30.2), ("bed", 158.8)],
    "a08_semicolon.layers.csv": [("surface", 30.2), ("bed", 158.8)],
    "a12_mask_jpegged.layers.png": [("layer", 30.2), ("layer", 69.6), ("layer", 110), ("layer", 158.8)],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_files_of_the_field(field_data: Path, name: str) -> None:
    radar = read_frame((field_data / "ann_frame.mat").read_bytes())
    assert radar.gps_time_s is not None
    clocked = frame(120, 200).model_copy(
        update={"gps_time_s": radar.gps_time_s.tolist(), "dt_s": radar.dt_s, "time_zero_s": radar.time_zero_s}
    )
    suffix = ".layers." + name.rpartition(".")[2]
    document = read_annotation((field_data / name).read_bytes(), suffix, clocked, UPLOADED)
    rows = np.nanmean(document.rows(), axis=1)
    assert [layer.label for layer in document.layers] == [label for label, _ in EXPECTED[name]]
    np.testing.assert_allclose(rows, [row for _, row in EXPECTED[name]], atol=0.2)
    assert np.isfinite(document.rows()).mean() > 0.95


def test_a_real_layer_file_and_its_organiser(real_data: Path) -> None:
    layers = (real_data / "opr" / "opr_layers_Data_20181030_01_001.mat").read_bytes()
    names = (real_data / "opr" / "opr_layer_20181030_01.mat").read_bytes()
    assert read_organiser(names) == {1: "surface", 2: "bottom", 3: "test", 4: "test1"}
    times = np.linspace(1540923790, 1540924120, 500)
    for beside in (None, names):
        picks = read_picks(layers, ".layers.mat", Geometry(500, 4000, times, 1e-8, 0.0), beside)
        assert picks.labels == ["surface", "bed", "layer", "layer"]
        assert np.isfinite(picks.rows).mean(axis=1).round(1).tolist() == [1.0, 1.0, 0.0, 0.0]
        assert np.nanmean(picks.rows[1]) > 2000 > 1000 > np.nanmean(picks.rows[0])
