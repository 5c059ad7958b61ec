"""The tasks of REVIEW_PROVIDER=portal: rows of the table, input and answers in S3, A2I's event at the end.

An answer goes through three states, so that it is neither lost nor counted twice, whichever process dies. It is written
to S3 under a name of its own. The loop's row then takes as many answers of different people as it wants
(OPEN → ANSWERED). Those become `output.json`, their event is sent, and the loop is COMPLETED. A loop that is found
ANSWERED later is finished from there: its event may come twice, but always comes.
"""

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import Any, Literal

from firnline.events import EventBus
from firnline.limits import MAX_ANSWER_BYTES, MAX_INPUT_BYTES
from firnline.portal.store import (
    AlreadyAnswered,
    Counted,
    Held,
    Listed,
    NotGiven,
    Overview,
    Task,
    TooLarge,
    UnknownTask,
    View,
    Withdrawn,
)
from firnline.review.human_loop import PORTAL_SOURCE, HumanLoopOutput, HumanLoopStatusChange
from firnline.review.task_template import WorkerTemplate, task_template
from firnline.review.thumbnail import thumbnail
from firnline.review.trends import NEWEST, Trend, trends_of
from firnline.store import keys, loops
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.loops import Loops, Place
from firnline.store.rows import GivenAnswer, LoopRow, LoopState
from firnline.store.sortable import timestamp
from firnline.store.table import Table

FLOW_DEFINITION_ARN = "arn:aws:sagemaker:local:000000000000:flow-definition/firnline-portal"
"""Stands where A2I names its flow; no such flow exists."""
MAX_IMAGE_BYTES = 64_000_000
_BESIDE_BYTES = 1_000
"""Who submitted an answer, and when."""
_TOLD = ("frame_id", "revision", "model_version", "confidence", "reason")
"""What `output.json` repeats of its task. The lines that were shown lie in the task's own input."""
TRENDS_SECONDS = 60.0
"""For which the trends are kept: they are read out of the newest corrections."""
_STATUS: dict[LoopState, Literal["open", "completed", "withdrawn"]] = {
    "OPEN": "open",
    "ANSWERED": "completed",
    "COMPLETED": "completed",
    "WITHDRAWN": "withdrawn",
}


