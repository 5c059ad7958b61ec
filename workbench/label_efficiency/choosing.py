"""The two ways to choose a round's frames: as Firnline's review does, or at random from every segment alike."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from firnline.review.diversity import Diversity
from firnline.review.policy import Policy
from firnline.store.rows import Look

REVISION = "simulated"


class Candidate(NamedTuple):
    """A frame of the pool with the model's confidence and the figures of its prediction."""

    frame_id: str
    look: Look

    @property
    def segment(self) -> str:
        return self.frame_id.rpartition("/")[0]


def as_review_does(
    candidates: Sequence[Candidate],
    reviewed: Mapping[str, Sequence[Look]],
    count: int,
    policy: Policy,
    diversity: Diversity,
) -> list[str]:
    """`count` frames in the order in which reviewers get them: what the policy asks for, the least confident first, those
    that look like a reviewed neighbour only when nothing else is left, and confident frames last.

    `reviewed` are the looks of earlier rounds by segment.
    """
    looks = {segment: list(its) for segment, its in reviewed.items()}
    chosen, passed_over, sure = [], [], []
    for candidate in sorted(candidates, key=lambda one: (one.look.confidence, one.frame_id)):
        reason = policy.reason_to_review(candidate.frame_id, REVISION, candidate.look.confidence)
        its = looks.setdefault(candidate.segment, [])
        if reason is None:
            sure.append(candidate.frame_id)
        elif not reason.drawn and diversity.wanted and diversity.alike(candidate.look, its):
            passed_over.append(candidate.frame_id)
        else:
            its.append(candidate.look)
            chosen.append(candidate.frame_id)
    return [*chosen, *passed_over, *sure][:count]


def stratified(frame_ids: Sequence[str], taken: Mapping[str, int], count: int, rng: np.random.Generator) -> list[str]:
    """`count` frames at random, each from one of the segments of which the fewest were taken so far."""
    left: dict[str, list[str]] = {}
    for frame_id in frame_ids:
        left.setdefault(frame_id.rpartition("/")[0], []).append(frame_id)
    for its in left.values():
        rng.shuffle(its)
    numbers = {segment: taken.get(segment, 0) for segment in left}
    order = dict(zip(left, rng.permutation(len(left)).tolist(), strict=True))
    chosen: list[str] = []
    while len(chosen) < count and left:
        segment = min(left, key=lambda one: (numbers[one], order[one]))
        chosen.append(left[segment].pop())
        numbers[segment] += 1
        if not left[segment]:
            del left[segment]
    return chosen
