"""From a prediction to a review, or to acceptance."""

from dataclasses import dataclass
from itertools import count

from firnline.documents.echogram import decode_png, encode_png
from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.documents.overlay import draw_layers
from firnline.documents.polarity import ToldPolarity, polarity_of_row
from firnline.errors import Refused
from firnline.events import LayersPredicted
from firnline.limits import MAX_DOCUMENT_BYTES
from firnline.observability import logger
from firnline.review.axes import axes_of
from firnline.review.diversity import NO_DIVERSITY, Diversity, look_of, passed_over
from firnline.review.human_loop import loop_name
from firnline.review.policy import Policy, Reason
from firnline.review.providers import ReviewProvider
from firnline.review.task_input import input_content
from firnline.review.verdict import POLARITY_IS_WRONG
from firnline.review.withdrawal import WITHDRAWN
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.frame_register import FrameRegister
from firnline.store.rows import Look, ProviderName, ReviewBudgetRow, ReviewRow

MAX_ECHOGRAM_BYTES = 64_000_000
MAX_FRAME_BYTES = 64_000_000

STANDS_FOR_OTHERS = ("STARTED", "COMPLETED")
"""States of a review that is open or done."""
CAME_BACK = f"{POLARITY_IS_WRONG} Since then it was turned back, or uploaded once more."
MOST_DECISIONS = 30
"""More than there are deliveries at once."""


class Contended(Exception):
    """The segment changes faster than a decision is made; the message comes again."""


def _is_over_for_good(review: ReviewRow) -> bool:
    """Whether a review says nothing of its revision, should that count again, and cannot be opened once more: A2I stops a loop
    for ever.
    """
    if review.state == "COMPLETED":
        return review.verdict == POLARITY_IS_WRONG
    return review.state == "WITHDRAWN" and review.provider == "a2i"


