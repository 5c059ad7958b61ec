"""The reviewers' page: a task list, the worker template, and the way back for an answer.

It renders the very template that A2I would, with an own script in place of AWS's hosted one. It is meant for a
reviewer's own machine: it answers only to loopback names, so that no other site can reach it through the reviewer's
browser.
"""

import hmac
import json
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from liquid import Environment
from liquid.exceptions import LiquidError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firnline.errors import Refused
from firnline.limits import MAX_ANSWER_BYTES
from firnline.portal.store import AlreadyAnswered, Store, Task, UnknownTask
from firnline.review.answer import first_problem, read_answer
from firnline.review.human_loop import LOOP_NAME_PATTERN

Response = tuple[int, dict[str, str], bytes]

PREFIX = "/review"
AWS_SCRIPT = re.compile(r"https://assets\.crowd\.aws/crowd-html-elements\.js")
SHOWN_IN_LIST = 200
TOO_LARGE = f"The answer has more than {MAX_ANSWER_BYTES // 1_000_000} MB. Delete vertices and send it again."

_HERE = Path(__file__).parent
_SECRET = secrets.token_bytes(32)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip


class Submission(BaseModel):
    """The body of a submission; `answerContent` is A2I's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answerContent: dict[str, Any]
    token: str
    seconds: Annotated[float, Field(ge=0, le=1e7)] = 0.0
    workerId: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]{1,100}$")] = "reviewer"


class _Problem(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def respond(
    store: Store, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> Response:
    """Answer one HTTP request to a path under `/review`: (status, headers, body).

    `query` and `headers` have one value a name; the names of headers may be in any case. Every answer says what is
    wrong in a sentence: as a page, or as `{"error": …}` to a POST.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    try:
        _check_host(headers)
        return _route(method, path.removeprefix(PREFIX) or "/")(store, query, headers, body)
    except _Problem as problem:
        if method == "POST":
            return _json(problem.status, {"error": str(problem)})
        page = _render_own("problem.liquid.html", title="Firnline", sentence=str(problem))
        return _html(problem.status, page)


def _route(method: str, path: str) -> Callable[[Store, dict[str, str], dict[str, str], bytes], Response]:
    if method == "GET":
        if path == "/":
            return _list_page
        if path == "/next":
            return _next_task
        if path == "/crowd.js":
            return _script
    task = re.fullmatch(r"/tasks/([^/]+)(/image|/submit)?", path)
    if not task or len(task[1]) > 63 or not re.fullmatch(LOOP_NAME_PATTERN, task[1]):
        raise _Problem(404, "There is no such page. Go back to the list of tasks.")
    wanted = {None: ("GET", _task_page), "/image": ("GET", _image), "/submit": ("POST", _submit)}[task[2]]
    if method != wanted[0]:
        raise _Problem(405, f"This address answers to {wanted[0]} only.")
    return lambda store, query, headers, body: wanted[1](store, task[1], query, headers, body)


def _check_host(headers: dict[str, str]) -> None:
    host = headers.get("host", "")
    if not re.fullmatch(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", host):
        raise _Problem(421, f"This page answers on this machine only, as localhost, not as '{host[:100]}'.")
    origin = headers.get("origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        raise _Problem(403, "The request came from another site's page and was refused.")


def _list_page(store: Store, query: dict[str, str], headers: dict[str, str], body: bytes) -> Response:
    tasks = store.list_tasks()
    waiting = _open_tasks(tasks)
    return _html(
        200,
        _render_own(
            "task_list.liquid.html",
            tasks=[_row(task) for task in waiting[:SHOWN_IN_LIST]],
            waiting=len(waiting),
            hidden=max(0, len(waiting) - SHOWN_IN_LIST),
            done=sum(task.status == "completed" for task in tasks),
            failed=sum(task.status == "failed" for task in tasks),
        ),
    )


def _open_tasks(tasks: list[Task]) -> list[Task]:
    """Open tasks, the most uncertain first, then the oldest."""
    waiting = [task for task in tasks if task.status == "open"]
    return sorted(waiting, key=lambda task: (task.input_content.get("confidence") or 0.0, task.created))


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


def _next_task(store: Store, query: dict[str, str], headers: dict[str, str], body: bytes) -> Response:
    """The open task that follows `after` in the list, and from its end again the first."""
    names = [task.name for task in _open_tasks(store.list_tasks())]
    start = names.index(query["after"]) + 1 if query.get("after") in names else 0
    for name in names[start:] + names[:start]:
        # A listing lags behind: what was answered a moment ago may still be in it.
        if (task := store.get(name)) and task.status == "open":
            return 303, {**_HEADERS, "Location": f"{PREFIX}/tasks/{name}"}, b""
    return 303, {**_HEADERS, "Location": f"{PREFIX}/"}, b""


def _script(store: Store, query: dict[str, str], headers: dict[str, str], body: bytes) -> Response:
    return 200, {**_HEADERS, "Content-Type": "text/javascript; charset=utf-8"}, (_HERE / "crowd.js").read_bytes()


def _task_page(store: Store, name: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Response:
    task = _known(store, name)
    if task.status != "open":
        raise _Problem(410, "This task has been answered. Go back to the list for the next one.")
    template = render_template(task, lambda uri: f"{PREFIX}/tasks/{name}/image?uri={quote(str(uri), safe='')}")
    page = _render_own("task.liquid.html", **_row(task), token=_token(name), next=f"{PREFIX}/next?after={name}")
    return _html(200, page.replace("<!-- worker template -->", template, 1))


def render_template(task: Task, grant_read_access: Callable[[str], str]) -> str:
    """The worker template with the task's input in it, as A2I renders it, but with our own crowd elements.

    `grant_read_access` makes an address that the browser can read of an s3:// address.
    """
    environment = Environment(autoescape=True)
    environment.add_filter("to_json", lambda value: json.dumps(value))
    environment.add_filter("grant_read_access", grant_read_access)
    try:
        rendered = environment.from_string(task.template).render(task={"input": task.input_content})
    except LiquidError as error:
        raise _Problem(500, f"The worker template cannot be rendered: {error}. Correct it and deploy again.") from error
    return AWS_SCRIPT.sub(f"{PREFIX}/crowd.js", rendered)


def _image(store: Store, name: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Response:
    try:
        content, kind = store.read_object(name, query.get("uri", ""))
    except (KeyError, UnknownTask) as error:
        raise _Problem(404, "This picture does not belong to the task, or is gone.") from error
    if not kind.startswith("image/"):
        raise _Problem(415, "The task refers to something that is not a picture.")
    return 200, {**_HEADERS, "Content-Type": kind, "Cache-Control": "private, max-age=3600"}, content


def _submit(store: Store, name: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Response:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Problem(415, "An answer has to be sent as application/json.")
    if len(body) > MAX_ANSWER_BYTES:
        raise _Problem(413, TOO_LARGE)
    try:
        submission = Submission.model_validate_json(body)
    except ValidationError as error:
        raise _Problem(400, f"The answer cannot be read: {first_problem(error)}.") from error
    if not hmac.compare_digest(submission.token.encode(), _token(name).encode()):
        raise _Problem(403, "The page is from before a restart. Reload it: your drawing is kept.")
    task = _known(store, name)
    if size := task.input_content.get("image"):
        try:
            read_answer(submission.answerContent, size["width"], size["height"])
        except Refused as refused:
            raise _Problem(422, str(refused)) from refused
    try:
        store.submit(name, submission.answerContent, submission.workerId, submission.seconds)
    except UnknownTask as error:
        raise _Problem(404, "There is no such task any more.") from error
    except AlreadyAnswered as error:
        raise _Problem(
            409, "This task has been answered already; that answer counts. Go on with the next task."
        ) from error
    return _json(200, {"next": f"{PREFIX}/next?after={name}"})


def _known(store: Store, name: str) -> Task:
    task = store.get(name)
    if task is None:
        raise _Problem(404, "There is no such task. Go back to the list of tasks.")
    return task


def _token(name: str) -> str:
    """Proof that whoever submits has read the task's page, which no other site's page can."""
    return hmac.new(_SECRET, name.encode(), "sha256").hexdigest()


def _render_own(file: str, **values: Any) -> str:
    return Environment(autoescape=True).from_string((_HERE / file).read_text()).render(**values)


def _html(status: int, page: str) -> Response:
    return status, {**_HEADERS, "Content-Type": "text/html; charset=utf-8"}, page.encode()


def _json(status: int, content: dict[str, Any]) -> Response:
    return status, {**_HEADERS, "Content-Type": "application/json"}, json.dumps(content).encode()
