"""The pages that a reviewer sees: the list of tasks, a task in its worker template, and what went wrong.

A task is shown in the very template that A2I would render, with an own script in place of AWS's hosted one.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from liquid import Environment
from liquid.exceptions import LiquidError

from firnline.portal.problems import Problem
from firnline.portal.scripts import joined, without_editor
from firnline.portal.store import Task

PREFIX = "/review"
AWS_SCRIPT = re.compile(r"https://assets\.crowd\.aws/crowd-html-elements\.js")
SHOWN_IN_LIST = 200

_HERE = Path(__file__).parent


def list_page(tasks: list[Task]) -> str:
    waiting = open_tasks(tasks)
    return _render_own(
        "task_list.liquid.html",
        tasks=[_row(task) for task in waiting[:SHOWN_IN_LIST]],
        waiting=len(waiting),
        hidden=max(0, len(waiting) - SHOWN_IN_LIST),
        done=sum(task.status == "completed" for task in tasks),
        failed=sum(task.status == "failed" for task in tasks),
    )


def task_page(task: Task, token: str) -> str:
    """The page to work on a task; `token` is what its submission has to carry."""
    own = address(task.name)
    template = render_template(task, lambda uri: f"{own}/image?uri={quote(str(uri), safe='')}")
    page = _render_own("task.liquid.html", **_row(task), token=token, next=next_address(task.name))
    return page.replace("<!-- worker template -->", template, 1)


def problem_page(sentence: str) -> str:
    return _render_own("problem.liquid.html", title="Firnline", sentence=sentence)


def script() -> bytes:
    """Our own crowd elements."""
    return joined("elements").encode()


def address(name: str) -> str:
    return f"{PREFIX}/tasks/{name}"


def next_address(name: str) -> str:
    """Where the task that follows `name` is found."""
    return f"{PREFIX}/next?after={name}"


def open_tasks(tasks: list[Task]) -> list[Task]:
    """Open tasks, the most uncertain first, then the oldest."""
    waiting = [task for task in tasks if task.status == "open"]
    return sorted(waiting, key=lambda task: (task.input_content.get("confidence") or 0.0, task.created))


def render_template(task: Task, grant_read_access: Callable[[str], str]) -> str:
    """The worker template with the task's input in it, as A2I renders it, but with our own crowd elements.

    `grant_read_access` makes an address that the browser can read of an s3:// address.
    """
    environment = Environment(autoescape=True)
    environment.add_filter("to_json", lambda value: json.dumps(value))
    environment.add_filter("grant_read_access", grant_read_access)
    try:
        rendered = environment.from_string(without_editor(task.template)).render(task={"input": task.input_content})
    except LiquidError as error:
        raise Problem(500, f"The worker template cannot be rendered: {error}. Correct it and deploy again.") from error
    return AWS_SCRIPT.sub(f"{PREFIX}/crowd.js", rendered)


def _row(task: Task) -> dict[str, Any]:
    content = task.input_content
    frame_id = str(content.get("frame_id", task.name))
    segment, _, stem = frame_id.rpartition("/")
    confidence = content.get("confidence")
    percent = None if confidence is None else round(100 * confidence)
    return {
        "name": task.name,
        "frame_id": frame_id,
        "segment": segment,
        "stem": stem,
        "percent": percent,
        "age": _age(task.created),
        "reason": content.get("reason", ""),
    }


def _age(created: datetime) -> str:
    minutes = max(0, int((datetime.now(UTC) - created).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


def _render_own(file: str, **values: Any) -> str:
    return Environment(autoescape=True).from_string((_HERE / file).read_text()).render(**values)
