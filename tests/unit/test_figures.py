"""`firnline figure`: axes that are true, colours that mean something, and files that a journal takes."""

import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from PIL import Image
from pyproj import Transformer
from rich.console import Console
from typer.testing import CliRunner, Result

from firnline.documents.echogram import encode_png, to_grey
from firnline.errors import Refused
from firnline.products.accumulation import AnnualLayers
from firnline.products.frame_product import Assumptions, FrameProduct, frame_product
from firnline.products.physics import Medium
from firnline.store import keys
from tests.support.review_world import World
from tests.support.simulated_products import Made, made, of_status
from tests.unit.test_export_command import store
from workbench import exporting
from workbench.cli import app, terminal
from workbench.connection import Connection
from workbench.figures import making
from workbench.figures.histograms import Counts, histograms
from workbench.figures.radargram import Panel, radargram
from workbench.figures.style import WIDTH_INCHES, save
from workbench.figures.track_map import MapLine, map_line, track_map
from workbench.progress import Stages

PHYSICS = Assumptions(Medium.herron_langway(350.0, 0.25, -30.0), annual=AnnualLayers.of(2012.25))


def panel(frame: Made, status: str = "reviewed") -> Panel:
    product = frame_product(frame.truth, frame.frame, of_status(status), PHYSICS)  # type: ignore[arg-type]
    return Panel(product, to_grey(frame.picture.power_db))


@pytest.fixture(scope="module")
def snow() -> Panel:
    return panel(made("greenland_2012", 0, 1))


@pytest.fixture(scope="module")
def deep() -> list[FrameProduct]:
    return [
        panel(made("greenland_sounder_2012", segment, 1, "mat5"), status).product
        for segment, status in ((0, "reviewed"), (1, "accepted"))
    ]


def test_a_radargram_lies_under_its_layers(snow: Panel) -> None:
    """The echo of a layer is where its line is drawn: on the image itself, in metres and kilometres."""
    figure = radargram([snow])
    (axes,) = figure.axes
    (image,) = axes.images
    _, right, bottom, top = image.get_extent()
    product = snow.product
    assert right == pytest.approx(np.nanmax(product.distance_m) / 1000)
    assert bottom > np.nanmax(product.depth_m) > 0 > top
    grid = np.asarray(image.get_array())
    stands_out = []
    for horizon, depth in zip(product.horizons, product.depth_m, strict=True):
        drawn = np.flatnonzero(np.isfinite(depth))
        row = ((depth[drawn] - top) / (bottom - top) * grid.shape[0]).astype(int)
        column = (product.distance_m[drawn] / 1000 / right * (grid.shape[1] - 1)).astype(int)
        beside = np.clip(row + round(0.3 / (bottom - top) * grid.shape[0]), 0, grid.shape[0] - 1)
        if horizon.number in range(7):
            stands_out.append(np.nanmean(grid[row, column]) - np.nanmean(grid[beside, column]))
    assert np.mean(np.array(stands_out) > 0) > 0.8
    names = [text.get_text() for text in axes.texts]
    assert "2011" in names
    assert axes.get_ylabel() == "Depth below the surface (m)"


def test_frames_of_a_segment_go_on_after_each_other() -> None:
    panels = [panel(made("greenland_2012", 0, number)) for number in (1, 2)]
    (axes,) = radargram(panels).axes
    first, second = (image.get_extent() for image in axes.images)
    assert first[1] == pytest.approx(second[0]), "without a seam"
    assert axes.get_xlim()[1] == pytest.approx(second[1])


def without_lines(number: int, **changed: object) -> Panel:
    frame = made("greenland_2012", 0, number)
    nothing = frame.truth.model_copy(update={"layers": []})
    document = frame.frame.model_copy(update=changed)
    return Panel(frame_product(nothing, document, of_status("reviewed"), PHYSICS), to_grey(frame.picture.power_db))


