"""Executions of the state machine `retrain`, as far as starting them needs to know."""

import json
from typing import Any

from botocore.exceptions import ClientError

_LOST = "States.ServiceRestart"
"""The error with which the local cloud marks executions that ended with it. On AWS there is no such end."""


class Executions:
    """`client` is a boto3 Step Functions client."""

    def __init__(self, client: Any, state_machine_arn: str) -> None:
        self._client = client
        self._state_machine_arn = state_machine_arn

    def arn(self, batch: int, attempt: int) -> str:
        """The ARN that the execution for an attempt (1, 2, ...) at a batch has, or will have."""
        name = f"retrain-{batch}" if attempt == 1 else f"retrain-{batch}-{attempt}"
        return self._state_machine_arn.replace(":stateMachine:", ":execution:") + f":{name}"

    def status(self, execution: str) -> str | None:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED, ...; None if there is no such execution."""
        try:
            return self._client.describe_execution(executionArn=execution)["status"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return None
            raise

    def is_lost(self, execution: str) -> bool:
        """Whether an execution ended by no fault of its own or of its data: with what ran it, or with its stack."""
        if not self.is_ours(execution):
            return True
        return self._client.describe_execution(executionArn=execution).get("error") == _LOST

    def is_ours(self, execution: str) -> bool:
        """Whether it is of this state machine. A table that outlived its stack names executions of that stack's."""
        return execution.startswith(self._state_machine_arn.replace(":stateMachine:", ":execution:") + ":")

    def start(self, execution: str, batch: int, attempt: int) -> None:
        """Start the execution of this ARN, once: its name can be taken only by an earlier call of the same."""
        try:
            self._client.start_execution(
                stateMachineArn=self._state_machine_arn,
                name=execution.rpartition(":")[2],
                input=json.dumps({"batch": batch, "attempt": attempt}),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise
