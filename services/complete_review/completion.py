"""From the end of a human loop to a counted correction, or to a reason in words."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from firnline.documents.echogram import decode_png, encode_png
from firnline.documents.overlay import draw_layers
from firnline.errors import Refused
from firnline.events import CorrectionBatchClaimed, EventBus
from firnline.limits import MAX_OUTPUT_BYTES
from firnline.review.answer import Chosen, choose, first_problem
from firnline.review.human_loop import PORTAL_SOURCE, LoopEvent, LoopOutput
from firnline.store import keys
from firnline.store.bucket import Bucket, split_uri
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.rows import ReviewRow

MAX_ECHOGRAM_BYTES = 64_000_000


@dataclass(frozen=True)
class ReviewCompleter:
    register: FrameRegister
    corrections: Corrections
    bucket: Bucket
    bus: EventBus
    a2i: Any
    """boto3's `sagemaker-a2i-runtime`: asked where the output lies when an event does not say."""
    stack_name: str
    retrain_every: int

    def handle(self, event: LoopEvent) -> str:
        """Take a loop's end to its conclusion; returns what was done, in a word.

        Every step may be repeated. Nothing depends on the order of events: the correction and its count are written
        once, by whichever delivery comes first. The next delivery does the steps after it that are missing.
        """
        loop = event.detail
        if event.source != PORTAL_SOURCE and not _is_of_stack(loop.flowDefinitionArn, self.stack_name):
            return "foreign"
        frame_id = self.register.frame_of_review(loop.humanLoopName)
        review = self.register.review(frame_id, loop.humanLoopName) if frame_id else None
        if review is None:
            return "unknown"
        if loop.humanLoopStatus != "Completed":
            causes = [text for text in (loop.failureCode, loop.failureReason) if text]
            return self._fail(
                review, f"The review ended without an answer ({', '.join([loop.humanLoopStatus, *causes])})."
            )
        address = self._output_address(event)
        try:
            output = self._read_output(address, review)
            grey = decode_png(self.bucket.read(keys.echogram(review.frame_id, review.revision), MAX_ECHOGRAM_BYTES))
            source = {"review": review.loop_name, "model_version": review.model_version}
            chosen = choose(output.humanAnswers, review.frame_id, grey.shape[1], grey.shape[0], source)
        except Refused as refused:
            return self._fail(review, f"{refused} What was submitted is kept at {address}.")
        return self._store(review, chosen, grey, address)

    def _output_address(self, event: LoopEvent) -> str:
        loop = event.detail
        if loop.humanLoopOutput:
            return loop.humanLoopOutput.outputS3Uri
        if event.source != PORTAL_SOURCE:
            answer = self.a2i.describe_human_loop(HumanLoopName=loop.humanLoopName)
            if "HumanLoopOutput" in answer:
                return answer["HumanLoopOutput"]["OutputS3Uri"]
        raise LookupError(f"loop {loop.humanLoopName} is completed, but nothing says yet where its output lies")

    def _read_output(self, address: str, review: ReviewRow) -> LoopOutput:
        name = review.loop_name
        try:
            bucket, key = split_uri(address)
        except ValueError as error:
            raise Refused(f"{error}.") from error
        if bucket != self.bucket.name or not key.endswith(f"/{name}/output.json"):
            raise Refused(f"The event of review {name} points to another place than that review's output.")
        try:
            output = LoopOutput.of(self.bucket.read(key, MAX_OUTPUT_BYTES))
        except ValidationError as error:
            raise Refused(f"The review's output cannot be read: {first_problem(error)}.") from error
        except ValueError as error:
            raise Refused(f"The review's output cannot be read: {error}.") from error
        content = output.inputContent if isinstance(output.inputContent, dict) else {}
        ours = {"frame_id": review.frame_id, "revision": review.revision}
        if output.humanLoopName != name or any(content.get(k, ours[k]) != ours[k] for k in ours):
            raise Refused(f"The output of review {name} says that it belongs to another review or frame.")
        return output

    def _store(self, review: ReviewRow, chosen: Chosen, grey: Any, address: str) -> str:
        frame_id, name, revision = review.frame_id, review.loop_name, review.revision
        prefix = keys.correction_prefix(frame_id, name)
        self.bucket.write(f"{prefix}layers.json", chosen.document.to_json(), "application/json")
        self.bucket.write(f"{prefix}overlay.png", encode_png(draw_layers(grey, chosen.document)), "image/png")
        fresh = self.corrections.record(
            name, revision, chosen.document, self.bucket.uri(prefix), model_version=review.model_version,
            output=address, seconds=chosen.seconds, dropped_lines=chosen.dropped,
            answers=chosen.answers, answers_refused=chosen.refused, answers_differ=chosen.differ,
        )  # fmt: skip
        self.register.complete_review(frame_id, name)
        self.register.corrected(frame_id, revision, name)
        claimed = self.corrections.claim_batches(self.retrain_every)
        if not fresh and not claimed:
            # The delivery before this one may have died between its claim and its event. One event is enough: it makes
            # `start_retraining` go through all that waits.
            claimed = [batch.batch for batch in self.corrections.batches("PENDING")[:1]]
        self.bus.send(*(CorrectionBatchClaimed(batch=batch) for batch in claimed))
        return "corrected" if fresh else "known"

    def _fail(self, review: ReviewRow, reason: str) -> str:
        self.register.fail_review(review.frame_id, review.loop_name, reason)
        closed = self.register.review(review.frame_id, review.loop_name)
        if closed is None or closed.state != "FAILED":
            return "known"
        self.register.review_failed(review.frame_id, review.revision, closed.reason)
        return "failed"


def _is_of_stack(flow: str, stack_name: str) -> bool:
    """Whether a flow definition, `<stack>-review-<digest>`, is one that this stack made, now or earlier.

    A changed worker template makes a new flow, and a stack that people now review in the portal has none, while loops of
    the flow before are open.
    """
    return flow.rpartition("/")[2].rpartition("-review-")[0] == stack_name
