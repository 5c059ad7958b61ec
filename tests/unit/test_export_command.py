"""`firnline export`: which frames, whose lines, and that nothing is mixed silently."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import xarray
from typer.testing import CliRunner, Result

from firnline.documents.layers import LayersDocument, Source
from firnline.errors import Refused
from firnline.products.credits import Credits
from firnline.store import keys
from firnline.store.joins import Joins
from tests.support.review_world import World, answer, polyline
from tests.support.simulated_products import WHEN, Made, made
from workbench import exporting
from workbench.cli import app, terminal
from workbench.connection import Connection

NUMBERS = {"accepted": 1, "reviewed": 2, "unreviewed": 3, "imported": 4, "ready": 5}


def store(world: World, frame: Made, status: str, *answers: dict) -> str:
    """A frame in the stack, as far as `status` says; returns its id."""
    document, frame_id, revision = frame.frame, frame.frame.frame_id, frame.frame.revision
    world.register.register(frame_id, document.source_key, "01", revision, "READY")
    world.bucket.write(keys.frame(frame_id, revision), document.to_json(), "application/json")
    if status == "ready":
        return frame_id
    if status == "imported":
        world.bucket.write(keys.partial(frame_id, revision), frame.truth.to_json(), "application/json")
        world.register.mark_annotated(frame_id, revision, "partial")
        return frame_id
    predicted = of_model(frame)
    world.bucket.write(keys.prediction(frame_id, revision, "first"), predicted.to_json(), "application/json")
    world.register.predicted(frame_id, revision, "first", 0.95)
    if status == "accepted":
        world.register.accepted(frame_id, revision, "")
    if status == "reviewed":
        loop = f"loop-{frame_id.rsplit('_', 1)[-1]}"
        corrected = frame.truth.model_copy(update={"source": Source(kind="human", review=loop, created=WHEN)})
        prefix = keys.correction_prefix(frame_id, loop)
        world.bucket.write(f"{prefix}layers.json", corrected.to_json(), "application/json")
        output = {"humanAnswers": [{"answerContent": one} for one in answers]}
        world.bucket.write(f"reviews/{loop}/output.json", json.dumps(output).encode(), "application/json")
        world.corrections.record(
            loop, revision, corrected, world.bucket.uri(prefix), model_version="first",
            output=world.bucket.uri(f"reviews/{loop}/output.json"), seconds=None, dropped_lines=0,
            answers=max(1, len(answers)), answers_refused=0, answers_differ=len(answers) > 1,
        )  # fmt: skip
        world.register.corrected(frame_id, revision, loop)
    return frame_id


def of_model(frame: Made) -> LayersDocument:
    lines = [layer.model_copy(update={"confidence": 0.9}) for layer in frame.truth.layers]
    source = Source(kind="model", model_version="first", created=WHEN)
    return frame.truth.model_copy(update={"source": source, "layers": lines})


@pytest.fixture
def frames(world: World) -> dict[str, str]:
    """One frame of each kind in a snow segment, and a reviewed one of a sounder, far away."""
    found = {status: store(world, made("greenland_2012", 0, number), status) for status, number in NUMBERS.items()}
    return found | {"deep": store(world, made("antarctica_interior_2011", 0, 1, "mat5"), "reviewed")}


@pytest.fixture
def firnline(connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    monkeypatch.setattr(terminal, "connect", lambda: connection)
    return lambda *words: CliRunner().invoke(app, ["export", "--out", str(tmp_path / "out"), *words])


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "out" / "layers.csv", low_memory=False)


def test_accepted_and_reviewed_frames_unless_something_else_is_wanted(
    frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path
) -> None:
    ran = firnline()
    assert ran.exit_code == 0, ran.output
    found = table(tmp_path).groupby("frame_id")["status"].unique().map(list).to_dict()
    assert found == {frames["accepted"]: ["accepted"], frames["reviewed"]: ["reviewed"], frames["deep"]: ["reviewed"]}
    assert "3 frames in" in ran.output
    assert "1 frames were left out: PREDICTED, which has no lines that are accepted or reviewed" in " ".join(
        ran.output.split()
    )
    account = json.loads((tmp_path / "out" / "export.json").read_text())
    assert account["statuses"]["reviewed"]["frames"] == 2
    assert account["files"] == ["joins.csv", "layers.csv"]
    assert "refractive index 1.78" in account["physics"]


@pytest.mark.parametrize(("status", "wanted"), [("unreviewed", ["unreviewed"]), ("imported", ["imported"])])
def test_status_chooses(
    frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path, status: str, wanted: list[str]
) -> None:
    assert firnline("--status", status).exit_code == 0
    assert set(table(tmp_path)["frame_id"]) == {frames[one] for one in wanted}
    assert set(table(tmp_path)["status"]) == {status}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["greenland_2012"], {"accepted", "reviewed"}),
        (["greenland_2012/20120330_01"], {"accepted", "reviewed"}),
        (["greenland_2012/20120330_01/IRSNO1B_20120330_01_002"], {"reviewed"}),
        (["antarctica_interior_2011", "greenland_2012/20120330_01/IRSNO1B_20120330_01_001"], {"deep", "accepted"}),
        (["--box", "-180,-90,180,-60"], {"deep"}),
        (["--box=-60,60,-30,85"], {"accepted", "reviewed"}),
    ],
)
def test_frames_are_chosen_by_name_and_by_box(
    frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path, words: list[str], wanted: set[str]
) -> None:
    ran = firnline(*words)
    assert ran.exit_code == 0, ran.output
    assert set(table(tmp_path)["frame_id"]) == {frames[one] for one in wanted}


def test_all_forms_at_once(frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path) -> None:
    forms = [word for form in exporting.WRITERS for word in ("--to", form)]
    ran = firnline(*forms, "--herron-langway", "350,0.25,-30", "--surface-year", "2012.25", "--gaps", "spread")
    assert ran.exit_code == 0, ran.output
    files = json.loads((tmp_path / "out" / "export.json").read_text())["files"]
    on_disk = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert on_disk == {*files, "export.json"}
    assert "1 of the annotations hold a model's lines" in " ".join(ran.output.split())
    assert len(geopandas.read_file(tmp_path / "out" / "layers.gpkg", layer="tracks")) == 3
    found = table(tmp_path)
    years = found[found["frame_id"] == frames["reviewed"]].groupby("horizon")["year"].first()
    assert years["surface"] - years["layer_001"] == 1
    assert found["accumulation_m_we_a"].notna().any()
    assert found.loc[found["status"] == "accepted", "depth_95_m"].max() > 0


def test_files_say_whose_work_they_are(
    frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRNLINE_LICENCE", "CC-BY-4.0")
    ran = firnline(
        "greenland_2012", "--to", "netcdf", "--to", "bedmap", "--creator", "Ada Lovelace <ada@example.org>", "--creator-url",
        "https://orcid.org/0000-0000-0000-0000", "--institution", "Ice, Inc.",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    given = {
        "creator_name": "Ada Lovelace", "creator_email": "ada@example.org", "institution": "Ice, Inc.", "license": "CC-BY-4.0",
        "creator_url": "https://orcid.org/0000-0000-0000-0000",
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "export.json").read_text())["credits"] == given
    with xarray.open_dataset(next((tmp_path / "out" / "netcdf").rglob("*.nc"))) as found:
        assert {name: found.attrs[name] for name in given} == given
    header = next((tmp_path / "out" / "bedmap").iterdir()).read_text()
    assert "#creator_name: Ada Lovelace\n#institution: Ice, Inc.\n#license: CC-BY-4.0\n" in header
    for words in (["--creator", "<nobody>"], ["--creator-url", "orcid"], ["--institution", "two\nlines"]):
        assert firnline("--overwrite", *words).exit_code == 1


def test_a_frame_that_lacks_what_a_form_needs_is_named(
    world: World, frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path
) -> None:
    frame = made("greenland_2012", 0, 6)
    bare = frame.frame.model_copy(update={"gps_time_s": None, "latitude": None, "longitude": None})
    store(world, frame._replace(frame=bare), "accepted")
    ran = firnline("--to", "opr", "--to", "csv", "greenland_2012")
    assert ran.exit_code == 0, ran.output
    assert "not as opr: it has no GPS times" in " ".join(ran.output.split())
    assert bare.frame_id in set(table(tmp_path)["frame_id"])


def test_a_radar_on_the_ice_has_its_surface_at_time_zero(
    world: World, firnline: Callable[..., Result], tmp_path: Path
) -> None:
    frame = made("antarctica_interior_2011", 0, 1, "mat5")
    without = frame.truth.model_copy(update={"layers": [one for one in frame.truth.layers if one.label != "surface"]})
    bare = frame.frame.model_copy(update={"surface_twtt_s": None})
    store(world, frame._replace(frame=bare, truth=without), "accepted")
    ran = firnline()
    assert "without depths" in " ".join(ran.output.split())
    assert table(tmp_path)["depth_m"].isna().all()
    ran = firnline("--overwrite", "--ground")
    found = table(tmp_path)
    assert "without depths" not in " ".join(ran.output.split())
    np.testing.assert_allclose(found["depth_m"], found["twtt_s"] * 299_792_458.0 / (2 * 1.78), atol=1e-3)
    np.testing.assert_allclose(found["surface_m"], found["platform_m"])


def test_nothing_is_replaced_unless_one_says_so(
    frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path
) -> None:
    assert firnline().exit_code == 0
    again = firnline()
    assert again.exit_code == 1
    assert "is not empty" in again.output
    (tmp_path / "out" / "mine.txt").write_text("stays")
    assert firnline("--overwrite", "--to", "geojson", "greenland_2012").exit_code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "tracks.geojson", "joins.csv", "export.json", "mine.txt"}  # fmt: skip


def test_a_frame_whose_objects_are_gone_is_left_out_with_a_reason(
    world: World, frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path
) -> None:
    row = world.register.get(frames["accepted"])
    assert row is not None
    world.bucket.delete(keys.prediction(row.frame_id, row.revision, "first"))
    ran = firnline("greenland_2012")
    assert ran.exit_code == 0, ran.output
    assert set(table(tmp_path)["frame_id"]) == {frames["reviewed"]}
    assert "without its layers.json in the bucket" in " ".join(ran.output.split())


def test_no_frame_is_no_success(frames: dict[str, str], firnline: Callable[..., Result]) -> None:
    ran = firnline("nowhere")
    assert ran.exit_code == 1
    assert "Nothing was exported" in ran.output


@pytest.fixture
def layers(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr(terminal, "connect", lambda: connection)
    return lambda *words: CliRunner().invoke(app, ["layers", *words], env={"COLUMNS": "200"})


def test_layers_keep_their_numbers_along_the_segment(
    frames: dict[str, str], firnline: Callable[..., Result], tmp_path: Path
) -> None:
    """Frames 1 and 2 are next to each other; one of them alone has the same numbers as both."""
    assert firnline("greenland_2012").exit_code == 0
    both = table(tmp_path)
    joins = pd.read_csv(tmp_path / "out" / "joins.csv")
    assert set(joins["frame_id"]) == {frames["reviewed"]}
    assert set(joins["joined_to"]) == {frames["accepted"]}
    assert (joins["confidence"] > 0.9).mean() > 0.8
    counted = both[(both["horizon"] != "surface") & both["layer_number"].notna()]
    seams = {
        frame_id: counted[(counted["frame_id"] == frame_id) & (counted["trace"] == trace)].set_index("layer_number")["twtt_s"]
        for frame_id, trace in ((frames["accepted"], 511), (frames["reviewed"], 0))
    }  # fmt: skip
    apart = (seams[frames["accepted"]] - seams[frames["reviewed"]]).dropna()
    assert len(apart) > 8
    assert apart.abs().max() < 2e-9, "two rows"
    assert firnline("--overwrite", frames["reviewed"]).exit_code == 0
    alone, before = table(tmp_path), both[both["frame_id"] == frames["reviewed"]]
    assert alone["horizon"].tolist() == before["horizon"].tolist()
    assert firnline("--overwrite", "--numbers", "frame", frames["reviewed"]).exit_code == 0
    by_itself = table(tmp_path)
    assert by_itself.loc[by_itself["number"] > 0, "layer_number"].isna().all()
    assert not (tmp_path / "out" / "joins.csv").exists()


@pytest.mark.usefixtures("frames")
def test_the_table_of_joins_has_one_header_also_behind_segments_without_any(
    firnline: Callable[..., Result], tmp_path: Path
) -> None:
    ran = firnline()
    assert ran.exit_code == 0
    joins = pd.read_csv(tmp_path / "out" / "joins.csv")
    assert len(joins) == json.loads((tmp_path / "out" / "export.json").read_text())["joins"]
    assert joins["confidence"].between(0, 1).all()


def test_a_reviewer_overrules_a_join(
    world: World, frames: dict[str, str], firnline: Callable[..., Result], layers: Callable[..., Result], tmp_path: Path
) -> None:
    one, other = f"{frames['accepted']}:2", f"{frames['reviewed']}:3"
    assert firnline("greenland_2012").exit_code == 0
    before = numbers_of(table(tmp_path))
    assert before[frames["accepted"], 2] != before[frames["reviewed"], 3]
    ran = layers("join", one, other)
    assert ran.exit_code == 0, ran.output
    assert firnline("--overwrite", "greenland_2012").exit_code == 0
    after = numbers_of(table(tmp_path))
    assert after[frames["accepted"], 2] == after[frames["reviewed"], 3]
    joins = pd.read_csv(tmp_path / "out" / "joins.csv")
    assert joins[joins["said_by"] == "person"]["number"].tolist() == [3]
    segment = frames["accepted"].rpartition("/")[0]
    listed = layers("list", segment)
    assert listed.exit_code == 0, listed.output
    assert "person" in listed.output
    said = next(line for line in listed.output.splitlines() if line.startswith("said: "))
    places = [word for word in said.split() if word.count(":") == 2]
    assert layers("forget", segment, *places[:2]).exit_code == 0
    assert firnline("--overwrite", "greenland_2012").exit_code == 0
    assert numbers_of(table(tmp_path)) == before


def numbers_of(found: pd.DataFrame) -> dict[tuple[str, int], float]:
    """By frame and number within it, the number along the segment."""
    drawn = found[(found["number"] > 0) & found["layer_number"].notna()]
    return drawn.groupby(["frame_id", "number"])["layer_number"].first().to_dict()


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("{accepted}:2", "{accepted}:3", "lines of one frame"),
        ("{accepted}:2", "{deep}:3", "these frames are of two"),
        ("{accepted}:99", "{reviewed}:3", "has no layer 99"),
        ("{accepted}", "{reviewed}:3", "names no line"),
        ("{ready}:1", "{reviewed}:3", "is READY"),
    ],
)
def test_joins_that_make_no_sense_are_refused(
    frames: dict[str, str], layers: Callable[..., Result], one: str, other: str, said: str
) -> None:
    ran = layers("join", one.format(**frames), other.format(**frames))
    assert ran.exit_code == 1
    assert said in " ".join(ran.output.split())


def test_joins_that_cannot_be_together_leave_what_was_said_before(
    world: World, frames: dict[str, str], layers: Callable[..., Result]
) -> None:
    assert layers("join", f"{frames['accepted']}:2", f"{frames['reviewed']}:4").exit_code == 0
    ran = layers("join", f"{frames['accepted']}:4", f"{frames['reviewed']}:2")
    assert ran.exit_code == 1
    assert "would make layers cross" in " ".join(ran.output.split())
    assert len(list(Joins(world.table).of_segment(frames["accepted"].rpartition("/")[0]))) == 1


def test_several_reviewers_say_how_far_they_differ(world: World, connection: Connection) -> None:
    frame = made("greenland_2012", 0, 2)
    width, height = frame.frame.width, frame.frame.height

    def drawn(by: float) -> dict:
        return answer(*[
            polyline(layer.label, *[(v.x, min(max(v.y + by, 0), height - 1)) for v in layer.vertices]) for layer in frame.truth.layers
        ], width=width, height=height)  # fmt: skip

    frame_id = store(world, frame, "reviewed", drawn(-1.0), drawn(1.0))
    row = connection.register.get(frame_id)
    assert row is not None
    correction = connection.corrections.get(row.review)
    assert correction is not None
    assert exporting.reviewer_rows(connection, correction, frame.truth) == pytest.approx(np.sqrt(2), rel=0.02)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--density", "{profile}", "--index", "1.5"], "Give one medium"),
        (["--herron-langway", "350"], "is not what --herron-langway takes"),
        (["--first-layer-year", "2011"], "goes with --surface-year"),
        (["--surface-year", "2012.25"], "that of solid ice is nearly twice"),
        (["--surface-year", "2012.25", "--firn-correction", "10"], "that of solid ice is nearly twice"),
        (["--firn-correction", "5", "--firn-depth", "0"], "cannot make ice deeper"),
        (["--box", "1,2"], "is no box"),
        (["a/b/c/d"], "names no frames"),
        (["--density", "{broken}"], "is no depth_m,density_kg_m3"),
    ],
)
def test_what_makes_no_sense_is_said(
    firnline: Callable[..., Result], tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "profile.csv").write_text("depth_m,density_kg_m3\n0,350\n10,500\n")
    (tmp_path / "broken.csv").write_text("depth_m,density_kg_m3\n0,350\n10,dense\n")
    ran = firnline(*[word.format(profile=tmp_path / "profile.csv", broken=tmp_path / "broken.csv") for word in words])
    assert ran.exit_code == 1
    assert said in " ".join(ran.output.split())


def test_a_density_profile_is_read(tmp_path: Path) -> None:
    file = tmp_path / "core.csv"
    file.write_text("# a core\ndepth_m,density_kg_m3\n0,350\n10,500\n")
    medium = exporting.assumptions(exporting.Physics(density=file)).medium
    assert float(medium.density_at(5.0)) == 425.0
    assert "core.csv" in medium.statement
    empty = tmp_path / "empty.csv"
    empty.write_text("depth,density\n")
    with pytest.raises(Refused, match="has no line"):
        exporting.assumptions(exporting.Physics(density=empty))


def test_memory_does_not_grow_with_the_frames(
    world: World, frames: dict[str, str], connection: Connection, tmp_path: Path
) -> None:
    """The same frames many times over: what is held is one frame, not the sum."""
    wanted = exporting.Wanted.of(["greenland_2012"], [], None)
    names = exporting.frames_named(connection, wanted)

    def peak(times: int) -> int:
        writer = exporting.WRITERS["csv"](tmp_path / f"{times}", exporting.Assumptions(), Credits())
        tracemalloc.start()
        for _ in range(times):
            for frame_id in names:
                made_of = exporting.product_of(connection, wanted, frame_id, exporting.Assumptions())
                if not isinstance(made_of, str):
                    writer.add(made_of)
        writer.close()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(6) < 1.3 * peak(2)
