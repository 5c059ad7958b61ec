"""Products of frames, read from a stack's table and workspace."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.errors import Refused
from firnline.exports.segment_numbers import SegmentNumbers, segment_numbers
from firnline.exports.selection import Holdings, Wanted, frames_named, status_of
from firnline.geometry import dense_rows
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, MAX_OUTPUT_BYTES
from firnline.products.frame_product import Assumptions, FrameProduct, Provenance, Status, frame_product
from firnline.products.track import Box
from firnline.products.uncertainty import disagreement, nearest_lines
from firnline.review.answer import read_answer
from firnline.store import keys
from firnline.store.bucket import split_uri
from firnline.store.joins import Joins
from firnline.store.rows import CorrectionRow, FrameRow

OUTSIDE = "outside the box"
OF_NOW = "of a new revision just now, which its correction is not of: export again"
_SAME_LINE_ROWS = 5.0
"""Two reviewers' lines that are farther apart are not the same one."""


def numbered_products(
    holdings: Holdings,
    wanted: Wanted,
    frames: Iterable[str],
    physics: Assumptions,
    tell: Callable[[SegmentNumbers], None] = lambda _: None,
) -> Iterator[FrameProduct | str]:
    """Of each frame, by name, its product, or why there is none; segment by segment, whose layers are numbered first, of
    which `tell` hears.
    """
    for segment, named in groupby(frames, key=lambda frame_id: frame_id.rpartition("/")[0]):
        numbers = None
        if wanted.numbering == "segment":
            numbers = numbers_of(holdings, wanted, segment, physics, keep=wanted.names)
            tell(numbers)
        for frame_id in named:
            kept = numbers.kept(frame_id) if numbers else None
            if kept is not None and wanted.box is not None and not _passes(wanted.box, kept.frame):
                yield OUTSIDE
                continue
            made = kept or product_of(holdings, wanted, frame_id, physics)
            if numbers and isinstance(made, FrameProduct):
                yield numbers.of(made) if frame_id in numbers.lines else OF_NOW
            else:
                yield made


def numbers_of(
    holdings: Holdings, wanted: Wanted, segment: str, physics: Assumptions, keep: Callable[[str], bool]
) -> SegmentNumbers:
    """The layers along `<campaign>/<segment>`: of all its frames that have lines of the wanted statuses, in the box or not,
    so that a layer has the same number whichever frames are exported.
    """
    whole = replace(wanted, which=(tuple(segment.split("/")),), box=None)
    made = (product_of(holdings, whole, frame_id, physics) for frame_id in frames_named(holdings, whole))
    products = (one for one in made if isinstance(one, FrameProduct))
    return segment_numbers(segment, products, Joins(holdings.table), keep)


def product_of(holdings: Holdings, wanted: Wanted, frame_id: str, physics: Assumptions) -> FrameProduct | str:
    """A frame's product, or why there is none."""
    row = holdings.register.get(frame_id)
    if row is None or row.status == "REJECTED":
        return "rejected, or gone"
    status = status_of(row, wanted.statuses)
    if status is None:
        return f"{row.status}, which has no lines that are {' or '.join(wanted.statuses)} (--status chooses)"
    try:
        return _read_product(holdings, wanted, row, status, physics)
    except FileNotFoundError as error:
        return f"without its {str(error).rpartition('/')[2]} in the bucket: export again, or look for who deleted it"


def _read_product(
    holdings: Holdings, wanted: Wanted, row: FrameRow, status: Status, physics: Assumptions
) -> FrameProduct | str:
    content = holdings.workspace.read(keys.frame(row.frame_id, row.revision), MAX_FILE_BYTES)
    frame = FrameDocument.model_validate_json(content)
    if wanted.box is not None and not _passes(wanted.box, frame):
        return OUTSIDE
    lines = _lines(holdings, row, status)
    if lines is None:
        return OF_NOW
    return frame_product(lines[0], frame, lines[1], physics)


def _lines(holdings: Holdings, row: FrameRow, status: Status) -> tuple[LayersDocument, Provenance] | None:
    """The layers of a frame, and where they come from; None where the correction is another revision's."""
    if status == "reviewed":
        correction = holdings.corrections.get(row.review)
        if correction is None or correction.revision != row.revision:
            return None
        _, prefix = split_uri(correction.image_prefix)
        document = _document(holdings, f"{prefix.rstrip('/')}/layers.json")
        told = Provenance(
            status, document.source.created, correction.model_version, correction.loop_name,
            reviewer_rows(holdings, correction, document),
        )  # fmt: skip
    elif status == "imported":
        document = _document(holdings, keys.partial(row.frame_id, row.revision))
        told = Provenance(status, document.source.created)
    else:
        document = _document(holdings, keys.prediction(row.frame_id, row.revision, row.predicted_by))
        told = Provenance(status, document.source.created, row.predicted_by)
    return document, told


def reviewer_rows(holdings: Holdings, correction: CorrectionRow, document: LayersDocument) -> float | None:
    """Rows by which the reviewers of a correction differ, where several answered; None where that cannot be told."""
    if correction.answers - correction.answers_refused < 2:
        return None
    _, key = split_uri(correction.output)
    counted, lines = document.rows(), []
    for answer in json.loads(holdings.workspace.read(key, MAX_OUTPUT_BYTES))["humanAnswers"]:
        try:
            drawing = read_answer(answer.get("answerContent"), document.image.width, document.image.height)
        except Refused:
            continue  # complete_review told the reviewer so, and did not count it either
        rows = dense_rows([[(v.x, v.y) for v in layer.vertices] for layer in drawing.layers], document.image.width)
        lines.append(nearest_lines(rows, counted, _SAME_LINE_ROWS).ravel())
    found = disagreement(lines)
    return found if np.isfinite(found) else None


def _document(holdings: Holdings, key: str) -> LayersDocument:
    return LayersDocument.model_validate_json(holdings.workspace.read(key, MAX_DOCUMENT_BYTES))


def _passes(box: Box, frame: FrameDocument) -> bool:
    if frame.latitude is None or frame.longitude is None:
        return False
    return bool(box.holds(np.array(frame.latitude, float), np.array(frame.longitude, float)).any())
