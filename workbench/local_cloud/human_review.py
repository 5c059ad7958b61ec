"""Amazon A2I's runtime: human loops, what the reviewers' page does with them, and their completion."""

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn

from botocore.exceptions import ClientError

from .context import Cloud, arn, emit, scope
from .errors import AwsError, ConflictException, ResourceNotFoundException, ValidationException
from .identity import assume_role, drop_session, require
from .s3_paths import join_uri, split_uri
from .service_model import check, operation_model, shaped
from .settings import ACCOUNT, REGION

FLOW_KIND = "flow-definition"
NAME = re.compile(r"[a-z0-9](-*[a-z0-9])*")
INPUT_LIMIT = 3_145_728
IMAGE_LIMIT = 64 << 20
DEFAULT_LIFETIME_SECONDS = 864_000
DELIVERY_SECONDS = 2.0
INITIALIZING_SECONDS = 1.0
PAGE = 100
_LISTED = ("frame_id", "reason", "confidence", "priority")
LOCAL_REVIEWER = {"identityProviderType": "Cognito", "issuer": "http://127.0.0.1/local-cloud", "sub": "local"}

logger = logging.getLogger("firnline.review")


@dataclass(frozen=True)
class Loop:
    """A human loop as the page needs it. `template` is the worker template, in Liquid, as it was registered."""

    name: str
    created: datetime
    state: Literal["open", "completed", "failed"]
    input_content: dict[str, Any]
    template: str


def check_flow(params: dict) -> None:
    config = params.get("HumanLoopConfig")
    if config is None:
        raise ValidationException("HumanLoopConfig is missing.")
    if config["TaskCount"] != 1:
        raise ValidationException("The local cloud asks one reviewer per task: set TaskCount to 1.")
    if params.get("HumanLoopActivationConfig"):
        raise ValidationException("Custom task types take no HumanLoopActivationConfig.")
    split_uri(params["OutputConfig"]["S3OutputPath"])


