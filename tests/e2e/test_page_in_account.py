"""ReviewPage=account on the deployed stack: people sign in to the user pool in Chromium and review through the HTTP API."""

import json
import re
import secrets
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from conftest import deployed_stack, wait_until, with_policy
from playwright.sync_api import expect
from typer.testing import CliRunner

from firnline.portal.pictures import SIGNED_SECONDS
from firnline.portal.store import View
from firnline.portal.table_store import TableStore
from firnline.store.bucket import split_uri
from tests.support.review_editor import Editor, needs_chromium
from workbench import uploads
from workbench.cli import app
from workbench.connection import Connection
from workbench.reviewers import Reviewers

pytestmark = [needs_chromium, pytest.mark.slow]
FIRST = "First-password-1"
PATIENCE_MS = 60_000
"""For a function that starts cold on a busy machine."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    parameters = {"ReviewProvider": "portal", "ReviewPage": "account", "ReviewConfidence": "1"}
    with deployed_stack(tmp_path_factory.mktemp("local-cloud"), **parameters) as connection:
        yield connection


@pytest.fixture(autouse=True)
def only_who_asks_sees_the_stack() -> None:
    """This module's stack is its own: the environment names it as long as the module lasts."""


@pytest.fixture(scope="module")
def frame_ids(stack: Connection, campaign: list[tuple[Path, Path]]) -> list[str]:
    """Frames that wait for review."""
    sent = [uploads.upload(stack, frame, "account") for frame, _ in campaign[:3]]
    uploads.follow(stack, sent, 120, lambda _done, _rejected: None)
    return [item.frame_id for item in sent]


