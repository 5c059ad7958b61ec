"""The radar simulator: frames with known layers, in the files that real campaigns deliver.

The geometry follows statistics of experts' layers (see `stratigraphy`); `echoes` makes the radar's record of it.
"""

from .campaigns import Campaign, campaigns
from .figures import Figure, draw_figure, figure_rows, write_figure
from .files import write_cresis, write_irsno1b, write_truth
from .frame import SimulatedFrame, simulate_frame
from .grid import Genuine
from .survey import simulate_campaign
from .variety import campaign_named, draw_campaign

__all__ = [
    "Campaign",
    "Figure",
    "Genuine",
    "SimulatedFrame",
    "campaign_named",
    "campaigns",
    "draw_campaign",
    "draw_figure",
    "figure_rows",
    "simulate_campaign",
    "simulate_frame",
    "write_cresis",
    "write_figure",
    "write_irsno1b",
    "write_truth",
]
