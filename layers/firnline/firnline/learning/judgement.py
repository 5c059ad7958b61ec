"""Whether the candidate is better than the champion, by what both answered on the frozen holdout through the serving path."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from firnline.documents.answer import MalformedAnswer, checked_answer
from firnline.documents.layers import LayersDocument
from firnline.errors import legible
from firnline.learning import scoring

Scores = dict[str, Any]

MISSED_PX = 2.0


@dataclass(frozen=True)
class HoldoutFrame:
    """A frame of the holdout: its true layers and both models' answers, documents' bytes, None if there is no answer."""

    number: int
    truth: bytes | None
    candidate: bytes | None
    champion: bytes | None


@dataclass(frozen=True)
class Verdict:
    promote: bool
    reason: str
    metric: str | None
    candidate: Scores
    champion: Scores
    frames: list[dict[str, Any]]


def judge(
    holdout: Iterable[HoldoutFrame], candidate: str, champion: str, margin: float, mae_tolerance_px: float
) -> Verdict:
    """Score both models, `candidate` and `champion` being their versions, and decide.

    An answer that is missing, not a layers document, of another image's size or of another model counts as one without
    any layer. `margin` is the least rise of the primary score, a share of 1; `mae_tolerance_px` the most that
    `bounded_mae_px` may rise by. Documents are unpacked one frame at a time, since an unpacked holdout fits no memory.
    """
    per_frame = []
    tallies: dict[str, list[Scores]] = {"candidate": [], "champion": []}
    unusable = dict.fromkeys(tallies, 0)
    for frame in holdout:
        truth = LayersDocument.model_validate_json(frame.truth or b"")
        entry: dict[str, Any] = {"number": frame.number}
        for role, version, body in (("candidate", candidate, frame.candidate), ("champion", champion, frame.champion)):
            document, problem = _usable(body, version, truth)
            tally = scoring.document_tally(document, truth.model_dump(mode="json"))
            entry[role] = scoring.summarise([tally]) | ({"problem": problem} if problem else {})
            tallies[role].append(tally)
            unusable[role] += problem is not None
        per_frame.append(entry)
    ours, theirs = (
        with_primary(scoring.summarise(tallies[role])) | {"unusable_answers": unusable[role]} for role in tallies
    )
    promote, reason = decide(ours, theirs, margin, mae_tolerance_px)
    return Verdict(promote, reason, ours["primary_metric"], ours, theirs, per_frame)


def with_primary(scores: Scores) -> Scores:
    """Scores with `primary`, the one that decides, and `bounded_mae_px`, which must not get worse.

    F1 where frames are completely annotated. Where only some layers were drawn, precision cannot be known: then the
    share of surface and bed traces followed within 3 pixels, or else the share of all drawn points found.
    """
    metric: str | None
    followed = [scores[name] for name in ("surface_within_3px", "bed_within_3px") if scores[name] is not None]
    if scores["f1_2px"] is not None:
        metric, value = "f1_2px", scores["f1_2px"]
    elif followed:
        metric, value = "followed_within_3px", round(sum(followed) / len(followed), 6)
    else:
        metric, value = ("recall_2px", scores["recall_2px"]) if scores["recall_2px"] is not None else (None, None)
    return scores | {"primary_metric": metric, "primary": value, "bounded_mae_px": _bounded_mae(scores)}


def _bounded_mae(scores: Scores) -> float | None:
    """Mean absolute error over all drawn points in pixels, a missed point counting as far as a matched one can be (2).

    `mae_px` is over matched points only: it rises when a better model finds harder layers, so models cannot be compared
    by it.
    """
    recall: float | None = scores["recall_2px"]
    if recall is None:
        return None
    return round(recall * ((scores["mae_px"] or 0.0) - MISSED_PX) + MISSED_PX, 6)


def decide(candidate: Scores, champion: Scores, margin: float, mae_tolerance_px: float) -> tuple[bool, str]:
    """Whether the candidate is to replace the champion, and why, in a sentence for the operator."""
    metric = candidate["primary_metric"]
    if metric is None or metric != champion["primary_metric"]:
        return False, "The champion stays: the holdout has no drawn layer to judge by."
    new, old = candidate["primary"], champion["primary"]
    compared = f"{metric} is {new:.4f} against the champion's {old:.4f}"
    if new - old < margin or new <= old:
        return False, f"The champion stays: the candidate's {compared}, and {margin:g} more is asked for."
    risen = (candidate["bounded_mae_px"] or 0.0) - (champion["bounded_mae_px"] or 0.0)
    if risen > mae_tolerance_px:
        return False, (
            f"The champion stays: the candidate's {compared}, but its mean absolute error of "
            f"{candidate['bounded_mae_px']:.2f} px is {risen:.2f} px worse; {mae_tolerance_px:g} px are tolerated."
        )
    return True, f"The candidate is better: its {compared} on {candidate['frames']} holdout frames."


def _failure(body: bytes) -> str | None:
    """What the model's code says of a frame on which it failed, if the answer is that."""
    try:
        return legible(f"the model failed: {json.loads(body)['error']}")
    except (ValueError, KeyError, TypeError):
        return None


def _usable(body: bytes | None, model_version: str, truth: LayersDocument) -> tuple[dict[str, Any], str | None]:
    """An answer, or one without any layer and what is wrong with it."""
    nothing = {"image": truth.image.model_dump(), "layers": []}
    if body is None:
        return nothing, "no answer"
    try:
        return checked_answer(body, truth.image, model_version).model_dump(mode="json"), None
    except MalformedAnswer as error:
        return nothing, _failure(body) or str(error)
