"""What is exported can be uploaded again: simulator, ingest, export, `read_annotation`, truth."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from firnline.documents.layers import LayersDocument
from firnline.documents.placement import samples_in_file
from firnline.products.annotations import Annotations
from firnline.products.frame_product import frame_product
from firnline.products.horizons import joined
from firnline.products.opr import LayerFile, OprLayers, Organiser
from firnline.radar.annotations import read_annotation
from firnline.radar.layer_files import read_layer_file, read_organiser
from tests.support.simulated_products import REVIEWER, WHEN, Made, made, product
from workbench.simulator import Genuine

HALF_A_SAMPLE = 0.5
INPUTS = (
    ("greenland_2012", "nc", None),
    ("greenland_sounder_2012", "mat5", None),
    ("antarctica_coast_2009", "mat73", None),
    ("greenland_2014", "nc", Genuine(oversampling=3.0, samples=2000)),
    ("greenland_2014", "mat5", Genuine(oversampling=2.0, samples=1500, along=2.0, repeat=2)),
)


@pytest.fixture(
    scope="module", params=INPUTS, ids=lambda given: f"{given[0]}-{given[1]}-{'genuine' if given[2] else 'plain'}"
)
def frame(request: pytest.FixtureRequest) -> Made:
    campaign, form, genuine = request.param
    return made(campaign, 0, 1, form, genuine)


def lines_of(document: LayersDocument, frame: Made) -> dict[str, np.ndarray]:
    """Samples in the file of the horizons of a document, by name."""
    return {horizon.name: horizon.sample for horizon in frame_product(document, frame.frame, REVIEWER).horizons}


@pytest.mark.parametrize("form", ["json", "csv", "mat"])
def test_exported_layers_are_read_as_an_annotation_within_half_a_sample(tmp_path: Path, frame: Made, form: str) -> None:
    exported = product(frame)
    writer = Annotations(tmp_path, form)  # type: ignore[arg-type]
    writer.add(exported)
    (file,) = writer.close()
    assert file.name == f"{exported.stem}.layers.{form}"
    organiser = None
    if form == "mat":
        beside = OprLayers(tmp_path)
        beside.add(exported)
        organiser = beside.close()[-1].read_bytes()
    again = read_annotation(file.read_bytes(), f".layers.{form}", frame.frame, WHEN, organiser)
    before, after = lines_of(frame.truth, frame), lines_of(again, frame)
    assert list(after) == list(before)
    for name, samples in before.items():
        both = np.isfinite(samples) & np.isfinite(after[name])
        assert both.sum() >= 0.99 * np.isfinite(samples).sum(), f"{name}: hardly a trace is lost"
        assert np.abs(samples - after[name])[both].max() <= HALF_A_SAMPLE, name


def test_what_comes_out_is_the_truth_that_went_in(frame: Made) -> None:
    """Simulator → file → ingest → product: nearly all of it lies on the true line of the file, within half a row."""
    exported = product(frame)
    off, traces = [], 0
    for samples in exported.sample:
        with np.errstate(invalid="ignore"):
            apart = np.abs(frame.rows - samples)
        line = int((apart <= 2 * frame.frame.framing.samples_per_row).sum(axis=1).argmax())
        off.append(apart[line][np.isfinite(apart[line])])
        traces += int(np.isfinite(samples).sum())
    apart = np.concatenate(off)
    assert apart.size >= 0.95 * traces
    assert np.quantile(apart, 0.99) <= HALF_A_SAMPLE * frame.frame.framing.samples_per_row


JOINED = [(name, segment) for segment in (0, 1) for name in (
    "greenland_2012", "greenland_2014", "greenland_southeast_2011", "antarctica_snow_2016", "antarctica_coast_2009")]  # fmt: skip


def test_pieces_of_a_layer_are_joined_and_those_of_two_are_not() -> None:
    """Against the simulator's own lines: joins that are wrong mislead, those that are missing only leave gaps."""
    right = wrong = possible = 0
    for campaign, segment in JOINED:
        frame = made(campaign, segment)
        samples = samples_in_file(frame.truth, frame.frame)
        layers = samples[[layer.label == "layer" for layer in frame.truth.layers]]
        with np.errstate(invalid="ignore"):
            owner = [int((np.abs(frame.rows - piece) <= 2).sum(axis=1).argmax()) for piece in layers]
        surface = samples[[layer.label == "surface" for layer in frame.truth.layers]][0]
        pairs = [pair for group in joined(layers, surface) for pair in pairwise(group)]
        same = sum(owner[one] == owner[two] for one, two in pairs)
        right, wrong, possible = right + same, wrong + len(pairs) - same, possible + len(layers) - len(set(owner))
    assert possible > 20
    assert right >= 0.6 * possible
    assert wrong <= 0.1 * (right + wrong)


def test_times_of_the_layer_file_are_the_simulators(tmp_path: Path) -> None:
    frame = made("greenland_sounder_2012", form="mat5")
    writer = OprLayers(tmp_path)
    writer.add(product(frame))
    found = LayerFile.of_mat(writer.close()[0].read_bytes())
    np.testing.assert_array_equal(found.gps_time, frame.simulated.gps_time)
    surface = found.twtt[list(found.id).index(1)]
    np.testing.assert_allclose(surface, frame.simulated.surface_twtt, atol=HALF_A_SAMPLE * frame.simulated.dt)


def test_genuine_layer_files_are_read_written_and_read_the_same(real_data: Path) -> None:
    folder = real_data / "opr"
    data, names = folder / "opr_layers_Data_20181030_01_001.mat", folder / "opr_layer_20181030_01.mat"
    if not (data.exists() and names.exists()):
        pytest.skip(f"there are no layer files in {folder}")
    once, organiser = LayerFile.of_mat(data.read_bytes()), Organiser.of_mat(names.read_bytes())
    again, organiser_again = LayerFile.of_mat(once.to_mat()), Organiser.of_mat(organiser.to_mat())
    for name in ("gps_time", "lat", "lon", "elev", "id", "twtt", "type", "quality"):
        np.testing.assert_array_equal(getattr(again, name), getattr(once, name), err_msg=name)
        assert getattr(again, name).dtype == getattr(once, name).dtype, name
    assert str(organiser_again.layers) == str(organiser.layers), "NaN of unknown ages included"
    assert read_organiser(organiser.to_mat()) == read_organiser(names.read_bytes())
    ours, theirs = (read_layer_file(one, two) for one, two in (
        (once.to_mat(), organiser.to_mat()), (data.read_bytes(), names.read_bytes())))  # fmt: skip
    np.testing.assert_array_equal(ours.twtt_s, theirs.twtt_s)
    assert ours.labels == theirs.labels
