"""A reviewer in Chromium at the local cloud's A2I page: what was drawn there is what the deployed stack stores."""

from pathlib import Path

import numpy as np
import pytest
from conftest import wait_until

from tests.support.review_editor import Editor, needs_chromium
from workbench import uploads
from workbench.connection import Connection
from workbench.reviewer import Reviewer

pytestmark = needs_chromium


def test_a_vertex_moved_one_added_and_one_undone_are_found_in_the_table(
    deployed: Connection, campaign: list[tuple[Path, Path]], tab
) -> None:
    sent = uploads.upload(deployed, campaign[0][0], "page")
    uploads.follow(deployed, [sent], 120, lambda _done, _rejected: None)
    address = deployed.client("s3").meta.endpoint_url
    reviewer = Reviewer(address)
    task = wait_until(
        lambda: next((task for task in reviewer.open_tasks() if task.frame_id == sent.frame_id), None), 60, "its task"
    )
    tab.goto(f"{address}/review/tasks/{task.name}")
    editor = Editor(tab)
    surface = [line["label"] for line in editor.lines].index("surface")
    editor.select(surface)
    proposed = [editor.vertex(surface, index) for index in range(len(editor.lines[surface]["vertices"]))]
    gaps = np.diff([x for x, _ in proposed])

    # The surface is the uppermost line: moved upwards, it crosses none.
    index = 1 + int(np.minimum(gaps[:-1], gaps[1:]).argmax())
    x, y = proposed[index]
    editor.drag((x, y), (x, y - 4))
    assert editor.vertex(surface, index) == pytest.approx((x, y - 4), abs=0.6)

    proposed[index] = editor.vertex(surface, index)
    left = int(gaps.argmax())
    middle = tuple(np.mean(proposed[left : left + 2], axis=0).tolist())
    editor.drag(middle, (middle[0], middle[1] - 5))  # nearer than 3 rows to the crest it would be put onto that
    assert len(editor.lines[surface]["vertices"]) == len(proposed) + 1
    assert editor.vertex(surface, left + 1) == pytest.approx((middle[0], middle[1] - 5), abs=0.6)

    wanted = editor.lines
    editor.drag(editor.vertex(surface, left + 1), (middle[0], middle[1] - 12))
    assert editor.lines != wanted
    editor.press("Control+z")
    assert editor.lines == wanted
    tab.click("[data-action=submit]")
    tab.wait_for_url(lambda url: task.name not in url)

    frame = wait_until(
        lambda: (row := deployed.register.get(sent.frame_id)).status == "CORRECTED" and row, 60, "the correction"
    )
    stored = deployed.corrections.layers(sent.frame_id, frame.review)
    # Sorted: pieces that share no trace have no order of depth but that of their mean rows, which the moved vertex changes.
    assert sorted((item.label, list(zip(item.x, item.y, strict=True))) for item in stored) == sorted(
        (line["label"], [(vertex["x"], vertex["y"]) for vertex in line["vertices"]]) for line in wanted
    )
