"""The stack on this machine: the local cloud, and `sam build && sam deploy` against it as against any account."""

from .record import STACK_NAME, CommandFailed
from .running import down, states_of_this_clone, up, what_is_left

__all__ = ["STACK_NAME", "CommandFailed", "down", "states_of_this_clone", "up", "what_is_left"]