class TableStore:
    def __init__(
        self, table: Table, bucket: Bucket, bus: EventBus, worker_template: WorkerTemplate = "layer-editor"
    ) -> None:
        self._loops = Loops(table)
        self._corrections = Corrections(table)
        self._bucket = bucket
        self._bus = bus
        self._trends: tuple[float, list[Trend]] | None = None
        self._template = task_template(worker_template)

    def overview(self, view: View) -> Overview:
        """Counts, kept beside the tasks. Finishes loops that a process left ANSWERED when it died."""
        self.finish_answered()
        campaigns = self._loops.campaigns()
        counts = self._corrections.counts()
        return Overview(
            waiting=sum(row.waiting for row in campaigns),
            done=sum(row.done for row in campaigns),
            campaigns=[Counted(row.campaign, row.waiting, row.done) for row in campaigns],
            segments=[
                Counted(row.segment, row.waiting, row.done)
                for row in (self._loops.segments(view.campaign) if view.campaign else [])
            ],
            unclaimed=counts.unclaimed,
            every=counts.every,
            trends=self._newest_trends(),
        )

    def open_tasks(self, view: View, limit: int, after: str = "") -> list[Listed]:
        place = Place(view.campaign, view.segment)
        along_track = view.order == "track"
        rows = (self._loops.open_along_track if along_track else self._loops.open_by_priority)(place, limit, after)
        now = timestamp()
        return [
            Listed(
                name=row.loop_name,
                created=datetime.fromisoformat(row.created),
                frame_id=row.frame_id,
                reason=row.reason,
                confidence=row.confidence,
                priority=row.priority or 0.0,
                cursor=(row.track_sk or "") if along_track else f"{row.place}#{row.loop_name}",
                held_by=tuple(claim.by for claim in row.claimed_by(now)),
                answered_by=tuple(answer.by for answer in row.answers),
                wanted=row.wanted,
                for_arbiter=row.for_arbiter,
            )
            for row in rows
        ]

    def get(self, name: str) -> Task | None:
        loop = self._loops.get(name)
        return None if loop is None else self._task(loop, self._input(loop))

    def frame_of(self, name: str) -> str | None:
        loop = self._loops.get(name)
        return None if loop is None else loop.frame_id

    def claim(self, name: str, reviewer: str, arbiter: bool = False) -> datetime:
        try:
            loop = self._loops.claim(name, reviewer, arbiter=arbiter)
        except loops.NotTheirs as refusal:
            raise _not_given(refusal, "") from refusal
        if loop is None:
            raise UnknownTask(name)
        return max(datetime.fromisoformat(claim.until) for claim in loop.claims if claim.by == reviewer)

    def release(self, name: str, reviewer: str) -> None:
        self._loops.release(name, reviewer)

    def submit(
        self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float, arbiter: bool = False
    ) -> None:
        loop = self._loops.get(name)
        if loop is None:
            raise UnknownTask(name)
        said = hashlib.sha256(json.dumps([worker_id, answer_content], sort_keys=True).encode()).hexdigest()
        key = f"reviews/{name}/answers/{said[:16]}.json"
        if any((answer.by, answer.key) == (worker_id, key) for answer in loop.answers):  # sent twice
            self._finish(loop)
            return
        submitted = timestamp()
        answer = {
            "answerContent": answer_content,
            "submissionTime": submitted,
            "timeSpentInSeconds": round(seconds, 3),
            "workerId": worker_id,
        }
        kept = _written(answer)
        if len(kept) > MAX_ANSWER_BYTES + _BESIDE_BYTES:
            raise TooLarge(name)
        self._bucket.write(key, kept, "application/json")
        try:
            given = GivenAnswer(by=worker_id, key=key, submitted=submitted)
            taken = self._loops.answer(name, given, arbiter=arbiter)
        except loops.NotTheirs as refusal:
            self._finish(refusal.row)
            raise _not_given(refusal, f" What you sent now is kept at {self._bucket.uri(key)}.") from refusal
        if taken is None:
            raise UnknownTask(name)
        self._finish(taken)

    def finish_answered(self) -> int:
        """Send the events of accepted answers whose events nobody has confirmed; returns how many there were."""
        answered = list(self._loops.of_state("ANSWERED"))
        for loop in answered:
            self._finish(self._loops.get(loop.loop_name) or loop)
        return len(answered)

    def thumbnail(self, name: str) -> bytes:
        try:
            return self._bucket.read(keys.review_thumbnail(name), MAX_IMAGE_BYTES)
        except FileNotFoundError:
            pass  # a task of an earlier version: start_review makes one now
        loop = self._loops.get(name)
        if loop is None:
            raise UnknownTask(name)
        try:
            echogram = self._bucket.read(keys.echogram(loop.frame_id, loop.revision), MAX_IMAGE_BYTES)
        except FileNotFoundError as error:
            raise KeyError(name) from error
        small = thumbnail(echogram)
        self._bucket.write(keys.review_thumbnail(name), small, "image/png")
        return small

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        try:
            return self._bucket.read(self._own_key(name, s3_uri), MAX_IMAGE_BYTES), "image/png"
        except FileNotFoundError as error:
            raise KeyError(s3_uri) from error

    def sign_object(self, name: str, s3_uri: str, seconds: int) -> str:
        """An address at which anybody can read the same object for so long; `KeyError` for any other, and if it is gone."""
        key = self._own_key(name, s3_uri)
        if not self._bucket.exists(key):
            raise KeyError(s3_uri)
        return self._bucket.signed_address(key, seconds, "image/png")

    def _own_key(self, name: str, s3_uri: str) -> str:
        """The key of an object that the task's input refers to; `KeyError` for any other."""
        loop = self._loops.get(name)
        own = self._bucket.uri("")
        if loop is None or not s3_uri.startswith(own) or s3_uri not in self._input(loop).values():
            raise KeyError(s3_uri)
        return s3_uri.removeprefix(own)

    def _finish(self, loop: LoopRow) -> None:
        if loop.state != "ANSWERED":
            return
        name = loop.loop_name
        created = datetime.fromisoformat(loop.created).astimezone(UTC)
        key = f"reviews/{name}/a2i/{created:%Y/%m/%d/%H/%M/%S}/{name}/output.json"
        output = {
            "flowDefinitionArn": FLOW_DEFINITION_ARN,
            "humanAnswers": [self._answer(given) for given in loop.given],
            "humanLoopName": name,
            "inputContent": {told: getattr(loop, told) for told in _TOLD},
        }
        self._bucket.write(key, _written(output), "application/json")
        self._bus.send(
            HumanLoopStatusChange(
                humanLoopName=name,
                humanLoopStatus="Completed",
                humanLoopArn=FLOW_DEFINITION_ARN.replace("flow-definition/firnline-portal", f"human-loop/{name}"),
                flowDefinitionArn=FLOW_DEFINITION_ARN,
                creationTime=loop.created,
                humanLoopOutput=HumanLoopOutput(outputS3Uri=self._bucket.uri(key)),
            ),
            source=PORTAL_SOURCE,
        )
        self._loops.complete(name)

    def _input(self, loop: LoopRow) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._bucket.read(loop.input_key, MAX_INPUT_BYTES))
        return content

    def _answer(self, given: GivenAnswer) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._bucket.read(given.key, MAX_INPUT_BYTES))
        return answer | ({"arbiter": True} if given.arbiter else {})

    def _newest_trends(self) -> list[Trend]:
        if self._trends is None or time.monotonic() - self._trends[0] > TRENDS_SECONDS:
            self._trends = time.monotonic(), trends_of(self._corrections.newest(NEWEST))
        return self._trends[1]

    def _task(self, loop: LoopRow, input_content: dict[str, Any]) -> Task:
        return Task(
            name=loop.loop_name,
            created=datetime.fromisoformat(loop.created),
            status=_STATUS[loop.state],
            input_content=input_content,
            template=self._template,
            told=loop.withdrawn_because,
            for_arbiter=loop.for_arbiter,
        )


def _written(content: dict[str, Any]) -> bytes:
    """JSON without spaces, which would make a fifth more of a drawing."""
    return json.dumps(content, separators=(",", ":")).encode()


def _not_given(refusal: loops.NotTheirs, kept: str) -> NotGiven:
    kinds: dict[type[loops.NotTheirs], type[NotGiven]] = {loops.Held: Held, loops.Withdrawn: Withdrawn}
    return kinds.get(type(refusal), AlreadyAnswered)(f"{refusal}{kept}")
