"""Each form of export, opened by a program that is not ours."""

import csv
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import xarray
from scipy.io import loadmat

from firnline.errors import Refused
from firnline.products.accumulation import AnnualLayers
from firnline.products.bedmap import COLUMNS as BEDMAP_COLUMNS
from firnline.products.bedmap import BedmapTables
from firnline.products.credits import Credits
from firnline.products.files import Writer
from firnline.products.frame_product import STATUS_MEANS, Assumptions, FrameProduct, frame_product
from firnline.products.geopackage import GeoPackage, traces_of
from firnline.products.horizon_tables import HorizonTables
from firnline.products.netcdf import NetcdfFrames, edges_of
from firnline.products.opr import OprLayers, layer_file
from firnline.products.physics import Medium
from firnline.products.tables import COLUMNS, CsvTable, GeoParquet
from firnline.products.tracks import GeoJsonTracks, parts_of
from firnline.products.uncertainty import MediumError
from tests.support.simulated_products import MODEL, REVIEWER, made, of_status, product

ROOT = Path(__file__).resolve().parents[2]
PHYSICS = Assumptions(
    Medium.herron_langway(350.0, 0.25, -30.0), MediumError(0.01, 30.0), annual=AnnualLayers.of(2012.25, 2011.75)
)


@pytest.fixture(scope="module")
def snow() -> list[FrameProduct]:
    """Two frames of one segment, one of them reviewed, the other the model's."""
    return [
        product(made("greenland_2012", 0, number), origin, PHYSICS) for number, origin in ((1, REVIEWER), (2, MODEL))
    ]


@pytest.fixture(scope="module")
def deep() -> FrameProduct:
    return product(made("greenland_sounder_2012", form="mat5"), REVIEWER, PHYSICS)


def written(make: Callable[[Path], Writer], folder: Path, *products: FrameProduct) -> list[Path]:
    writer = make(folder)
    for one in products:
        writer.add(one)
    files = writer.close()
    assert all(file.is_file() and not file.name.startswith("part-") for file in files)
    left = [path for path in folder.rglob("part-*") if path.is_file()]
    assert not left, "nothing unfinished stays"
    return files


def picked(one: FrameProduct) -> int:
    return int(np.isfinite(one.sample).sum())


def test_csv_holds_every_line_in_every_trace(tmp_path: Path, snow: list[FrameProduct]) -> None:
    (file,) = written(CsvTable, tmp_path, *snow)
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == sum(map(picked, snow))
    first = [row for row in rows if row["frame_id"] == snow[0].frame_id]
    assert {(row["status"], row["correction"], row["model_version"]) for row in first} == {
        ("reviewed", "loop-1234abcd", "first")
    }
    assert {(row["status"], row["source"], row["correction"]) for row in rows[len(first) :]} == {
        ("accepted", "model first", "")
    }
    one = first[-1]
    line = [horizon.name for horizon in snow[0].horizons].index(one["horizon"])
    at = line, int(one["trace"])
    assert float(one["depth_m"]) == pytest.approx(snow[0].depth_m[at], abs=1e-4)
    assert float(one["depth_95_m"]) > float(one["depth_sigma_m"]) > 0
    assert float(one["twtt_s"]) == snow[0].twtt_s[at], "no digit of a time is lost"
    assert one["time_utc"].startswith("2012-03-30T")
    assert "Herron-Langway" in one["physics"]
    assert float(first[0]["year"]) == 2012.25
    assert float(first[0]["accumulation_years"]) == 0.5


