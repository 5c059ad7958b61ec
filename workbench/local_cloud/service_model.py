"""AWS's own service models, as botocore carries them: checking requests and shaping answers."""

import functools
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import botocore.session
import regex
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

from .errors import UnknownOperationException, ValidationException


@functools.cache
def service_model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def operation_model(service: str, operation: str) -> OperationModel:
    model = service_model(service)
    if operation not in model.operation_names:
        raise UnknownOperationException(f"{operation} is not an operation of {service}.")
    return model.operation_model(operation)


def check(params: dict, shape: Shape | None) -> None:
    """Raise ValidationException if AWS would refuse `params`: members, types, lengths, ranges, patterns, enums."""
    if shape is None:
        return
    report = ParamValidator().validate(params, shape)
    if report.has_errors():
        raise ValidationException(report.generate_report())
    violations = list(_violations(params, shape, ""))
    if violations:
        raise ValidationException(
            f"{len(violations)} validation error{'s' * (len(violations) > 1)} detected: " + "; ".join(violations)
        )


def _violations(value: Any, shape: Any, path: str) -> Iterator[str]:
    """Constraints that botocore leaves to the service: upper bounds, patterns and enumerations."""
    shown = f"Value '{str(value)[:200]}' at '{path}' failed to satisfy constraint: Member must"
    yield from (f"{shown} {broken}" for broken in _broken(value, shape))
    for member, member_shape, member_path in _members(value, shape, path):
        yield from _violations(member, member_shape, member_path)


def _broken(value: Any, shape: Any) -> Iterator[str]:
    """What a value itself breaks, as the end of AWS's sentence."""
    limits, kind = shape.metadata, shape.type_name
    if kind in ("list", "map", "string") and len(value) > limits.get("max", len(value)):
        yield f"have length less than or equal to {limits['max']}"
    if kind == "string" and limits.get("enum") and value not in limits["enum"]:
        yield f"satisfy enum value set: [{', '.join(limits['enum'])}]"
    if kind == "string" and "pattern" in limits and not _matches(limits["pattern"])(value):
        yield f"satisfy regular expression pattern: {limits['pattern']}"
    if kind in ("integer", "long", "float", "double") and value > limits.get("max", value):
        yield f"have value less than or equal to {limits['max']}"


def _members(value: Any, shape: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """What a value holds: (member, its shape, its path)."""
    if shape.type_name == "structure":
        for name, member in value.items():
            if name in shape.members:
                yield member, shape.members[name], f"{path}.{name}".lstrip(".")
    elif shape.type_name == "list":
        for number, member in enumerate(value, 1):
            yield member, shape.member, f"{path}.{number}.member"
    elif shape.type_name == "map":
        for key, member in value.items():
            yield key, shape.key, f"{path}.key"
            yield member, shape.value, f"{path}.{key}"


@functools.cache
def _matches(pattern: str) -> Callable[[str], Any]:
    """The models' patterns are Java's: `regex` knows their classes, and a few have oddities of their own."""
    python = re.sub(r"\$\{(\d+),(\d+)\}$", "", pattern)  # a length after the end, which says nothing
    if "\\uD800" in python:
        return lambda _: True  # surrogate pairs: any character that Python can hold is one
    return regex.compile(python).fullmatch


def with_times(value: Any, shape: Any, write: Callable[[float], Any]) -> Any:
    """A shaped answer with its times, in seconds since 1970, in the form that `write` gives them."""
    if shape.type_name == "structure":
        return {name: with_times(member, shape.members[name], write) for name, member in value.items()}
    if shape.type_name == "list":
        return [with_times(member, shape.member, write) for member in value]
    return write(value) if shape.type_name == "timestamp" else value


def shaped(value: Any, shape: Any) -> Any:
    """`value` in the form of `shape`: unknown and absent members left out, times in seconds since 1970."""
    if shape is None:
        return {}
    if shape.type_name == "structure":
        return {
            name: shaped(value[name], member) for name, member in shape.members.items() if value.get(name) is not None
        }
    if shape.type_name == "list":
        return [shaped(member, shape.member) for member in value]
    if shape.type_name == "map":
        return {key: shaped(member, shape.value) for key, member in value.items()}
    if shape.type_name == "timestamp" and isinstance(value, datetime):
        return value.timestamp()
    return value
