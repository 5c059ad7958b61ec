"""What a radar flies over, and the chances that belong to it."""

from dataclasses import dataclass

import numpy as np

from .campaigns import Campaign
from .grid import Grid
from .stratigraphy import Stratigraphy
from .track import TrackFields


@dataclass(frozen=True)
class Scene:
    """The ice of a frame, in samples from the frame's top, and the grid that it is recorded on.

    `ground` draws what belongs to the ground, `rng` what belongs to the frame. Both have a state: the order in which
    the steps draw from them is a part of the simulated frame. `crevassed` (columns,) is 0 for whole ice to 1.
    """

    campaign: Campaign
    ice: Stratigraphy
    fields: TrackFields
    grid: Grid
    ground: np.random.Generator
    rng: np.random.Generator
    crevassed: np.ndarray

    @property
    def surface(self) -> np.ndarray:
        return self.ice.surface

    @property
    def depth(self) -> np.ndarray:
        """(samples, columns): rows below the surface, negative above it."""
        return (self.grid.row - self.surface) / self.grid.scale

    @property
    def is_sounder(self) -> bool:
        return self.campaign.kind == "sounder"
