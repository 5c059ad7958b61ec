"""Surviving kill -9: snapshots of MiniStack's state every few seconds, and a journal of what came after them.

MiniStack writes its state at a clean end only. Here a thread writes it while it runs: queues and tables every two
seconds if they changed, the rest when a request may have changed it. What a snapshot does not hold yet is in the
journal: DynamoDB writes, messages that came into queues and left them, executions started, and which of S3's events
have been accepted and which of them told. A restart says again what was accepted and not confirmed as done, and nothing
else: messages that a function held, and events of S3 that had not reached their targets.
"""

import contextvars
import functools
import hashlib
import json
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from .context import scope
from .journal import Journal
from .settings import Settings

TICK_SECONDS = 2.0
COPIES_TRIED, COPY_PAUSE = 20, 0.05
"""How often, and with which pause in seconds, a service that changes under its copy is copied again."""
ENDED = "firnline_ended"  # in a message: its count of receives when a function had last ended with it
MARK = "firnline_journal"  # in a snapshot: the first journal file that it lacks
UNTOLD = "firnline_untold"  # in the queues' snapshot: events of S3 that had not reached their targets
SLOW_SECONDS = 30.0  # logs and metrics grow with every call, and losing their last half minute costs nothing
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
QUEUE_REMOVALS = {
    "DeleteMessage": "_act_delete_message",
    "DeleteMessageBatch": "_act_delete_message_batch",
    "PurgeQueue": "_act_purge_queue",
}
"""Operations of SQS that take messages out of a queue, by the function of MiniStack that does it."""
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
        self._untold: dict[str, dict] = {}  # events of S3 on their way to their targets, by a number of our own

    # Seams

    def install(self, answering: threading.Event) -> None:
        """Hook into MiniStack before it starts. What may call it waits until the server is `answering`."""
        from ministack import app
        from ministack.services import dynamodb, eventbridge, lambda_svc, s3, sqs, stepfunctions

        lambda_svc._run_sqs_batch = self._noting_ends(lambda_svc._run_sqs_batch)
        poll = lambda_svc._poll_loop
        # A function that is given a message before the server listens fails, and the failure counts as a receive.
        lambda_svc._poll_loop = lambda: answering.wait() and poll()
        for name in TABLE_WRITES:
            setattr(dynamodb, name, self._journaling_table_write(name, getattr(dynamodb, name)))
        self._install_queues(sqs, eventbridge)
        s3._fire_s3_event_async = self._accepting_event(s3)
        stepfunctions._start_execution = self._journaling_execution(stepfunctions._start_execution)
        for name, module in (("dynamodb", dynamodb), ("sqs", sqs), ("stepfunctions", stepfunctions)):
            module.load_persisted_state = self._noting_mark(name, module.load_persisted_state)
        load = app._load_persisted_state

        def load_and_replay() -> None:
            self._settings.snapshots.mkdir(parents=True, exist_ok=True)
            load()
            with scope():
                self._replay(dynamodb, sqs, stepfunctions)
                self._release_in_flight(sqs)
            self._end_interrupted_deployments()
            self._save_journaled()
            threading.Thread(target=self._save_forever, daemon=True, name="snapshots").start()
            again = (answering, dict(self._untold))
            threading.Thread(target=self._tell_again, args=again, daemon=True).start()

        def save_at_end(_: dict) -> None:
            self._save_journaled()
            self._save_others(slow=True)

        app._load_persisted_state = load_and_replay
        app.save_all = save_at_end
        app._dispatch_service_request = self._counting(app._dispatch_service_request)

    def _install_queues(self, sqs: Any, eventbridge: Any) -> None:
        # MiniStack holds its lock for Lambda's receives only: a message that comes while the list is written anew is
        # lost. Its own lock, taken everywhere, and more than once by one thread.
        lock = sqs._queues_lock = threading.RLock()
        for name in ("_dlq_sweep", "_expire_retained"):
            setattr(sqs, name, _holding(lock, getattr(sqs, name)))
        self._send = _holding(lock, sqs._act_send_message)
        self._dispatch = _holding(lock, eventbridge._dispatch_to_sqs)
        sqs._act_send_message, eventbridge._dispatch_to_sqs = self._journaling_send, self._journaling_dispatch
        actions = next(table for table in vars(sqs).values() if isinstance(table, dict) and "SendMessage" in table)
        actions["SendMessage"] = self._journaling_send
        for action, name in QUEUE_REMOVALS.items():
            remove = self._journaling_removal(sqs, getattr(sqs, name), lambda data, url: data.get("QueueUrl", url))
            setattr(sqs, name, remove)
            actions[action] = remove
        sqs._delete_messages_for_esm = self._journaling_removal(
            sqs, sqs._delete_messages_for_esm, lambda url, handles: url
        )

    def journal_moves(self) -> None:
        """Write down what a StartMessageMoveTask takes out of its source, once somebody has put that operation in."""
        from ministack.services import sqs

        def source_url(data: dict, _url: str) -> str:
            return (sqs._queue_by_arn(data["SourceArn"]) or {}).get("url", "")

        start = sqs._HANDLERS["StartMessageMoveTask"]
        sqs._HANDLERS["StartMessageMoveTask"] = self._journaling_removal(sqs, start, source_url)

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
            sent = {"data": data, "url": url, "id": answer["MessageId"]}
            self._journal.append({"service": "sqs", "call": "send", **sent})
            return answer

    def _journaling_dispatch(self, spec: Any, payload: str, sqs_parameters: dict | None = None) -> None:
        from ministack.services import sqs

        with self._journal.lock, sqs._queues_lock:
            self._dispatch(spec, payload, sqs_parameters)
            queue = sqs._queue_by_arn(str(spec))
            if not queue or not queue["messages"]:
                return  # there is no such queue, as the log says
            sent = {
                "arn": str(spec),
                "payload": payload,
                "parameters": sqs_parameters,
                "id": queue["messages"][-1]["id"],
            }
            self._journal.append({"service": "sqs", "call": "dispatch", **sent})

    def _journaling_removal(self, sqs: Any, remove: Callable, url_of: Callable[..., str]) -> Callable:
        """`remove`, with the messages that it took out of the queue at `url_of(...)` written down."""

        @functools.wraps(remove)
        def journaled(*arguments: Any) -> Any:
            with self._journal.lock, sqs._queues_lock:
                url = url_of(*arguments)
                before = _message_ids(sqs, url)
                answer = remove(*arguments)
                removed = before - _message_ids(sqs, url)
                if removed:
                    self._journal.append({"service": "sqs", "call": "remove", "ids": sorted(removed)})
                return answer

        return journaled

    def _accepting_event(self, s3: Any) -> Callable[..., None]:
        """An event of S3 is on disk before the answer to its request leaves, and done once its targets have it."""

        def accept(bucket: str, key: str, event_name: str, *rest: Any, **more: Any) -> None:
            if bucket not in s3._bucket_notifications:
                return
            names = ("size", "etag", "deletion_type", "version_id", "object_extra", "record_extra")
            event = {"bucket_name": bucket, "key": key, "event_name": event_name}
            event |= {**dict(zip(names, rest, strict=False)), **more}
            event["sequencer"] = s3._next_event_sequencer(event_name)
            number = uuid.uuid4().hex
            with self._journal.lock:
                self._untold[number] = event
                self._journal.append({"service": "sqs", "call": "accepted", "id": number, "event": event})
            in_account = contextvars.copy_context().run
            threading.Thread(target=in_account, args=(self._tell, number, event), daemon=True).start()

        return accept

    def _tell(self, number: str, event: dict) -> None:
        from ministack.services import s3

        s3._fire_s3_event(**event)
        with self._journal.lock:
            self._untold.pop(number, None)
            self._journal.append({"service": "sqs", "call": "told", "id": number})

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
            self._untold.update(data.pop(UNTOLD, {}))
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
                untold = dict(self._untold)
            states["sqs"] = {**(states["sqs"] or {}), UNTOLD: untold}
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
            elif service == "sqs":
                self._replay_message(sqs, entry)
            elif entry["arn"] not in stepfunctions._executions:
                self._record_lost_execution(stepfunctions, entry)
        self._depth.value = 0
        if count:
            logger.info("replayed %d writes that were newer than the last snapshot", count)

    def _replay_message(self, sqs: Any, entry: dict) -> None:
        from ministack.core.arn import parse_arn

        if entry["call"] == "accepted":
            self._untold[entry["id"]] = entry["event"]
        elif entry["call"] == "told":
            self._untold.pop(entry["id"], None)
        elif entry["call"] == "remove":
            removed = set(entry["ids"])
            for queue in sqs._queues._data.values():
                queue["messages"] = [message for message in queue["messages"] if message["id"] not in removed]
        else:
            known = {message["id"]: message for queue in sqs._queues._data.values() for message in queue["messages"]}
            if entry["call"] == "dispatch":
                self._dispatch(parse_arn(entry["arn"]), entry["payload"], entry["parameters"])
            else:
                try:
                    self._send(entry["data"], entry["url"])
                except sqs._Err as error:
                    logger.warning("a message of the journal was not taken by its queue: %s", error)
            for queue in sqs._queues._data.values():
                for message in queue["messages"]:
                    if message["id"] not in known:
                        # Under this number the journal says that it left the queue; one of an older version has none.
                        message["id"] = entry.get("id", message["id"])

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
                if message.get("receive_count", 0) > message.get(ENDED, 0):
                    message["visible_at"] = min(message["visible_at"], now)
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

    def _tell_again(self, answering: threading.Event, untold: dict[str, dict]) -> None:
        """Say what may not have been heard: ends of executions, and events of S3 that the dead process had accepted."""
        answering.wait()
        with scope():
            self._announce_interrupted_executions()
            for number, event in untold.items():
                self._tell(number, event)
        if untold:
            logger.info("after an unclean end: %d events of S3 told again", len(untold))

    @staticmethod
    def _announce_interrupted_executions() -> None:
        from ministack.services import stepfunctions

        for execution in list(stepfunctions._executions._data.values()):
            if execution.get("error") == SERVICE_RESTART and not execution.get("firnline_announced"):
                logger.warning("execution %s was running when the local cloud ended", execution["name"])
                execution["firnline_announced"] = True
                stepfunctions._emit_execution_status_event(execution)


def _holding(lock: Any, call: Callable) -> Callable:
    @functools.wraps(call)
    def held(*arguments: Any) -> Any:
        with lock:
            return call(*arguments)

    return held


def _message_ids(sqs: Any, url: str) -> set[str]:
    """The messages of the queue at `url`; none if there is no such queue."""
    try:
        return {message["id"] for message in sqs._get_q(url)["messages"]}
    except sqs._Err:
        return set()


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
