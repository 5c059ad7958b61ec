"""What the rounds tell: corrections needed to reach a score, operations per frame, with intervals over the seeds."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .arms import ARMS, Arm, Plan

RESAMPLES = 10_000
LEVEL = 0.95
GOAL = 0.25
"""Share of the corrections that the choice is meant to save."""


class Curve(NamedTuple):
    """One arm of one seed: F1 within 2 px on the holdout after 0, 1, ... rounds, and operations per frame in rounds 1, ..."""

    f1: list[float]
    operations: list[float]
    from_empty: list[float]
    """The same frames drawn on an empty page."""


class Needed(NamedTuple):
    """Corrections until a score is reached; `reached` False: not within the rounds, so that it takes more than these."""

    corrections: float
    reached: bool


def read_curve(plan: Plan, seed: int, arm: Arm) -> Curve | None:
    """The finished rounds of an arm, None if there are none."""
    folder = plan.folder(seed)
    scores = [folder / "box" / "scores.json"]
    rounds: list[Path] = []
    for number in range(1, plan.rounds + 1):
        here = folder / arm / f"round{number}"
        if not (here / "scores.json").exists():
            break
        rounds.append(here)
    if not rounds:
        return None
    f1 = [json.loads(path.read_text())["f1_2px"] for path in [*scores, *(here / "scores.json" for here in rounds)]]
    operations, from_empty = (
        [_operations(here / "effort.json", kind) for here in rounds] for kind in ("operations", "from_empty")
    )
    return Curve(f1, operations, from_empty)


def _operations(path: Path, kind: str) -> float:
    return float(np.mean([sum(frame[kind].values()) for frame in json.loads(path.read_text())]))


def needed(f1: Sequence[float], per_round: int, target: float) -> Needed:
    """Corrections after which a curve first reaches `target`, straight between rounds.

    >>> needed([0.6, 0.7, 0.8], 100, 0.75)
    Needed(corrections=150.0, reached=True)
    """
    for number, (before, after) in enumerate(pairwise(f1)):
        if before >= target:
            return Needed(float(number * per_round), True)
        if after >= target:
            return Needed(per_round * (number + (target - before) / (after - before)), True)
    return Needed(float((len(f1) - 1) * per_round), f1[-1] >= target)


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Bootstrap interval of the mean (percentiles; Efron & Tibshirani 1993) over the seeds."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(np.asarray(values, float), (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def savings(curves: Sequence[dict[Arm, Curve]], per_round: int) -> list[Needed]:
    """Per seed, corrections that our choice needs for the best score of the other arm, as a share of those that the other
    one needed.
    """
    found = []
    for pair in curves:
        target = max(pair["stratified"].f1)
        other, ours = (needed(pair[arm].f1, per_round, target) for arm in ("stratified", "ours"))
        found.append(Needed(ours.corrections / other.corrections if other.corrections else 1.0, ours.reached))
    return found


def markdown(plan: Plan) -> str:
    """The tables of what is finished, as documentation has them. Raises LookupError if nothing is."""
    read = [{arm: read_curve(plan, seed, arm) for arm in ARMS} for seed in range(plan.seeds)]
    curves: list[dict[Arm, Curve]] = [
        {arm: curve for arm, curve in pair.items() if curve} for pair in read if all(pair.values())
    ]
    rounds = min((len(curve.operations) for pair in curves for curve in pair.values()), default=0)
    if not rounds:
        raise LookupError(f"No seed has a finished round of both arms in {plan.out}.")
    curves = [
        {
            arm: Curve(one.f1[: rounds + 1], one.operations[:rounds], one.from_empty[:rounds])
            for arm, one in pair.items()
        }
        for pair in curves
    ]
    lines = [
        f"{len(curves)} seeds, {rounds} rounds of {plan.per_round} corrections, {plan.epochs} passes each:",
        "",
        "| after | F1 within 2 px, ours | stratified | difference, 95 % | operations a frame (from an empty page), ours | stratified |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for number in range(rounds + 1):
        ours, other = (np.array([pair[arm].f1[number] for pair in curves]) for arm in ARMS)
        low, high = interval(ours - other)
        effort = [_effort([pair[arm] for pair in curves], number) for arm in ARMS]
        lines.append(
            f"| {number * plan.per_round} | {ours.mean():.4f} | {other.mean():.4f} | {low:+.4f} to {high:+.4f} "
            f"| {effort[0]} | {effort[1]} |"
        )
    shares = savings(curves, plan.per_round)
    values = [1 - share.corrections for share in shares]
    low, high = interval(values)
    missed = sum(not share.reached for share in shares)
    lines += [
        "",
        f"Corrections saved until the stratified arm's best score: {np.mean(values):.0%} ({low:.0%} to {high:.0%}; wanted "
        f"{GOAL:.0%}); in {missed} of {len(shares)} seeds our choice did not reach it within the rounds.",
    ]
    return "\n".join(lines)


def _effort(curves: Sequence[Curve], number: int) -> str:
    """Operations a frame in a round, and from an empty page; nothing before the first."""
    if not number:
        return ""
    means = [np.mean([getattr(one, kind)[number - 1] for one in curves]) for kind in ("operations", "from_empty")]
    return "{:.1f} ({:.1f})".format(*means)
