"""The arguments of `firnline train` and `firnline tune`: hyperparameters, and what to search."""

import math
from dataclasses import dataclass
from typing import Any

from layer_model.hyperparameters import BY_NAME

SCALES = {"linear": "Linear", "log": "Logarithmic", "reverse-log": "ReverseLogarithmic"}

Number = int | float


class CannotTrain(Exception):
    """The job can't be started, or it failed; the message says why and what to do."""


@dataclass(frozen=True)
class NumberRange:
    low: Number
    high: Number
    scaling: str


Tuned = dict[str, NumberRange | list[str]]


def check(given: dict[str, Any], tuned: Tuned) -> None:
    """CannotTrain for what train.py would not take, and for what makes no sense to search."""
    names = [*given, *tuned]
    for name in names:
        if name not in BY_NAME:
            raise CannotTrain(f"train.py has no hyperparameter '{name}'. It has: {', '.join(BY_NAME)}.")
        if names.count(name) > 1:
            raise CannotTrain(f"'{name}' is given twice.")
    for name in tuned:
        if not BY_NAME[name].tunable:
            raise CannotTrain(f"'{name}' does not change what a model can do: there is nothing to search.")
    searched = {
        name: [values.low, values.high] if isinstance(values, NumberRange) else values for name, values in tuned.items()
    }
    for name, values in [*((name, [value]) for name, value in given.items()), *searched.items()]:
        for problem in filter(None, map(BY_NAME[name].problem_with, values)):
            raise CannotTrain(problem)


def read_number(text: str) -> Number | None:
    """The finite number that `text` is, or None."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else None
    return None


def _name_and_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise CannotTrain(f"'{text}' should look like name=value.")
    return name, value


def read_hyperparameters(texts: list[str]) -> dict[str, Any]:
    """`name=value` pairs; values that are numbers become numbers."""
    found: dict[str, Any] = {}
    for name, value in map(_name_and_value, texts):
        number = read_number(value)
        found[name] = value if number is None else number
    return found


def read_tuned(ranges: list[str], choices: list[str]) -> Tuned:
    """`name=low:high[:linear|log|reverse-log]` and `name=value,value...`; ranges between whole numbers stay whole."""
    found: Tuned = {}
    for text in ranges:
        name, value = _name_and_value(text)
        ends, scale = value.split(":")[:2], value.split(":")[2:] or ["Auto"]
        low, high = (read_number(end) for end in ends) if len(ends) == 2 else (None, None)
        scaling = SCALES.get(scale[0], "Auto" if scale == ["Auto"] else None)
        if low is None or high is None or low >= high or scaling is None or len(scale) > 1:
            raise CannotTrain(
                f"'{text}' should look like name=low:high with low below high, or name=low:high:log; the scales are "
                f"{', '.join(SCALES)}."
            )
        found[name] = NumberRange(low, high, scaling)
    for text in choices:
        name, value = _name_and_value(text)
        if name in found:
            raise CannotTrain(f"'{name}' is given twice.")
        found[name] = value.split(",")
    if not found:
        raise CannotTrain("Say what to tune, for example --range learning-rate=0.0005:0.01:log or --choices seed=1,2.")
    return found


def grid_size(tuned: Tuned) -> int:
    """How many combinations a grid has; CannotTrain unless every hyperparameter has a list of choices."""
    lists = [values for values in tuned.values() if isinstance(values, list)]
    if len(lists) < len(tuned):
        raise CannotTrain("The strategy Grid tries lists of values: give --choices in place of --range.")
    return math.prod(map(len, lists))
