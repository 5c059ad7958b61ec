"""`firnline inspect` says of a file what ingest makes of it, to people and to programs."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, now
from tests.support.ingest_files import DT, START, TRACES, cresis_variables, grey, impdar, irsno1b, mat5, picture
from workbench import cli, inspection, inspection_pictures
from workbench.simulator.figures import Figure, write_figure
from workbench.simulator.frame import simulate_frame
from workbench.simulator.grid import Genuine
from workbench.simulator.variety import campaign_named

KEYS = [
    "file", "outcome", "sentence", "format", "traces", "samples", "polarity", "dt_s", "time_zero_s", "gps_time_first_s",
    "gps_time_last_s", "latitude_min", "latitude_max", "longitude_min", "longitude_max", "positions_unknown",
    "missing_samples", "notes", "framing", "layers",
]  # fmt: skip
FRAMING = ["first_sample", "samples_per_row", "first_trace", "traces_per_column", "rows", "columns"]
LAYER = ["label", "traces", "first_trace", "last_trace", "mean_sample"]
FIELD = Path(__file__).resolve().parents[3] / "shared" / "data" / "field"


def run(*arguments: Path | str) -> tuple[int, str, str]:
    ran = CliRunner().invoke(cli.app, ["inspect", *map(str, arguments)], env={"COLUMNS": "200"})
    return ran.exit_code, ran.stdout, ran.stderr


def records(*arguments: Path | str) -> tuple[int, list[dict[str, Any]]]:
    code, out, _ = run(*arguments, "--json")

    def no_number(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    return code, [json.loads(line, parse_constant=no_number) for line in out.splitlines()]


def record(*arguments: Path | str) -> dict[str, Any]:
    code, (told,) = records(*arguments)
    assert code == (told["outcome"] == "refused")
    assert list(told) == KEYS
    return told


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_record_says_what_the_file_says(tmp_path: Path) -> None:
    file = saved(tmp_path / "f.nc", irsno1b())
    told = record(file)
    assert (told["file"], told["outcome"], told["sentence"]) == (str(file), "accepted", None)
    assert (told["format"], told["traces"], told["samples"]) == ("irsno1b-nc", 24, 40)
    assert told["dt_s"] == pytest.approx(DT)
    assert told["time_zero_s"] == pytest.approx(START)
    assert told["gps_time_last_s"] - told["gps_time_first_s"] == pytest.approx(2.3)
    assert (told["latitude_min"], told["latitude_max"]) == (70, 71)
    assert (told["longitude_min"], told["longitude_max"]) == (-41, -40)
    assert (told["positions_unknown"], told["missing_samples"], told["layers"]) == (False, 0, [])
    assert told["framing"] == dict(zip(FRAMING, (0, 1, 0, 1, 40, 24), strict=True))
    assert "axes swapped to fast time x traces" in told["notes"]


def test_what_a_picture_does_not_tell_is_null(tmp_path: Path) -> None:
    told = record(saved(tmp_path / "f.png", picture(grey())))
    unknown = [name for name, value in told.items() if value is None]
    assert unknown == ["sentence", *KEYS[KEYS.index("dt_s") : KEYS.index("positions_unknown")]]
    assert told["polarity"] == "bright-strong"


def test_the_polarity_given_is_taken(tmp_path: Path) -> None:
    file = saved(tmp_path / "f.png", picture(grey()))
    assert record(file, "--polarity", "dark-strong")["polarity"] == "dark-strong"
    numbers = record(saved(tmp_path / "f.nc", irsno1b()), "--polarity", "dark-strong")
    assert numbers["polarity"] == "bright-strong"
    assert "makes no difference" in numbers["notes"][-1]


def test_framing_counts_the_margins_of_a_figure(tmp_path: Path) -> None:
    """`first + (pixel + 0.5) * each - 0.5` is the file's own column and row."""
    simulation = simulate_frame(campaign_named("demo"), 0, 0, traces=128, genuine=Genuine(2, 900))
    file = write_figure(simulation, tmp_path / "f.png", Figure("dark-strong", 1.0, (60, 40, 20, 50), axes=True))
    told = inspection.inspect(file)
    assert told.document is not None
    framing = told.told.framing
    assert framing is not None
    assert framing.samples_per_row > 1
    assert 50 < framing.first_trace < 70
    column, row = 7, 11
    trace, sample = told.document.in_file(column, row)
    assert framing.first_sample + (row + 0.5) * framing.samples_per_row - 0.5 == pytest.approx(float(sample))
    assert framing.first_trace + (column + 0.5) * framing.traces_per_column - 0.5 == pytest.approx(float(trace))