def test_geoparquet_is_opened_by_geopandas(tmp_path: Path, snow: list[FrameProduct]) -> None:
    (file,) = written(lambda out: GeoParquet(out, PHYSICS.statement), tmp_path, *snow)
    frame = geopandas.read_parquet(file)
    assert len(frame) == sum(map(picked, snow))
    assert pyarrow.parquet.ParquetFile(file).num_row_groups == 1, "of many frames the groups would fill the file's end"
    assert frame.crs == "OGC:CRS84"
    assert set(frame["status"]) == {"reviewed", "accepted"}
    first = frame[frame["frame_id"] == snow[0].frame_id]
    np.testing.assert_allclose(first.geometry.y, first["latitude"], atol=1e-6)
    bbox = geopandas.read_parquet(file, columns=["geometry", "depth_m"]).total_bounds
    assert bbox[1] == pytest.approx(min(np.nanmin(one.latitude) for one in snow))


def test_bedmap_has_its_header_and_columns(tmp_path: Path, deep: FrameProduct) -> None:
    (file,) = written(BedmapTables, tmp_path, deep)
    assert file.name == "greenland_sounder_2012_20120507_01_reviewed.csv"
    header = dict(line[1:].split(": ", 1) for line in file.read_text().splitlines() if line.startswith("#"))
    table = pd.read_csv(file, comment="#", na_values=["-9999"])
    assert list(table.columns) == list(BEDMAP_COLUMNS)
    assert header["Conventions"] == "ACDD-1.3"
    assert 168 < float(header["electromagnetic_wave_speed_in_ice"].split()[0]) < 170
    assert float(header["firn_correction"].split()[0]) == pytest.approx(
        PHYSICS.medium.firn_correction_m(float(PHYSICS.medium.index_at(1e4))), abs=0.01
    )
    thickness = table["land_ice_thickness (m)"]
    np.testing.assert_allclose(thickness.dropna(), deep.ice_thickness_m[np.isfinite(deep.ice_thickness_m)], atol=0.006)
    np.testing.assert_allclose(table["surface_altitude (m)"] - table["bedrock_altitude (m)"], thickness, atol=0.011)
    assert table["time_UTC"].str.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}").all()


def test_bedmap_keeps_statuses_in_files_of_their_own(
    tmp_path: Path, deep: FrameProduct, snow: list[FrameProduct]
) -> None:
    statuses = [product(made("greenland_sounder_2012", 0, 2), of_status(status), PHYSICS) for status in ("unreviewed",)]
    files = written(BedmapTables, tmp_path, deep, *statuses)
    assert [file.stem.rsplit("_", 1)[-1] for file in files] == ["reviewed", "unreviewed"]


def test_a_table_a_horizon(tmp_path: Path, snow: list[FrameProduct], deep: FrameProduct) -> None:
    files = written(HorizonTables, tmp_path, *snow, deep)
    names = {file.relative_to(tmp_path / "horizons").as_posix() for file in files}
    assert {"greenland_2012_20120330_01/surface.tab", "greenland_sounder_2012_20120507_01/bed.tab"} <= names
    layer = pd.read_csv(tmp_path / "horizons/greenland_2012_20120330_01/layer_001.tab", sep="\t", comment="#")
    assert layer["Line_name"].nunique() == 2
    assert set(layer["Status"]) == {"reviewed", "accepted"}
    mine = layer[layer["Line_name"] == snow[0].stem]
    line = [horizon.name for horizon in snow[0].horizons].index("layer_001")
    np.testing.assert_allclose(mine["Depth(m)"], snow[0].depth_m[line, mine["TraceNr"]], atol=6e-4)
    steps = np.hypot(np.diff(mine["X"]), np.diff(mine["Y"]))
    assert np.median(steps) == pytest.approx(np.median(np.diff(snow[0].distance_m)), rel=0.03), (
        "EPSG:3413 is true at 70 N"
    )


