import numpy as np
import pytest
import tracker
import vectorise
from hypothesis import given, settings
from hypothesis import strategies as st
from lines import Layer, Piece, simplify
from slope_field import slopes

from firnline.learning import scoring


def ridge_map(lines, height, width, spread=1.2):
    """(3, height, width) map with a ridge for each (kind, rows (width,), strength (width,))."""
    image = np.zeros((3, height, width), np.float32)
    for kind, rows, strength in lines:
        ridge = strength * np.exp(-0.5 * ((np.arange(height)[:, None] - np.nan_to_num(rows, nan=-99.0)) / spread) ** 2)
        image[kind] = np.maximum(image[kind], ridge)
    return image


X = np.arange(128)
WAVE = 3 * np.sin(X / 20.0)


def test_lines_come_back_within_a_fraction_of_a_pixel_labelled_and_by_depth():
    truth = [(0, 10.3 + WAVE), (1, 30.0 + WAVE), (1, 40.7 + WAVE), (2, 60.2 + WAVE)]
    layers = vectorise.find_layers(ridge_map([(k, r, 0.9) for k, r in truth], 80, 128), 128)
    assert [layer.label for layer in layers] == ["surface", "layer", "layer", "bed"]
    for layer, (_, rows) in zip(layers, truth):
        assert layer.first == 0
        assert np.abs(layer.rows - rows).max() < 0.3


def test_columns_of_two_traces_are_placed_between_them():
    x = np.arange(256)
    rows = 20 + x / 32.0
    layers = vectorise.find_layers(ridge_map([(1, (rows[::2] + rows[1::2]) / 2, 0.9)], 64, 128), 256, stride=2)
    assert len(layers) == 1
    assert layers[0].rows.size == 256
    assert np.abs(layers[0].rows - rows).max() < 0.3


def test_gaps_are_bridged_along_the_slope_and_not_to_the_neighbour():
    rows, other = 20 + X / 8.0, 30 + X / 8.0
    seen = np.where((X > 50) & (X < 70), 0.0, 0.9)
    layers = vectorise.find_layers(ridge_map([(1, rows, seen), (1, other, seen)], 64, 128), 128)
    assert len(layers) == 2
    assert np.abs(layers[0].rows - rows).max() < 1.0
    assert layers[0].support[60] == 0.0


def test_a_bed_runs_just_below_the_surface_where_there_is_no_ice():
    surface, bed = np.full(128, 20.0), 20 + np.maximum(0, X - 64) / 2.0
    layers = vectorise.find_layers(ridge_map([(0, surface, 0.9), (2, bed, 0.9)], 80, 128), 128)
    assert [layer.label for layer in layers] == ["surface", "bed"]
    assert layers[1].rows.size == 128
    assert (layers[1].rows > layers[0].rows).all()
    assert np.abs(layers[1].rows - bed).max() < 2.0


def test_a_bed_above_the_surface_is_none():
    layers = vectorise.find_layers(ridge_map([(0, 40 + WAVE, 0.9), (2, 20 + WAVE, 0.9)], 80, 128), 128)
    assert [layer.label for layer in layers] == ["surface"]


def test_a_bed_along_a_surface_at_the_bottom_does_not_leave_the_frame():
    rows, support = np.where(X < 64, 60.0, 78.0), np.full(128, 0.9)
    candidates = [("surface", Piece(0, rows, support)), ("bed", Piece(0, rows, support))]
    surface, bed = vectorise.consistent(candidates, (80, 128), 20)
    assert (surface.label, surface.rows.size, bed.label) == ("surface", 128, "bed")
    assert bed.rows.size > 60
    assert bed.rows.max() <= 79


