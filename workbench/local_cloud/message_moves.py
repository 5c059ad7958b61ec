"""SQS's StartMessageMoveTask, which MiniStack lacks: dead letters go back to a queue, here before the call is answered."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any


def install() -> None:
    """Put it in, after the journal has put itself before SendMessage: what is moved survives a kill like what is sent."""
    from ministack.core import iam_actions
    from ministack.services import sqs

    tasks: dict[str, list[dict[str, Any]]] = {}

    def queue(arn: str) -> dict[str, Any]:
        found = sqs._queue_by_arn(arn)
        if found is None:
            raise sqs._Err(
                "ResourceNotFoundException", f"The resource that you specified for the ARN {arn} doesn't exist."
            )
        return found

    def start(data: dict, _url: str) -> dict:
        source, destination = queue(data["SourceArn"]), queue(data["DestinationArn"])
        sqs._dlq_sweep(destination)
        now = time.time()
        moving = [message for message in source["messages"] if message["visible_at"] <= now]
        for message in moving:
            sqs._HANDLERS["SendMessage"](
                {"QueueUrl": destination["url"], "MessageBody": message["body"]}, destination["url"]
            )
            source["messages"].remove(message)
        task = {
            "TaskHandle": str(uuid.uuid4()), "Status": "COMPLETED", "SourceArn": data["SourceArn"],
            "DestinationArn": data["DestinationArn"], "ApproximateNumberOfMessagesMoved": len(moving),
            "ApproximateNumberOfMessagesToMove": len(moving), "StartedTimestamp": int(now * 1000),
        }  # fmt: skip
        tasks.setdefault(data["SourceArn"], []).insert(0, task)
        return {"TaskHandle": task["TaskHandle"]}

    def listed(data: dict, _url: str) -> dict:
        return {"Results": tasks.get(data["SourceArn"], [])[: int(data.get("MaxResults", 1))]}

    sqs._HANDLERS.update({"StartMessageMoveTask": start, "ListMessageMoveTasks": listed})
    iam_actions.extract_resource_arn = _of_source(iam_actions.extract_resource_arn)


def _of_source(extract: Callable[..., str]) -> Callable[..., str]:
    """A task is allowed on the queue that its messages come from."""

    def arn_of(service: str, method: str, path: str, headers: dict, body: bytes, *rest: Any) -> str:
        if service == "sqs" and "MessageMoveTask" in headers.get("x-amz-target", ""):
            return json.loads(body).get("SourceArn", "*")
        return extract(service, method, path, headers, body, *rest)

    return arn_of
