"""A job's log: a file for the developer, and a stream in the stack's CloudWatch Logs."""

import threading
import time
from contextlib import suppress
from pathlib import Path

from botocore.exceptions import ClientError

from .context import Cloud
from .identity import Credentials

SHIP_SECONDS = 2.0
BATCH_LINES = 1000


class JobLog:
    """Lines reach CloudWatch Logs with the job's own role, as on AWS; what it may not write is in the file only."""

    def __init__(self, cloud: Cloud, role: Credentials, group: str, stream: str, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._logs = cloud.client("logs", role)
        self._group, self._stream = group, stream
        self._waiting: list[dict] = []
        self._lock, self._closed = threading.Lock(), threading.Event()
        try:
            for create, names in (
                (self._logs.create_log_group, {}),
                (self._logs.create_log_stream, {"logStreamName": stream}),
            ):
                with suppress(self._logs.exceptions.ResourceAlreadyExistsException):
                    create(logGroupName=group, **names)
        except ClientError as error:
            self._file.write(f"[local cloud] the log can't be written to CloudWatch Logs: {error}\n")
        self._shipper = threading.Thread(target=self._ship_until_closed, daemon=True, name=f"log {stream}")
        self._shipper.start()

    def line(self, text: str) -> None:
        self._file.write(text + "\n")
        if text.strip():
            with self._lock:
                self._waiting.append({"timestamp": int(time.time() * 1000), "message": text})

    def close(self) -> None:
        self._closed.set()
        self._shipper.join()
        self._file.close()

    def _ship_until_closed(self) -> None:
        while not self._closed.wait(SHIP_SECONDS):
            self._ship()
        self._ship()

    def _ship(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        for start in range(0, len(batch), BATCH_LINES):
            try:
                self._logs.put_log_events(
                    logGroupName=self._group, logStreamName=self._stream, logEvents=batch[start : start + BATCH_LINES]
                )
            except ClientError as error:
                self._file.write(f"[local cloud] these lines did not reach CloudWatch Logs: {error}\n")
