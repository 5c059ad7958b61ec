"""What a training can be told: one table, from which train.py makes its arguments and `firnline train` and `firnline
tune` check theirs.

Imports nothing but the standard library: who asks runs where MXNet is not.
"""

from __future__ import annotations

import math
from typing import Any, Dict, NamedTuple, Optional, Tuple, Type


class Hyperparameter(NamedTuple):
    """One of train.py's arguments `--name`. `low` and `high` are the least and the largest value, None without a bound;
    values are multiples of `multiple`; `tunable` ones may be searched by a tuning job.
    """

    name: str
    kind: Type[Any]
    default: Any
    help: str
    low: Optional[float] = None
    high: Optional[float] = None
    multiple: int = 1
    choices: Tuple[str, ...] = ()
    tunable: bool = False

    def problem_with(self, value: Any) -> Optional[str]:
        """What is wrong with a value, which may be a text as a command line has it, as a sentence; None if nothing is."""
        try:
            read = self.kind(value)
            whole = self.kind is not int or float(value) == read
        except (TypeError, ValueError, OverflowError):
            whole = False
        if not whole or (self.kind is float and not math.isfinite(read)):
            return "{} takes {}, not '{}'.".format(
                self.name, "a whole number" if self.kind is int else "a number", value
            )
        if self.choices and read not in self.choices:
            return "{} is one of {}, not '{}'.".format(self.name, ", ".join(self.choices), value)
        if self.low is not None and read < self.low:
            return f"{self.name} is at least {self.low:g}, not {value}."
        if self.high is not None and read > self.high:
            return f"{self.name} is at most {self.high:g}, not {value}."
        if self.multiple > 1 and read % self.multiple:
            return f"{self.name} is a multiple of {self.multiple}, which {value} is not."
        return None


HYPERPARAMETERS: Tuple[Hyperparameter, ...] = (
    Hyperparameter("epochs", int, 40, "passes over the training frames, at most", low=1, tunable=True),
    Hyperparameter(
        "max-seconds", float, 150.0, "time for training; 0: no limit, the same result every time", low=0, tunable=True
    ),
    Hyperparameter("learning-rate", float, 0.002, "of Adam, at its highest", low=1e-7, high=1, tunable=True),
    Hyperparameter("batch-size", int, 4, "crops of a training step", low=1, high=256, tunable=True),
    Hyperparameter("crop-rows", int, 288, "of a crop", low=16, high=4096, multiple=16, tunable=True),
    Hyperparameter("crop-traces", int, 384, "of a crop", low=16, high=4096, multiple=16, tunable=True),
    Hyperparameter("patience", int, 12, "validations without a better score before stopping", low=1, tunable=True),
    Hyperparameter("validation-frames", int, 48, "frames scored after each epoch", low=1),
    Hyperparameter(
        "validation-seconds",
        float,
        0.0,
        "validate after so many seconds of training, too, not only after each pass over the data",
        low=0,
    ),
    Hyperparameter("follow-holdout", int, 0, "1: score the holdout at each validation, for the history", low=0, high=1),
    Hyperparameter("seed", int, 1, "of all that is drawn at random", low=0, high=2**32 - 1, tunable=True),
    Hyperparameter("network", str, "layers", "what is trained", choices=("layers", "reference"), tunable=True),
    Hyperparameter("snapshot", str, "", "id of the data snapshot, for the model card"),
    Hyperparameter("model-version", str, "", "for the model card; without it the training job's name"),
)
BY_NAME: Dict[str, Hyperparameter] = {parameter.name: parameter for parameter in HYPERPARAMETERS}
