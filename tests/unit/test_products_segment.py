"""Layers keep their numbers along a simulated segment, whose true ones the simulator tells; and people overrule it."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from firnline.errors import Refused
from firnline.products.frame_product import frame_product
from firnline.products.numbering import layer_rows, line_at, lines_of, numbered, place_on
from firnline.products.segment import (
    FrameLines,
    Said,
    SegmentLayers,
    Stretch,
    best_pairs,
    carried,
    frame_lines,
    layers_of_segment,
    pair_chances,
)
from tests.support.first_network import network
from tests.support.simulated_products import MODEL, REVIEWER, made
from workbench.simulator import SimulatedFrame, campaign_named, simulate_frame

FRAMES = 20
MISSING = frozenset({4, 9, 10, 15})


@dataclass(frozen=True)
class Flown:
    """The lines of a segment's frames, and of each line the true layer."""

    lines: list[FrameLines]
    truth: dict[str, list[int]]

    def right(self, found: SegmentLayers) -> np.ndarray:
        """(joins,) whether each is of one true layer."""
        return np.array([
            self.truth[join.before][join.before_line] == self.truth[join.frame][join.line] for join in found.joins
        ])  # fmt: skip

    def kept(self, found: SegmentLayers) -> tuple[int, int]:
        """Of the layers that a frame and the next both show, how many keep a number; and how many there are."""
        kept = possible = 0
        for one, two in pairwise(line.name for line in self.lines):
            for line, layer in enumerate(self.truth[one]):
                if layer in self.truth[two]:
                    again = found.numbers[two][self.truth[two].index(layer)]
                    possible, kept = possible + 1, kept + int(found.numbers[one][line] == again > 0)
        return kept, possible


@lru_cache(maxsize=8)
def segment(campaign: str, flight: int) -> list[SimulatedFrame]:
    return [simulate_frame(campaign_named(campaign), flight, number) for number in range(1, FRAMES + 1)]


def flown(
    campaign: str, missing: frozenset[int] = frozenset(), off_rows: float = 0.5, drawn: float = 1.0, flight: int = 0
) -> Flown:
    """The segment as people or a model would draw it: each line off by some rows, and some lines not drawn at all."""
    rng = np.random.default_rng(14)
    lines, truth = [], {}
    for number, frame in enumerate(segment(campaign, flight)):
        layers = np.array([row for row, label in enumerate(frame.labels) if label == "layer"])
        layers = layers[rng.random(layers.size) < drawn]
        below = frame.rows[layers] * frame.dt + frame.time[0] - frame.surface_twtt
        below += rng.normal(0, off_rows * frame.dt, (layers.size, 1))
        if number not in missing:
            one = frame_lines(
                frame.name, below, np.full(layers.size, max(off_rows, 0.5) * frame.dt), frame.lat, frame.lon
            )
            lines.append(one)
            truth[frame.name] = [frame.strata[layers[pieces[0]]] for pieces in one.pieces]
    return Flown(lines, truth)


@pytest.mark.parametrize(
    "campaign", ["greenland_2012", "greenland_2014", "antarctica_snow_2016", "greenland_sounder_2012"]
)
@pytest.mark.parametrize("missing", [frozenset(), MISSING], ids=["whole", "frames-missing"])
def test_joins_along_a_segment_are_right(campaign: str, missing: frozenset[int]) -> None:
    frames = flown(campaign, missing)
    found = layers_of_segment(frames.lines)
    right = frames.right(found)
    kept, possible = frames.kept(found)
    print(f"{campaign}: {right.sum()} of {right.size} joins right, {kept} of {possible} layers keep their number")
    assert right.size >= 150
    assert right.mean() >= 0.95
    assert kept >= 0.85 * possible, "faint layers may be left uncounted"


