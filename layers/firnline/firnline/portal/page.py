"""The pages that a reviewer sees: the list of tasks, a task in its worker template, and what went wrong.

A task is shown in the very template that A2I would render, with an own script in place of AWS's hosted one.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from liquid import Environment, Markup, escape
from liquid.exceptions import LiquidError

from firnline.portal.problems import Problem
from firnline.portal.scripts import joined, without_editor
from firnline.portal.store import Counted, Listed, Order, Overview, Task, View
from firnline.portal.views import query_of

PREFIX = "/review"
AWS_SCRIPT = re.compile(r"https://assets\.crowd\.aws/crowd-html-elements\.js")
SHOWN_IN_LIST = 50
ORDERS: dict[Order, str] = {"priority": "most urgent first", "track": "along the track"}

_HERE = Path(__file__).parent


def list_page(
    view: View,
    overview: Overview,
    tasks: list[Listed],
    further: str,
    reviewer: str = "",
    sign_out: str = "",
    *,
    segments: bool = False,
) -> str:
    """The list of tasks; `further` is the cursor of the last one if there are more, `segments` whether there is the segment browser."""
    shown = shown_of(view, overview)
    return render_own(
        "task_list.liquid.html",
        tasks=[_listed(task, reviewer) for task in tasks],
        reviewer=reviewer,
        sign_out=sign_out,
        shown=shown,
        browse=f"{PREFIX}/segments/" if segments else "",
        waiting=overview.waiting,
        done=overview.done,
        failed=overview.failed,
        further=f"{PREFIX}/?{query_of(view, after=further)}" if further else "",
        orders=[
            {"name": told, "address": _view_address(replace(view, order=order)), "chosen": order == view.order}
            for order, told in ORDERS.items()
        ],
        campaigns=[
            _choice(count, replace(view, campaign=count.name, segment=""), count.name == view.campaign)
            for count in overview.campaigns
            if count.waiting or count.name == view.campaign
        ],
        segments=[
            _choice(count, replace(view, segment=count.name), count.name == view.segment)
            for count in overview.segments
            if count.waiting or count.name == view.segment
        ],
        every_campaign=_view_address(replace(view, campaign="", segment="")),
        every_segment=_view_address(replace(view, segment="")),
        campaign=view.campaign,
        segment=view.segment,
        unclaimed=overview.unclaimed,
        every=overview.every,
        trends=[
            {
                "model_shown": _breakable(trend.model_version),
                "corrections": trend.corrections,
                "seconds": _rounded(trend.seconds),
                "operations": _rounded(trend.operations),
                "kept": _percent(trend.kept),
                "agreement": _percent(trend.agreement),
            }
            for trend in overview.trends
        ],
    )


def shown_of(view: View, overview: Overview) -> int:
    """Tasks that wait in a view."""
    if view.segment:
        return sum(count.waiting for count in overview.segments if count.name == view.segment)
    if view.campaign:
        return sum(count.waiting for count in overview.campaigns if count.name == view.campaign)
    return overview.waiting


def task_page(task: Task, token: str) -> str:
    """The page to work on a task; `token` is what its submission has to carry."""
    own = address(task.name)
    template = render_template(task, lambda uri: f"{own}/image?uri={quote(str(uri), safe='')}")
    page = render_own("task.liquid.html", **_row(task), token=token, next=skip_address(task.name))
    return page.replace("<!-- worker template -->", template, 1)


def problem_page(sentence: str) -> str:
    return render_own("problem.liquid.html", title="Firnline", sentence=sentence)


def script() -> bytes:
    """Our own crowd elements."""
    return joined("elements").encode()


def address(name: str) -> str:
    return f"{PREFIX}/tasks/{name}"


def next_address(name: str) -> str:
    """Where the task that follows `name` is found."""
    return f"{PREFIX}/next?after={name}"


def skip_address(name: str) -> str:
    """The same, for who does not want `name` again soon."""
    return f"{PREFIX}/next?skip={name}"


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
    return _shown(
        task.name,
        str(content.get("frame_id", task.name)),
        content.get("confidence"),
        task.created,
        content.get("reason", ""),
    )


def _listed(task: Listed, reviewer: str) -> dict[str, Any]:
    others = [name for name in task.held_by if name != reviewer]
    note = ""
    if task.for_arbiter:
        note = "for an arbiter"
    elif reviewer in task.answered_by:
        note = "answered by you; waits for another"
    elif others:
        note = f"{' and '.join(others)} at work"
    elif reviewer in task.held_by:
        note = "yours"
    elif task.wanted > 1:
        note = f"{len(task.answered_by)} of {task.wanted} answers"
    return {
        **_shown(task.name, task.frame_id, task.confidence, task.created, task.reason),
        "thumbnail": f"{address(task.name)}/thumbnail",
        "note": note,
        "stem_shown": _breakable(task.frame_id.rpartition("/")[2]),
        "campaign_shown": _breakable(task.campaign),
        "segment_shown": _breakable(task.segment.partition("/")[2]),
        "segment_address": _view_address(View("track", task.campaign, task.segment.partition("/")[2])),
    }


def _shown(name: str, frame_id: str, confidence: float | None, created: datetime, reason: str) -> dict[str, Any]:
    segment, _, stem = frame_id.rpartition("/")
    return {
        "name": name,
        "frame_id": frame_id,
        "segment": segment,
        "stem": stem,
        "percent": _percent(confidence),
        "age": _age(created),
        "reason": reason,
    }


def _breakable(name: str) -> Markup:
    """A name as HTML that may be broken behind its marks rather than in the middle of a word."""
    return Markup(re.sub(r"([_.=-])(?=[^_.=-])", r"\1<wbr>", str(escape(name))))


def _choice(count: Counted, view: View, chosen: bool) -> dict[str, Any]:
    return {"name": count.name, "waiting": count.waiting, "address": _view_address(view), "chosen": chosen}


def _view_address(view: View) -> str:
    query = query_of(view)
    return f"{PREFIX}/?{query}" if query else f"{PREFIX}/?order=priority"


def _percent(share: float | None) -> int | None:
    return None if share is None else round(100 * share)


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _age(created: datetime) -> str:
    minutes = max(0, int((datetime.now(UTC) - created).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


def render_own(file: str, **values: Any) -> str:
    """One of the page's own templates; every value is escaped."""
    return Environment(autoescape=True).from_string((_HERE / file).read_text()).render(**values)
