"""Surviving kill -9: snapshots of MiniStack's state every few seconds, and a journal of what came after them.

MiniStack writes its state at a clean end only. Here a thread writes it while it runs: queues and tables every two
seconds if they changed, the rest when a request may have changed it. What a snapshot does not hold yet is in the
journal: DynamoDB writes, messages sent to queues, executions started. All that a restart delivers twice, the
application takes twice.
"""

import functools
import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from .context import scope
from .human_review import HumanReview
from .journal import Journal
from .settings import Settings

TICK_SECONDS = 2.0
COPIES_TRIED, COPY_PAUSE = 20, 0.05
"""How often, and with which pause in seconds, a service that changes under its copy is copied again."""
ENDED = "firnline_ended"  # in a message: its count of receives when a function had last ended with it
MARK = "firnline_journal"  # in a snapshot: the first journal file that it lacks
SLOW_SECONDS = 30.0  # logs and metrics grow with every call, and losing their last half minute costs nothing
REDELIVERY_MARGIN_SECONDS = 120.0
JOURNALED = ("dynamodb", "sqs", "stepfunctions")
SLOW = ("cloudwatch_logs", "cloudwatch")
TABLE_WRITES = (
    "_create_table",
    "_delete_table",
    "_update_table",
    "_put_item",
    "_delete_item",
    "_update_item",
    "_batch_write_item",
    "_transact_write_items",
    "_update_ttl",
    "_execute_statement",
    "_batch_execute_statement",
    "_execute_transaction",
    "_update_continuous_backups",
    "_tag_resource",
    "_untag_resource",
)
SERVICE_RESTART = "States.ServiceRestart"  # MiniStack's word, which `start_retraining` knows
INTERRUPTED_DEPLOYMENTS = {"UPDATE": "UPDATE_ROLLBACK_COMPLETE", "DELETE": "DELETE_FAILED"}
"""What a stack is after its update or its deletion was cut off; one that was being created is CREATE_FAILED."""
READS = ("Get", "Describe", "List", "Query", "Scan", "Search", "Filter", "Lookup", "Poll", "Validate", "Assume")
RECORDED_ELSEWHERE = ("DynamoDB", "AmazonSQS", "SageMaker", "Logs_", "Granite", "AWSEvents.PutEvents")

logger = logging.getLogger("firnline.durability")


