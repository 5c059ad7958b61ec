"""The task that an arbiter is given where reviewers disagree."""

from typing import Any

from firnline.review.decision import Disputed
from firnline.review.task_input import FINEST_TOLERANCE_PX, polyline


def arbitration_input(shown: dict[str, Any], disputed: Disputed) -> dict[str, Any]:
    """InputContent of the arbiter's task, from that of the task which the reviewers had.

    The proposal is what they agree on, with the disputed lines of the first of them. The drawings of the others lie beside
    it as an annotation does; `answers_json` has each of them alone.
    """
    answers = [
        {"name": by, "polylines": [polyline(layer, FINEST_TOLERANCE_PX) for layer in layers]}
        for by, layers in disputed.others
    ]
    return shown | {
        "reason": disputed.sentence,
        "a2i_json": {"polylines": [polyline(layer, FINEST_TOLERANCE_PX) for layer in disputed.proposal]},
        "line_confidence": [None] * len(disputed.proposal),
        "annotation_json": {"polylines": [line for answer in answers[1:] for line in answer["polylines"]]},
        "answers_json": answers,
    }
