"""The review page as a Starlette application: a task list, the worker template, and the way back for an answer.

`firnline review` serves it on a reviewer's own machine, and the local cloud as A2I's worker page.
"""

import hmac
import logging
import re
from contextlib import suppress
from datetime import datetime
from functools import partial
from threading import BoundedSemaphore

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from firnline.portal import guards, page, segment
from firnline.portal.guards import THIS_MACHINE, Site
from firnline.portal.identity import REVIEWER, Identify, Reviewer, check_group
from firnline.portal.page import PREFIX
from firnline.portal.pictures import Pictures, served
from firnline.portal.problems import NO_SUCH_PAGE, OUR_FAULT, Problem
from firnline.portal.segment_store import Segments
from firnline.portal.store import NotGiven, Store, Task, UnknownTask, View, Withdrawn
from firnline.portal.submission import accept, read_submission
from firnline.portal.turn import in_turn
from firnline.portal.views import (
    asked_view,
    digest,
    remember_skipped,
    remember_view,
    remembered_view,
    skipped,
)
from firnline.review.human_loop import LOOP_NAME_PATTERN

LONGEST_NAME = 63
LONGEST_CURSOR = 1_000
THUMBNAIL_CACHE = "private, max-age=3600"
THUMBNAILS_AT_ONCE = 2
"""A task of an earlier version has none yet, and making one unpacks its whole echogram."""
NO_SUCH_TASK = "There is no such task. Go back to the list of tasks."
DRAWING_IS_HERE = "What you drew is kept in this browser, where you can download it."

logger = logging.getLogger(__name__)


def make_app(
    store: Store,
    identify: Identify,
    site: Site = THIS_MACHINE,
    pictures: Pictures | None = None,
    segments: Segments | None = None,
) -> Starlette:
    """The page over the tasks of `store`, everything of it under `/review/`, for whom `identify` finds to be a reviewer.

    Addresses find who asks in `request.state.reviewer`. Without `pictures` the store's bytes are served;
    without `segments` there is no segment browser.
    Every answer says what is wrong in a sentence: as a page, or as `{"error": …}` to a POST.
    """
    pages = _Pages(store, pictures or served(store), segments is not None)
    addresses = [
        Route("/", pages.list),
        Route("/next", pages.next),
        Route("/crowd.js", pages.script),
        Route("/tasks/{name}", pages.task),
        Route("/tasks/{name}/image", pages.image),
        Route("/tasks/{name}/thumbnail", pages.thumbnail),
        Route("/tasks/{name}/claim", pages.claim, methods=["POST"]),
        Route("/tasks/{name}/submit", pages.submit, methods=["POST"]),
        *(segment.addresses(segments) if segments is not None else ()),
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

    def __init__(self, store: Store, pictures: Pictures, browse: bool) -> None:
        self._store, self._pictures, self._browse = store, pictures, browse
        self._thumbnails = BoundedSemaphore(THUMBNAILS_AT_ONCE)

    def list(self, request: Request) -> Response:
        view = asked_view(request.query_params)
        tasks = self._store.open_tasks(
            view, page.SHOWN_IN_LIST + 1, request.query_params.get("after", "")[:LONGEST_CURSOR]
        )
        shown = tasks[: page.SHOWN_IN_LIST]
        further = shown[-1].cursor if len(tasks) > len(shown) else ""
        reviewer = _reviewer(request)
        overview = self._store.overview(view)
        told = page.list_page(view, overview, shown, further, reviewer.name, reviewer.sign_out, segments=self._browse)
        response = HTMLResponse(told)
        remember_view(request, response, view)
        return response

    def next(self, request: Request) -> Response:
        """The task after `after` or `skip` that this reviewer can have, and it is theirs: in the same segment while there
        are any, then in the view of the list. A task that was skipped comes when there are no others.
        """
        reviewer, passed = _reviewer(request), skipped(request)
        skip = request.query_params.get("skip", "")
        if is_name(skip):
            self._store.release(skip, reviewer.name)
            passed = [*(one for one in passed if one != digest(skip)), digest(skip)]
        origin = skip if is_name(skip) else request.query_params.get("after", "")
        view = asked_view(request.query_params) if "order" in request.query_params else remembered_view(request)
        for left_out in (passed, [digest(origin)], []) if passed else ([],):
            name = self._claim_next(view, origin, reviewer, set(left_out))
            if name:
                response = RedirectResponse(page.address(name), 303)
                remember_skipped(request, response, passed if left_out == passed else passed[-1:])
                return response
        return _to_the_list(request)

    def _claim_next(self, view: View, origin: str, reviewer: Reviewer, left_out: set[str]) -> str | None:
        for task in in_turn(self._store, view, origin):
            if digest(task.name) in left_out or not task.is_free_for(reviewer.name, reviewer.is_arbiter):
                continue
            # A listing lags behind: what was answered or claimed a moment ago may still be free in it.
            with suppress(NotGiven, UnknownTask):
                self._store.claim(task.name, reviewer.name, reviewer.is_arbiter)
                return task.name
        return None

    def script(self, request: Request) -> Response:
        return Response(page.script(), media_type="text/javascript")

    def task(self, request: Request) -> Response:
        reviewer, task = _reviewer(request), self._known(_name(request))
        if task.status == "withdrawn":
            raise Problem(410, f"{task.told} {DRAWING_IS_HERE}")
        if task.status != "open":
            raise Problem(410, "This task has been answered. Go back to the list for the next one.")
        _check_arbiter(task, reviewer)
        self._keep(task.name, reviewer)
        return HTMLResponse(page.task_page(task, _token(reviewer, task.name)))

    def claim(self, request: Request) -> Response:
        """The page says that somebody looks at the task."""
        reviewer, name = _reviewer(request), _name(request)
        return JSONResponse({"until": self._keep(name, reviewer).isoformat()})

    def _keep(self, name: str, reviewer: Reviewer) -> datetime:
        """Until when the task is this reviewer's; raises Problem."""
        try:
            return self._store.claim(name, reviewer.name, reviewer.is_arbiter)
        except UnknownTask as error:
            raise Problem(404, NO_SUCH_TASK) from error
        except Withdrawn as error:
            raise Problem(409, f"{error} {DRAWING_IS_HERE}") from error
        except NotGiven as error:
            raise Problem(409, str(error)) from error

    def thumbnail(self, request: Request) -> Response:
        try:
            with self._thumbnails:
                small = self._store.thumbnail(_name(request))
        except (KeyError, UnknownTask) as error:
            raise Problem(404, "This task has no picture.") from error
        return Response(small, media_type="image/png", headers={"Cache-Control": THUMBNAIL_CACHE})

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
        accept(self._store, self._known(name), submission, reviewer)

    def _known(self, name: str) -> Task:
        task = self._store.get(name)
        if task is None:
            raise Problem(404, NO_SUCH_TASK)
        return task


def _reviewer(request: Request) -> Reviewer:
    reviewer: Reviewer = request.state.reviewer
    return reviewer


def _token(reviewer: Reviewer, name: str) -> str:
    """Proof that whoever submits has read the task's page, which no other site's page can."""
    return hmac.new(reviewer.key, name.encode(), "sha256").hexdigest()


def _check_arbiter(task: Task, reviewer: Reviewer) -> None:
    if task.for_arbiter and not reviewer.is_arbiter:
        raise Problem(403, "The reviewers of this frame disagree, and an arbiter decides. Go on with the next task.")


def is_name(name: str) -> bool:
    """Whether a text can be the name of a task."""
    return len(name) <= LONGEST_NAME and bool(re.fullmatch(LOOP_NAME_PATTERN, name))


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if not is_name(name):
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