def test_a_frame_without_lines_is_drawn_among_the_others_and_one_without_a_surface_is_named() -> None:
    """Given three frames of which the middle one was accepted without a line, then the file's surface is enough to draw it."""
    first, last = (panel(made("greenland_2012", 0, number)) for number in (1, 3))
    whole = radargram([first, without_lines(2), last])
    assert [len(axes.images) for axes in whole.axes] == [3]
    assert whole.axes[0].get_xlabel() == "Distance along the track (km)"
    unknown = without_lines(2, surface_twtt_s=None)
    figure = radargram([first, unknown, last])
    assert len(figure.axes[0].images) == 2
    assert "2 frames" in figure.axes[0].get_title(loc="left")
    assert f"not drawn: {unknown.product.stem}" in "".join(text.get_text() for text in figure.texts)
    with pytest.raises(Refused, match="one frame at a time"):
        radargram([unknown, without_lines(1, surface_twtt_s=None)])


def test_a_frame_without_times_is_drawn_in_its_own_samples(snow: Panel) -> None:
    frame = made("greenland_2012", 0, 1)
    bare = frame.frame.model_copy(update={"dt_s": None, "time_zero_s": None, "surface_twtt_s": None})
    drawn = radargram([Panel(frame_product(frame.truth, bare, of_status("reviewed")), snow.grey)])
    assert drawn.axes[0].get_ylabel() == "Sample of the file"


def test_a_map_is_in_the_projection_and_coloured_by_thickness(deep: list[FrameProduct]) -> None:
    lines = [line for product in deep if (line := map_line(product, "ice-thickness")) is not None]
    figure = track_map(lines, "ice-thickness", "as said")
    axes = figure.axes[0]
    drawn = [each for each in axes.collections if isinstance(each, LineCollection) and each.get_array() is not None]
    assert len(drawn) == 2
    east, north = Transformer.from_crs(4326, 3413, always_xy=True).transform(deep[0].longitude[0], deep[0].latitude[0])
    np.testing.assert_allclose(drawn[0].get_segments()[0][0], [east / 1000, north / 1000])
    assert np.median(np.asarray(drawn[0].get_array())) == pytest.approx(np.nanmedian(deep[0].ice_thickness_m), rel=0.01)
    (bar,) = (axes for axes in figure.axes[0].child_axes if axes.get_ylabel())
    assert bar.get_ylabel() == "Ice thickness (m)"


def on_map(latitude: list[float], longitude: list[float]) -> Figure:
    points = np.linspace(0, 1, 50)
    track = (np.interp(points, [0, 1], ends) for ends in (latitude, longitude))
    return track_map([MapLine(*track, np.ones(50), "accepted")], "ice-thickness", "as said")


def caption_of(figure: Figure) -> str:
    assert figure._supxlabel is not None
    return figure._supxlabel.get_text()


def test_a_map_shows_the_coast_where_it_is_known_and_says_whose_it_is() -> None:
    figure = on_map([66.5, 69], [-52, -46])
    (land,) = [each for each in figure.axes[0].collections if isinstance(each, PolyCollection)]
    project = Transformer.from_crs(4326, 3413, always_xy=True)
    inland, disko_bay = (np.array(project.transform(*place)) / 1000 for place in ((-49.0, 67.0), (-52.5, 69.0)))
    assert any(path.contains_point(inland) for path in land.get_paths())
    assert not any(path.contains_point(disko_bay) for path in land.get_paths())
    assert "Coast: Natural Earth" in caption_of(figure)
    figure = on_map([46, 46.5], [7, 9])
    assert not [each for each in figure.axes[0].collections if isinstance(each, PolyCollection)]
    assert "Coast" not in caption_of(figure)


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        ([76.3, 76.6], [-38.3, -37.2]), ([72.3, 72.9], [-39, -38]), ([58.3, 58.9], [-134.5, -134]), ([-75.2, -74.6], [-101, -98]),
        ([-77, -70], [160, 170]), ([-80, -76], [-160, 170]),
    ],
)  # fmt: skip
def test_the_names_on_a_map_lie_within_it_and_on_no_other(latitude: list[float], longitude: list[float]) -> None:
    figure = on_map(latitude, longitude)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    names = [text for text in axes.texts if text.get_text()]
    assert {text.get_text()[-1] for text in names} >= {"m", "N" if latitude[0] > 0 else "S"}
    assert any(text.get_text()[-1] in "EW" for text in names)
    boxes = [text.get_window_extent() for text in names]
    for number, box in enumerate(boxes):
        assert axes.bbox.padded(2).containsx(box.x1)
        assert axes.bbox.padded(2).containsy(box.y1)
        assert not any(box.overlaps(other) for other in boxes[:number]), names[number].get_text()


