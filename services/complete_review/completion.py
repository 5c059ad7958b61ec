"""From the end of a human loop to a counted correction, or to a reason in words."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from firnline.documents.echogram import decode_png, encode_png
from firnline.documents.layers import LayersDocument
from firnline.documents.overlay import draw_layers
from firnline.documents.polarity import OPPOSITE, PICTURE_FORMATS
from firnline.errors import Refused
from firnline.events import CorrectionBatchClaimed, EventBus, PolarityDecided
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_INPUT_BYTES, MAX_OUTPUT_BYTES
from firnline.observability import logger
from firnline.review import gold
from firnline.review.agreement import agreement
from firnline.review.answer import first_problem
from firnline.review.arbitration import arbitration_input
from firnline.review.decision import Disputed, Drawn, Judged, decide, lines_of
from firnline.review.gold import truths_for
from firnline.review.human_loop import PORTAL_SOURCE, LoopEvent, LoopOutput, loop_name
from firnline.review.providers import Portal, loop_input_key
from firnline.review.verdict import Unusable
from firnline.review.withdrawal import WITHDRAWN
from firnline.store import keys
from firnline.store.bucket import Bucket, split_uri
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.loops import Loops
from firnline.store.rows import LoopRow, ReviewRow

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
    loops: Loops
    portal: Portal
    gold_share: float = 0.0
    """Of the corrections made on Firnline's page, those after which a frame of known layers is given out."""

    def handle(self, event: LoopEvent) -> str:
        """Take a loop's end to its conclusion; returns what was done, in a word.

        Every step may be repeated. Nothing depends on the order of events: the correction and its count are written
        once, by whichever delivery comes first. The next delivery does the steps after it that are missing.
        """
        loop = event.detail
        if event.source != PORTAL_SOURCE and not _is_of_stack(loop.flowDefinitionArn, self.stack_name):
            return "foreign"
        task = self.loops.get(loop.humanLoopName) if event.source == PORTAL_SOURCE else None
        if task and task.gold:
            return self._compare(event, task)
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
            decided = decide(output.humanAnswers, review.frame_id, grey.shape[1], grey.shape[0], source)
            if isinstance(decided, Disputed):
                if task is not None:
                    return self._ask_arbiter(review, task, decided)
                decided = _without_arbiter(decided)
        except Refused as refused:
            return self._fail(review, f"{refused} What was submitted is kept at {address}.")
        if isinstance(decided, Judged):
            return self._judge(review, decided)
        return self._store(review, decided, grey, address, on_our_page=task is not None)

    def _output_address(self, event: LoopEvent) -> str:
        loop = event.detail
        if loop.humanLoopOutput:
            return loop.humanLoopOutput.outputS3Uri
        if event.source != PORTAL_SOURCE:
            answer = self.a2i.describe_human_loop(HumanLoopName=loop.humanLoopName)
            if "HumanLoopOutput" in answer:
                return answer["HumanLoopOutput"]["OutputS3Uri"]
        raise LookupError(f"loop {loop.humanLoopName} is completed, but nothing says yet where its output lies")

    def _read_output(self, address: str, review: ReviewRow | LoopRow) -> LoopOutput:
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

    def _store(self, review: ReviewRow, drawn: Drawn, grey: np.ndarray, address: str, on_our_page: bool) -> str:
        frame_id, name, revision = review.frame_id, review.loop_name, review.revision
        prefix, beside = keys.correction_prefix(frame_id, name), drawn.beside
        self.bucket.write(f"{prefix}layers.json", drawn.document.to_json(), "application/json")
        self.bucket.write(f"{prefix}overlay.png", encode_png(draw_layers(grey, drawn.document)), "image/png")
        fresh = self.corrections.record(
            name, revision, drawn.document, self.bucket.uri(prefix), model_version=review.model_version,
            output=address, seconds=drawn.seconds, dropped_lines=drawn.dropped,
            answers=beside.answers, answers_refused=beside.refused, answers_differ=beside.differ,
            work=beside.work, agreement=beside.agreement, arbitrated=drawn.arbitrated,
        )  # fmt: skip
        self.register.complete_review(frame_id, name)
        self.register.corrected(frame_id, revision, name)
        claimed = self.corrections.claim_batches(self.retrain_every)
        if not fresh and not claimed:
            # The delivery before this one may have died between its claim and its event. One event is enough: it makes
            # `start_retraining` go through all that waits.
            claimed = [batch.batch for batch in self.corrections.batches("PENDING")[:1]]
        self.bus.send(*(CorrectionBatchClaimed(batch=batch) for batch in claimed))
        if on_our_page:  # after the batch, which a fault in giving gold out does not hold up
            self._give_gold(name, frame_id)
        return "corrected" if fresh else "known"

    def _judge(self, review: ReviewRow, judged: Judged) -> str:
        """A verdict in place of a drawing: nothing is learned of the frame as it is."""
        frame_id, name, revision = review.frame_id, review.loop_name, review.revision
        frame = self.register.get(frame_id)
        if isinstance(judged.verdict, Unusable):
            self.register.complete_review(frame_id, name, judged.verdict.sentence)
            self.register.unusable(frame_id, revision, name, judged.verdict.sentence)
            return "unusable"
        if frame is None or frame.revision != revision:
            self.register.complete_review(frame_id, name, judged.verdict.sentence)
            return "known"
        if frame.polarity is None or frame.format not in PICTURE_FORMATS:
            return self._fail(
                review,
                "A reviewer said that the polarity is wrong, but the frame was read from numbers, which have none.",
            )
        other = OPPOSITE[frame.polarity]
        # The event comes before the review is closed: whichever delivery dies, the next one sends it again, and ingest
        # leaves alone what it has turned already.
        self.bus.send(PolarityDecided(frame_id=frame_id, revision=revision, polarity=other, decided_by=judged.by))
        self.register.note_review(frame_id, revision, f"{judged.verdict.sentence} It is read anew as {other}.")
        self.register.complete_review(frame_id, name, judged.verdict.sentence)
        return "turned"

    def _ask_arbiter(self, review: ReviewRow, task: LoopRow, disputed: Disputed) -> str:
        """Give the task out once more, to an arbiter, with what the reviewers drew, unless its frame was uploaded anew.

        Ingest withdraws open tasks. It may have looked for them before this one was open again, so whether somebody still
        waits for the answer is asked once more afterwards.
        """
        key = f"reviews/{task.loop_name}/arbitration.json"
        asked = False
        if waits := self._waits(review):
            if not task.for_arbiter:
                shown = json.loads(self.bucket.read(task.input_key, MAX_INPUT_BYTES))
                self.bucket.write(key, json.dumps(arbitration_input(shown, disputed)).encode(), "application/json")
            asked = self.loops.ask_arbiter(task.loop_name, key, disputed.sentence)
            waits = self._waits(review)
        if not waits:
            self.portal.withdraw(task.loop_name, WITHDRAWN)
            self.register.withdraw_review(review.frame_id, review.loop_name, WITHDRAWN)
            return "stale"
        return "disputed" if asked else "known"

    def _waits(self, review: ReviewRow) -> bool:
        """Whether an answer to the review is still wanted: it is open, and its revision counts."""
        now, frame = self.register.review(review.frame_id, review.loop_name), self.register.get(review.frame_id)
        return now is not None and now.state == "STARTED" and frame is not None and frame.revision == review.revision

    def _give_gold(self, trigger: str, frame_id: str) -> None:
        """After some corrections, give a frame of known layers out once more, as its task of Firnline's page showed it."""
        if not self.gold_share:
            return
        truths = truths_for(trigger, frame_id, self.gold_share, self.corrections.newest(gold.NEWEST))
        truth = next((row for row in truths if self.loops.get(row.loop_name)), None)
        if truth is None:  # there is none, or A2I had the tasks of all of them
            return
        shown = json.loads(self.bucket.read(loop_input_key(truth.loop_name), MAX_INPUT_BYTES))
        name = loop_name(self.bucket.name, truth.frame_id, truth.revision, f"gold after {trigger}")
        self.portal.start(name, shown, gold=truth.loop_name)

    def _compare(self, event: LoopEvent, task: LoopRow) -> str:
        """The answer to a gold task: how well it agrees with the truth is noted, and nothing else."""
        truth = self.corrections.get(task.gold)
        if truth is None or event.detail.humanLoopStatus != "Completed":
            return "unknown"
        stored = self.bucket.read(
            f"{keys.correction_prefix(truth.frame_id, truth.loop_name)}layers.json", MAX_DOCUMENT_BYTES
        )
        known = LayersDocument.model_validate_json(stored)
        width, height = known.image.width, known.image.height
        try:
            output = self._read_output(self._output_address(event), task)
            decided = decide(output.humanAnswers, task.frame_id, width, height, {"review": task.loop_name})
        except Refused as refused:
            logger.warning("an answer to a gold task cannot be used", extra={"loop": task.loop_name}, exc_info=refused)
            return "failed"
        drawn = decided.document.layers if isinstance(decided, Drawn) else []
        agreed = agreement(lines_of(drawn, width), lines_of(known.layers, width))
        [work] = decided.beside.work if not isinstance(decided, Disputed) else [None]
        if work is None:
            return "failed"
        fresh = self.corrections.record_gold(
            task.loop_name, task.frame_id, truth.loop_name, work.model_copy(update={"agreement": agreed})
        )
        return "compared" if fresh else "known"

    def _fail(self, review: ReviewRow, reason: str) -> str:
        self.register.fail_review(review.frame_id, review.loop_name, reason)
        closed = self.register.review(review.frame_id, review.loop_name)
        if closed is None or closed.state != "FAILED":
            return "known"
        self.register.review_failed(review.frame_id, review.revision, closed.reason)
        return "failed"


def _without_arbiter(disputed: Disputed) -> Drawn:
    """What people of A2I's work team agree on, as a partial correction: A2I has no arbiters. Raises `Refused`."""
    if disputed.agreed is None:
        raise Refused(f"{disputed.sentence} They agree on no line.")
    return disputed.agreed


def _is_of_stack(flow: str, stack_name: str) -> bool:
    """Whether a flow definition, `<stack>-review-<digest>`, is one that this stack made, now or earlier.

    A changed worker template makes a new flow, and a stack that people now review in the portal has none, while loops of
    the flow before are open.
    """
    return flow.rpartition("/")[2].rpartition("-review-")[0] == stack_name
