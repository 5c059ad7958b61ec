"""What all kinds of items have in common: typed attributes, and keys that follow from them.

A row is an item of the table as Python sees it. Its class says once how the keys are made; `item` and `of` lead from
one to the other and back. An item with an attribute that its kind does not have, or without one that it must have, is
refused: nobody finds out months later that an attribute was written under one name and read under another.
"""

import re
from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from firnline.errors import legible
from firnline.store.table import Item, Table

_WHAT_TO_DO = "Another version of Firnline wrote it, or a person: deploy the version that knows it, or mend the item in the table."


class BrokenRow(Exception):
    """An item of the table is not what its kind has to be. The message names the item and its attribute."""


class Row(BaseModel):
    """One item. A subclass names its fields; those of `ONLY_IN_KEYS` are in the keys and are no attributes.

    `KEYS` gives each key as a template over fields and properties: `pk` and `sk`, and those of the indexes. A key of an
    index, one of whose fields is None, is not written: the item is not in that index. A field that was not given is not
    written, so an item that lacks it stays as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    CALLED: ClassVar[str]
    """What people call such an item."""
    KEYS: ClassVar[Mapping[str, str]]
    ONLY_IN_KEYS: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def key(cls, **fields: str | int) -> tuple[str, str]:
        """(pk, sk) of the item with these fields."""
        return cls.KEYS["pk"].format_map(fields), cls.KEYS["sk"].format_map(fields)

    @classmethod
    def index_keys(cls, *names: str, **fields: str | int) -> dict[str, str]:
        """The keys of these names that follow from the fields: what an update has to write along with them."""
        return {name: cls.KEYS[name].format_map(fields) for name in names}

    @classmethod
    def get(cls, table: Table, **fields: str | int) -> Self | None:
        """The row as it is now, or None if there is none; raises `BrokenRow`."""
        item = table.get(*cls.key(**fields))
        return None if item is None else cls.of(item)

    @classmethod
    def of(cls, item: Item) -> Self:
        """The row of an item; raises `BrokenRow`."""
        keys = {name: item[name] for name in cls.KEYS if name in item}
        fields = {name: value for name, value in item.items() if name not in keys}
        if twice := sorted(fields.keys() & cls.ONLY_IN_KEYS):
            raise cls._broken(item, [f"its attribute '{name}' is not known, its keys tell it" for name in twice])
        try:
            row = cls.model_validate(fields | cls._told_by(keys))
        except ValidationError as error:
            raise cls._broken(item, _problems(error)) from error
        own = row._keys()
        for name in cls.KEYS:
            if keys.get(name) != own.get(name):
                raise cls._broken(item, [f"the key '{name}' is {keys.get(name)!r}, where {own.get(name)!r} belongs"])
        return row

    def item(self) -> Item:
        """The item of this row, keys and all."""
        return {**self._keys(), **self.attributes()}

    def attributes(self) -> Item:
        """What is stored beside the keys: every field that was given."""
        given = ((name, getattr(self, name)) for name in type(self).model_fields if name in self.model_fields_set)
        return {name: _plain(value) for name, value in given if value is not None and name not in self.ONLY_IN_KEYS}

    def _keys(self) -> dict[str, str]:
        filled = {
            name: {field: getattr(self, field) for field in _fields_of(template)}
            for name, template in self.KEYS.items()
        }
        return {
            name: self.KEYS[name].format_map(fields) for name, fields in filled.items() if None not in fields.values()
        }

    @classmethod
    def _told_by(cls, keys: Mapping[str, Any]) -> dict[str, str]:
        """The fields of `ONLY_IN_KEYS`, read out of `pk` and `sk`."""
        told: dict[str, str] = {}
        for name in ("pk", "sk"):
            match = re.fullmatch(_pattern(cls.KEYS[name]), str(keys.get(name, "")))
            told |= match.groupdict() if match else {}
        return {name: value for name, value in told.items() if name in cls.ONLY_IN_KEYS}

    @classmethod
    def _broken(cls, item: Item, problems: Iterable[str]) -> BrokenRow:
        where = f"pk '{item.get('pk')}', sk '{item.get('sk')}'"
        return BrokenRow(
            legible(f"The item {where} of the table is no {cls.CALLED}: {'; '.join(problems)}. {_WHAT_TO_DO}")
        )


def _fields_of(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name]


def _pattern(template: str) -> str:
    """A regular expression that finds a template's fields in a key that was made with it."""
    return "".join(
        re.escape(text) + (f"(?P<{name}>.+)" if name else "") for text, name, _, _ in Formatter().parse(template)
    )


def _problems(error: ValidationError) -> list[str]:
    """What is wrong with each attribute, in words."""
    found = []
    for problem in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            found.append(f"its attribute '{name}' is not known")
        elif problem["type"] == "missing":
            found.append(f"its attribute '{name}' is missing")
        elif name:
            found.append(f"its attribute '{name}' is wrong ({problem['msg']})")
        else:
            found.append(problem["msg"].removeprefix("Value error, "))
    return found


def _plain(value: Any) -> Any:
    """A value as the table stores it."""
    if isinstance(value, Row):
        return value.attributes()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value