def test_open_polar_radar_files_are_of_the_form_of_genuine_ones(tmp_path: Path, deep: FrameProduct) -> None:
    data, organiser = written(OprLayers, tmp_path, deep)
    assert (
        data.relative_to(tmp_path).as_posix()
        == "greenland_sounder_2012/CSARP_layer/20120507_01/Data_20120507_01_001.mat"
    )
    assert organiser.name == "layer_20120507_01.mat"
    found, names = loadmat(data), loadmat(organiser)
    points, lines = deep.frame.file_traces, len(deep.horizons)
    for name in ("elev", "gps_time", "lat", "lon"):
        assert found[name].shape == (1, points)
    assert found["id"].shape == (1, lines)
    for name in ("twtt", "quality", "type"):
        assert found[name].shape == (lines, points)
    assert (found["file_type"][0], found["file_version"][0]) == ("layer", "1")
    assert set(found["type"].ravel()) == {1}, "a person's"
    assert found["param"]["firnline"][0, 0]["status"][0, 0][0] == "reviewed"
    assert names["file_type"][0] == "layer_organizer"
    assert [cell[0] for cell in names["lyr_name"][0]][:2] == ["surface", "layer_001"]
    assert names["lyr_name"][0, -1][0] == "bottom"
    assert sorted(names["lyr_id"][0]) == sorted(found["id"][0])
    assert names["lyr_order"][0].tolist() == list(range(1, lines + 1))
    assert [cell[0] for cell in names["lyr_group_name"][0]][:2] == ["standard", "firnline"]


