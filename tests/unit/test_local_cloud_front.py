"""What the local cloud's front lets through to MiniStack, and what the review page hears of its tasks."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from firnline.portal.store import AlreadyAnswered, UnknownTask
from workbench.local_cloud.errors import ConflictException, ResourceNotFoundException
from workbench.local_cloud.front import Front
from workbench.local_cloud.review_tasks import LoopStore

API = {"Host": "a1b2c3d4.execute-api.localhost:4566"}
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=..."}


@pytest.fixture
def browser():
    front = Front(PlainTextResponse("ministack"), PlainTextResponse("page"))
    return TestClient(front, follow_redirects=False)


@pytest.mark.parametrize(
    ("path", "headers", "answered"),
    [
        ("/review/", {}, (200, "page")),
        ("/review", {}, (200, "page")),
        ("/review/tasks/a", SIGNED, (200, "page")),
        ("/reviews/key", {}, (403, "Access denied: the request is not signed.")),
        ("/reviews/key", SIGNED, (200, "ministack")),
        ("/bucket/key?X-Amz-Signature=0", {}, (200, "ministack")),
        ("/bucket/key?Signature=", {}, (200, "ministack")),
        ("/bucket/key?signature=0", {}, (403, "Access denied: the request is not signed.")),
        ("/_ministack/health", {}, (200, "ministack")),
        ("/_ministack/reset", SIGNED, (403, "Closed in Firnline's local cloud.")),
        ("/_ministack/config", {}, (403, "Closed in Firnline's local cloud.")),
        ("/oauth2/authorize?client_id=x", {}, (200, "ministack")),
        ("/us-east-1_Firnline1/.well-known/jwks.json", {}, (200, "ministack")),
        ("/bucket/.well-known/jwks.json", {}, (403, "Access denied: the request is not signed.")),
        ("/review/", API, (200, "ministack")),
        ("/sign-in/back?code=x", API, (200, "ministack")),
        ("/bucket/key", API, (403, "Access denied: the request is not signed.")),
        ("/_ministack/reset", API, (403, "Closed in Firnline's local cloud.")),
        ("/sign-out", {}, (403, "Access denied: the request is not signed.")),
        ("/review/", {"Host": "a1b2c3d4.execute-api.localhost.evil.example"}, (200, "page")),
    ],
)
def test_the_page_is_open_and_all_else_is_signed_or_refused(browser, path, headers, answered):
    told = browser.get(path, headers=headers)
    assert (told.status_code, told.text) == answered


def test_the_page_hears_of_tasks_in_its_own_words() -> None:
    class NoReviews:
        """Human loops of which there are none."""

        def read_object(self, name: str, uri: str) -> None:
            raise ResourceNotFoundException(f"Could not find the human loop '{name}'.")

        def submit(self, name: str, *answer: object) -> None:
            raise ConflictException(f"The task '{name}' is not open any more.")

    store = LoopStore(NoReviews())
    with pytest.raises(UnknownTask):
        store.read_object("a", "s3://b/c.png")
    with pytest.raises(AlreadyAnswered):
        store.submit("a", {}, "reviewer", 1)
