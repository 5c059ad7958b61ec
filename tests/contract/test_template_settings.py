"""The environment that template.yaml gives a function is the one that its settings read."""

import importlib
import inspect

import pytest
from pydantic import BaseModel

from firnline.observability import QueueProcessor, QueueSettings
from firnline.settings import Settings
from tests.support.review_world import SERVICES
from tests.support.template import environment, functions, template

OF_POWERTOOLS = "POWERTOOLS_"
OF_OBSERVABILITY = {"STACK_NAME"}
"""Read where `firnline.observability` is imported, before there are settings."""


def settings_of(function: str) -> list[type[BaseModel]]:
    """The settings that a function's module names, those of its own where it has any; its queue's where it has one."""
    module = vars(importlib.import_module(f"{function}.app")).values()
    found = [value for value in module if inspect.isclass(value) and issubclass(value, Settings)]
    own: list[type[BaseModel]] = [kind for kind in found if kind is not Settings] or [*found]
    return own + [QueueSettings for value in module if isinstance(value, QueueProcessor)]


def aliases(function: str, required: bool) -> set[str]:
    """The environment's variables that a function reads; with `required` those without a default."""
    return {
        field.alias or name
        for kind in settings_of(function)
        for name, field in kind.model_fields.items()
        if not required or field.is_required()
    }


def test_every_service_is_a_function_of_the_template() -> None:
    assert sorted(functions()) == SERVICES


@pytest.mark.parametrize("function", SERVICES)
def test_a_function_has_settings(function: str) -> None:
    assert settings_of(function)


@pytest.mark.parametrize("function", SERVICES)
def test_what_a_function_cannot_do_without_is_set(function: str) -> None:
    assert aliases(function, required=True) <= set(environment(function))


@pytest.mark.parametrize("function", SERVICES)
def test_what_is_set_is_read(function: str) -> None:
    variables = {name for name in environment(function) if not name.startswith(OF_POWERTOOLS)}
    assert variables - OF_OBSERVABILITY <= aliases(function, required=False)


def parameters_of(function: str) -> list[tuple[str, str]]:
    """(variable, value) for the default and both bounds of every parameter that fills a variable alone."""
    found = []
    for variable, value in environment(function).items():
        parameter = template()["Parameters"].get(value["Ref"], {}) if isinstance(value, dict) and "Ref" in value else {}
        found += [
            (variable, str(parameter[bound])) for bound in ("Default", "MinValue", "MaxValue") if bound in parameter
        ]
    return found


@pytest.mark.parametrize(
    ("function", "variable", "value"), [(name, *given) for name in SERVICES for given in parameters_of(name)]
)
def test_whatever_the_template_lets_a_parameter_be_the_setting_takes(function: str, variable: str, value: str) -> None:
    for kind in settings_of(function):
        kind.model_validate(dict.fromkeys(aliases(function, required=True), "x") | {variable: value})


@pytest.mark.parametrize("function", SERVICES)
def test_the_service_signs_its_logs_with_its_own_name(function: str) -> None:
    assert environment(function)["POWERTOOLS_SERVICE_NAME"] == function
