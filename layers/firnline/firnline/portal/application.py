"""The review page as a Starlette application: a task list, the worker template, and the way back for an answer.

`firnline review` serves it on a reviewer's own machine, and the local cloud as A2I's worker page.
"""

import hmac
import logging
import re
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from firnline.portal import guards, page
from firnline.portal.guards import THIS_MACHINE, Site
from firnline.portal.identity import REVIEWER, Identify, Reviewer, check_group
from firnline.portal.page import PREFIX
from firnline.portal.pictures import Pictures, served
from firnline.portal.problems import NO_SUCH_PAGE, OUR_FAULT, Problem
from firnline.portal.store import Store, Task, UnknownTask
from firnline.portal.submission import accept, read_submission
from firnline.review.human_loop import LOOP_NAME_PATTERN

LONGEST_NAME = 63

logger = logging.getLogger(__name__)


def make_app(
    store: Store, identify: Identify, site: Site = THIS_MACHINE, pictures: Pictures | None = None
) -> Starlette:
    """The page over the tasks of `store`, everything of it under `/review/`, for whom `identify` finds to be a reviewer.

    Addresses find who asks in `request.state.reviewer`. Without `pictures` the store's bytes are served.
    Every answer says what is wrong in a sentence: as a page, or as `{"error": …}` to a POST.
    """
    pages = _Pages(store, pictures or served(store))
    addresses = [
        Route("/", pages.list),
        Route("/next", pages.next),
        Route("/crowd.js", pages.script),
        Route("/tasks/{name}", pages.task),
        Route("/tasks/{name}/image", pages.image),
        Route("/tasks/{name}/submit", pages.submit, methods=["POST"]),
    ]
    app = Starlette(
        routes=[
            Mount(PREFIX, app=Router(addresses, redirect_slashes=False)),
            Route("/{elsewhere:path}", _to_the_list, methods=["GET", "POST"]),
        ],
        middleware=[Middleware(guards.SecurityHeaders, site.headers), Middleware(_Gate, identify, site)],
        exception_handlers={
            Problem: tell,
            HTTPException: _tell_of_address,
            Exception: partial(_tell_of_failure, dict(site.headers)),
        },
    )
    app.router.redirect_slashes = False
    return app


class _Gate:
    """ASGI middleware: what comes from another site's page, from no reviewer, or is too long, reaches no address."""

    def __init__(self, app: ASGIApp, identify: Identify, site: Site) -> None:
        self._app, self._identify, self._site = app, identify, site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            try:
                guards.check_sender(request, self._site)
                await guards.check_length(request)
                reviewer = await run_in_threadpool(self._identify, request)
                check_group(reviewer, REVIEWER)
                request.state.reviewer = reviewer
            except Problem as problem:
                await tell(request, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Pages:
    """The addresses. Those that are no coroutines run on threads, since a store waits for AWS."""

    def __init__(self, store: Store, pictures: Pictures) -> None:
        self._store, self._pictures = store, pictures

    def list(self, request: Request) -> Response:
        return HTMLResponse(page.list_page(self._store.list_tasks()))

    def next(self, request: Request) -> Response:
        """The open task that follows `after` in the list, and from its end again the first."""
        names = [task.name for task in page.open_tasks(self._store.list_tasks())]
        after = request.query_params.get("after")
        start = names.index(after) + 1 if after in names else 0
        for name in names[start:] + names[:start]:
            # A listing lags behind: what was answered a moment ago may still be in it.
            if (task := self._store.get(name)) and task.status == "open":
                return RedirectResponse(page.address(name), 303)
        return _to_the_list(request)

    def script(self, request: Request) -> Response:
        return Response(page.script(), media_type="text/javascript")

    def task(self, request: Request) -> Response:
        task = self._known(_name(request))
        if task.status != "open":
            raise Problem(410, "This task has been answered. Go back to the list for the next one.")
        return HTMLResponse(page.task_page(task, _token(_reviewer(request), task.name)))

    def image(self, request: Request) -> Response:
        try:
            return self._pictures(_name(request), request.query_params.get("uri", ""))
        except (KeyError, UnknownTask) as error:
            raise Problem(404, "This picture does not belong to the task, or is gone.") from error

    async def submit(self, request: Request) -> Response:
        name = _name(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "An answer has to be sent as application/json.")
        body = await guards.read_body(request)
        await run_in_threadpool(self._take, _reviewer(request), name, body)
        return JSONResponse({"next": page.next_address(name)})

    def _take(self, reviewer: Reviewer, name: str, body: bytes) -> None:
        submission = read_submission(body)
        if not hmac.compare_digest(submission.token.encode(), _token(reviewer, name).encode()):
            raise Problem(403, "The page is from before a restart. Reload it: your drawing is kept.")
        accept(self._store, self._known(name), submission, reviewer.name)

    def _known(self, name: str) -> Task:
        task = self._store.get(name)
        if task is None:
            raise Problem(404, "There is no such task. Go back to the list of tasks.")
        return task


def _reviewer(request: Request) -> Reviewer:
    reviewer: Reviewer = request.state.reviewer
    return reviewer


def _token(reviewer: Reviewer, name: str) -> str:
    """Proof that whoever submits has read the task's page, which no other site's page can."""
    return hmac.new(reviewer.key, name.encode(), "sha256").hexdigest()


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if len(name) > LONGEST_NAME or not re.fullmatch(LOOP_NAME_PATTERN, name):
        raise Problem(404, NO_SUCH_PAGE)
    return name


def _to_the_list(request: Request) -> Response:
    return RedirectResponse(f"{PREFIX}/", 303)


def _told(request: Request, status: int, sentence: str, headers: dict[str, str]) -> Response:
    if request.method == "POST":
        return JSONResponse({"error": sentence}, status, headers)
    return HTMLResponse(page.problem_page(sentence), status, headers)


def tell(request: Request, problem: Exception) -> Response:
    """The answer that says a Problem's sentence."""
    assert isinstance(problem, Problem)  # noqa: S101 - Starlette's type of a handler is wider than what it passes
    return _told(request, problem.status, str(problem), {"Connection": "close"} if problem.closes else {})


def _tell_of_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    if error.status_code == 405 and error.headers:
        methods = error.headers["Allow"].replace("HEAD, ", "").replace(", HEAD", "")
        return _told(request, 405, f"This address answers to {methods} only.", dict(error.headers))
    return _told(request, error.status_code, NO_SUCH_PAGE, {})


def _tell_of_failure(headers: dict[str, str], request: Request, error: Exception) -> Response:
    """Starlette raises the error once more behind this answer, so that the server logs its traceback."""
    logger.error("%s %s failed: %s", request.method, request.url.path, error)
    return _told(request, 500, OUR_FAULT, headers)