@dataclass(frozen=True)
class ReviewStarter:
    register: FrameRegister
    bucket: Bucket
    provider: ReviewProvider
    provider_name: ProviderName
    policy: Policy
    budget: int
    diversity: Diversity = NO_DIVERSITY

    def handle(self, event: LayersPredicted) -> str:
        """Start the review of a prediction or accept it; returns what was done, in a word.

        The review is noted first, then the loop is started, then the frame's status moves. If a delivery dies in between,
        the next one of the same event does what is missing.
        """
        frame = self.register.get(event.frame_id)
        if frame is None or frame.revision != event.revision:
            return "stale"
        if frame.model_version not in (None, event.model_version):
            return "stale"
        name, review, before = self._review(event)
        if review is None:
            if frame.status != "PREDICTED" or (before and frame.review == before.loop_name):  # which did not come back
                return "stale"
            reason = self._open(event, name, CAME_BACK if before and before.verdict else "")
            if reason is None:
                return "accepted"
        elif review.state == "STARTED" or (
            review.provider == "portal" and self.register.reopen_review(event.frame_id, name)
        ):
            reason = review.asked_because
        else:
            self._as_was_decided(event, review)
            self._say_if_failed(event, name)
            return "closed"
        self.provider.start(name, self._task_input(event, name, reason, polarity_of_row(frame)))
        if not self.register.in_review(event.frame_id, event.revision, name) and self._is_superseded(event):
            self.provider.withdraw(name, WITHDRAWN)
            self.register.withdraw_review(event.frame_id, name, WITHDRAWN)
            return "stale"
        self._say_if_failed(event, name)
        return "in review"

    def _review(self, event: LayersPredicted) -> tuple[str, ReviewRow | None, ReviewRow | None]:
        """The name of the prediction's review, the review if it was opened, and the one before it, if there was one.

        A review that was over for good when its revision came back has another one after it.
        """
        about = (self.bucket.name, event.frame_id, event.revision, event.model_version)
        before = None
        for again in count():
            name = loop_name(*about, again)
            review = self.register.review(event.frame_id, name)
            if review is None or not _is_over_for_good(review):
                break
            before = review
        return name, review, before

    def _is_superseded(self, event: LayersPredicted) -> bool:
        """Whether the frame was uploaded anew while its review was started: ingest may not have found the review yet."""
        frame = self.register.get(event.frame_id)
        return frame is not None and frame.revision != event.revision

    def _open(self, event: LayersPredicted, name: str, came_back: str) -> str | None:
        """Note the review and return its reason, with what else there is to say, or accept the frame and return None."""
        prediction = self.register.prediction(event.frame_id, event.revision, event.model_version)
        if prediction is None:
            raise LookupError(f"{event.frame_id} has no prediction by {event.model_version} in the table yet")
        reason = self.policy.reason_to_review(event.frame_id, event.revision, prediction.confidence)
        if reason is not None and came_back:
            reason = reason._replace(sentence=f"{reason.sentence} {came_back}")
        note = "" if reason is None else self._asked(event, name, reason, prediction.confidence)
        if reason is not None and note is None:
            return reason.sentence
        self.register.accepted(event.frame_id, event.revision, note or "")
        return None

    def _asked(self, event: LayersPredicted, name: str, reason: Reason, confidence: float) -> str | None:
        """Note the review; None if it is noted, now or before, else why it is not."""
        if self.diversity.wanted:
            return self._open_unless_alike(event, name, reason, confidence)
        if self._note(event, name, reason.sentence) or self.register.review(event.frame_id, name):
            return None
        return self._used_up(reason.sentence)

    def _used_up(self, sentence: str) -> str:
        return f"{sentence} The segment's budget of {self.budget} reviews is used up."

    def _note(
        self,
        event: LayersPredicted,
        name: str,
        sentence: str,
        look: Look | None = None,
        seen: ReviewBudgetRow | None = None,
    ) -> bool:
        return self.register.open_review(
            event.frame_id, name, event.revision, self.budget, provider=self.provider_name,
            model_version=event.model_version, asked_because=sentence, look=look, seen=seen,
        )  # fmt: skip

    def _open_unless_alike(self, event: LayersPredicted, name: str, reason: Reason, confidence: float) -> str | None:
        """The same, but a near-duplicate of a reviewed frame is passed over.

        The decision counts only if no other review of the segment was opened meanwhile; else it is made anew.
        """
        look = self._look(event, name, confidence)
        segment, _, _ = event.frame_id.rpartition("/")
        for _ in range(MOST_DECISIONS):
            seen = self.register.reviews_of_segment(segment)
            if self.register.review(event.frame_id, name):
                return None  # another delivery of the event was faster
            if self.budget and seen.opened >= self.budget:
                return self._used_up(reason.sentence)
            for other in [] if reason.drawn else self.diversity.alike(look, seen.looks):
                review = self.register.review(f"{segment}/{other.stem}", other.loop_name)
                if review and review.state in STANDS_FOR_OTHERS:
                    return passed_over(reason.sentence, look, other)
            if self._note(event, name, reason.sentence, look, seen):
                return None
        raise Contended(f"Other reviews of {segment} were opened {MOST_DECISIONS} times while this one was decided on.")

    def _look(self, event: LayersPredicted, name: str, confidence: float) -> Look:
        frame = (event.frame_id, event.revision)
        document = LayersDocument.model_validate_json(
            self.bucket.read(keys.prediction(*frame, event.model_version), MAX_DOCUMENT_BYTES)
        )
        grey = decode_png(self.bucket.read(keys.echogram(*frame), MAX_ECHOGRAM_BYTES))
        return look_of(event.frame_id.rpartition("/")[2], name, confidence, document, grey)

    def _as_was_decided(self, event: LayersPredicted, review: ReviewRow) -> None:
        """Let what a completed review said count on the frame: its file was uploaded once more after another one, and began
        anew. A review is completed only after its correction is stored.
        """
        if review.state != "COMPLETED":
            return
        frame = (event.frame_id, event.revision)
        if not review.verdict:
            self.register.corrected(*frame, review.loop_name)
        else:
            self.register.unusable(*frame, review.loop_name, review.verdict)

    def _say_if_failed(self, event: LayersPredicted, name: str) -> None:
        # A reviewer may answer before the status has moved to IN_REVIEW; a failed review must not leave the frame
        # there. A revision that comes back has forgotten why its review failed.
        review = self.register.review(event.frame_id, name)
        if review and review.state == "FAILED":
            self.register.review_failed(event.frame_id, event.revision, review.reason)

    def _task_input(self, event: LayersPredicted, name: str, reason: str, polarity: ToldPolarity | None) -> dict:
        frame = (event.frame_id, event.revision)
        document = self.bucket.read(keys.prediction(*frame, event.model_version), MAX_DOCUMENT_BYTES)
        annotation = self._annotation(*frame)
        about = self.bucket.read(keys.frame(*frame), MAX_FRAME_BYTES)
        content = input_content(
            LayersDocument.model_validate_json(document),
            revision=event.revision,
            reason=reason,
            model_output_image=self.bucket.uri(keys.prediction_overlay(*frame, event.model_version)),
            labeled_image=self.bucket.uri(self._labelled_image(*frame, name, annotation)),
            unlabeled_image=self.bucket.uri(keys.echogram(*frame)),
            polarity=polarity.sentence if polarity else None,
            annotation=annotation,
            axes=axes_of(FrameDocument.model_validate_json(about)),
        )
        content |= {"frame_id": event.frame_id, "model_version": event.model_version}
        logger.info("task", extra={"loop": name, "lines": len(content["a2i_json"]["polylines"]),
                                   "simplified_px": content["simplified_px"]})  # fmt: skip
        return content

    def _annotation(self, frame_id: str, revision: str) -> LayersDocument | None:
        """The lines that came with the frame, if any did."""
        try:
            partial = self.bucket.read(keys.partial(frame_id, revision), MAX_DOCUMENT_BYTES)
        except FileNotFoundError:
            return None
        except Refused as refusal:  # written before ingest kept to the limit
            logger.warning("the annotation is not shown", extra={"frame_id": frame_id}, exc_info=refusal)
            return None
        return LayersDocument.model_validate_json(partial)

    def _labelled_image(self, frame_id: str, revision: str, name: str, annotation: LayersDocument | None) -> str:
        """Key of the echogram with its annotation drawn on it, or of the bare one if there is no annotation."""
        if annotation is None:
            return keys.echogram(frame_id, revision)
        grey = decode_png(self.bucket.read(keys.echogram(frame_id, revision), MAX_ECHOGRAM_BYTES))
        drawn = draw_layers(grey, annotation, width_px=2)
        self.bucket.write(keys.review_labelled(name), encode_png(drawn), "image/png")
        return keys.review_labelled(name)