@pytest.mark.parametrize("campaign", ["demo", "greenland_southeast_2011"])
@pytest.mark.parametrize("missing", [frozenset(), MISSING], ids=["whole", "frames-missing"])
def test_joins_of_steep_layers_that_fade_are_right(campaign: str, missing: frozenset[int]) -> None:
    """Of four segments together, since one has few joins that are in doubt."""
    flights = [flown(campaign, missing, flight=flight) for flight in range(4)]
    right = np.concatenate([one.right(layers_of_segment(one.lines)) for one in flights])
    print(f"{campaign}: {right.sum()} of {right.size} joins right")
    assert right.size >= 500
    assert right.mean() >= 0.95


def test_the_models_layers_are_counted_as_they_lie(tmp_path: Path) -> None:
    """The model in the box draws pieces of layers that are none; along six frames the counted ones are the true ones."""
    predict = network(tmp_path)
    frames = [made("greenland_2012", 0, number) for number in range(1, 7)]
    products = [frame_product(predict(frame), frame.frame, MODEL) for frame in frames]
    shown = [lines_of(product) for product in products]
    found = layers_of_segment(shown)
    counted = right = 0
    for frame, product, own in zip(frames, products, shown, strict=True):
        for horizon in numbered(product, found, own).horizons:
            if horizon.label == "layer" and horizon.number > 0:
                with np.errstate(invalid="ignore"):
                    near = (np.abs(frame.rows - horizon.sample) <= 2 * frame.frame.framing.samples_per_row).sum(axis=1)
                counted += 1
                right += frame.simulated.strata[int(near.argmax())] == horizon.number
    print(f"{right} of {counted} lines have the number of their true layer, over six frames of the model's lines")
    assert counted >= 80
    assert right >= 0.95 * counted


def test_a_layer_that_is_not_drawn_everywhere_keeps_its_number() -> None:
    """Each line is off by a row and one of seven is not drawn, as of a mediocre model, and frames are missing."""
    frames = flown("greenland_2012", MISSING, off_rows=1.0, drawn=0.85)
    found = layers_of_segment(frames.lines)
    over_gaps = [join for join in found.joins if join.before != _before(frames, join.frame)]
    assert len(over_gaps) > 10, "some were not in the frame before"
    assert frames.right(found).mean() >= 0.95


def _before(frames: Flown, name: str) -> str:
    names = [line.name for line in frames.lines]
    return names[names.index(name) - 1]


def test_confidence_says_how_often_joins_are_right() -> None:
    """Also where it is hard: steep layers that fade, of which the model of the box draws pieces."""
    sure, right = [], []
    for campaign in ("demo", "greenland_southeast_2011", "greenland_2012"):
        for missing in (frozenset[int](), MISSING):
            frames = flown(campaign, missing, off_rows=1.0, drawn=0.85)
            found = layers_of_segment(frames.lines)
            sure += [join.confidence for join in found.joins]
            right += frames.right(found).tolist()
    confidence, is_right = np.array(sure), np.array(right)
    print({
        f"{low:.1f}": (round(float(is_right[inside].mean()), 3), int(inside.sum()))
        for low in (0.5, 0.7, 0.9) if (inside := (confidence >= low) & (confidence < low + 0.2)).any()
    })  # fmt: skip
    assert is_right[confidence >= 0.9].mean() >= 0.97
    unsure = confidence < 0.9
    assert is_right[unsure].mean() >= confidence[unsure].mean() - 0.05, "what is said is kept, or more"


def test_numbers_grow_with_depth_in_every_frame() -> None:
    frames = flown("antarctica_snow_2016", MISSING, off_rows=1.0, drawn=0.85)
    found = layers_of_segment(frames.lines)
    for numbers in found.numbers.values():
        assert (np.diff(numbers[numbers > 0]) > 0).all()


def lines(name: str, *below: float, at: float = 0.0) -> FrameLines:
    """A frame of level layers, a kilometre long, `at` kilometres along the track."""
    rows = np.repeat(np.array(below)[:, None], 64, axis=1)
    north = 75 + (at + np.linspace(0, 1, 64)) / 111.2
    return frame_lines(name, rows, np.full(len(below), 0.5), north, np.full(64, -45.0))


