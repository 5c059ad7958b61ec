"""Whose lines a frame has, how sure each are, and where they lie."""

from typing import Literal

from firnline.store import keys
from firnline.store.rows import FrameRow, FrameStatus

LineStatus = Literal["reviewed", "imported", "accepted", "unreviewed"]

_UNREVIEWED: tuple[FrameStatus, ...] = ("PREDICTED", "IN_REVIEW")


def line_statuses(row: FrameRow) -> list[LineStatus]:
    """The lines that a frame has, the surest first; none where it was refused or is not predicted yet."""
    has: list[LineStatus] = []
    if row.status == "REJECTED":
        return has
    if row.status == "CORRECTED":
        has.append("reviewed")
    if row.annotated:
        has.append("imported")
    if row.status == "ACCEPTED":
        has.append("accepted")
    if row.status in _UNREVIEWED:
        has.append("unreviewed")
    return has


def lines_key(row: FrameRow, status: LineStatus) -> str:
    """Where the layers document of these lines lies in the workspace bucket."""
    if status == "reviewed":
        return keys.correction_prefix(row.frame_id, row.review) + "layers.json"
    if status == "imported":
        return keys.partial(row.frame_id, row.revision)
    return keys.prediction(row.frame_id, row.revision, row.predicted_by)