def test_picks_inside_the_file_are_its_layers(tmp_path: Path) -> None:
    told = record(saved(tmp_path / "f.mat", impdar()))
    assert [list(layer) for layer in told["layers"]] == [LAYER]
    (layer,) = told["layers"]
    assert (layer["traces"], layer["first_trace"], layer["last_trace"]) == (30, 0, 29)
    assert layer["mean_sample"] == pytest.approx(30, abs=1)


def layer_file(**changes: Any) -> bytes:
    gps = cresis_variables()["GPS_time"]
    twtt = START + DT * np.array([[20.0], [8.0], [np.nan]]) * np.ones((3, TRACES))
    twtt[0, :5] = np.nan
    return mat5({"gps_time": gps, "twtt": twtt, "id": np.array([[3], [1], [7]])} | changes)


def test_an_annotation_is_read_with_its_frame_in_the_files_own_samples(tmp_path: Path) -> None:
    frame = saved(tmp_path / "f.mat", mat5(cresis_variables()))
    told = record(frame, "--with", saved(tmp_path / "f.layers.mat", layer_file()))
    assert [
        (layer["label"], layer["traces"], layer["first_trace"], layer["last_trace"]) for layer in told["layers"]
    ] == [
        ("surface", 24, 0, 23),
        ("layer", 19, 5, 23),
    ]
    assert [layer["mean_sample"] for layer in told["layers"]] == pytest.approx([8, 20])
    assert not any("counts under the name" in note for note in told["notes"])
    assert record(frame)["layers"] == []  # what lies beside the file is not asked for


def test_the_organiser_beside_the_layer_file_names_its_layers(tmp_path: Path) -> None:
    frame = saved(tmp_path / "f.mat", mat5(cresis_variables()))
    layers = saved(tmp_path / "Data_20120330_04_001.mat", layer_file())
    names = np.empty((1, 2), dtype=object)
    names[0, 0], names[0, 1] = "bottom", "surface"
    saved(tmp_path / "layer_20120330_04.mat", mat5({"lyr_id": np.array([[3, 1]]), "lyr_name": names}))
    told = record(frame, "--with", layers)
    assert [layer["label"] for layer in told["layers"]] == ["surface", "bed"]
    assert "the layers are named by layer_20120330_04.mat beside the layer file" in told["notes"]
    assert any("counts under the name f.layers.mat" in note for note in told["notes"])


def test_an_annotation_that_is_refused_refuses_and_the_frame_is_still_told(tmp_path: Path) -> None:
    frame = saved(tmp_path / "f.mat", mat5(cresis_variables()))
    told = record(frame, "--with", saved(tmp_path / "f.layers.csv", b"surface_row\nx\n"))
    assert told["outcome"] == "refused"
    assert told["sentence"].startswith("The annotation *.layers.csv was not taken:")
    assert (told["traces"], told["layers"]) == (24, [])
    for name in ("f.layers.txt", "missing.layers.csv"):
        assert record(frame, "--with", tmp_path / name)["outcome"] == "refused"


