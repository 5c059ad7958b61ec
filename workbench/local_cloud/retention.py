"""Bounds of what MiniStack records of every call for as long as it runs: events, logs, metrics and histories.

AWS keeps them for months, on disks of its own. Here they lie in memory and in each snapshot, and the newest are enough
for a person who looks for a fault. What the application itself stores (tables, objects, messages) has no bound here.
"""

import functools
from typing import Any

EVENTS_KEPT = 100
"""Events that were put on buses; nothing reads them."""
STREAMS_KEPT = 100
"""Log streams of a group: MiniStack makes one for each invocation of a function."""
LINES_KEPT = 20_000
"""Lines of a stream; a training's stream is the longest there is."""
POINTS_KEPT = 2_000
"""Data points of a metric."""
HISTORIES_KEPT = 200
"""Executions of state machines whose histories are kept; of older ones how they ended stays known."""


def install() -> None:
    """Put it in, before MiniStack starts."""
    from ministack.services import cloudwatch, cloudwatch_logs, eventbridge, stepfunctions

    eventbridge._events_log_list = _newest(eventbridge._events_log_list, EVENTS_KEPT)
    cloudwatch._metric_bucket = _newest(cloudwatch._metric_bucket, POINTS_KEPT)
    append, start = cloudwatch_logs._append_log_events, stepfunctions._start_execution

    def append_and_forget(stream: dict, events: list[dict]) -> None:
        append(stream, events)
        with cloudwatch_logs._log_events_lock:
            forgotten = cut(stream["events"], LINES_KEPT)
        for event in forgotten:
            cloudwatch_logs._log_records.pop(event.get("eventId"), None)
        for group in list(cloudwatch_logs._log_groups.values()):
            while len(group["streams"]) > STREAMS_KEPT:
                del group["streams"][next(iter(group["streams"]))]

    def start_and_forget(data: dict) -> Any:
        ended = [one for one in list(stepfunctions._executions.values()) if one["status"] != "RUNNING"]
        for execution in ended[:-HISTORIES_KEPT]:
            execution["events"] = execution.get("events", [])[-1:]
        return start(data)

    cloudwatch_logs._append_log_events, stepfunctions._start_execution = append_and_forget, start_and_forget


def cut(kept: list, count: int) -> list:
    """Leave the newest `count` members of a list once it has a tenth more; what was taken out of it."""
    if len(kept) <= count * 11 // 10:
        return []
    old = kept[:-count]
    del kept[:-count]
    return old


def _newest(records: Any, count: int) -> Any:
    @functools.wraps(records)
    def newest(*arguments: Any) -> list:
        found = records(*arguments)
        cut(found, count)
        return found

    return newest
