"""Which model serves, and what was decided about every model that was trained."""

from typing import Any

from firnline.frame_register import timestamp
from firnline.table import Item, Table

_CHAMPION = ("MODEL", "CHAMPION")


class Models:
    def __init__(self, table: Table) -> None:
        self._table = table

    def champion(self) -> Item | None:
        return self._table.get(*_CHAMPION)

    def promote(self, model_version: str, expected: str | None, **details: Any) -> bool:
        """Point at a new champion, if `expected` is still the old one (None: there is none yet); True also if it is done already."""
        pk, sk = _CHAMPION
        item = {
            "pk": pk,
            "sk": sk,
            "model_version": model_version,
            "previous": expected,
            "promoted": timestamp(),
            **details,
        }
        if expected is None:
            done = self._table.put(item, "attribute_not_exists(pk)")
        else:
            done = self._table.put(item, "model_version = :expected", {":expected": expected})
        return done or (self.champion() or {}).get("model_version") == model_version

    def record(self, model_version: str, **details: Any) -> None:
        """Write down what was decided about a model, and why."""
        self._table.put({"pk": "MODEL", "sk": f"VERSION#{model_version}", "model_version": model_version,
                         "recorded": timestamp(), **details})  # fmt: skip

    def versions(self) -> list[Item]:
        return list(self._table.query("MODEL", "VERSION#"))