@pytest.mark.parametrize("framed", [False, True], ids=["on the file", "on the picture"])
def test_a_layers_document_of_any_campaign_and_on_either_grid(tmp_path: Path, framed: bool) -> None:
    """Given a file of 72 columns, three for each trace, then a line on its 24 columns is 72 traces long."""
    pixels = np.repeat(np.repeat(grey(), 3, axis=1), 2, axis=0)
    frame = saved(tmp_path / "f.png", picture(pixels))
    told = inspection.inspect(frame).document
    assert told is not None
    assert told.width < told.file_traces
    width, height = (told.width, told.height) if framed else (72, 80)
    row = float(told.on_picture(0, 16)[1]) if framed else 16.0
    drawn = LayersDocument(
        frame_id="greenland/20120330_04/f",
        image=ImageSize(width=width, height=height),
        coverage="partial",
        source=Source(kind="human", created=now()),
        layers=[Layer(label="surface", vertices=[Vertex(x=0, y=row), Vertex(x=width - 1, y=row)])],
    )
    found = record(frame, "--with", saved(tmp_path / "f.layers.json", drawn.to_json()))
    assert found["sentence"] is None
    assert found["layers"] == [dict(zip(LAYER, ("surface", 72, 0, 71, pytest.approx(16)), strict=True))]
    other = drawn.model_copy(update={"frame_id": "greenland/20120330_04/g"})
    told_of_other = record(frame, "--with", saved(tmp_path / "f.layers.json", other.to_json()))
    assert "belongs to the frame 'greenland/20120330_04/g'" in told_of_other["sentence"]


def test_each_file_has_its_line_and_one_refusal_is_exit_code_1(tmp_path: Path) -> None:
    good = saved(tmp_path / "f.nc", irsno1b())
    os.mkfifo(tmp_path / "pipe.png")
    given = {
        good: None,
        saved(tmp_path / "broken.nc", irsno1b()[:2000]): "damaged",
        tmp_path / "none.nc": "There is no file",
        tmp_path: "is a folder",
        tmp_path / "pipe.png": "device or a pipe",
        saved(tmp_path / "f.layers.csv", b"surface_row\n1\n"): "with --with",
        saved(tmp_path / "layer_20120330_04.mat", b"x"): "beside the layer file",
        saved(tmp_path / "raw.DZT", b"x"): "impdar load gssi",
        saved(tmp_path / "note.txt", b"x"): "of no kind that Firnline reads",
        saved(tmp_path / "empty.png", b""): "is empty",
    }
    code, told = records(*given)
    assert code == 1
    assert [one["file"] for one in told] == [str(file) for file in given]
    for one, words in zip(told, given.values(), strict=True):
        assert one["outcome"] == ("refused" if words else "accepted")
        assert (words or "") in (one["sentence"] or "")
    assert {name for name, value in told[1].items() if value} == {"file", "outcome", "sentence"}
    assert records(good)[0] == 0