def in_pieces(number: int = 1) -> FrameProduct:
    """A frame whose only internal layer is drawn in its first and its last third."""
    frame = made("greenland_2012", 0, number)
    surface, layer = (next(one for one in frame.truth.layers if one.label == label) for label in ("surface", "layer"))
    third = layer.vertices[len(layer.vertices) // 3].x
    parts = [
        [vertex for vertex in layer.vertices if keep(vertex.x)]
        for keep in (lambda x: x <= third, lambda x: x >= 2 * third)
    ]
    layers = [surface, *(layer.model_copy(update={"vertices": part}) for part in parts)]
    truth = frame.truth.model_copy(update={"layers": layers})
    found = frame_product(truth, frame.frame, REVIEWER, PHYSICS)
    assert found.numbers.tolist() == [0, 1, 1]
    return found


def test_a_layer_in_pieces_is_one_row_of_a_layer_file(snow: list[FrameProduct]) -> None:
    pieces = in_pieces()
    found = layer_file(pieces)
    assert found.id.tolist() == [1, 3]
    np.testing.assert_array_equal(np.isfinite(found.twtt[1]), np.isfinite(pieces.twtt_s[1:]).any(axis=0))
    assert 0 < np.isfinite(found.twtt[1]).sum() < found.twtt.shape[1]
    ids = [layer_file(one).id for one in snow]
    assert all(len(set(own.tolist())) == own.size for own in ids)


def test_of_two_frames_of_one_name_the_second_is_refused(tmp_path: Path) -> None:
    """Open Polar Radar's names have the day, the segment and the frame only."""
    writer = OprLayers(tmp_path)
    for number, stem in ((1, "Data_20120330_01_001"), (2, "Data_img_01_20120330_01_001")):
        frame = made("greenland_2012", 0, number)
        frame_id = f"greenland_2012/20120330_01/{stem}"
        named = frame.frame.model_copy(update={"frame_id": frame_id})
        one = frame_product(frame.truth.model_copy(update={"frame_id": frame_id}), named, REVIEWER)
        if number == 1:
            writer.add(one)
        else:
            with pytest.raises(
                Refused, match=r"greenland_2012/20120330_01/Data_20120330_01_001 Data_20120330_01_001\.mat too"
            ):
                writer.add(one)
    assert [file.name for file in writer.close()] == ["Data_20120330_01_001.mat", "layer_20120330_01.mat"]


@pytest.mark.parametrize(
    ("longitude", "edges"),
    [
        ([-45.0, -44.0, -46.0], (-46.0, -44.0)),
        ([179.5, -179.9, -179.0], (179.5, -179.0)),  # the western edge first
        ([-179.0, 179.5], (179.5, -179.0)),
        ([359.0, 1.0], (-1.0, 1.0)),
        ([0.0, 120.0, -120.0, 1.0], (-180.0, 180.0)),  # round the pole
    ],
)
def test_the_edges_of_a_track(longitude: list[float], edges: tuple[float, float]) -> None:
    assert edges_of(np.array(longitude)) == pytest.approx(edges)


def test_netcdf_is_opened_by_xarray(tmp_path: Path, deep: FrameProduct, snow: list[FrameProduct]) -> None:
    files = written(NetcdfFrames, tmp_path, snow[0], deep)
    with xarray.open_dataset(files[1]) as found:
        assert found.attrs["Conventions"] == "CF-1.10, ACDD-1.3"
        assert found["land_ice_thickness"].attrs["standard_name"] == "land_ice_thickness"
        np.testing.assert_allclose(found["land_ice_thickness"], deep.ice_thickness_m)
        np.testing.assert_allclose(found["depth"], deep.depth_m)
        assert found["horizon_name"].values.tolist() == [horizon.name for horizon in deep.horizons]
        assert str(found["time"].values[0]).startswith("2012-05-07")
        meanings = found["status"].attrs["flag_meanings"].split()
        assert {meanings[flag] for flag in found["status"].values} == {"reviewed"}
        assert found.attrs["firnline_correction"] == "loop-1234abcd"
        assert "Herron-Langway" in found.attrs["comment"]
        above = {found[name].attrs["standard_name"] for name in found if name.endswith("_altitude")}
        assert above == {"height_above_reference_ellipsoid"}, "CF's surface_altitude is above the geoid"
    with xarray.open_dataset(files[0]) as found:
        assert "land_ice_thickness" not in found
        np.testing.assert_allclose(found["accumulation"], snow[0].accumulation_m_we_a)
        np.testing.assert_allclose(found["first_layer_depth"], snow[0].snow_depth_m)


WITHOUT_STANDARD_NAME = {
    "two_way_travel_time", "thickness", "thickness_uncertainty", "thickness_uncertainty_95", "depth_uncertainty_95", "sample",
    "confidence", "distance", "accumulation", "accumulation_uncertainty", "accumulation_uncertainty_95", "first_layer_depth",
}  # fmt: skip
"""CF has none for them."""


def test_netcdf_passes_the_compliance_checker(tmp_path: Path, deep: FrameProduct, snow: list[FrameProduct]) -> None:
    own = ROOT / ".venv" / "checks" / "bin" / "compliance-checker"
    checker = str(own) if own.exists() else shutil.which("compliance-checker")
    if checker is None:
        pytest.skip("the compliance checker is not installed (`make lint-template` installs it)")
    credits = Credits.of("Ada Lovelace <ada@example.org>", "https://example.org/ada", "Ice, Inc.", "CC-BY-4.0")
    files = written(lambda out: NetcdfFrames(out, credits), tmp_path, snow[0], deep)
    cf = subprocess.run([checker, "-t", "cf:1.10", *files], capture_output=True, text=True, check=False)
    assert cf.returncode == 0, cf.stdout
    assert cf.stdout.count("All tests passed!") == len(files), cf.stdout
    report = tmp_path / "acdd.json"
    subprocess.run([checker, "-t", "acdd:1.3", "-f", "json", "-o", report, files[0]], capture_output=True, check=False)
    wanting = [
        (one["name"], message)
        for one in json.loads(report.read_text())["acdd:1.3"]["high_priorities"]
        for message in one["msgs"]
    ]
    recommended = json.loads(report.read_text())["acdd:1.3"]["medium_priorities"]
    lacking = {message for one in recommended for message in one["msgs"]}
    assert not [message for message in lacking if any(name in message for name in credits.attributes)], lacking
    names = {name.split('"')[1] for name, _ in wanting if '"' in name}
    assert {message for _, message in wanting} <= {"standard_name"}
    assert names <= WITHOUT_STANDARD_NAME


def test_geopackage_is_opened_by_geopandas_and_styled_for_qgis(
    tmp_path: Path, snow: list[FrameProduct], deep: FrameProduct
) -> None:
    (file,) = written(GeoPackage, tmp_path, *snow, deep)
    tracks, traces = (geopandas.read_file(file, layer=name) for name in ("tracks", "traces"))
    assert list(tracks["frame_id"]) == [one.frame_id for one in (*snow, deep)]
    assert list(tracks["status"]) == ["reviewed", "accepted", "reviewed"]
    assert tracks["ice_thickness_m"].notna().tolist() == [False, False, True]
    assert len(traces) == sum(int(np.isfinite(one.latitude).sum()) for one in (*snow, deep))
    assert tracks.crs.to_epsg() == traces.crs.to_epsg() == 4326
    assert traces["ice_thickness_sigma_m"].notna().any()
    pieces = traces_of(in_pieces())
    assert 0 < pieces["snow_depth_m"].notna().sum() < len(pieces)
    for width in ("snow_depth_sigma_m", "snow_depth_95_m"):
        assert pieces[width].notna().tolist() == pieces["snow_depth_m"].notna().tolist()
    with sqlite3.connect(file) as database:
        styles = database.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ).fetchall()
        listed = database.execute("SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    assert [(name, column, default) for name, column, default, _ in styles] == [
        ("tracks", "geom", 1),
        ("traces", "geom", 1),
    ]
    assert listed == [("attributes",)]
    for *_, text in styles:
        renderer = ElementTree.fromstring(text.split("\n", 1)[1]).find("renderer-v2")  # noqa: S314 (our own text)
        assert renderer is not None
        assert renderer.get("attr") == "status"
        assert {one.get("value") for one in renderer.iter("category")} == set(STATUS_MEANS)