def firnline(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def invited(stack: Connection, name: str, *options: str) -> str:
    """Let a person in as an operator does; the first password, which AWS sends by mail, is known here."""
    firnline("reviewers", "add", name, f"{name}@example.org", *options)
    first_password(stack, name)
    return name


def first_password(stack: Connection, name: str) -> None:
    stack.client("cognito-idp").admin_set_user_password(
        UserPoolId=stack.outputs["ReviewUserPoolId"], Username=name, Password=FIRST, Permanent=False
    )


def sign_in(tab, address: str, name: str) -> None:
    """Sign in for the first time: with the first password, and one of one's own."""
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(address)
    tab.fill("input[name=username]", name)
    tab.fill("input[name=password]", FIRST)
    tab.click("button")
    own = f"Own-{secrets.token_hex(8)}"
    tab.fill("input[name=new_password]", own)
    tab.fill("input[name=confirm_password]", own)
    tab.click("button")
    tab.wait_for_url(lambda url: "/review/" in url)


def test_a_colleague_is_let_in_signs_in_and_corrects_a_frame(stack: Connection, frame_ids: list[str], tab) -> None:
    invited(stack, "ada")
    assert re.search(r"ada +ada@example.org +reviewer +FORCE_CHANGE_PASSWORD", firnline("reviewers"))
    address = stack.outputs["ReviewPageAddress"]
    name = wait_until(lambda: task_of(stack, frame_ids[0]), 60, "its task")
    wanted = f"{address}tasks/{name}"
    pictures = []
    tab.on("response", lambda answer: pictures.append(answer) if "X-Amz-Signature" in answer.url else None)
    sign_in(tab, wanted, "ada")
    assert tab.url == wanted, "and comes to the page that was asked for"
    editor = Editor(tab)
    assert editor.lines
    assert pictures
    assert all(answer.ok and f"X-Amz-Expires={SIGNED_SECONDS}" in answer.url for answer in pictures)
    assert tab.evaluate("document.cookie") == "", "no script reads them"
    tab.click("[data-action=submit]")
    tab.wait_for_selector("text=You have changed nothing")
    tab.click("[data-action=submit]")
    tab.wait_for_url(lambda url: name not in url)
    frame = wait_until(
        lambda: (row := stack.register.get(frame_ids[0])).status == "CORRECTED" and row, 60, "the correction"
    )
    bucket, key = split_uri(stack.corrections.get(frame.review).output)
    assert bucket == stack.workspace.name
    [answer] = json.loads(stack.workspace.read(key, 10**7))["humanAnswers"]
    assert answer["workerId"] == "ada"


def task_of(stack: Connection, frame_id: str) -> str | None:
    frame = stack.register.get(frame_id)
    return frame.review if frame.status == "IN_REVIEW" else None


@pytest.mark.usefixtures("frame_ids")
def test_a_colleague_looks_at_a_whole_segment(stack: Connection, tab) -> None:
    invited(stack, "sue")
    # The page gave another colleague the next task when she had sent her first.
    store = TableStore(stack.table, stack.workspace, stack.events)
    free = wait_until(
        lambda: [task for task in store.open_tasks(View(campaign="account"), 9) if not task.held_by], 60, "a task"
    )
    campaign, segment, stem = free[0].frame_id.split("/")
    sign_in(tab, f"{stack.outputs['ReviewPageAddress']}segments/{campaign}/{segment}", "sue")
    assert tab.url.endswith(f"/review/segments/{campaign}/{segment}")
    tab.wait_for_selector(f'[data-frame="{stem}"][data-pictured] [data-lines]', state="attached")
    tab.wait_for_selector(f'[data-track="{stem}"]', state="attached")
    tab.goto(f"{tab.url}/{stem}")
    assert tab.url.endswith(f"/review/tasks/{free[0].name}")


def test_somebody_without_the_group_is_told_whom_to_ask(stack: Connection, tab) -> None:
    pool, client = stack.outputs["ReviewUserPoolId"], stack.client("cognito-idp")
    client.admin_create_user(
        UserPoolId=pool, Username="new", UserAttributes=[{"Name": "email", "Value": "new@example.org"}]
    )
    first_password(stack, "new")
    sign_in(tab, stack.outputs["ReviewPageAddress"], "new")
    expect(tab.locator("[data-problem]")).to_contain_text("signed in as new, who is not in the group reviewer")
    assert re.search(r"new +new@example.org +none: sees nothing", firnline("reviewers"))


def test_an_arbiter_who_is_taken_away_is_not_renewed(stack: Connection, tab) -> None:
    invited(stack, "eve", "--arbiter")
    address = stack.outputs["ReviewPageAddress"]
    sign_in(tab, address, "eve")
    [cookie] = [one for one in tab.context.cookies() if one["name"].endswith("firnline-identity")]
    renew_now(tab, cookie)
    assert tab.goto(address).status == 200, "renewed, still in the group"
    assert "out within 15 minutes" in firnline("reviewers", "remove", "eve")
    renew_now(tab, cookie)
    tab.goto(address)
    assert "/oauth2/authorize" in tab.url
    assert "eve" not in firnline("reviewers")


def renew_now(tab, cookie: dict) -> None:
    """Nobody waits for a quarter of an hour: the browser forgets the ID token, as if its time were over."""
    tab.context.clear_cookies(name=cookie["name"])


def test_signing_out_leaves_no_token_in_the_browser(stack: Connection, tab) -> None:
    invited(stack, "bob")
    address = stack.outputs["ReviewPageAddress"]
    sign_in(tab, address, "bob")
    tab.click("[data-sign-out]")
    expect(tab.locator("[data-problem]")).to_contain_text("You are signed out")
    assert [one for one in tab.context.cookies() if "firnline-" in one["name"]] == []


def test_the_function_writes_its_log_with_its_own_role_and_no_secret_in_it(stack: Connection, tab) -> None:
    invited(stack, "dora")
    sign_in(tab, stack.outputs["ReviewPageAddress"], "dora")
    logs = stack.client("logs").get_paginator("filter_log_events")
    pages = logs.paginate(logGroupName="/aws/lambda/firnline-portal")
    said = "".join(event["message"] for page in pages for event in page["events"])
    assert "START RequestId" in said
    kept = [one["value"] for one in tab.context.cookies() if "firnline-" in one["name"]]
    assert len(kept) == 2
    assert not [value for value in kept if value in said]


def test_what_is_not_the_page_stays_closed_at_its_address(stack: Connection) -> None:
    parts = urlsplit(stack.outputs["ReviewPageAddress"])
    for path, status in (
        ("/review/", 303),
        ("/", 303),
        (f"/{stack.workspace.name}/x", 403),
        ("/iceberg/v1/config", 403),
    ):
        connection = HTTPConnection("127.0.0.1", parts.port, timeout=60)
        connection.request("GET", path, headers={"Host": parts.netloc, "Accept": "text/html"})
        assert connection.getresponse().status == status, path
        connection.close()


def test_who_lets_people_in_has_that_right_and_no_other(stack: Connection) -> None:
    person = with_policy(stack, "ReviewAdminPolicyArn")
    reviewers = Reviewers(person)
    assert reviewers.add("cleo", "cleo@example.org", arbiter=True)
    assert not reviewers.add("cleo", "cleo@example.org", arbiter=False)
    [cleo] = [one for one in reviewers.people() if one.name == "cleo"]
    assert cleo.groups == ("arbiter", "reviewer")
    reviewers.remove("cleo")
    client, pool = person.client("cognito-idp"), stack.outputs["ReviewUserPoolId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        client.admin_set_user_password(UserPoolId=pool, Username="ada", Password=FIRST, Permanent=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        person.table.get("LOOP#x", "LOOP")