def test_what_a_map_lacks_is_said(snow: Panel) -> None:
    line = map_line(snow.product, "ice-thickness")
    assert line is not None
    with pytest.raises(Refused, match="choose another --colour"):
        track_map([line], "ice-thickness", "")
    with pytest.raises(Refused, match="no map"):
        track_map([], "status", "")


def test_histograms_count_every_pick_once(snow: Panel) -> None:
    counts = Counts().add(snow.product)
    drawn = int(np.isfinite(snow.product.depth_m[snow.product.labels == "layer"]).sum())
    assert sum(int(of.sum()) for of in counts.counts["depth"].values()) == drawn
    figure = histograms(counts, "as said")
    panels = {axes.get_xlabel(): axes for axes in figure.axes}
    heights = sum(bar.get_height() for bar in panels["Depth of layers (m)"].patches)
    assert heights == pytest.approx(drawn, rel=0.02), "but for the outermost percent"
    assert "Accumulation (m w.e. a$^{-1}$)" in panels
    assert "Ice thickness (m)" not in panels


def test_svg_keeps_its_text_and_pdf_its_fonts(snow: Panel, tmp_path: Path) -> None:
    svg, pdf, png = save(radargram([snow], "column"), tmp_path / "figure", ["svg", "pdf", "png"])
    root = ElementTree.parse(svg).getroot()  # noqa: S314 (our own text)
    assert any(
        "Depth below the surface" in "".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")
    )
    assert b"/TrueType" in pdf.read_bytes() or b"/Type0" in pdf.read_bytes()
    assert b"/Type3" not in pdf.read_bytes()
    with Image.open(png) as picture:
        assert picture.width == pytest.approx(WIDTH_INCHES["column"] * 300, abs=1)


@pytest.fixture
def firnline(connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    monkeypatch.setattr(terminal, "connect", lambda: connection)
    return lambda *words: CliRunner().invoke(app, ["figure", *words, "--out", str(tmp_path / "figures")])


def test_frames_are_drawn_in_the_order_of_flight(world: World, connection: Connection) -> None:
    """Names tell another one: the second frame of the flight is a .mat, whose name comes first."""
    ids = []
    for number, form in ((1, "nc"), (2, "mat5")):
        frame = made("greenland_2012", 0, number, form)
        ids.append(store(world, frame, "reviewed"))
        echogram = encode_png(to_grey(frame.picture.power_db))
        world.bucket.write(keys.echogram(ids[-1], frame.frame.revision), echogram, "image/png")
    assert sorted(ids) == ids[::-1]
    wanted = exporting.Wanted.of(["greenland_2012"], [], None)
    with Stages(Console(file=io.StringIO())) as stages:
        _, figure = making.draw_radargram(connection, wanted, PHYSICS, stages, width="page", lines=True)
    first, second = (image.get_extent() for image in figure.axes[0].images)
    assert (first[0], first[1]) == (0.0, pytest.approx(second[0]))
    assert second[0] == pytest.approx(4.1, abs=0.1)


def test_the_command_draws_what_is_asked_and_replaces_nothing(
    world: World, firnline: Callable[..., Result], tmp_path: Path
) -> None:
    frame = made("greenland_sounder_2012", 0, 1, "mat5")
    frame_id = store(world, frame, "reviewed")
    echogram = encode_png(to_grey(frame.picture.power_db))
    world.bucket.write(keys.echogram(frame_id, frame.frame.revision), echogram, "image/png")
    ran = firnline("radargram", frame_id)
    assert ran.exit_code == 0, ran.output
    name = f"{frame_id.replace('/', '_')}_radargram"
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {f"{name}.svg", f"{name}.pdf"}
    again = firnline("radargram", frame_id)
    assert again.exit_code == 1
    assert "exists" in again.output
    for words in (["map"], ["map", "--colour", "status", "--to", "png"], ["histograms", "--index", "1.7"]):
        ran = firnline(*words)
        assert ran.exit_code == 0, ran.output
    assert (tmp_path / "figures" / "map_status.png").exists()
    assert firnline("radargram", "nowhere").exit_code == 1
    assert "--surface-year" in firnline("map", "--colour", "accumulation").output
