"""Which model serves, and what was decided about every model that was trained."""

from typing import Any, TypedDict, Unpack

from firnline.store.rows import ChampionRow, Decision, ModelRow
from firnline.store.sortable import timestamp
from firnline.store.table import Table


class Deployment(TypedDict, total=False):
    """What a champion's row says of how it serves; the first three are always given."""

    model_name: str
    model_data: str
    endpoint_config: str
    model_package: str
    execution: str
    snapshot: str
    scores: dict[str, Any]


class ModelDetails(TypedDict, total=False):
    """What can be written down about a model, a part at a time."""

    decision: Decision
    reason: str
    model_data: str
    snapshot: str
    scores: dict[str, Any]
    champion: str
    champion_scores: dict[str, Any]
    execution: str
    comparison: str
    deployed_by: str
    model_name: str
    endpoint_config: str
    model_package: str


class Models:
    def __init__(self, table: Table) -> None:
        self._table = table

    def champion(self) -> ChampionRow | None:
        return ChampionRow.get(self._table)

    def promote(self, model_version: str, expected: str | None, **details: Unpack[Deployment]) -> bool:
        """Point at a new champion if `expected` is still the old one (None: there is none yet); True also if done.

        The old champion's row is kept inside the new one's as `before`, for `withdraw`.
        """
        old = self.champion()
        if old and old.model_version == model_version and old.execution == details.get("execution"):
            return True
        new = ChampionRow(model_version=model_version, previous=expected, promoted=timestamp(), **details)
        if expected is None:
            return self._table.put(new.item(), "attribute_not_exists(pk)")
        if old:
            new = new.model_copy(update={"before": old.model_copy(update={"before": None})})
        return self._table.put(new.item(), "model_version = :expected", {":expected": expected})

    def withdraw(self, model_version: str, execution: str) -> bool:
        """Take back the promotion that `execution` made: the champion before it is champion again.

        False if there is none to take back.
        """
        champion = self.champion()
        if champion is None or champion.before is None:
            return False
        if (champion.model_version, champion.execution) != (model_version, execution):
            return False
        return self._table.put(
            champion.before.item(),
            "model_version = :version AND execution = :execution",
            {":version": model_version, ":execution": execution},
        )

    def record(self, model_version: str, **details: Unpack[ModelDetails]) -> None:
        """Write down what was decided about a model, and why. Earlier attributes that are not given again stay."""
        known = self.version(model_version)
        before = known.attributes() if known else {}
        said = {"model_version": model_version, "recorded": timestamp(), **details}
        self._table.put(ModelRow.model_validate(before | said).item())

    def version(self, model_version: str) -> ModelRow | None:
        return ModelRow.get(self._table, model_version=model_version)

    def versions(self) -> list[ModelRow]:
        return [ModelRow.of(item) for item in self._table.query("MODEL", "VERSION#")]
