"""Waiting for what comes by itself: asked again and again, at a named pace, up to a time.

Where boto3 has a waiter for it, that is used instead.
"""

from collections.abc import Callable
from enum import Enum
from typing import TypeVar, cast

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, stop_never, wait_fixed

Answer = TypeVar("Answer")


class Pace(Enum):
    """Seconds between two questions."""

    PROCESS = 0.1
    """A process of this machine that starts or ends."""
    STACK = 0.5
    """What a stack's functions do: each question costs a request or a few."""
    RESTART = 5.0
    """A model that does not load now, and may later."""
    JOB = 2.0
    """A training or a retraining, which takes minutes."""


def wait_until(
    happened: Callable[[], Answer | None],
    seconds: float | None,
    otherwise: Callable[[], Exception],
    pace: Pace = Pace.STACK,
    meanwhile: Callable[[float], None] = lambda waited: None,
) -> Answer:
    """The first true answer of `happened`; after `seconds` (None: never) without one, what `otherwise` makes is raised.

    `meanwhile` hears before each pause how many seconds it has been.
    """

    def give_up(state: RetryCallState) -> None:
        raise otherwise()

    def tell(state: RetryCallState) -> None:
        meanwhile(state.seconds_since_start or 0.0)

    asking = Retrying(
        retry=retry_if_result(lambda answer: not answer),
        stop=stop_never if seconds is None else stop_after_delay(seconds),
        wait=wait_fixed(pace.value),
        before_sleep=tell,
        retry_error_callback=give_up,
    )
    return cast(Answer, asking(happened))
