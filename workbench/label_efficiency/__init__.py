"""What the choice of frames to review is worth: rounds of simulated corrections on campaigns that no training has seen."""

from .arms import OUT, Plan
from .run import measure
from .tables import markdown

__all__ = ["OUT", "Plan", "markdown", "measure"]
