"""The settings of a function, from its environment. They are read once, when they are first needed."""

from functools import lru_cache
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

SettingsT = TypeVar("SettingsT", bound=BaseModel)


class Settings(BaseModel):
    """What every function has. A function that needs more subclasses it; a field's alias is the variable's name."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, protected_namespaces=())

    stack_name: str = Field(alias="STACK_NAME")
    table_name: str = Field(alias="TABLE_NAME")
    workspace_bucket: str = Field(alias="WORKSPACE_BUCKET")
    event_bus: str = Field(alias="EVENT_BUS")


@lru_cache
def load_settings(kind: type[SettingsT]) -> SettingsT:
    """The settings of `kind` from the environment; raises `pydantic.ValidationError` naming what is missing."""
    import os

    return kind.model_validate(dict(os.environ))
