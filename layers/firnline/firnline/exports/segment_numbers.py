"""Numbers of layers along a flight segment, of the frames that a stack holds and what people said of their joins."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from firnline.errors import Refused
from firnline.products.frame_product import FrameProduct
from firnline.products.numbering import layer_rows, line_at, lines_of, numbered, place_on
from firnline.products.segment import FrameLines, Join, Said, SegmentLayers, layers_of_segment
from firnline.store.joins import Joins
from firnline.store.rows import JoinRow

JOIN_COLUMNS = ("frame_id", "layer_number", "number", "joined_to", "joined_to_number", "confidence", "said_by")
_KEPT_VALUES = 2_000_000
"""Lines times traces of products that are kept between the two readings of a segment; others are read again."""


@dataclass
class SegmentNumbers:
    """The layers of one segment.

    in_frame : of each frame, by line, its number within the frame
    notes : what people said that no longer holds, a sentence each
    """

    layers: SegmentLayers
    lines: dict[str, FrameLines]
    in_frame: dict[str, list[int]]
    notes: list[str] = field(default_factory=list)
    _kept: dict[str, FrameProduct] = field(default_factory=dict)

    def kept(self, frame_id: str) -> FrameProduct | None:
        """A product of the first reading, once, if it was kept."""
        return self._kept.pop(frame_id, None)

    def of(self, product: FrameProduct) -> FrameProduct:
        """The product with these numbers."""
        return numbered(product, self.layers, self.lines[product.frame_id])

    def row_of(self, join: Join) -> tuple[str, ...]:
        """The join as a row of `JOIN_COLUMNS`; its layer's number is empty where that is in too few frames."""
        number = int(self.layers.numbers[join.frame][join.line])
        return (
            join.frame, str(number or ""), str(self.in_frame[join.frame][join.line]), join.before,
            str(self.in_frame[join.before][join.before_line]), f"{join.confidence:.4f}",
            "person" if join.said else "stratigraphy",
        )  # fmt: skip


def segment_numbers(
    segment: str, products: Iterable[FrameProduct], joins: Joins, keep: Callable[[str], bool] = lambda _: False
) -> SegmentNumbers:
    """The numbers of the layers of `<campaign>/<segment>` along all its products, which are looked at one by one.

    `keep` says of a frame's name whether its product is wanted again. Raises `Refused` where what people said cannot be
    together.
    """
    said = list(joins.of_segment(segment))
    frames: list[tuple[float, FrameLines]] = []
    in_frame: dict[str, list[int]] = {}
    at: dict[str, tuple[str, int]] = {}
    kept: dict[str, FrameProduct] = {}
    values = 0
    for product in products:
        lines = lines_of(product)
        known = product.gps_time_s[np.isfinite(product.gps_time_s)]
        frames.append((float(known[0]) if known.size else np.inf, lines))
        in_frame[product.frame_id] = _in_frame(product, lines)
        for place in _places(said, product.stem):
            line = line_at(product, lines, place)
            if line is not None:
                at[place] = product.frame_id, line
        if keep(product.frame_id) and values + product.sample.size <= _KEPT_VALUES:
            kept[product.frame_id] = product
            values += product.sample.size
    frames.sort(key=lambda frame: (frame[0], frame[1].name))
    ordered = [lines for _, lines in frames]
    stems = {frame_id.rpartition("/")[2] for frame_id in in_frame}
    notes = [_gone(row) for row in said if _stems(row) <= stems and not {row.one, row.other} <= at.keys()]
    holds = [Said(at[row.one], at[row.other], row.same) for row in said if {row.one, row.other} <= at.keys()]
    return SegmentNumbers(
        layers_of_segment(ordered, holds), {lines.name: lines for lines in ordered}, in_frame, notes, kept
    )


def _in_frame(product: FrameProduct, lines: FrameLines) -> list[int]:
    rows = layer_rows(product)
    return [product.horizons[rows[pieces[0]]].in_frame for pieces in lines.pieces]


def _places(said: Iterable[JoinRow], stem: str) -> set[str]:
    return {place for row in said for place in (row.one, row.other) if place.startswith(f"{stem}:")}


def _stems(row: JoinRow) -> set[str]:
    return {place.split(":")[0] for place in (row.one, row.other)}


def _gone(row: JoinRow) -> str:
    return (
        f"what was said of {row.one} and {row.other} ({row.segment}) no longer holds, since no line passes there now: say it again, "
        "or take it back with `firnline layers forget`"
    )


def say(joins: Joins, one: tuple[FrameProduct, int], other: tuple[FrameProduct, int], same: bool) -> JoinRow:
    """Write down that the lines of two numbers, each within its frame, are one layer or not; `Refused` if they cannot be."""
    segment = f"{one[0].campaign}/{one[0].segment}"
    if segment != f"{other[0].campaign}/{other[0].segment}":
        raise Refused("Layers are joined along one flight segment: these frames are of two.")
    if one[0].frame_id == other[0].frame_id:
        raise Refused("These are lines of one frame: what belongs together there is drawn together, in a review.")
    return joins.say(segment, place_on(*one), place_on(*other), same)
