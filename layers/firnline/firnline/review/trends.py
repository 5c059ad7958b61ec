"""Does retraining save reviewers work? What corrections cost, by the model whose proposals were corrected."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median

from firnline.store.rows import CorrectionRow, GoldRow, Work

NEWEST = 200
"""Corrections that the page looks at; the command line takes all."""
LATEST = 10
"""Frames of a reviewer that count as the latest."""


@dataclass(frozen=True)
class Trend:
    """Medians over the pieces of work that say it; None where none does."""

    model_version: str
    corrections: int
    seconds: float | None
    operations: float | None
    kept: float | None
    """Share of the proposal that stayed as it was."""
    agreement: float | None
    """Mean of that of reviewers who drew the same frames."""


@dataclass(frozen=True)
class Standing:
    """What a reviewer does, and how well it agrees with what others do; None where nobody else drew the same."""

    by: str
    corrections: int
    seconds: float | None
    agreement: float | None
    latest: float | None
    """Of the last `LATEST` frames that several people drew."""
    gold: float | None = None
    """Mean agreement with the truth of gold frames."""
    gold_frames: int = 0


def trends_of(corrections: Iterable[CorrectionRow]) -> list[Trend]:
    """One trend a model, the model of the newest correction first."""
    by_model: dict[str, list[CorrectionRow]] = defaultdict(list)
    for row in sorted(corrections, key=lambda row: row.created, reverse=True):
        by_model[row.model_version].append(row)
    return [_trend(model, rows) for model, rows in by_model.items()]


def _trend(model_version: str, rows: list[CorrectionRow]) -> Trend:
    work = [part for row in rows for part in row.work]
    seconds = [part.seconds for part in work if part.seconds is not None]
    seconds += [row.seconds for row in rows if not row.work and row.seconds is not None]
    return Trend(
        model_version=model_version,
        corrections=len(rows),
        seconds=_median(seconds),
        operations=_median([float(sum(part.operations.values())) for part in work if part.operations]),
        kept=_median([part.proposal_kept for part in work if part.proposal_kept is not None]),
        agreement=_mean([row.agreement for row in rows if row.agreement is not None]),
    )


def _median(values: list[float]) -> float | None:
    return median(values) if values else None


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def standings_of(corrections: Iterable[CorrectionRow], golds: Iterable[GoldRow]) -> list[Standing]:
    """One standing a reviewer, by name."""
    work: dict[str, list[Work]] = defaultdict(list)
    truths: dict[str, list[float]] = defaultdict(list)
    for row in sorted(corrections, key=lambda row: row.created):
        for part in row.work:
            work[part.by].append(part)
    for gold in golds:
        if gold.work.agreement is not None:
            truths[gold.work.by].append(gold.work.agreement)
    return [_standing(by, work[by], truths[by]) for by in sorted(work.keys() | truths.keys())]


def _standing(by: str, work: list[Work], truths: list[float]) -> Standing:
    agreed = [part.agreement for part in work if part.agreement is not None]
    return Standing(
        by=by,
        corrections=len(work),
        seconds=_median([part.seconds for part in work if part.seconds is not None]),
        agreement=_mean(agreed),
        latest=_mean(agreed[-LATEST:]),
        gold=_mean(truths),
        gold_frames=len(truths),
    )
