"""Which model serves, and what was decided about every model that was trained."""

from typing import Any

from firnline.store.frame_register import timestamp
from firnline.store.table import Item, Table

_CHAMPION = ("MODEL", "CHAMPION")


class Models:
    def __init__(self, table: Table) -> None:
        self._table = table

    def champion(self) -> Item | None:
        return self._table.get(*_CHAMPION)

    def promote(self, model_version: str, expected: str | None, **details: Any) -> bool:
        """Point at a new champion if `expected` is still the old one (None: there is none yet); True also if done.

        The old champion's item is kept inside the new one's as `before`, for `withdraw`.
        """
        champion = self.champion() or {}
        if champion.get("model_version") == model_version and champion.get("execution") == details.get("execution"):
            return True
        pk, sk = _CHAMPION
        item = {"pk": pk, "sk": sk, "model_version": model_version, "previous": expected,
                "promoted": timestamp(), **details}  # fmt: skip
        if expected is None:
            return self._table.put(item, "attribute_not_exists(pk)")
        item["before"] = {name: value for name, value in champion.items() if name not in ("pk", "sk", "before")}
        return self._table.put(item, "model_version = :expected", {":expected": expected})

    def withdraw(self, model_version: str, execution: str) -> bool:
        """Take back the promotion that `execution` made: the champion before it is champion again.

        False if there is none to take back.
        """
        champion = self.champion() or {}
        ours = champion.get("model_version") == model_version and champion.get("execution") == execution
        if not ours or "before" not in champion:
            return False
        pk, sk = _CHAMPION
        return self._table.put(
            {"pk": pk, "sk": sk, **champion["before"]},
            "model_version = :version AND execution = :execution",
            {":version": model_version, ":execution": execution},
        )

    def record(self, model_version: str, **details: Any) -> None:
        """Write down what was decided about a model, and why. Earlier attributes that are not given again stay."""
        known = self._table.get("MODEL", f"VERSION#{model_version}") or {}
        self._table.put({**known, "pk": "MODEL", "sk": f"VERSION#{model_version}", "model_version": model_version,
                         "recorded": timestamp(), **details})  # fmt: skip

    def version(self, model_version: str) -> Item | None:
        return self._table.get("MODEL", f"VERSION#{model_version}")

    def versions(self) -> list[Item]:
        return list(self._table.query("MODEL", "VERSION#"))
