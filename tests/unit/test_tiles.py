"""A large picture is asked for in tiles, and its layers show no seam."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from firnline.documents.echogram import encode_png
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex
from firnline.documents.tiles import Tile, stitched, tiles
from firnline.limits import MAX_PICTURE_PIXELS, MAX_PICTURE_ROWS, MAX_REQUEST_BYTES, TILE_PIXELS

HEIGHT = 100


def document(left: int, right: int, lines: list[tuple[str, object, int, int]], confidence=0.8) -> LayersDocument:
    """Lines as (label, function of the column, first, last column), seen through a tile."""
    layers = []
    for label, at, first, last in lines:
        columns = np.arange(max(first, left), min(last, right - 1) + 1)
        if columns.size >= 2:
            vertices = [Vertex(x=float(x - left), y=float(at(x))) for x in columns]
            layers.append(Layer(label=label, confidence=confidence, vertices=vertices))
    return LayersDocument(
        frame_id="c/s/f",
        image=ImageSize(width=right - left, height=HEIGHT),
        coverage="complete",
        confidence=confidence,
        source=Source(kind="model", model_version="m", created=datetime(2026, 1, 1, tzinfo=UTC)),
        layers=layers,
    )


@pytest.mark.parametrize(("rows", "columns"), [(256, 512), (MAX_PICTURE_ROWS, 1953), (4000, 4000), (160, 100_000)])
def test_tiles_cover_the_picture_overlap_and_keep_to_their_size(rows, columns):
    cut = tiles(rows, columns)
    assert cut[0].left == 0
    assert cut[-1].right == columns
    assert all((tile.right - tile.left) * rows <= TILE_PIXELS for tile in cut)
    assert all(before.right - after.left >= 24 for before, after in pairwise(cut))
    assert rows * columns <= MAX_PICTURE_PIXELS


def test_no_tile_comes_near_the_largest_request_not_even_of_noise():
    noise = np.random.default_rng(0).integers(0, 256, (2000, TILE_PIXELS // 2000), dtype=np.uint8)
    assert len(encode_png(noise)) < 0.7 * MAX_REQUEST_BYTES


def test_a_line_through_all_tiles_is_one_line_without_a_step():
    cut = [Tile(0, 300), Tile(200, 500), Tile(400, 700)]
    truth = lambda x: 40 + 10 * np.sin(x / 60)  # noqa: E731
    parts = []
    for number, tile in enumerate(cut):
        off = (-0.8, 0.7, -0.6)[number]
        lines = [("surface", lambda x: 10 + 0 * x, 0, 699), ("layer", lambda x, off=off: truth(x) + off, 0, 699)]
        parts.append((tile, document(tile.left, tile.right, lines)))
    found = stitched(parts, 700)
    assert [layer.label for layer in found.layers] == ["surface", "layer"]
    rows = found.rows()[1]
    assert np.isfinite(rows).all()
    assert np.abs(rows - truth(np.arange(700))).max() < 1.1
    assert np.abs(np.diff(rows)).max() < 0.5  # the tiles differ by 1.5 rows


def test_a_line_that_only_one_tile_saw_ends_where_that_tile_saw_it():
    cut = [Tile(0, 300), Tile(200, 500)]
    weak = ("layer", lambda x: 70 + 0 * x, 250, 499)
    parts = [(cut[0], document(0, 300, [])), (cut[1], document(200, 500, [weak]))]
    [layer] = stitched(parts, 500).layers
    assert (layer.vertices[0].x, layer.vertices[-1].x) == (250, 499)


def test_lines_of_two_tiles_that_cross_are_parted():
    cut = [Tile(0, 300), Tile(200, 500)]
    falling = ("layer", lambda x: 20 + 0.2 * x, 0, 299)
    rising = ("layer", lambda x: 130 - 0.25 * x, 200, 499)
    parts = [(cut[0], document(0, 300, [falling])), (cut[1], document(200, 500, [rising]))]
    found = stitched(parts, 500)  # a document refuses layers that cross
    assert np.isfinite(found.rows()).any(axis=0).all()


def test_one_tile_is_its_own_answer_and_confidence_is_weighed_by_width():
    whole = document(0, 300, [("surface", lambda x: 10 + 0 * x, 0, 299)])
    assert stitched([(Tile(0, 300), whole)], 300) is whole
    parts = [(Tile(0, 300), whole), (Tile(200, 500), document(200, 500, [], confidence=0.4))]
    assert stitched(parts, 500).confidence == pytest.approx(0.6)


def test_of_more_lines_than_a_document_may_have_the_longest_are_kept(monkeypatch):
    monkeypatch.setattr("firnline.documents.tiles.MAX_PICKS", 3 * 500)
    cut = [Tile(0, 300), Tile(200, 500)]
    lines = [
        ("layer", lambda x, at=at: at + 0 * x, 0, last) for at, last in ((20, 150), (40, 100), (60, 120), (80, 60))
    ]
    surface = ("surface", lambda x: 5 + 0 * x, 0, 30)
    parts = [(tile, document(tile.left, tile.right, [surface, *lines])) for tile in cut]
    found = stitched(parts, 500)
    assert [(layer.label, layer.vertices[0].y) for layer in found.layers] == [
        ("surface", 5),
        ("layer", 20),
        ("layer", 60),
    ]