def test_too_large_a_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(tmp_path / "f.nc", irsno1b())
    monkeypatch.setattr(inspection, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    assert "at most 0 MB can be read" in record(file)["sentence"]


@pytest.mark.parametrize("reader", ["read_frame", "read_picks"])
def test_a_reading_that_stands_still_is_told_as_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    def hang(*_: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(inspection, reader, hang)
    frame = saved(tmp_path / "f.mat", mat5(cresis_variables()))
    told = record(frame, "--with", saved(tmp_path / "f.layers.mat", layer_file()))
    assert "no fault of the file" in told["sentence"]


def test_a_name_that_is_no_text_is_told_all_the_same(tmp_path: Path) -> None:
    file = saved(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.nc")), irsno1b())
    assert record(file)["file"].endswith("\N{REPLACEMENT CHARACTER}.nc")


def test_one_annotation_for_several_frames_is_refused(tmp_path: Path) -> None:
    first, second = (saved(tmp_path / name, irsno1b()) for name in ("a.nc", "b.nc"))
    code, out, error = run(first, second, "--with", tmp_path / "a.layers.csv", "--json")
    assert (code, out) == (2, "")
    assert "inspect them one by one" in " ".join(error.replace("│", " ").split())


def test_a_person_is_told_what_was_decided_and_what_to_do(tmp_path: Path) -> None:
    frame = saved(tmp_path / "f.mat", mat5(cresis_variables()))
    code, out, _ = run(frame, "--with", saved(tmp_path / "f.layers.mat", layer_file()))
    assert code == 0
    for words in (
        "accepted",
        "cresis-mat-5, 24 traces x 40 samples",
        "2 ns a sample",
        "latitude 70.0000 to 71.0000",
        "bright-strong, since its numbers are echo power",
        "24 columns x 40 rows",
        "surface",
        "--picture DIR",
    ):
        assert words in out
    assert (
        "Polarity dark-strong, as given"
        in run(saved(tmp_path / "f.png", picture(grey())), "--polarity", "dark-strong")[1]
    )


def test_the_picture_is_what_the_network_sees_with_the_annotation_over_it(tmp_path: Path) -> None:
    frame = saved(tmp_path / "f.mat", mat5(cresis_variables()))
    out = tmp_path / "pictures"
    assert record(frame, "--picture", out)["outcome"] == "accepted"
    with Image.open(out / "f.picture.png") as image:
        assert (image.size, image.mode) == ((24, 40), "L")
    layers = saved(tmp_path / "f.layers.mat", layer_file())
    record(frame, "--picture", out, "--with", layers)  # Firnline's own picture may be replaced
    with Image.open(out / "f.picture.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    coloured = np.ptp(pixels, axis=-1) > 50
    assert coloured[8].all()
    assert not coloured[30].any()


def test_no_file_of_the_users_is_replaced(tmp_path: Path) -> None:
    frame = saved(tmp_path / "f.mat", mat5(cresis_variables()))
    theirs = saved(tmp_path / "f.picture.png", picture(grey()))
    code, out, error = run(frame, "--picture", tmp_path, "--json")
    assert (code, out) == (1, "")
    assert f"{theirs} exists and is none of Firnline's pictures" in error
    assert theirs.read_bytes() == picture(grey())
    other = saved(tmp_path / "f.nc", irsno1b())
    assert "would both be" in run(frame, other, "--picture", tmp_path / "new")[2]
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "f.picture.png").symlink_to(tmp_path / "elsewhere.png")
    assert run(frame, "--picture", tmp_path / "links")[0] == 1
    with pytest.raises(inspection_pictures.InTheWay, match="cannot be made"):
        inspection_pictures.places([frame], frame / "below")


@pytest.mark.skipif(not FIELD.is_dir(), reason=f"files of the field are not at {FIELD}")
def test_records_of_files_from_the_field(tmp_path: Path) -> None:
    """Every file's record has the one shape, and only the accepted ones say what is in them."""
    files = sorted(file for file in FIELD.iterdir() if file.suffix != ".md")
    frames = [file for file in files if ".layers." not in file.name]
    told = {Path(one["file"]).name: one for one in records(*frames)[1]}
    for layers in set(files) - set(frames):
        told[layers.name] = record(FIELD / "ann_frame.mat", "--with", layers)
    assert len(told) == len(files)
    for one in told.values():
        assert list(one) == KEYS
        assert (one["sentence"] is None) == (one["outcome"] == "accepted")
        if one["outcome"] == "accepted":
            assert list(one["framing"]) == FRAMING
            assert all(list(layer) == LAYER and layer["mean_sample"] < one["samples"] for layer in one["layers"])
            assert isinstance(one["missing_samples"], int)
    assert told["c07_nc_missing_value.nc"]["missing_samples"] == 6000
    assert [layer["label"] for layer in told["a02_ids_swapped.layers.mat"]["layers"]] == ["surface", "bed"]
    shutil.copy(FIELD / "c01_nc_epoch1970.nc", tmp_path / "f.nc")
    assert record(tmp_path / "f.nc")["gps_time_first_s"] == pytest.approx(1_333_065_915)