def test_a_layer_that_comes_and_goes_moves_no_other() -> None:
    frames = [lines("a", 10, 20, 30), lines("b", 10, 30, at=1), lines("c", 10, 20, 30, at=2)]
    found = layers_of_segment(frames)
    assert [numbers.tolist() for numbers in found.numbers.values()] == [[1, 2, 3], [1, 3], [1, 2, 3]]
    assert min(join.confidence for join in found.joins) > 0.8


def test_a_line_of_one_frame_is_not_counted_as_a_year() -> None:
    frames = [lines("abcde"[at], *((10, 14, 20, 30) if at == 2 else (10, 20, 30)), at=at) for at in range(5)]
    found = layers_of_segment(frames)
    assert [numbers.tolist() for numbers in found.numbers.values()] == [
        [1, 2, 3], [1, 2, 3], [1, 0, 2, 3], [1, 2, 3], [1, 2, 3]]  # fmt: skip


def test_people_overrule_what_was_found() -> None:
    frames = [lines("a", 10, 20, 30), lines("b", 10, 20, 30, at=1)]
    one_deeper = layers_of_segment(frames, [Said(("a", 0), ("b", 1), same=True)])
    assert one_deeper.numbers["b"][1] == one_deeper.numbers["a"][0]
    assert [join.confidence for join in one_deeper.joins if join.said] == [pytest.approx(1.0)]
    parted = layers_of_segment(frames, [Said(("b", 2), ("a", 2), same=False)])
    assert parted.numbers["b"][2] != parted.numbers["a"][2]
    assert parted.numbers["b"][:2].tolist() == parted.numbers["a"][:2].tolist()


def test_people_cannot_make_layers_cross() -> None:
    frames = [lines("a", 10, 20, 30), lines("b", 10, 20, 30, at=1)]
    with pytest.raises(Refused, match="cross"):
        layers_of_segment(frames, [Said(("a", 0), ("b", 1), same=True), Said(("a", 1), ("b", 0), same=True)])
    with pytest.raises(Refused, match="two layers that are not the same"):
        layers_of_segment(frames, [Said(("a", 0), ("b", 1), same=True), Said(("b", 1), ("a", 1), same=True)])


def test_pieces_of_one_line_are_one() -> None:
    rows = np.full((3, 64), np.nan)
    rows[0] = 10.0
    rows[1, :20], rows[2, 40:] = 20.0, 20.5
    found = frame_lines("a", rows, np.full(3, 0.5), np.full(64, np.nan), np.full(64, np.nan))
    assert found.pieces == ((0,), (1, 2))


def test_a_line_that_ends_early_is_carried_between_its_neighbours() -> None:
    """Below the last it is stretched as the layer above it, here by two; or by the root of it where half is remembered."""
    there, here = np.array([10.0, 20.0]), np.array([20.0, 40.0])
    assert carried(np.array([15.0, 30.0]), there, here).tolist() == [30.0, 60.0]
    assert carried(np.array([30.0]), there, here, memory=0.5)[0] == pytest.approx(40 + 10 * np.sqrt(2))
    rows = np.array([np.linspace(10, 20, 64), np.linspace(15, 27, 64), np.linspace(20, 34, 64)])
    rows[1, 30:] = np.nan
    found = frame_lines("a", rows, np.full(3, 0.5), np.linspace(75, 75.01, 64), np.full(64, -45.0))
    assert found.ends[1] == pytest.approx(27, abs=0.5)
    assert found.ends_off[1] > found.ends_off[0]


