"""A deployed stack for end-to-end tests: the local cloud on a port of its own, `sam build && sam deploy`, the first model."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from rich.console import Console

from firnline.documents.layers import LayersDocument
from firnline.documents.placement import on_picture
from tests.support.review_editor import CHROMIUM
from workbench import stack, uploads
from workbench.connection import Connection, connect


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


KEPT_VARIABLES = ("FIRNLINE_REAL_DATA", "FIRNLINE_STOP_SECONDS", "FIRNLINE_RECORD_ACCESS")
"""What of Firnline's own in the environment is for the tests, and not of a stack of somebody's."""
os.environ.setdefault("FIRNLINE_STOP_SECONDS", "6")  # nobody waits two minutes for a training that is stopped


@contextmanager
def deployed_stack(state: Path, **parameters: str) -> Iterator[Connection]:
    """A stack of its own, with these template parameters and an environment that names it; stopped at the end."""
    saved = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("AWS_", "FIRNLINE_"))]:
        if name not in KEPT_VARIABLES:
            del os.environ[name]
    os.environ |= {"FIRNLINE_STATE": str(state), "FIRNLINE_PORT": str(free_port())}
    boto3.DEFAULT_SESSION = None  # it keeps the credentials of whatever stack was there before
    try:
        stack.up(parameters, Console(stderr=True))
        yield connect()
    finally:
        stack.down()
        os.environ.clear()
        os.environ.update(saved)
        boto3.DEFAULT_SESSION = None


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """The stack, with a batch of 4 corrections, everything reviewed, and trainings of a few seconds."""
    parameters = {"RetrainEvery": "4", "AuditRate": "1", "TrainingSeconds": "30", "MaxEpochs": "2"}
    with deployed_stack(tmp_path_factory.mktemp("local-cloud"), **parameters) as connection:
        yield connection


def wait_until(happened: Callable[[], object], seconds: float, what: str) -> object:
    """The first true answer of `happened`; fails naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = happened()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.3)


def with_policy(deployed: Connection, output: str) -> Connection:
    """The stack as somebody sees it who has this policy and nothing else."""
    iam, name = deployed.client("iam"), f"person-{output.lower()}-{time.monotonic_ns()}"
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=deployed.outputs[output])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    return Connection(session, deployed.outputs, local=True)


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """Twelve small simulated frames of four flight segments with their truth, half `.nc`, half `.mat`."""
    from workbench.simulator import simulate_campaign

    files = simulate_campaign("demo", tmp_path_factory.mktemp("frames"), frames=12, segments=4)
    return [(Path(frame), Path(truth)) for frame, truth in files]


def truths_on_pictures(
    stack: Connection, sent: list[uploads.Upload], campaign: list[tuple[Path, Path]]
) -> dict[str, LayersDocument]:
    """What an expert would draw on the pictures of simulated frames that are ingested, by frame_id."""
    found = {}
    for item, (_, truth) in zip(sent, campaign, strict=False):
        frame = uploads.frame_document(stack, stack.register.get(item.frame_id))
        found[item.frame_id] = on_picture(LayersDocument.model_validate_json(truth.read_bytes()), frame)
    return found


PATIENCE_MS = 20_000
"""How long a test waits for what a page is to show, on a machine that is busy with other things."""


@pytest.fixture
def tab():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        tab = browser.new_context(viewport={"width": 1400, "height": 850}).new_page()
        tab.set_default_timeout(PATIENCE_MS)
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        yield tab
        browser.close()
    assert errors == []


@pytest.fixture(autouse=True)
def only_who_asks_sees_the_stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack lives for the whole session and so does its environment; a test on moto must not talk to it."""
    if "deployed" not in request.fixturenames:
        for name in [
            name for name in os.environ if name.startswith(("AWS_", "FIRNLINE_")) and name not in KEPT_VARIABLES
        ]:
            monkeypatch.delenv(name)
