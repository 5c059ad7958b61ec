"""What `firnline export --in-cloud` does: asks the stack for an export, waits for it, and brings its products here."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from firnline.errors import Refused
from firnline.exports.request import EXPORT_ID, ExportRequest
from firnline.exports.writing import ACCOUNT
from firnline.limits import MAX_EXPORT_ACCOUNT_BYTES, MAX_EXPORT_REQUEST_BYTES
from firnline.store import keys
from workbench.connection import Connection
from workbench.progress import Stage, Stages
from workbench.waiting import Pace, wait_until

_MOMENT = "%Y%m%dT%H%M%S"
_MOMENT_PATTERN = r"\d{8}T\d{6}"
_MACHINE = "ExportStateMachineArn"


class Incomplete(Exception):
    """The export ended, and not all of it is there; the message says what to do."""


def new_name() -> str:
    return f"export-{datetime.now(UTC):{_MOMENT}}"


def start(connection: Connection, name: str, request: ExportRequest) -> str:
    """Ask for the export, or find the execution that works on it; returns its ARN.

    Raises `Refused` where the name cannot be one, or is that of another export.
    """
    if not re.fullmatch(EXPORT_ID, name):
        raise Refused(
            f"'{name}' is no name of an export: use up to 60 letters, digits, - and _, a letter or digit first."
        )
    if _MACHINE not in connection.outputs:
        raise Refused(
            "The stack exports nothing by itself yet: it is of an older release, and `sam deploy` brings it up to date."
        )
    key = keys.export_request(name)
    try:
        earlier = ExportRequest.model_validate_json(connection.workspace.read(key, MAX_EXPORT_REQUEST_BYTES))
    except FileNotFoundError:
        connection.workspace.write(key, request.to_json(), "application/json")
    else:
        if _what(earlier) != _what(request):
            raise Refused(
                f"{name} is the name of an export of something else (`{earlier.command}`): give another with --name."
            )
    machines, machine = connection.client("stepfunctions"), connection.outputs[_MACHINE]
    pages = machines.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="RUNNING")
    for running in (one for page in pages for one in page["executions"]):
        if re.fullmatch(rf"{re.escape(name)}-{_MOMENT_PATTERN}", running["name"]):
            return str(running["executionArn"])
    begun = machines.start_execution(
        stateMachineArn=machine,
        name=f"{name}-{datetime.now(UTC):{_MOMENT}}",
        input=json.dumps({"export": name}),
    )
    return str(begun["executionArn"])


def wait(connection: Connection, execution: str, stages: Stages) -> dict[str, Any]:
    """Wait for the export's end, and say how it went, as `CloudExport.account` does. Raises `Incomplete`."""
    machines = connection.client("stepfunctions")
    listing = stages.begin("listing segments")
    writing: Stage | None = None

    def ended() -> dict[str, Any] | None:
        nonlocal writing
        for run in machines.list_map_runs(executionArn=execution)["mapRuns"]:
            counts = machines.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
            if writing is None and counts["total"]:
                listing.end()
                writing = stages.begin("writing segments", counts["total"])
            if writing is not None:
                writing.reach(counts["succeeded"] + counts["failed"])
        told: dict[str, Any] = machines.describe_execution(executionArn=execution)
        return None if told["status"] == "RUNNING" else told

    told = wait_until(ended, None, lambda: TimeoutError(), Pace.JOB)
    if told["status"] != "SUCCEEDED":
        raise Incomplete(_reason(told))
    answer: dict[str, Any] = json.loads(told["output"])
    return answer


def fetch(connection: Connection, name: str, out: Path, stages: Stages) -> int:
    """Bring what is written into `out/<campaign>/<segment>/`, and `export.json` last; returns how many files.

    Raises FileNotFoundError where the export has no account yet.
    """
    bucket = connection.workspace
    account = json.loads(bucket.read(keys.export_account(name), MAX_EXPORT_ACCOUNT_BYTES))
    segments = [one["segment"] for one in account["segments"]]
    fetched: list[str] = []
    for segment in stages.track(segments, "fetching segments", len(segments)):
        prefix = keys.export_segment_prefix(name, segment)
        for file in _files(connection, prefix):
            path = out / segment / file
            if not path.resolve().is_relative_to(out.resolve()):
                raise Refused(
                    f"The account of {segment} names {file}, which is no file of its own: nothing of it is fetched."
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            bucket.read_file(f"{prefix}{file}", path)
            fetched.append(f"{segment}/{file}")
    (out / ACCOUNT).write_text(json.dumps({**account, "files": sorted(fetched)}, indent=1) + "\n")
    return len(fetched)


def _files(connection: Connection, prefix: str) -> Iterator[str]:
    told = json.loads(connection.workspace.read(f"{prefix}{ACCOUNT}", MAX_EXPORT_ACCOUNT_BYTES))
    yield from told["files"]
    yield ACCOUNT


def _what(request: ExportRequest) -> dict[str, Any]:
    """What is asked for, however it was typed."""
    return request.model_dump(exclude={"command"})


def _reason(told: dict[str, Any]) -> str:
    cause = told.get("cause") or told["status"].lower()
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return str(cause)
