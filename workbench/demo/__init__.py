"""The demonstration: the whole loop against the running stack, with nothing in it that the product does not do itself.

Frames are uploaded as a scientist uploads them; a scripted reviewer sends what the review page sends; the rest is watched. What is
expected to happen and does not is `DidNotHappen`.
"""

from .frames import on_real_frames, on_simulated_campaign
from .place import what_is_left
from .timeline import DidNotHappen

__all__ = ["DidNotHappen", "on_real_frames", "on_simulated_campaign", "what_is_left"]
