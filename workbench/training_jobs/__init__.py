"""`firnline train` and `firnline tune`: the model code as SageMaker jobs, through SageMaker's Python SDK (version 2).

The same calls reach an AWS account and the local cloud; the stack's outputs name the role, the image and the bucket.
"""

from workbench.epoch_lines import short_line
from workbench.training_arguments import CannotTrain

from .jobs import METRICS, sdk_session
from .results import training_listing, tuning_listing, what_next
from .running import Search, Tuning, train, tune
from .wanted import Plan, Wanted, newest_snapshot, plan

__all__ = [
    "METRICS",
    "CannotTrain",
    "Plan",
    "Search",
    "Tuning",
    "Wanted",
    "newest_snapshot",
    "plan",
    "sdk_session",
    "short_line",
    "train",
    "training_listing",
    "tune",
    "tuning_listing",
    "what_next",
]
