"""The tasks of REVIEW_PROVIDER=portal: rows of the table, input and answers in S3, A2I's event at the end.

An answer goes through three states, so that it is neither lost nor counted twice, whichever process dies. It is written
to S3 under a name of its own. The loop's row then takes exactly one answer (OPEN → ANSWERED). That one becomes
`output.json`, its event is sent, and the loop is COMPLETED. A loop that is found ANSWERED later is finished from there:
its event may come twice, but always comes.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, Literal

from firnline.events import EventBus
from firnline.portal.store import AlreadyAnswered, Task, UnknownTask
from firnline.review.human_loop import PORTAL_SOURCE, HumanLoopOutput, HumanLoopStatusChange
from firnline.review.task_template import WorkerTemplate, task_template
from firnline.store.bucket import Bucket
from firnline.store.loops import Loops
from firnline.store.rows import LoopRow, LoopState
from firnline.store.sortable import timestamp
from firnline.store.table import Table

FLOW_DEFINITION_ARN = "arn:aws:sagemaker:local:000000000000:flow-definition/firnline-portal"
"""Stands where A2I names its flow; no such flow exists."""
MAX_INPUT_BYTES = 16_000_000
MAX_IMAGE_BYTES = 64_000_000
_STATUS: dict[LoopState, Literal["open", "completed"]] = {
    "OPEN": "open",
    "ANSWERED": "completed",
    "COMPLETED": "completed",
}
_LISTED = {"frame_id", "revision", "model_version", "confidence", "reason"}
"""What a row has of its task's input."""


class TableStore:
    def __init__(
        self, table: Table, bucket: Bucket, bus: EventBus, worker_template: WorkerTemplate = "layer-editor"
    ) -> None:
        self._loops = Loops(table)
        self._bucket = bucket
        self._bus = bus
        self._template = task_template(worker_template)

    def list_tasks(self) -> list[Task]:
        """Open and completed tasks with a short `input_content`. Finishes loops that a process left ANSWERED when it died."""
        self.finish_answered()
        return [
            self._task(loop, loop.model_dump(include=_LISTED, exclude_none=True))
            for state in _STATUS
            for loop in self._loops.of_state(state)
        ]

    def get(self, name: str) -> Task | None:
        loop = self._loops.get(name)
        return None if loop is None else self._task(loop, self._input(loop))

    def submit(self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float) -> None:
        loop = self._loops.get(name)
        if loop is None:
            raise UnknownTask(name)
        if loop.state == "OPEN":
            submitted = timestamp()
            answer = {
                "answerContent": answer_content,
                "submissionTime": submitted,
                "timeSpentInSeconds": round(seconds, 3),
                "workerId": worker_id,
            }
            body = json.dumps(answer).encode()
            key = f"reviews/{name}/answers/{hashlib.sha256(body).hexdigest()[:16]}.json"
            self._bucket.write(key, body, "application/json")
            accepted = self._loops.answer(name, key, submitted)
            loop = self._loops.get(name) or loop
            if accepted:
                self._finish(loop)
                return
        self._finish(loop)
        raise AlreadyAnswered(name)

    def finish_answered(self) -> int:
        """Send the events of accepted answers whose events nobody has confirmed; returns how many there were."""
        answered = list(self._loops.of_state("ANSWERED"))
        for loop in answered:
            self._finish(self._loops.get(loop.loop_name) or loop)
        return len(answered)

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        loop = self._loops.get(name)
        own = self._bucket.uri("")
        if loop is None or not s3_uri.startswith(own) or s3_uri not in self._input(loop).values():
            raise KeyError(s3_uri)
        try:
            return self._bucket.read(s3_uri.removeprefix(own), MAX_IMAGE_BYTES), "image/png"
        except FileNotFoundError as error:
            raise KeyError(s3_uri) from error

    def _finish(self, loop: LoopRow) -> None:
        if loop.state != "ANSWERED" or loop.answer_key is None:
            return
        name = loop.loop_name
        created = datetime.fromisoformat(loop.created).astimezone(UTC)
        key = f"reviews/{name}/a2i/{created:%Y/%m/%d/%H/%M/%S}/{name}/output.json"
        output = {
            "flowDefinitionArn": FLOW_DEFINITION_ARN,
            "humanAnswers": [json.loads(self._bucket.read(loop.answer_key, MAX_INPUT_BYTES))],
            "humanLoopName": name,
            "inputContent": self._input(loop),
        }
        self._bucket.write(key, json.dumps(output).encode(), "application/json")
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

    def _task(self, loop: LoopRow, input_content: dict[str, Any]) -> Task:
        return Task(
            name=loop.loop_name,
            created=datetime.fromisoformat(loop.created),
            status=_STATUS[loop.state],
            input_content=input_content,
            template=self._template,
        )
