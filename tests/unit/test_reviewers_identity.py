"""Who reviews: on one's own machine, by the claims of an account, and what happens without the group."""

import getpass

import pytest
from starlette.testclient import TestClient

from firnline.portal.application import make_app
from firnline.portal.identity import GROUPS, Reviewer, of_claims, this_machine
from firnline.portal.problems import Problem
from firnline.portal.table_store import TableStore

ORIGIN = {"Host": "127.0.0.1:8765", "Origin": "http://127.0.0.1:8765"}
JSON = {**ORIGIN, "Content-Type": "application/json"}


def browser(world, *groups: str) -> TestClient:
    store = TableStore(world.table, world.bucket, world.bus)
    reviewer = Reviewer("ada", frozenset(groups))
    return TestClient(make_app(store, lambda _request: reviewer), follow_redirects=False)


@pytest.mark.parametrize("groups", [(), ("arbiter",)])
def test_who_is_not_in_the_group_is_told_whom_to_ask(world, groups):
    page = browser(world, *groups)
    for address in ("/review/", "/review/next", "/review/tasks/a", "/review/tasks/a/image?uri=x", "/review/crowd.js"):
        shown = page.get(address, headers=ORIGIN)
        assert (shown.status_code, "signed in as ada" in shown.text, "group reviewer" in shown.text) == (
            403,
            True,
            True,
        )
    sent = page.post("/review/tasks/a/submit", content=b"{}", headers=JSON)
    assert (sent.status_code, "group reviewer" in sent.json()["error"]) == (403, True)


def test_a_reviewer_sees_the_list(world):
    assert browser(world, "reviewer").get("/review/", headers=ORIGIN).status_code == 200


def test_at_ones_own_machine_one_is_in_all_groups_under_the_login_name(monkeypatch):
    reviewer = this_machine()(None)
    assert (reviewer.name, reviewer.groups) == (getpass.getuser(), GROUPS)
    assert this_machine("ada")(None).name == "ada"

    def unknown():
        raise KeyError("no entry of this number")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert this_machine()(None).name == "reviewer"
    monkeypatch.setattr(getpass, "getuser", lambda: "Jürgen B.")
    assert this_machine()(None).name == "reviewer"


@pytest.mark.parametrize("name", ["", "a" * 101, "<script>", "two words", "line\n"])
def test_a_name_that_cannot_be_stored_is_refused(name):
    with pytest.raises(ValueError, match="no reviewer's name"):
        this_machine(name)


def test_pages_of_two_reviewers_carry_tokens_of_two_keys():
    assert this_machine("ada")(None).key != this_machine("ada")(None).key
    assert "key" not in repr(this_machine("ada")(None))


def test_claims_name_a_reviewer():
    claims = {"cognito:username": "ada", "cognito:groups": ["reviewer", "something-else"], "sub": "1"}
    assert of_claims(claims, b"key", "/sign-out") == Reviewer("ada", frozenset({"reviewer"}))
    assert of_claims({"cognito:username": "ada"}, b"key", "/sign-out").groups == frozenset()


@pytest.mark.parametrize(
    "claims", [{}, {"cognito:username": "two words"}, {"cognito:username": "ada", "cognito:groups": 7}]
)
def test_claims_that_name_nobody_are_refused(claims):
    with pytest.raises(Problem) as problem:
        of_claims(claims, b"key", "/sign-out")
    assert problem.value.status == 403
