"""What became of a candidate: the champion pointer, the model's record, the batch's outcome."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from firnline.store.corrections import Corrections
from firnline.store.models import Models
from firnline.store.rows import RetrainingOutcome
from record_deployment.failure import explain


class ChampionChanged(Exception):
    """Another model became champion meanwhile, so this one was not compared with the champion that serves."""


class Promotion(BaseModel):
    """The attributes of the champion's row: the model that serves."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    expected_champion: str
    model_name: str
    model_data: str
    endpoint_config: str
    model_package: str
    snapshot: str = ""
    scores: dict[str, Any] = {}


class Outcome(BaseModel):
    """`reason` is a sentence, or the error that a Catch was given. `batch` is given by `retrain` only."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    outcome: RetrainingOutcome
    execution: str
    reason: str | dict[str, Any]
    model_version: str = ""
    batch: int | None = None
    promotion: Promotion | None = None


def record(outcome: Outcome, models: Models, corrections: Corrections) -> dict[str, Any]:
    """Write an outcome down; the same outcome twice changes nothing more. Raises `ChampionChanged`.

    A promotion that failed after all is taken back, so that the pointer never names a model that does not serve.
    """
    reason, version = explain(outcome.reason), outcome.model_version
    if outcome.promotion:
        _promote(outcome, outcome.promotion, models)
    elif outcome.outcome == "failed" and version:
        models.withdraw(version, outcome.execution)
    if version:
        models.record(version, decision=outcome.outcome, reason=reason)
    if outcome.batch is not None:
        corrections.note_outcome(outcome.batch, outcome.execution, outcome.outcome, reason)
    return {"outcome": outcome.outcome, "reason": reason, "model_version": version}


def _promote(outcome: Outcome, promotion: Promotion, models: Models) -> None:
    details = promotion.model_dump(exclude={"expected_champion"})
    if not models.promote(outcome.model_version, promotion.expected_champion, execution=outcome.execution, **details):
        champion = models.champion()
        serving = champion.model_version if champion else "none"
        raise ChampionChanged(
            f"{outcome.model_version} was to follow {promotion.expected_champion}, but the champion is {serving} now."
        )
    known = {name: value for name, value in details.items() if value}
    models.record(outcome.model_version, deployed_by=outcome.execution, **known)
