"""A frame that was uploaded anew: the reviews of its earlier revisions end."""

from collections.abc import Mapping

from firnline.review.providers import ReviewProvider
from firnline.store.frame_register import FrameRegister
from firnline.store.rows import ProviderName

WITHDRAWN = (
    "This frame was uploaded anew, so the task of the earlier upload was withdrawn. The new one comes as a task of its own "
    "if somebody should look at it."
)


class Withdrawal:
    def __init__(self, register: FrameRegister, providers: Mapping[ProviderName, ReviewProvider]) -> None:
        self._register, self._providers = register, providers

    def of_earlier_revisions(self, frame_id: str, revision: str) -> int:
        """End the reviews that wait for an answer to another revision; returns how many there were.

        The task goes first and the review after it, so that a process that dies between them leaves it to be found again.
        """
        reviews = self._register.superseded_reviews(frame_id, revision)
        for review in reviews:
            self._providers[review.provider].withdraw(review.loop_name, WITHDRAWN)
            self._register.withdraw_review(frame_id, review.loop_name, WITHDRAWN)
        return len(reviews)