def test_chances_of_pairs_are_probabilities_and_one_where_nothing_else_can_be() -> None:
    above, off = np.array([10.0, 20.0, 30.0]), np.full(3, 0.3)
    options = {"log_missing": np.log(np.full(3, 0.15)), "log_new": np.log(np.full(2, 0.01))}
    chance = pair_chances(
        above, off, np.array([10.1, 29.8]), off[:2], Stretch(0.02, 0.5), np.log(np.full((3, 2), 0.85)), **options
    )
    assert chance is not None
    assert (chance.sum(axis=0) <= 1 + 1e-9).all()
    assert (chance.sum(axis=1) <= 1 + 1e-9).all()
    assert chance[0, 0] > 0.99
    assert chance[2, 1] > 0.99
    nothing = np.full((3, 2), -np.inf)
    ruled_out = options | {"log_new": np.full(2, -np.inf)}
    assert pair_chances(above, off, np.array([10.0, 30.0]), off[:2], Stretch(0.02, 0.5), nothing, **ruled_out) is None


def test_a_layer_is_stretched_as_the_one_above_it() -> None:
    """Layers of 10 each become 10, 15, 15: the fourth line is the third layer's, not the fourth's, if neighbours are alike."""
    above, off = np.array([10.0, 20.0, 30.0, 40.0]), np.full(4, 0.1)
    options = {"log_missing": np.log(np.full(4, 0.2)), "log_new": np.log(np.full(3, 0.01))}
    chances = [
        pair_chances(
            above, off, np.array([15.0, 30.0, 45.0]), off[:3], Stretch(0.25, memory), np.log(np.full((4, 3), 0.8)), **options
        )
        for memory in (0.0, 0.9)
    ]  # fmt: skip
    alone, alike = (chance for chance in chances if chance is not None)
    assert alike[2, 2] > 0.9 > alone[2, 2], "three layers, each half as thick again; the fourth is not drawn"


def test_how_layers_stretch_is_measured_on_their_own_lines() -> None:
    """Two lines that part: both thicknesses grow by the same factor, so what one tells the next is everything."""
    along = np.linspace(0, 1000, 64)
    grown = np.exp(along / 5000)
    found = frame_lines(
        "a", np.array([10.0, 20.0, 30.0])[:, None] * grown, np.full(3, 0.1), 75 + along / 111_200, np.full(64, -45.0)
    )
    np.testing.assert_allclose(found.neighbours, found.thickness)
    np.testing.assert_allclose(np.sqrt(found.thickness), found.lags / 5000, rtol=0.01)


def test_the_best_pairs_keep_the_order() -> None:
    assert best_pairs(np.array([[0.1, 0.6], [0.5, 0.1]])) == [(0, 1)]
    assert best_pairs(np.array([[0.5, -1.0], [-1.0, 0.5], [0.2, 0.4]])) == [(0, 0), (1, 1)]


def test_products_carry_the_numbers_of_the_segment() -> None:
    products = [
        frame_product(one.truth, one.frame, REVIEWER)
        for one in (made("greenland_2012", 0, number) for number in (1, 2, 4))
    ]
    of_frame = [lines_of(product) for product in products]
    found = layers_of_segment(of_frame)
    along = [numbered(product, found, own) for product, own in zip(products, of_frame, strict=True)]
    for product, before in zip(along, products, strict=True):
        assert product.numbering == "segment"
        assert [horizon.in_frame for horizon in product.horizons] == before.numbers.tolist()
        assert [horizon.label for horizon in product.horizons] == [horizon.label for horizon in before.horizons]
        layers = product.numbers[layer_rows(product)]
        assert np.unique(layers[layers > 0]).size > 8
    shared = set(along[0].numbers) & set(along[2].numbers)
    assert len(shared) > 8
    line = int(layer_rows(products[0])[3])
    place = place_on(products[0], products[0].horizons[line].in_frame)
    assert line_at(products[0], of_frame[0], place) == of_frame[0].line_of(3)
    assert line_at(products[0], of_frame[0], f"{products[0].stem}:9999:5") is None
    with pytest.raises(Refused, match="has no layer 99"):
        place_on(products[0], 99)
