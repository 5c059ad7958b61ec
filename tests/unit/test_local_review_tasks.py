"""The local cloud's worker page lists, keeps and takes the human loops of A2I as the page of an account does its tasks."""

import json
from types import SimpleNamespace

import pytest

from firnline.documents.echogram import decode_png, encode_png
from firnline.portal.store import AlreadyAnswered, Held, UnknownTask, View
from firnline.review.thumbnail import HEIGHT, WIDTH
from tests.support.review_world import answer, echogram
from workbench.local_cloud.human_review import FLOW_KIND, HumanReview
from workbench.local_cloud.review_tasks import LoopStore
from workbench.local_cloud.store import Store

FLOW, UI = "arn:flow", "arn:ui"


@pytest.fixture
def records(tmp_path):
    store = Store(tmp_path / "records.sqlite")
    store.add(FLOW_KIND, "flow", {"FlowDefinitionArn": FLOW, "HumanLoopConfig": {"HumanTaskUiArn": UI}})
    store.add("human-task-ui", "ui", {"HumanTaskUiArn": UI, "content": "<crowd-form></crowd-form>"})
    for number, confidence in enumerate((0.9, None, 0.1, 0.5)):
        content = {
            "frame_id": f"c{number % 2}/s/f{number}", "confidence": confidence, "reason": "Unsure.",
            "unlabeled_image": "s3://workspace/echogram.png", "a2i_json": {"polylines": []},
        }  # fmt: skip
        with store.transaction() as db:
            db.execute(
                "INSERT INTO loops (name, arn, flow_arn, input, created, status) VALUES (?, ?, ?, ?, ?, 'InProgress')",
                (f"loop-{number}", f"arn-{number}", FLOW, json.dumps(content), 1.7e9 + number),
            )
    yield store
    store.close()


@pytest.fixture
def page(records, monkeypatch):
    png = encode_png(echogram(4 * WIDTH, 4 * HEIGHT))
    monkeypatch.setattr(HumanReview, "_read_as_flow", lambda self, flow, uri: (png, "image/png"))
    return LoopStore(HumanReview(SimpleNamespace(store=records)))


def names(page, view, limit=10, after=""):
    return [task.name for task in page.open_tasks(view, limit, after)]


def test_tasks_are_listed_in_both_orders_and_counted(page):
    assert names(page, View()) == ["loop-1", "loop-2", "loop-3", "loop-0"]
    assert names(page, View("track")) == ["loop-0", "loop-2", "loop-1", "loop-3"]
    assert names(page, View(campaign="c1")) == ["loop-1", "loop-3"]
    [first] = page.open_tasks(View(), 1)
    assert names(page, View(), 2, first.cursor) == ["loop-2", "loop-3"]
    told = page.overview(View(campaign="c0"))
    assert (told.waiting, [(one.name, one.waiting) for one in told.campaigns]) == (4, [("c0", 2), ("c1", 2)])
    assert [(one.name, one.waiting) for one in told.segments] == [("s", 2)]


def test_a_task_is_kept_answered_once_and_gone_from_the_list(page):
    page.claim("loop-2", "ada")
    with pytest.raises(Held, match="ada"):
        page.claim("loop-2", "ben")
    assert page.open_tasks(View(), 2)[1].held_by == ("ada",)
    page.submit("loop-2", answer(), "ada", 1.0)
    with pytest.raises(AlreadyAnswered, match="keeps no second one"):
        page.submit("loop-2", answer(), "ben", 1.0)
    with pytest.raises(AlreadyAnswered):
        page.claim("loop-2", "ben")
    assert names(page, View()) == ["loop-1", "loop-3", "loop-0"]
    assert page.overview(View()).done == 1
    assert page.get("loop-3").input_content["a2i_json"] == {"polylines": []}, "the task itself has its whole input"


def test_pictures_and_unknown_tasks(page):
    assert decode_png(page.thumbnail("loop-0")).shape == (HEIGHT, WIDTH)
    assert page.frame_of("loop-3") == "c1/s/f3"
    assert page.frame_of("nobody") is None
    for act in (page.thumbnail, lambda name: page.claim(name, "ada"), lambda name: page.submit(name, {}, "ada", 1.0)):
        with pytest.raises(UnknownTask):
            act("nobody")