def test_geojson_is_opened_by_geopandas_and_by_json(tmp_path: Path, snow: list[FrameProduct]) -> None:
    (file,) = written(GeoJsonTracks, tmp_path, *snow)
    features = json.loads(file.read_text())["features"]
    assert [feature["properties"]["status"] for feature in features] == ["reviewed", "accepted"]
    assert [feature["geometry"]["type"] for feature in features] == ["LineString", "LineString"]
    tracks = geopandas.read_file(file)
    length = tracks.to_crs(3413).length
    assert length[0] == pytest.approx(features[0]["properties"]["length_m"], rel=0.03)


def test_a_track_across_the_date_line_is_parted(snow: list[FrameProduct]) -> None:
    longitude = np.linspace(179.9, 180.1, snow[0].longitude.size)
    parts = parts_of(replace(snow[0], longitude=longitude))
    assert len(parts) == 2
    assert all(np.abs(np.diff(part[:, 0])).max() < 1 for part in parts)
    assert all((np.abs(part[:, 0]) <= 180).all() for part in parts)


def test_what_lacks_positions_or_times_is_refused_and_leaves_nothing(tmp_path: Path, snow: list[FrameProduct]) -> None:
    unknown = np.full(snow[0].latitude.shape, np.nan)
    nowhere = replace(snow[0], latitude=unknown, longitude=unknown)
    timeless = replace(snow[0], gps_time_s=unknown)
    for make, lacking in ((BedmapTables, nowhere), (HorizonTables, nowhere), (GeoJsonTracks, nowhere),
                          (GeoPackage, nowhere), (OprLayers, timeless)):  # fmt: skip
        writer = make(tmp_path / make.__name__)
        with pytest.raises(Refused, match="it has no"):
            writer.add(lacking)
        assert writer.close() == [] or make is GeoJsonTracks
    (file,) = written(CsvTable, tmp_path / "csv", replace(nowhere, gps_time_s=unknown))
    table = pd.read_csv(file)
    assert table[["latitude", "distance_m", "time_utc"]].isna().all(axis=None)
    assert table["depth_m"].notna().all()
