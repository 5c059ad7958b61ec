"""The tasks of REVIEW_PROVIDER=portal: items of the table, input and answers in S3, A2I's event at the end.

An answer goes through three states, so that it is neither lost nor counted twice, whichever process dies. It is written
to S3 under a name of its own. The loop's item then takes exactly one answer (OPEN → ANSWERED). That one becomes
`output.json`, its event is sent, and the loop is COMPLETED. A loop that is found ANSWERED later is finished from there:
its event may come twice, but always comes.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from firnline.events import EventBus
from firnline.portal.store import AlreadyAnswered, Task, UnknownTask
from firnline.review.human_loop import PORTAL_SOURCE, HumanLoopOutput, HumanLoopStatusChange
from firnline.review.task_template import task_template
from firnline.store.bucket import Bucket
from firnline.store.frame_register import timestamp
from firnline.store.table import Item, Table

FLOW_DEFINITION_ARN = "arn:aws:sagemaker:local:000000000000:flow-definition/firnline-portal"
"""Stands where A2I names its flow; no such flow exists."""
MAX_INPUT_BYTES = 16_000_000
MAX_IMAGE_BYTES = 64_000_000
_STATUS = {"OPEN": "open", "ANSWERED": "completed", "COMPLETED": "completed"}


class TableStore:
    def __init__(self, table: Table, bucket: Bucket, bus: EventBus) -> None:
        self._table = table
        self._bucket = bucket
        self._bus = bus
        self._template = task_template()

    def list_tasks(self) -> list[Task]:
        """Open and completed tasks with a short `input_content`. Finishes loops that a process left ANSWERED when it died."""
        self.finish_answered()
        return [
            self._task(item, item)
            for state in ("OPEN", "ANSWERED", "COMPLETED")
            for item in self._table.query_index("by_status", f"LOOPS#{state}")
        ]

    def get(self, name: str) -> Task | None:
        item = self._loop(name)
        return None if item is None else self._task(item, self._input(item))

    def submit(self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float) -> None:
        item = self._loop(name)
        if item is None:
            raise UnknownTask(name)
        if item["state"] == "OPEN":
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
            accepted = self._table.update(
                item["pk"], item["sk"],
                "SET #state = :answered, status_pk = :status_pk, answer_key = :key, submitted = :submitted",
                {":answered": "ANSWERED", ":status_pk": "LOOPS#ANSWERED", ":open": "OPEN",
                 ":key": key, ":submitted": submitted},
                "#state = :open",
            )  # fmt: skip
            if accepted:
                self._finish({**item, "answer_key": key, "state": "ANSWERED"})
                return
            item = self._loop(name) or item
        self._finish(item)
        raise AlreadyAnswered(name)

    def finish_answered(self) -> int:
        """Send the events of accepted answers whose events nobody has confirmed; returns how many there were."""
        answered = list(self._table.query_index("by_status", "LOOPS#ANSWERED"))
        for item in answered:
            self._finish(self._loop(item["loop_name"]) or item)
        return len(answered)

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        item = self._loop(name)
        own = self._bucket.uri("")
        if item is None or not s3_uri.startswith(own) or s3_uri not in self._input(item).values():
            raise KeyError(s3_uri)
        try:
            return self._bucket.read(s3_uri.removeprefix(own), MAX_IMAGE_BYTES), "image/png"
        except FileNotFoundError as error:
            raise KeyError(s3_uri) from error

    def _finish(self, item: Item) -> None:
        if item["state"] != "ANSWERED":
            return
        name = item["loop_name"]
        created = datetime.fromisoformat(item["created"]).astimezone(UTC)
        key = f"reviews/{name}/a2i/{created:%Y/%m/%d/%H/%M/%S}/{name}/output.json"
        output = {
            "flowDefinitionArn": FLOW_DEFINITION_ARN,
            "humanAnswers": [json.loads(self._bucket.read(item["answer_key"], MAX_INPUT_BYTES))],
            "humanLoopName": name,
            "inputContent": self._input(item),
        }
        self._bucket.write(key, json.dumps(output).encode(), "application/json")
        self._bus.send(
            HumanLoopStatusChange(
                humanLoopName=name,
                humanLoopStatus="Completed",
                humanLoopArn=FLOW_DEFINITION_ARN.replace("flow-definition/firnline-portal", f"human-loop/{name}"),
                flowDefinitionArn=FLOW_DEFINITION_ARN,
                creationTime=item["created"],
                humanLoopOutput=HumanLoopOutput(outputS3Uri=self._bucket.uri(key)),
            ),
            source=PORTAL_SOURCE,
        )
        self._table.update(
            item["pk"], item["sk"], "SET #state = :completed, status_pk = :status_pk",
            {":completed": "COMPLETED", ":status_pk": "LOOPS#COMPLETED", ":answered": "ANSWERED"}, "#state = :answered",
        )  # fmt: skip

    def _loop(self, name: str) -> Item | None:
        return self._table.get(f"LOOP#{name}", "LOOP")

    def _input(self, item: Item) -> dict[str, Any]:
        return json.loads(self._bucket.read(item["input_key"], MAX_INPUT_BYTES))

    def _task(self, item: Item, input_content: dict[str, Any]) -> Task:
        return Task(
            name=item["loop_name"],
            created=datetime.fromisoformat(item["created"]),
            status=_STATUS[item["state"]],  # type: ignore[arg-type]
            input_content=input_content,
            template=self._template,
        )
