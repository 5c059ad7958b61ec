"""What a person submitted is never lost: not by a clean stop, not by kill -9 in the middle of reviewing."""

import os
import signal
from pathlib import Path

import pytest
from conftest import truths_on_pictures, wait_until

from workbench import local_cloud, uploads
from workbench.connection import Connection
from workbench.local_cloud.settings import default_port, default_state_dir
from workbench.reviewer import Reviewer


def _kill() -> None:
    pid = local_cloud.running_pid(default_state_dir())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: local_cloud.running_pid(default_state_dir()) is None, 20, "the local cloud gone")


def _stop() -> None:
    assert local_cloud.stop(default_state_dir())


@pytest.mark.parametrize(
    "end", [pytest.param(_kill, id="kill -9"), pytest.param(_stop, id="down", marks=pytest.mark.slow)]
)
def test_every_accepted_submission_is_there_and_counted_once(
    deployed: Connection, campaign: list[tuple[Path, Path]], end
) -> None:
    name = "killed" if end is _kill else "stopped"
    sent = [uploads.upload(deployed, frame, name) for frame, _ in campaign[:6]]
    uploads.follow(deployed, sent, 120, lambda _done, _rejected: None)
    truths = truths_on_pictures(deployed, sent, campaign)
    reviewer = Reviewer(deployed.client("s3").meta.endpoint_url)

    def tasks() -> list:
        return [task for task in reviewer.open_tasks() if task.frame_id in truths]

    wait_until(lambda: len(tasks()) == len(sent), 60, "a review task for each frame")
    before = deployed.corrections.counts().total
    for task in tasks()[:4]:
        reviewer.correct(task, truths[task.frame_id])
    end()
    local_cloud.start(default_state_dir(), default_port(), say=lambda _: None)

    assert len(tasks()) == 2, "the submitted tasks are closed, the others still open"
    for task in tasks():
        reviewer.correct(task, truths[task.frame_id])
    wait_until(lambda: deployed.corrections.counts().total >= before + 6, 120, "six corrections counted")
    stored = [item for item in deployed.corrections.all() if item.frame_id in truths]
    assert sorted(item.frame_id for item in stored) == sorted(truths)
    assert deployed.corrections.counts().total == len(list(deployed.corrections.all()))
