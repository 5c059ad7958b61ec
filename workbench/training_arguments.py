"""The arguments of `firnline train` and `firnline tune`: hyperparameters, and what to search."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAYER_MODEL = Path(__file__).resolve().parents[1] / "layer_model"
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


def known_hyperparameters() -> list[str]:
    """The hyperparameters that the model code in this checkout takes."""
    source = (LAYER_MODEL / "train.py").read_text()
    return [name for name in re.findall(r'add_argument\(\s*"--([a-z-]+)"', source) if not name.endswith("-dir")]


def check_names(names: list[str]) -> None:
    known = known_hyperparameters()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CannotTrain(f"train.py has no hyperparameter '{unknown[0]}'. It has: {', '.join(known)}.")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise CannotTrain(f"'{twice[0]}' is given twice.")


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
