"""What MiniStack's Lambda runtime lacks: names of Python's errors, code that is unpacked once, a limit of workers."""

import functools
import hashlib
import logging
import math
import os
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .identity import refusal

logger = logging.getLogger("firnline.lambda")
ERROR_LINE = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?::|$)")
QUEUE_ACTIONS = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
"""What the role of a function that takes a queue's messages must allow (Lambda's guide, "Using Lambda with SQS")."""
RIGHTS_SECONDS = 2.0
"""For how long a role's rights are taken to be what they were."""
TRACEBACK = "Traceback (most recent call last):"


def install(cache: Path) -> None:
    """Put it in. A queue gets as many workers as the machine has cores: each one loads a scientific Python anew."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    run = lambda_svc._execute_function_warm

    @functools.wraps(run)
    def run_naming_errors(function: dict, event: Any, request_id: str) -> dict:
        answer = run(function, event, request_id)
        body = answer.get("body")
        if answer.get("error") and isinstance(body, dict) and body.get("errorType") == "Runtime.HandlerError":
            body["errorType"] = error_type(answer.get("log", "")) or body["errorType"]
        return answer

    lambda_svc._execute_function_warm = run_naming_errors
    allowed = _Allowed(lambda_svc._sqs_esm_concurrency)
    lambda_svc._sqs_esm_concurrency = allowed.batches
    lambda_runtime.zipfile = SimpleNamespace(
        ZipFile=functools.partial(_SharedZip, cache),
        BadZipFile=zipfile.BadZipFile,
        LargeZipFile=zipfile.LargeZipFile,
        LargeFileError=zipfile.LargeZipFile,
    )


class _Allowed:
    """How many batches of a queue may be with a function at once: none if its role may not take messages."""

    def __init__(self, concurrency: Callable[..., int]):
        self._concurrency = concurrency
        self._known: dict[str, tuple[float, str | None]] = {}  # by mapping: when it was looked up, and what hinders

    def batches(self, mapping: dict, function: dict, config: dict, queue: dict | None = None) -> int:
        if self._hindrance(mapping, config):
            return 0
        return min(self._concurrency(mapping, function, config, queue), os.cpu_count() or 1)

    def _hindrance(self, mapping: dict, config: dict) -> str | None:
        since, hindrance = self._known.get(mapping["UUID"], (-math.inf, None))
        if time.monotonic() - since < RIGHTS_SECONDS:
            return hindrance
        source = mapping["EventSourceArn"]
        found = refusal(config.get("Role", ""), "lambda.amazonaws.com", "sqs", QUEUE_ACTIONS, source)
        if found and found != hindrance:
            logger.error("%s gets no messages: %s", mapping["FunctionName"], found)
        self._known[mapping["UUID"]] = (time.monotonic(), found)
        return found


def error_type(log: str) -> str | None:
    """The class of the exception that ended a handler, as Lambda reports it: the last one of its traceback."""
    _, found, last = log.rpartition(TRACEBACK)
    for line in last.splitlines()[1:] if found else []:
        if line and not line.startswith((" ", "\t")):
            match = ERROR_LINE.match(line)
            return match[1] if match else None
    return None


class _SharedZip(zipfile.ZipFile):
    """Unpacks each archive once into a cache and links its entries from then on.

    MiniStack unpacks function and layers for every worker: with scientific packages that is seconds and hundreds of
    megabytes each time, and compiling all modules anew.
    """

    _lock = threading.Lock()

    def __init__(self, cache: Path, file: str):
        super().__init__(file)
        self._cache, self._file = cache, file

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        with Path(self._file).open("rb") as archive:
            digest = hashlib.file_digest(archive, "sha256").hexdigest()
        unpacked = self._cache / digest
        with self._lock:
            if not unpacked.exists():
                partial = self._cache / f"{digest}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                super().extractall(partial)
                partial.rename(unpacked)
        for entry in unpacked.iterdir():
            (Path(path) / entry.name).symlink_to(entry)
