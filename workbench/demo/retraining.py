"""Watching a retraining that a full batch of corrections starts."""

import json
from typing import Any

from workbench import report
from workbench.connection import Connection
from workbench.waiting import Pace, wait_until

from .timeline import DidNotHappen, Timeline

STARTING_SECONDS, RETRAINING_SECONDS = 120, 1500


def watch_batch(connection: Connection, batch: int, timeline: Timeline) -> dict:
    """Follow the execution that a full batch starts, to its end, and read what was decided. Raises DidNotHappen."""
    with timeline.step(f"batch {batch} retrained"):
        arn = _started(connection, batch, timeline)
        execution = _ended(connection, batch, arn, timeline)
    if execution["status"] != "SUCCEEDED":
        cause = execution.get("cause", "no cause given")
        raise DidNotHappen(f"execution {arn} ended as {execution['status']}: {execution.get('error', '')} {cause}")
    ended = json.loads(execution.get("output", "{}"))
    if ended.get("outcome") == "skipped":
        raise DidNotHappen(
            f"batch {batch} was not trained on: {ended.get('reason')}. Give more frames, of more segments."
        )
    comparison = report.comparison(connection, arn.rsplit(":", 1)[1])
    timeline.console.print(f"  {comparison['reason']}")
    return {
        "batch": batch, "execution_arn": arn, "status": execution["status"],
        "seconds": round((execution["stopDate"] - execution["startDate"]).total_seconds(), 1),
        "promote": comparison["promote"], "reason": comparison["reason"],
        "champion": comparison["champion"], "candidate": comparison["candidate"],
    }  # fmt: skip


def _started(connection: Connection, batch: int, timeline: Timeline) -> str:
    """The ARN of the batch's execution."""

    def execution() -> str | None:
        row = connection.corrections.batch(batch)
        return row.execution_arn if row else None

    def not_started() -> DidNotHappen:
        return DidNotHappen(f"batch {batch} was not started: {connection.corrections.batch(batch)}")

    with timeline.console.status(f"batch {batch}: waiting for its execution"):
        return wait_until(execution, STARTING_SECONDS, not_started)


def _ended(connection: Connection, batch: int, arn: str, timeline: Timeline) -> dict[str, Any]:
    """The description of an execution that runs no more. Step Functions has no waiter in boto3."""
    machines = connection.client("stepfunctions")

    def execution() -> dict[str, Any] | None:
        described = machines.describe_execution(executionArn=arn)
        return None if described["status"] == "RUNNING" else described

    def too_long() -> DidNotHappen:
        step = report.current_state(machines, arn)
        return DidNotHappen(f"execution {arn} was still running after {RETRAINING_SECONDS} s, in {step}")

    with timeline.console.status("") as status:

        def tell(waited: float) -> None:
            step = report.current_state(machines, arn)
            status.update(f"batch {batch} · {arn.rsplit(':', 1)[1]} · {step} · {waited:.0f} s")

        return wait_until(execution, RETRAINING_SECONDS, too_long, Pace.JOB, tell)
