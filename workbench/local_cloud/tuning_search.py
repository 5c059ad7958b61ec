"""What a tuning job tries, and when it gives a training up: pure functions over AWS's parameter ranges.

A configuration follows from the ranges, the seed and its number alone, so that an interrupted tuning job goes on
where it was.
"""

import math
import random
import statistics
from dataclasses import dataclass

from .errors import ValidationException

Configuration = dict[str, str]
"""Hyperparameters by name, in the text form in which SageMaker passes them."""
# `Auto`: a range over two decades or more is searched for its order of magnitude.
LOGARITHMIC_FROM = 100.0


@dataclass(frozen=True)
class NumberRange:
    """Numbers from `low` to `high`, both included; whole ones only if `whole`."""

    name: str
    low: float
    high: float
    scaling: str
    whole: bool

    def at(self, share: float) -> str:
        """The number that lies at `share` (0 to 1) of the range on its scale."""
        value = self._at(share)
        if self.whole:
            value = round(value)
        return str(min(max(value, self.low), self.high))

    def _at(self, share: float) -> float:
        # A whole number owns what rounds to it: else the two ends would come half as often.
        margin = 0.5 if self.whole else 0.0
        low, high = self.low - margin, self.high + margin
        if self.scaling == "Logarithmic":
            return math.exp(_between(math.log(low), math.log(high), share))
        if self.scaling == "ReverseLogarithmic":
            return 1.0 - math.exp(_between(math.log1p(-low), math.log1p(-high), share))
        return _between(low, high, share)


@dataclass(frozen=True)
class Choice:
    name: str
    values: tuple[str, ...]

    def at(self, share: float) -> str:
        """The value that lies at `share` (0 to 1) of the list."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]


Ranges = list[NumberRange | Choice]


def _between(low: float, high: float, share: float) -> float:
    return low * (1.0 - share) + high * share  # high - low may be more than a float holds


def read_ranges(given: dict) -> Ranges:
    """The ranges of AWS's `ParameterRanges`; ValidationException for those that AWS would refuse."""
    if given.get("AutoParameters"):
        raise ValidationException("The local cloud does not choose ranges itself: give ranges in place of Autotune.")
    ranges: Ranges = [_number_range(one, whole=True) for one in given.get("IntegerParameterRanges", [])]
    ranges += [_number_range(one, whole=False) for one in given.get("ContinuousParameterRanges", [])]
    ranges += [Choice(one["Name"], tuple(one["Values"])) for one in given.get("CategoricalParameterRanges", [])]
    names = [one.name for one in ranges]
    if not names or len(set(names)) < len(names):
        raise ValidationException("ParameterRanges must name at least one hyperparameter, and none of them twice.")
    return ranges


def _number_range(given: dict, whole: bool) -> NumberRange:
    name = given["Name"]
    try:
        low, high = (int(given[end]) if whole else float(given[end]) for end in ("MinValue", "MaxValue"))
    except ValueError as error:
        kind = "whole numbers" if whole else "numbers"
        raise ValidationException(f"The range of '{name}' must lie between {kind}: {error}.") from error
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValidationException(f"The range of '{name}' must begin at its lower end: {low} to {high} does not.")
    scaling = given.get("ScalingType", "Auto")
    if scaling == "Auto":
        scaling = "Logarithmic" if low > 0 and high / low >= LOGARITHMIC_FROM else "Linear"
    if scaling == "Logarithmic" and low <= 0:
        raise ValidationException(f"The range of '{name}' holds values that are not above 0: no logarithmic scaling.")
    if scaling == "ReverseLogarithmic" and (whole or low < 0 or high >= 1):
        raise ValidationException(f"Reverse logarithmic scaling of '{name}' wants continuous values in 0 <= x < 1.")
    return NumberRange(name, low, high, scaling, whole)


def drawn(ranges: Ranges, seed: int, number: int) -> Configuration:
    """The configuration `number` of a random search: every value independent, uniform on its scale."""
    generator = random.Random(f"{seed}/{number}")
    return {one.name: one.at(generator.random()) for one in ranges}


def grid_size(ranges: Ranges) -> int:
    """How many configurations a grid search tries; ValidationException if a range is no list, as on AWS."""
    lists = [one for one in ranges if isinstance(one, Choice)]
    if len(lists) < len(ranges):
        raise ValidationException("Grid search takes categorical parameters only: list the values to try.")
    return math.prod(len(one.values) for one in lists)


def grid_point(ranges: Ranges, number: int) -> Configuration:
    """The configuration `number` (from 0) of a grid search; the last list varies fastest."""
    found: Configuration = {}
    for one in reversed(ranges):
        if not isinstance(one, Choice):
            raise ValidationException("Grid search takes categorical parameters only: list the values to try.")
        number, place = divmod(number, len(one.values))
        found[one.name] = one.values[place]
    return found


def falls_behind(values: list[float], others: list[list[float]], maximise: bool) -> bool:
    """AWS's rule for stopping a training early ("Stop Training Jobs Early" in SageMaker's guide).

    values : what the training has reported so far, one value per epoch
    others : the same of the tuning job's other trainings
    True if its last value is worse than the median, over the others that got as far, of their mean up to that epoch.
    """
    if not values:
        return False
    epochs = len(values)
    means = [statistics.fmean(other[:epochs]) for other in others if len(other) >= epochs]
    if not means:
        return False
    median = statistics.median(means)
    return values[-1] < median if maximise else values[-1] > median