def now_iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class HumanReview:
    """The A2I runtime API (`call`), and what the reviewers' page does with the same loops."""

    def __init__(self, cloud: Cloud):
        self._cloud, self._store = cloud, cloud.store
        self._wake = threading.Event()

    # The A2I runtime API

    def call(self, operation: str, params: dict) -> dict:
        model = operation_model("sagemaker-a2i-runtime", operation)
        check(params, model.input_shape)
        answers = {
            "StartHumanLoop": self._start,
            "DescribeHumanLoop": self._describe,
            "ListHumanLoops": self._list,
            "StopHumanLoop": self._stop,
            "DeleteHumanLoop": self._delete,
        }
        return shaped(answers[operation](params) or {}, model.output_shape)

    def _start(self, params: dict) -> dict:
        name, flow_arn = params["HumanLoopName"], params["FlowDefinitionArn"]
        status = self._flow(flow_arn)["FlowDefinitionStatus"]
        if status != "Active":
            raise ValidationException(f"The flow definition '{flow_arn}' is in status {status}; it must be Active.")
        if not NAME.fullmatch(name) or len(name) > 63:
            raise ValidationException(f"HumanLoopName '{name}' must match {NAME.pattern} and have at most 63 letters.")
        content = params["HumanLoopInput"]["InputContent"]
        if len(content) > INPUT_LIMIT:
            raise ValidationException(f"InputContent has {len(content):,} characters; at most {INPUT_LIMIT:,} fit.")
        try:
            parsed = json.loads(content)
        except ValueError as error:
            raise ValidationException(f"InputContent is not valid JSON: {error}") from error
        if not isinstance(parsed, dict):
            raise ValidationException("InputContent must be a JSON object.")
        loop_arn = arn(f"human-loop/{name}")
        with self._store.transaction() as db:
            present = db.execute("SELECT input, flow_arn FROM loops WHERE name = ?", (name,)).fetchone()
            if present is None:
                db.execute(
                    "INSERT INTO loops (name, arn, flow_arn, input, created, status) VALUES (?, ?, ?, ?, ?, ?)",
                    (name, loop_arn, flow_arn, content, time.time(), "InProgress"),
                )
            elif (present["input"], present["flow_arn"]) != (content, flow_arn):
                raise ConflictException(f"A human loop named '{name}' with other input exists already.")
        return {"HumanLoopArn": loop_arn}

    def _describe(self, params: dict) -> dict:
        return self._described(self._loop(params["HumanLoopName"]))

    def _list(self, params: dict) -> dict:
        self._flow(params["FlowDefinitionArn"])
        order = "ASC" if params.get("SortOrder") == "Ascending" else "DESC"
        start, size = int(params.get("NextToken", 0)), params.get("MaxResults", PAGE)
        rows = self._store.rows(
            f"SELECT * FROM loops WHERE flow_arn = ? ORDER BY created {order} LIMIT ? OFFSET ?",  # noqa: S608
            params["FlowDefinitionArn"],
            size + 1,
            start,
        )
        more = {"NextToken": str(start + size)} if len(rows) > size else {}
        return {"HumanLoopSummaries": [self._described(row) for row in rows[:size]], **more}

    def _stop(self, params: dict) -> None:
        loop = self._loop(params["HumanLoopName"])
        if not self._close(loop["name"], "Stopped", None, None):
            raise ValidationException(f"The human loop '{loop['name']}' is in status {loop['status']}.")

    def _delete(self, params: dict) -> None:
        loop = self._loop(params["HumanLoopName"])
        if loop["status"] == "InProgress":
            raise ValidationException(f"Stop the human loop '{loop['name']}' before you delete it.")
        with self._store.transaction() as db:
            db.execute("DELETE FROM loops WHERE name = ?", (loop["name"],))

    def _described(self, loop: Any) -> dict:
        output = {"HumanLoopOutput": {"OutputS3Uri": loop["output_uri"]}} if loop["output_uri"] else {}
        return {
            "HumanLoopName": loop["name"],
            "HumanLoopArn": loop["arn"],
            "FlowDefinitionArn": loop["flow_arn"],
            "HumanLoopStatus": loop["status"],
            "CreationTime": now_iso(loop["created"]),
            "FailureCode": loop["failure_code"],
            "FailureReason": loop["failure_reason"],
            **output,
        }

    # What the page does

    def loops(self) -> list[Loop]:
        """Every loop, oldest first; of the input what a list shows, and of those that are not open any more nothing."""
        shown = ", ".join(f"'{name}', json_extract(input, '$.{name}')" for name in _LISTED)
        return list(
            self._loops(
                "SELECT name, flow_arn, created, status, answer IS NOT NULL AS answered, CASE WHEN "  # noqa: S608
                f"status = 'InProgress' AND answer IS NULL THEN json_object({shown}) ELSE '{{}}' END AS input FROM loops "
                "ORDER BY created"
            )
        )

    def loop(self, name: str) -> Loop | None:
        return next(self._loops("SELECT *, answer IS NOT NULL AS answered FROM loops WHERE name = ?", name), None)

    def submit(self, name: str, answer_content: dict[str, Any], worker_id: str, seconds: float) -> None:
        """Record an answer; it is on disk when this returns.

        Raises ResourceNotFoundException for an unknown loop, ConflictException for one that is not open any more.
        """
        self._loop(name)
        now = time.time()
        answer = {
            "answerContent": answer_content,
            "acceptanceTime": now_iso(now - seconds),
            "submissionTime": now_iso(now),
            "timeSpentInSeconds": round(seconds, 3),
            "workerId": worker_id,
            "workerMetadata": {"identityData": LOCAL_REVIEWER},
        }
        with self._store.transaction() as db:
            taken = db.execute(
                "UPDATE loops SET answer = ?, submitted = ? WHERE name = ? AND answer IS NULL "
                "AND status = 'InProgress'",
                (json.dumps(answer), now, name),
            ).rowcount
        if not taken:
            raise ConflictException(f"The task '{name}' is not open any more: it was submitted, stopped or expired.")
        self._wake.set()

    def read_object(self, name: str, s3_uri: str) -> tuple[bytes, str]:
        """Bytes and content type of an object that the loop's input names, read by the flow's role; KeyError else."""
        loop = self._loop(name)
        if s3_uri not in _strings(json.loads(loop["input"])):
            raise KeyError(s3_uri)
        return self._read_as_flow(loop["flow_arn"], s3_uri)

    def _read_as_flow(self, flow_arn: str, s3_uri: str) -> tuple[bytes, str]:
        credentials = assume_role(self._flow(flow_arn)["RoleArn"], "sagemaker.amazonaws.com", "A2I")
        try:
            bucket, key = split_uri(s3_uri)
            found = self._cloud.client("s3", credentials).get_object(Bucket=bucket, Key=key)
            if found["ContentLength"] > IMAGE_LIMIT:
                raise ValidationException(f"{s3_uri} is too large to show.")
            return found["Body"].read(), found["ContentType"]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "404"):
                raise KeyError(s3_uri) from error
            raise
        finally:
            drop_session(credentials)

    def _loops(self, sql: str, *values: Any) -> Iterator[Loop]:
        flows = {flow["FlowDefinitionArn"]: flow for flow in self._store.all(FLOW_KIND)}
        templates = {ui["HumanTaskUiArn"]: ui["content"] for ui in self._store.all("human-task-ui")}
        for row in self._store.rows(sql, *values):
            config = flows.get(row["flow_arn"], {}).get("HumanLoopConfig")
            if config is None or config["HumanTaskUiArn"] not in templates:
                continue  # its flow was deleted: nothing can be shown or answered, as on AWS
            state: Literal["open", "completed", "failed"] = (
                "completed" if row["answered"] else "open" if row["status"] == "InProgress" else "failed"
            )
            yield Loop(
                row["name"],
                datetime.fromtimestamp(row["created"], UTC),
                state,
                json.loads(row["input"]),
                templates[config["HumanTaskUiArn"]],
            )

    # Completion

    def start_delivery(self, answering: threading.Event) -> None:
        """Deliver what is answered, stopped or expired, as it comes, once the server is `answering`."""
        threading.Thread(target=lambda: answering.wait() and self._deliver_forever(), daemon=True).start()

    def _deliver_forever(self) -> NoReturn:
        while True:
            self._wake.clear()
            try:
                self._initialize_flows()
                self._expire()
                for loop in self._store.rows(
                    "SELECT * FROM loops WHERE announced IS NULL AND "
                    "(answer IS NOT NULL OR status != 'InProgress') ORDER BY created"
                ):
                    self._deliver(loop)
            except Exception:
                logger.exception("delivering finished reviews failed; it is tried again")
            self._wake.wait(DELIVERY_SECONDS)

    def _initialize_flows(self) -> None:
        """Make active, some time after they were made, the flows that can deliver; the others have failed."""
        for flow in self._store.all(FLOW_KIND):
            age = time.time() - flow["CreationTime"]
            if flow["FlowDefinitionStatus"] == "Initializing" and age >= INITIALIZING_SECONDS:
                reason = self._hindrance(flow)
                status = "Failed" if reason else "Active"
                changes = {"FlowDefinitionStatus": status, "FailureReason": reason}
                self._store.change(FLOW_KIND, flow["FlowDefinitionName"], changes)

    def _hindrance(self, flow: dict) -> str | None:
        """Why a flow's role could not write what reviewers answer; None if it can."""
        output = flow["OutputConfig"]["S3OutputPath"]
        bucket, key = split_uri(output)
        target = "/".join(filter(None, [key.rstrip("/"), flow["FlowDefinitionName"], "output.json"]))
        credentials = None
        try:
            self._cloud.client("s3").head_bucket(Bucket=bucket)
            credentials = assume_role(flow["RoleArn"], "sagemaker.amazonaws.com", "A2I")
            with scope():
                require(credentials.access_key, "s3:PutObject", f"arn:aws:s3:::{bucket}/{target}", service="s3")
        except (AwsError, ClientError) as error:
            return f"The output location {output} can't be written with the role {flow['RoleArn']}: {error}"[:1024]
        finally:
            if credentials:
                drop_session(credentials)
        return None

    def _deliver(self, loop: Any) -> None:
        if loop["answer"] is not None:
            try:
                output_uri = self._write_output(loop)
            except (AwsError, ClientError) as error:
                # The answer is safe in the store; the role or the bucket may be mended meanwhile.
                logger.warning("output of review %s could not be written, it is tried again: %s", loop["name"], error)
                return
            with self._store.transaction() as db:
                db.execute(
                    "UPDATE loops SET status = 'Completed', output_uri = ? WHERE name = ?", (output_uri, loop["name"])
                )
        self._announce(self._loop(loop["name"]))

    def _write_output(self, loop: Any) -> str:
        flow = self._flow(loop["flow_arn"])
        created = datetime.fromtimestamp(loop["created"], UTC).strftime("%Y/%m/%d/%H/%M/%S")
        uri = join_uri(
            flow["OutputConfig"]["S3OutputPath"], flow["FlowDefinitionName"], created, loop["name"], "output.json"
        )
        output = {
            "flowDefinitionArn": loop["flow_arn"],
            "humanAnswers": [json.loads(loop["answer"])],
            "humanLoopName": loop["name"],
            "inputContent": json.loads(loop["input"]),
        }
        credentials = assume_role(flow["RoleArn"], "sagemaker.amazonaws.com", "A2I")
        try:
            bucket, key = split_uri(uri)
            self._cloud.client("s3", credentials).put_object(
                Bucket=bucket, Key=key, Body=json.dumps(output).encode(), ContentType="application/json"
            )
        finally:
            drop_session(credentials)
        return uri

    def _announce(self, loop: Any) -> None:
        output = {"humanLoopOutput": {"outputS3Uri": loop["output_uri"]}} if loop["output_uri"] else {}
        emit(
            "SageMaker A2I HumanLoop Status Change",
            [loop["arn"]],
            json.dumps(
                {
                    "creationTime": now_iso(loop["created"]),
                    "failureCode": loop["failure_code"],
                    "failureReason": loop["failure_reason"],
                    "flowDefinitionArn": loop["flow_arn"],
                    "humanLoopArn": loop["arn"],
                    "humanLoopName": loop["name"],
                    **output,
                    "humanLoopStatus": loop["status"],
                }
            ),
        )
        with self._store.transaction() as db:
            db.execute("UPDATE loops SET announced = ? WHERE name = ?", (time.time(), loop["name"]))

    def _expire(self) -> None:
        for flow in self._store.all(FLOW_KIND):
            lifetime = flow["HumanLoopConfig"].get("TaskAvailabilityLifetimeInSeconds", DEFAULT_LIFETIME_SECONDS)
            for loop in self._store.rows(
                "SELECT name FROM loops WHERE flow_arn = ? AND status = 'InProgress' "
                "AND answer IS NULL AND created < ?",
                flow["FlowDefinitionArn"],
                time.time() - lifetime,
            ):
                self._close(loop["name"], "Failed", "Expired", "The human loop expired before a worker completed it.")

    def _close(self, name: str, status: str, code: str | None, reason: str | None) -> bool:
        with self._store.transaction() as db:
            closed = (
                db.execute(
                    "UPDATE loops SET status = ?, failure_code = ?, failure_reason = ? WHERE name = ? "
                    "AND status = 'InProgress' AND answer IS NULL",
                    (status, code, reason, name),
                ).rowcount
                == 1
            )
        self._wake.set()
        return closed

    def _loop(self, name: str) -> Any:
        found = self._store.rows("SELECT * FROM loops WHERE name = ?", name)
        if not found:
            raise ResourceNotFoundException(f"Could not find the human loop '{name}'.")
        return found[0]

    def _flow(self, flow_arn: str) -> dict:
        prefix = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:flow-definition/"
        for flow in self._store.all(FLOW_KIND):
            if flow["FlowDefinitionArn"] == flow_arn and flow_arn.startswith(prefix):
                return flow
        raise ValidationException(f"Could not find the flow definition '{flow_arn}'.")


def _strings(value: Any) -> set[str]:
    """Every string anywhere in a JSON value."""
    if isinstance(value, str):
        return {value}
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*(_strings(member) for member in members))