def test_a_wide_gap_in_the_bed_splits_it():
    x = np.arange(300)
    layers = vectorise.find_layers(
        ridge_map([(2, np.full(300, 40.0), np.where((x > 80) & (x < 200), 0, 0.9))], 64, 300), 300
    )
    assert sorted((layer.label, layer.first // 100) for layer in layers) == [("bed", 0), ("bed", 1)]


def test_spurs_and_noise_are_dropped(rng):
    image = ridge_map([(1, np.full(128, 30.0), 0.9), (1, np.where(X < 8, 50.0, np.nan), 0.9)], 64, 128)
    layers = vectorise.find_layers(np.maximum(image, rng.uniform(0, 0.18, image.shape)), 128)
    assert len(layers) == 1


def test_an_empty_map_has_no_layers():
    assert vectorise.find_layers(np.zeros((3, 32, 48)), 48) == []
    assert simplify([]) == []


def test_vertices_are_few_and_within_half_a_pixel():
    layer = Layer("layer", 5, np.concatenate([np.linspace(10, 30, 100), np.linspace(30, 12, 60)]), np.ones(160))
    [(x, y)] = simplify([layer])
    assert len(x) == 3
    assert np.abs(np.interp(layer.traces, x, y) - layer.rows).max() <= 0.5


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([1, 2]))
def test_whatever_the_map_layers_never_cross_and_documents_are_well_formed(seed, stride):
    rng = np.random.RandomState(seed)
    noise = rng.uniform(0, 1, (3, 48, 60 // stride))
    for axis in (1, 2, 2):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / 3
    image = np.clip((noise - noise.min()) / np.ptp(noise), 0, 1).astype(np.float32)
    layers = vectorise.find_layers(image, 60, stride)
    curves = {"layer": [0.0, 1.0], "frame": [0.0, 1.0, 0.0]}
    document = tracker.layers_document(layers, (48, 60), curves, {})
    for layer in document["layers"]:
        x = [vertex["x"] for vertex in layer["vertices"]]
        assert len(x) >= 2
        assert all(a < b for a, b in zip(x, x[1:]))
        assert x[0] >= 0
        assert x[-1] <= 59
        assert all(0 <= vertex["y"] <= 47 for vertex in layer["vertices"])
        assert 0 <= layer["confidence"] <= 1
    rows = scoring.rows_from_layers(document["layers"], 60)
    for i in range(len(rows)):
        for below in rows[i + 1 :]:
            shared = np.isfinite(rows[i]) & np.isfinite(below)
            assert (rows[i][shared] < below[shared]).all()


@pytest.mark.parametrize(("height", "width"), [(40, 100), (300, 900), (2100, 700)])
def test_tiles_leave_no_seam(monkeypatch, rng, height, width):
    monkeypatch.setattr(tracker, "TILE_PIXELS", 300 * 320)
    shapes = []

    def forward(image):
        shapes.append(image.shape)
        assert image.shape[2] % 16 == image.shape[3] % 16 == 0
        one = 1 / (1 + np.exp(-image[:, :1, :, ::2]))
        return np.concatenate([one] * 3, axis=1)

    grey = rng.randint(0, 255, (height, width)).astype(np.uint8)
    tiled = tracker.probability_map(forward, grey, 2, 2)
    whole = 1 / (1 + np.exp(-tracker.normalise(grey)[0, :, ::2]))
    assert tiled.shape == (3, height, (width + 1) // 2)
    np.testing.assert_allclose(tiled[1], whole, atol=1e-5)
    assert (len(shapes) > 1) == (height * width > 300 * 320)


def test_a_layer_that_fades_is_linked_along_its_neighbours(rng):
    bend = 12 * np.sin(X / 15.0)
    seen = np.where((X > 60) & (X < 80), 0.05, 0.9)
    lines = [(1, 30 + bend, 0.9), (1, 40 + bend, seen), (1, 50 + bend, 0.9)]
    layers = vectorise.find_layers(ridge_map(lines, 80, 128), 128)
    assert len(layers) == 3
    assert np.abs(layers[1].rows - (40 + bend)).max() < 2.0  # a straight link would miss by 3


def test_steep_layers_outvote_a_level_ghost_among_them():
    image = ridge_map([(1, 10.0 + 14 * i + 1.5 * (X - 64), 0.9) for i in range(-9, 20)], 192, 128)[1]
    ghost = ridge_map([(1, np.where(abs(X - 64) < 16, 100.0, np.nan), 0.5)], 192, 128)[1]
    slope = slopes(np.maximum(image, ghost))
    assert np.abs(slope[50, 28:36] - 1.5).max() < 0.35
    layers = vectorise.find_layers(np.stack([0 * image, np.maximum(image, ghost), 0 * image]), 128)
    assert all(abs(np.polyfit(layer.traces, layer.rows, 1)[0] - 1.5) < 0.1 for layer in layers)


def test_a_line_is_cut_where_the_map_does_not_support_it():
    support = np.array([0.9] * 4 + [0.1] * 6 + [0.9] * 4)
    line = Piece(3, np.arange(14.0), support)
    pieces = vectorise.likely([line, line], ridge=0.5, window=3, gap=4, shortest=3)
    assert [(first, rows.tolist()) for first, rows, _ in pieces] == [(3, [0, 1, 2, 3]), (13, [10, 11, 12, 13])] * 2
    assert len(vectorise.likely([line], ridge=0.5, window=3, gap=5, shortest=3)) == 1
    assert vectorise.likely([], 0.5, 3, 2, 3) == []


def test_a_short_piece_needs_more_support_than_a_long_one():
    short, sure, long = (Piece(0, np.zeros(n), np.full(n, p)) for n, p in ((24, 0.6), (24, 0.8), (60, 0.6)))
    pieces = vectorise.likely([short, sure, long], ridge=0.5, window=12, gap=4, shortest=20)
    assert [rows.size for _, rows, _ in pieces] == [24, 60]
    faded = np.concatenate([np.full(30, 0.7), np.zeros(16), np.full(30, 0.7)])  # a gap is no evidence against a layer
    assert len(vectorise.likely([Piece(0, np.zeros(76), faded)], ridge=0.5, window=12, gap=24, shortest=20)) == 1


def test_a_bed_that_is_more_of_a_layer_is_none():
    line = np.full(128, 40.0)
    layers = vectorise.find_layers(
        ridge_map([(0, np.full(128, 10.0), 0.9), (1, line, 0.7), (2, line, 0.4)], 64, 128), 128
    )
    assert [layer.label for layer in layers] == ["surface", "layer"]
