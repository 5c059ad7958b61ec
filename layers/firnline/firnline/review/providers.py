"""Who shows a task to a reviewer: Amazon A2I, or Firnline's own page."""

import json
from typing import Any, Protocol

from botocore.exceptions import ClientError

from firnline.limits import MAX_PICTURE_BYTES
from firnline.review.thumbnail import thumbnail
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.loops import Loops
from firnline.store.table import Table


class ReviewProvider(Protocol):
    def start(self, loop_name: str, input_content: dict[str, Any]) -> None:
        """Start the human loop of this name, or leave it as it is where it was started before."""

    def withdraw(self, loop_name: str, because: str) -> None:
        """End a human loop that nobody has answered; it is no error if it has ended."""


_OVER = ("ResourceNotFoundException", "ValidationException")
"""What A2I says of a loop that it does not know any more, or that has ended."""


class A2I:
    """`client` is boto3's `sagemaker-a2i-runtime`."""

    def __init__(self, client: Any, flow_definition_arn: str) -> None:
        self._client = client
        self._flow_definition_arn = flow_definition_arn

    def start(self, loop_name: str, input_content: dict[str, Any]) -> None:
        try:
            self._client.start_human_loop(
                HumanLoopName=loop_name,
                FlowDefinitionArn=self._flow_definition_arn,
                HumanLoopInput={"InputContent": json.dumps(input_content)},
            )
        except self._client.exceptions.ConflictException:
            # The name says frame, revision and model, so a loop of this name is this review, started with other
            # settings.
            self._client.describe_human_loop(HumanLoopName=loop_name)

    def withdraw(self, loop_name: str, because: str) -> None:
        try:
            self._client.stop_human_loop(HumanLoopName=loop_name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _OVER:
                raise


def loop_input_key(loop_name: str) -> str:
    return f"reviews/{loop_name}/input.json"


class Portal:
    """A loop is a row of the table; its InputContent, which may be larger than an item, lies in S3, and so does a small
    picture for the list.
    """

    def __init__(self, table: Table, bucket: Bucket, reviewers: int = 1) -> None:
        """A task takes the answers of so many different `reviewers`."""
        self._loops = Loops(table)
        self._bucket = bucket
        self._reviewers = reviewers

    def start(self, loop_name: str, input_content: dict[str, Any], gold: str = "") -> None:
        """`gold` names the correction that the answer is compared with; one answer is enough then."""
        known = self._loops.get(loop_name)
        if known:
            if known.state == "WITHDRAWN":  # the earlier file was uploaded once more
                self._loops.open_again(loop_name)
            elif known.state == "COMPLETED" and not gold:  # its answers came while the other file counted
                self._loops.announce_again(loop_name)
            return
        key = loop_input_key(loop_name)
        self._bucket.write(key, json.dumps(input_content).encode(), "application/json")
        self._bucket.write(keys.review_thumbnail(loop_name), self._thumbnail(input_content), "image/png")
        summary = {k: input_content[k] for k in ("frame_id", "revision", "model_version", "confidence", "reason")}
        wanted = 1 if gold else self._reviewers
        priority = input_content.get("priority")
        self._loops.open(loop_name, key, **summary, priority=priority, wanted=wanted, gold=gold)

    def withdraw(self, loop_name: str, because: str) -> None:
        self._loops.withdraw(loop_name, because)

    def _thumbnail(self, input_content: dict[str, Any]) -> bytes:
        return thumbnail(
            self._bucket.read(keys.echogram(input_content["frame_id"], input_content["revision"]), MAX_PICTURE_BYTES)
        )
