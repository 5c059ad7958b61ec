"""The task that an arbiter is given where reviewers disagree."""

from typing import Any

from firnline.limits import MAX_ARBITRATION_BYTES, MAX_PICTURE_ROWS
from firnline.review.decision import Disputed, Given
from firnline.review.task_input import fitting, polyline

COARSEST_TOLERANCE_PX = MAX_PICTURE_ROWS
"""With which of every line its ends are left."""


def arbitration_input(shown: dict[str, Any], disputed: Disputed, limit: int = MAX_ARBITRATION_BYTES) -> dict[str, Any]:
    """InputContent of the arbiter's task, from that of the task which the reviewers had.

    The proposal is what they agree on, with the disputed lines of the first of them; `answers_json` has what each of them
    drew, in the order in which they answered. Where the lines would make it longer than `limit` characters, they are
    simplified, twice as coarsely each time, until it fits.
    """

    def simplified_by(tolerance: float) -> dict[str, Any]:
        return shown | {
            "reason": disputed.sentence,
            "a2i_json": {"polylines": [polyline(layer, tolerance) for layer in disputed.proposal]},
            "line_confidence": [None] * len(disputed.proposal),
            "answers_json": [_answer(given, tolerance) for given in disputed.answers],
        }

    return fitting(simplified_by, limit, COARSEST_TOLERANCE_PX)


def _answer(given: Given, tolerance: float) -> dict[str, Any]:
    """Who it is, and the lines with whether they are all, or the verdict in their place."""
    if given.verdict:
        return {"name": given.by, "verdict": given.verdict.model_dump()}
    assert given.drawing is not None  # noqa: S101 - an answer has one of the two
    lines = [polyline(layer, tolerance) for layer in given.drawing.layers]
    return {"name": given.by, "polylines": lines, "complete": given.drawing.coverage == "complete"}