class Durability:
    def __init__(self, settings: Settings):
        self._settings = settings
        self._journal = Journal(settings.journal)
        self._depth = threading.local()
        self._requests = 0
        self._changes = 0  # requests that may have changed something outside of the journaled services
        self._written: dict[str, str] = {}  # digest of each service's snapshot
        self._covered: dict[str, int] = {}  # per journaled service: first journal file that its snapshot lacks
        self._saving = threading.Lock()
        self._heartbeat = settings.snapshots / "heartbeat"
        self._clean = settings.snapshots / "clean"

    # Seams

    def install(self, reviews: HumanReview) -> None:
        """Hook into MiniStack before it starts."""
        from ministack import app
        from ministack.services import dynamodb, eventbridge, lambda_svc, sqs, stepfunctions

        lambda_svc._run_sqs_batch = self._noting_ends(lambda_svc._run_sqs_batch)
        for name in TABLE_WRITES:
            setattr(dynamodb, name, self._journaling_table_write(name, getattr(dynamodb, name)))
        self._send, self._dispatch = sqs._act_send_message, eventbridge._dispatch_to_sqs
        sqs._act_send_message = self._journaling_send
        actions = next(table for table in vars(sqs).values() if isinstance(table, dict) and "SendMessage" in table)
        actions["SendMessage"] = self._journaling_send
        eventbridge._dispatch_to_sqs = self._journaling_dispatch
        stepfunctions._start_execution = self._journaling_execution(stepfunctions._start_execution)
        for name, module in (("dynamodb", dynamodb), ("sqs", sqs), ("stepfunctions", stepfunctions)):
            module.load_persisted_state = self._noting_mark(name, module.load_persisted_state)
        load = app._load_persisted_state

        def load_and_replay() -> None:
            self._settings.snapshots.mkdir(parents=True, exist_ok=True)
            was_clean = self._clean.exists() or not self._heartbeat.exists()
            last_alive = self._heartbeat.stat().st_mtime if self._heartbeat.exists() else time.time()
            load()
            with scope():
                self._replay(dynamodb, sqs, stepfunctions)
                self._release_in_flight(sqs)
            self._end_interrupted_deployments()
            self._clean.unlink(missing_ok=True)
            self._save_journaled()
            self._heartbeat.touch()
            threading.Thread(target=self._save_forever, daemon=True, name="snapshots").start()
            threading.Timer(
                1.0, self._redeliver, (reviews, None if was_clean else last_alive - REDELIVERY_MARGIN_SECONDS)
            ).start()

        def save_at_end(_: dict) -> None:
            self._save_journaled()
            self._save_others(slow=True)
            self._clean.touch()

        app._load_persisted_state = load_and_replay
        app.save_all = save_at_end
        app._dispatch_service_request = self._counting(app._dispatch_service_request)

    def _journaling_table_write(self, name: str, write: Callable[..., tuple]) -> Callable[..., tuple]:
        @functools.wraps(write)
        def journaled(data: dict, *rest: Any, **more: Any) -> tuple:
            with self._journal.lock:
                # A batch or a transaction is journaled as one; its parts are not entries of their own.
                nested = getattr(self._depth, "value", 0)
                self._depth.value = nested + 1
                try:
                    answer = write(data, *rest, **more)
                finally:
                    self._depth.value = nested
                if not nested and isinstance(answer, tuple) and answer[0] < 400:
                    self._journal.append({"service": "dynamodb", "call": name, "data": data})
                return answer

        return journaled

    def _journaling_send(self, data: dict, url: str) -> dict:
        with self._journal.lock:
            answer = self._send(data, url)
            self._journal.append({"service": "sqs", "call": "send", "data": data, "url": url})
            return answer

    def _journaling_dispatch(self, spec: Any, payload: str, sqs_parameters: dict | None = None) -> None:
        with self._journal.lock:
            self._dispatch(spec, payload, sqs_parameters)
            self._journal.append(
                {
                    "service": "sqs",
                    "call": "dispatch",
                    "arn": str(spec),
                    "payload": payload,
                    "parameters": sqs_parameters,
                }
            )

    def _journaling_execution(self, start: Callable[[dict], tuple]) -> Callable[[dict], tuple]:
        def journaled(data: dict) -> tuple:
            with self._journal.lock:
                answer = start(data)
                if answer[0] < 400:
                    arn = json.loads(answer[2])["executionArn"]
                    self._journal.append({"service": "stepfunctions", "call": "start", "arn": arn, "data": data})
                return answer

        return journaled

    @staticmethod
    def _noting_ends(run: Callable[..., None]) -> Callable[..., None]:
        """Write on messages whose function has ended, well or not, how often they had been received by then."""

        @functools.wraps(run)
        def noting(mapping: Any, function: Any, event: Any, batch: list[dict], *rest: Any) -> None:
            try:
                run(mapping, function, event, batch, *rest)
            finally:
                for message in batch:
                    message[ENDED] = message["receive_count"]

        return noting

    def _noting_mark(self, service: str, load: Callable[[dict], None]) -> Callable[[dict], None]:
        def noting(data: dict) -> None:
            self._covered[service] = data.pop(MARK, 0)
            load(data)

        return noting

    def _counting(self, dispatch: Callable) -> Callable:
        async def counted(method: str, path: str, headers: dict, body: bytes, query: dict, request_id: str) -> Any:
            try:
                return await dispatch(method, path, headers, body, query, request_id)
            finally:
                self._requests += 1
                self._changes += may_change_configuration(method, path, headers.get("x-amz-target", ""), query)

        return counted

    # Snapshots

    def _save_forever(self) -> None:
        seen_requests = seen_changes = -1
        next_journaled = next_slow = 0.0
        while True:
            time.sleep(TICK_SECONDS)
            try:
                started = time.monotonic()
                requests, changes = self._requests, self._changes
                if started >= next_journaled and (requests != seen_requests or self._executions_running()):
                    self._save_journaled()
                    seen_requests = requests
                    # Copying large tables must not become the machine's main work.
                    next_journaled = started + 20 * (time.monotonic() - started)
                if changes != seen_changes or started >= next_slow or self._stack_in_progress():
                    slow = started >= next_slow
                    self._save_others(slow, everything=changes != seen_changes or self._stack_in_progress())
                    seen_changes = changes
                    next_slow = time.monotonic() + SLOW_SECONDS if slow else next_slow
                self._heartbeat.touch()
            except Exception:
                logger.exception("a snapshot failed; it is tried again in %.0f s", TICK_SECONDS)

    def _save_journaled(self) -> None:
        """One snapshot of the journaled services together, and a new journal for what follows."""
        from ministack.services import dynamodb, sqs, stepfunctions

        modules = {"dynamodb": dynamodb, "sqs": sqs, "stepfunctions": stepfunctions}
        with self._saving:
            with self._journal.lock:
                states = {name: _copied(module.get_state) for name, module in modules.items()}
                if any(state is None for state in states.values()):
                    return
                mark = self._journal.number if self._journal.empty else self._journal.rotate()
            for name, state in states.items():
                self._write(name, {**(state or {}), MARK: mark})
                self._covered[name] = mark
            self._journal.forget_before(mark)

    def _save_others(self, slow: bool, everything: bool = True) -> None:
        from ministack import app

        with self._saving:
            for name, get_state in app._build_persistence_save_dict().items():
                wanted = slow if name in SLOW else everything
                if wanted and name not in JOURNALED:
                    state = _copied(get_state)
                    if state is not None:
                        self._write(name, state)

    def _write(self, service: str, state: dict) -> None:
        """Write a snapshot beside the old one and rename it into its place, unless it says the same."""
        from ministack.core import persistence

        text = json.dumps(
            {"__ministack_format__": persistence._state_format_version(service), "payload": state},
            default=persistence._json_default,
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        if self._written.get(service) == digest:
            return
        path = self._settings.snapshots / f"{service}.json"
        temporary = path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        self._written[service] = digest

    @staticmethod
    def _executions_running() -> bool:
        from ministack.services import stepfunctions

        return any(e.get("status") == "RUNNING" for e in list(stepfunctions._executions._data.values()))

    @staticmethod
    def _stack_in_progress() -> bool:
        return any(str(stack.get("StackStatus", "")).endswith("IN_PROGRESS") for stack in _stacks())

    # After a restart

    def _replay(self, dynamodb: Any, sqs: Any, stepfunctions: Any) -> None:
        """Do again, over the loaded snapshots, what the journal holds beyond them."""
        from ministack.core.arn import parse_arn

        self._depth.value = 1  # replayed writes are in the journal already
        count = 0
        for number, entry in self._journal.entries():
            service = entry["service"]
            if number < self._covered.get(service, 0):
                continue
            count += 1
            if service == "dynamodb":
                status, _, body = getattr(dynamodb, entry["call"])(entry["data"])
                if status >= 400:
                    logger.error("replaying %s failed: %s", entry["call"], body)
            elif entry["call"] == "send":
                self._replay_send(sqs, entry)
            elif entry["call"] == "dispatch":
                self._dispatch(parse_arn(entry["arn"]), entry["payload"], entry["parameters"])
            elif entry["arn"] not in stepfunctions._executions:
                self._record_lost_execution(stepfunctions, entry)
        self._depth.value = 0
        if count:
            logger.info("replayed %d writes that were newer than the last snapshot", count)

    def _replay_send(self, sqs: Any, entry: dict) -> None:
        try:
            self._send(entry["data"], entry["url"])
        except sqs._Err as error:
            logger.warning("a message of the journal was not taken by its queue: %s", error)

    @staticmethod
    def _record_lost_execution(stepfunctions: Any, entry: dict) -> None:
        machine = stepfunctions._resolve_state_machine_arn(entry["data"].get("stateMachineArn", ""))
        now = datetime.now().astimezone().isoformat()
        stepfunctions._executions[entry["arn"]] = {
            "executionArn": entry["arn"],
            "stateMachineArn": machine,
            "name": entry["arn"].rsplit(":", 1)[-1],
            "status": "FAILED",
            "startDate": now,
            "stopDate": now,
            "input": entry["data"].get("input", "{}"),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "testCase": "",
            "mockAttempts": {},
            "error": SERVICE_RESTART,
            "events": [],
            "cause": "The local cloud was stopped when the execution had just started.",
        }

    @staticmethod
    def _release_in_flight(sqs: Any) -> None:
        """Messages that a Lambda of the dead process was handling are due now, not after their timeout, and were not
        received: no Lambda of AWS dies of somebody's switching a machine off, and a kill is not the message's fault.
        """
        now = time.time()
        for queue in sqs._queues._data.values():
            for message in queue.get("messages", []):
                handled = message.get("receive_count", 0) > message.get(ENDED, 0)
                if handled and message.get("visible_at", 0) > now:
                    message["visible_at"] = now
                    message["receive_count"] -= 1

    @staticmethod
    def _end_interrupted_deployments() -> None:
        """What the dead process was making of a stack, nobody makes any more: it has failed, and may be tried again."""
        for stack in _stacks():
            status = str(stack.get("StackStatus", ""))
            if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
                stack["StackStatus"] = next(
                    (ended for begun, ended in INTERRUPTED_DEPLOYMENTS.items() if status.startswith(begun)),
                    "CREATE_FAILED",
                )
                stack["StackStatusReason"] = "The local cloud was stopped while the stack was worked on."
                logger.warning("stack %s was %s when the local cloud ended", stack.get("StackName"), status)

    def _redeliver(self, reviews: HumanReview, since: float | None) -> None:
        """Say again what may have been lost with the process: ends of executions, uploads and reviews since `since`."""
        with scope():
            self._announce_interrupted_executions()
            if since is not None:
                logger.info(
                    "after an unclean end: %d uploads and deletions announced again", self._redeliver_uploads(since)
                )
        if since is not None:
            reviews.redeliver_since(since)

    @staticmethod
    def _announce_interrupted_executions() -> None:
        from ministack.services import stepfunctions

        for execution in list(stepfunctions._executions._data.values()):
            if execution.get("error") == SERVICE_RESTART and not execution.get("firnline_announced"):
                logger.warning("execution %s was running when the local cloud ended", execution["name"])
                execution["firnline_announced"] = True
                stepfunctions._emit_execution_status_event(execution)

    @staticmethod
    def _redeliver_uploads(since: float) -> int:
        from ministack.services import s3

        count = 0
        for bucket_name, bucket in list(s3._buckets.items()):
            if "EventBridgeConfiguration" not in str(s3._bucket_notifications.get(bucket_name, "")):
                continue
            for key, found in list(bucket["objects"].items()):
                if datetime.fromisoformat(found["last_modified"]).timestamp() >= since:
                    s3._fire_s3_event_async(
                        bucket_name,
                        key,
                        "s3:ObjectCreated:Put",
                        size=found["size"],
                        etag=found["etag"],
                        version_id=found.get("version_id"),
                    )
                    count += 1
            deleted = [
                (key, versions[-1])
                for (of_bucket, key), versions in list(s3._object_versions.items())
                if of_bucket == bucket_name and versions and versions[-1].get("is_delete_marker")
            ]
            for key, marker in deleted:
                if datetime.fromisoformat(marker["last_modified"]).timestamp() >= since:
                    s3._fire_s3_event_async(
                        bucket_name,
                        key,
                        "s3:ObjectRemoved:DeleteMarkerCreated",
                        deletion_type="Delete Marker Created",
                        version_id=marker["version_id"],
                    )
                    count += 1
        return count


def _stacks() -> list[dict]:
    """CloudFormation's stacks; none as long as nobody has asked for that service."""
    stacks = getattr(sys.modules.get("ministack.services.cloudformation"), "_stacks", None)
    return [] if stacks is None else list(stacks._data.values())


def may_change_configuration(method: str, path: str, target: str, query: dict) -> bool:
    """Whether a request may change what only the slower snapshots hold: functions, roles, rules, stacks, buckets."""
    if method in ("GET", "HEAD") or target.startswith(RECORDED_ELSEWHERE):
        return False
    operation = target.rpartition(".")[2] or str((query.get("Action") or [""])[0])
    an_object = not operation and path.count("/") > 1 and not path.startswith("/20")  # S3 keeps its objects itself
    return not an_object and not operation.startswith(READS) and not path.endswith("/invocations")


def _copied(get_state: Callable[[], dict | None]) -> dict | None:
    """A service's state; None if it has none, or changed under the copy twenty times over."""
    copying = Retrying(
        retry=retry_if_exception_type(RuntimeError), stop=stop_after_attempt(COPIES_TRIED), wait=wait_fixed(COPY_PAUSE)
    )
    try:
        return copying(get_state)
    except RetryError:
        logger.warning("a service changed too fast to be copied; the next snapshot takes it")
        return None
