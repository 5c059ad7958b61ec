"""The review page behind an HTTP API: events of API Gateway, tokens signed by a test's key, the table and bucket of moto."""

import asyncio
import json
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from firnline.events import LayersPredicted
from firnline.limits import MAX_ANSWER_BYTES, MAX_TASK_BYTES
from firnline.portal import problems
from firnline.portal.pictures import SIGNED_SECONDS
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from portal import app, session
from start_review.review import ReviewStarter
from tests.support.http_api import ADDRESS, HOST, Browser
from tests.support.review_world import MODEL, REVISION, answer, on_moto, polyline
from tests.support.user_pool import KEY_OF_ANOTHER_POOL, fake_pool

MOST_OF_LAMBDA = 6_291_556
"""Bytes of an answer."""
FAR_FUTURE = 4_000_000_000
"""Seconds since 1970. A time in the near future would be over when the tests after which this one comes take long."""
IDENTITY, REFRESH = "__Host-firnline-identity", "__Host-firnline-refresh"
SURFACE = polyline("surface", (0, 11), (63, 12))


@pytest.fixture
def pool():
    with fake_pool() as made:
        yield made


@pytest.fixture
def world(pool):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with on_moto(PAGE_ADDRESS=ADDRESS, **pool.environment) as made:
        yield made
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def browser(world):
    return Browser(app.handler)


@pytest.fixture
def ada(pool, browser):
    """The browser of a reviewer who has signed in."""
    return sign_in(pool, browser, "ada")


def sign_in(pool, browser, name, path="/review/"):
    sent = browser.get(path)
    assert sent.status == 303
    back = browser.get("/sign-in/back", pool.sign_in(sent.headers["location"], name))
    assert (back.status, back.headers["location"]) == (303, path)
    return browser


def in_review(world, frame_id="c/s/f"):
    name = world.predicted_frame(frame_id)
    starter = ReviewStarter(world.register, world.bucket, Portal(world.table, world.bucket), "portal", Policy(1, 0), 0)
    starter.handle(LayersPredicted(frame_id=frame_id, revision=REVISION, model_version=MODEL))
    return name


def submission(browser, name, content=None):
    """A submission that carries the token of the task's page."""
    token = re.search(r'data-token="([0-9a-f]+)"', browser.get(f"/review/tasks/{name}").body)[1]
    return json.dumps({"answerContent": content or answer(SURFACE), "token": token, "seconds": 12.5}).encode()


# Signing in


def test_a_person_signs_in_and_comes_to_the_page_that_they_wanted(world, pool, browser):
    name = in_review(world)
    sign_in(pool, browser, "ada", f"/review/tasks/{name}")
    assert set(browser.cookies) == {IDENTITY, REFRESH}
    shown = browser.get(f"/review/tasks/{name}")
    assert (shown.status, "layer-editor" in shown.body) == (200, True)


@pytest.mark.parametrize("path", ["/", "/review/", "/review/tasks/a", "/review/crowd.js", "/elsewhere"])
def test_who_is_not_signed_in_is_sent_to_sign_in_and_reads_nothing(world, pool, browser, path):
    in_review(world)
    sent = browser.get(path)
    assert (sent.status, sent.body) == (303, "")
    assert sent.headers["location"].startswith(f"{pool.address}/oauth2/authorize?")
    part = browser.get(path, **{"sec-fetch-mode": "no-cors"})
    assert (part.status, "signed out" in part.body) == (401, True)
    posted = browser.post("/review/tasks/a/submit", b"{}")
    assert (posted.status, json.loads(posted.body)["error"]) == (401, session.SIGN_IN)
    assert world.events() == []


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example/review/", "/review/../../evil", "/elsewhere", "/review/<evil>", "/review/" + 501 * "a"],
)
def test_nobody_is_led_elsewhere_after_signing_in(pool, browser, wanted):
    sent = browser.get(wanted)
    back = browser.get("/sign-in/back", pool.sign_in(sent.headers["location"], "ada"))
    assert (back.status, back.headers["location"]) == (303, "/review/")


def test_cookies_are_for_this_host_over_tls_and_for_no_script(pool, world):
    told = []

    def handler(event, context):
        told.append(app.handler(event, context))
        return told[-1]

    sign_in(pool, Browser(handler), "ada")
    cookies = [line for one in told for line in one.get("cookies", [])]
    assert len(cookies) == 4
    for line in cookies:
        assert line.startswith("__Host-")
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in line.split(";")}
        assert "Domain" not in line


@pytest.mark.parametrize(
    "changed", [{"state": "x" * 43}, {"state": ""}, {"code": "another"}, {"code": ""}, {"code": "a b\n"}]
)
def test_a_way_back_that_was_not_begun_here_signs_nobody_in(pool, browser, changed):
    sent = browser.get("/review/")
    back = browser.get("/sign-in/back", pool.sign_in(sent.headers["location"], "ada") | changed)
    assert (back.status, "begin again" in back.body) == (400, True)
    assert IDENTITY not in browser.cookies


def test_a_code_of_another_browser_signs_nobody_in(pool, world, browser):
    """Somebody else's code, in a link that a person is made to follow: the verifier is in the browser that began."""
    back = pool.sign_in(browser.get("/review/").headers["location"], "eve")
    victim = Browser(app.handler)
    assert victim.get("/sign-in/back", back).status == 400
    victim.get("/review/")
    own = next(iter(victim.cookies)).removeprefix("__Host-firnline-signing-in-")
    assert victim.get("/sign-in/back", back | {"state": own}).status == 400
    assert IDENTITY not in victim.cookies


def test_tabs_that_are_opened_at_once_sign_in_each(pool, browser):
    addresses = [browser.get("/review/").headers["location"] for _ in range(3)]
    for address in addresses:
        assert browser.get("/sign-in/back", pool.sign_in(address, "ada")).status == 303
    assert set(browser.cookies) == {IDENTITY, REFRESH}


# Tokens


@pytest.mark.parametrize(
    ("key", "claims"),
    [
        ({"key": KEY_OF_ANOTHER_POOL}, {}),
        ({"kid": "unknown"}, {}),
        ({}, {"aud": "another-client"}),
        ({}, {"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Another"}),
        ({}, {"token_use": "access"}),
        ({}, {"exp": None}),
        ({}, {"aud": None}),
        ({}, {"nbf": FAR_FUTURE}),
    ],
)
def test_a_token_that_is_not_of_this_pool_and_client_is_worth_nothing(pool, ada, key, claims):
    ada.cookies[IDENTITY] = pool.token("ada", **key, **claims)
    pool.asked.clear()
    assert ada.get("/review/").status == 303
    assert ada.post("/review/tasks/a/submit", b"{}").status == 401
    assert "/oauth2/token" not in pool.asked, "and is not renewed"


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\x00"])
def test_what_is_no_token_is_worth_nothing(ada, token):
    ada.cookies[IDENTITY] = token
    assert ada.get("/review/").status == 303


def test_an_expired_token_is_renewed_with_the_groups_of_now(pool, ada):
    old = ada.cookies[IDENTITY] = pool.token("ada", exp=int(time.time()) - 1)
    assert ada.get("/review/").status == 200
    assert ada.cookies[IDENTITY] != old
    asked = len(pool.asked)
    assert ada.get("/review/").status == 200
    assert len(pool.asked) == asked, "the renewed one is kept"
    ada.cookies[IDENTITY] = pool.token("ada", exp=int(time.time()) - 1)
    pool.people["ada"] = []
    assert ada.get("/review/").status == 403


def test_a_token_that_the_browser_lost_is_renewed_and_a_session_without_its_refresh_token_is_none(ada):
    del ada.cookies[IDENTITY]
    assert ada.get("/review/").status == 200
    del ada.cookies[REFRESH]
    assert ada.get("/review/").status == 303


@pytest.mark.parametrize("end", ["revoked", "removed"])
def test_a_session_that_was_ended_is_not_renewed(pool, ada, end):
    if end == "revoked":
        pool.ended.add(ada.cookies[REFRESH])
    else:
        del pool.people["ada"]
    ada.cookies[IDENTITY] = pool.token("ada", exp=int(time.time()) - 1)
    assert ada.get("/review/").status == 303


def test_without_an_answer_from_cognito_nobody_is_let_in_and_the_drawing_is_kept(pool, ada):
    ada.cookies[IDENTITY] = pool.token("ada", exp=int(time.time()) - 1)
    pool.down = True
    posted = ada.post("/review/tasks/a/submit", b"{}")
    assert (posted.status, "your drawing is kept" in posted.body) == (503, True)
    pool.down = False
    assert ada.get("/review/").status == 200


def test_signing_out_ends_the_session_in_the_browser_and_in_the_pool(pool, ada):
    assert 'href="/sign-out">Sign out ada</a>' in ada.get("/review/").body
    refresh = ada.cookies[REFRESH]
    out = ada.get("/sign-out", **{"sec-fetch-site": "same-origin"})
    assert (out.status, out.headers["location"].startswith(f"{pool.address}/logout?")) == (303, True)
    where = urlsplit(out.headers["location"])
    assert pool.ended == {refresh}
    assert parse_qs(where.query)["logout_uri"] == [f"{ADDRESS}/signed-out"]
    assert not {IDENTITY, REFRESH} & ada.cookies.keys()
    assert ada.get("/signed-out").status == 200
    assert ada.get("/review/").status == 303


def test_another_site_signs_nobody_out(ada):
    assert ada.get("/sign-out", **{"sec-fetch-site": "cross-site"}).status == 403
    assert ada.get("/review/").status == 200


# Reviewing


def test_who_is_in_no_group_is_told_whom_to_ask(world, pool, browser):
    pool.people["new"] = []
    name = in_review(world)
    sign_in(pool, browser, "new")
    shown = browser.get("/review/")
    assert (shown.status, "signed in as new" in shown.body, "group reviewer" in shown.body) == (403, True, True)
    assert "/sign-out" in shown.body
    posted = browser.post(f"/review/tasks/{name}/submit", b"{}")
    assert (posted.status, "group reviewer" in json.loads(posted.body)["error"]) == (403, True)


@pytest.mark.parametrize("encoded", [False, True])
def test_an_answer_is_stored_under_the_name_of_who_signed_in(world, ada, encoded):
    name = in_review(world)
    sent = ada.post(f"/review/tasks/{name}/submit", submission(ada, name), encoded=encoded)
    assert (sent.status, json.loads(sent.body)) == (200, {"next": f"/review/next?after={name}"})
    (event,) = world.events("SageMaker A2I HumanLoop Status Change")
    assert event["source"] == "firnline.review"
    key = event["detail"]["humanLoopOutput"]["outputS3Uri"].removeprefix("s3://workspace/")
    [given] = json.loads(world.bucket.read(key, 10**6))["humanAnswers"]
    assert (given["workerId"], given["timeSpentInSeconds"]) == ("ada", 12.5)


def test_a_page_of_one_instance_is_submitted_to_another(world, pool, ada):
    name = in_review(world)
    body = submission(ada, name)
    app.page.cache_clear()
    app.adapter.cache_clear()
    ada.cookies[IDENTITY] = pool.token("ada", exp=int(time.time()) - 1)
    assert ada.post(f"/review/tasks/{name}/submit", body).status == 200


def test_a_page_of_one_session_is_not_submitted_by_another(world, pool, ada):
    name = in_review(world)
    body = submission(ada, name)
    pool.people["eve"] = ["reviewer"]
    eve = sign_in(pool, Browser(app.handler), "eve")
    posted = eve.post(f"/review/tasks/{name}/submit", body)
    assert (posted.status, "Reload it" in posted.body) == (403, True)
    assert world.events() == []


@pytest.mark.parametrize(
    ("body", "more", "status", "sentence"),
    [
        (b" " * 100, {"content-length": str(MAX_ANSWER_BYTES + 1)}, 413, problems.TOO_LARGE),
        (b" " * (MAX_ANSWER_BYTES + 1), {"content-length": "100"}, 413, problems.TOO_LARGE),
        (b"{", {}, 400, "cannot be read"),
        (b"\xff\xfe", {"kind": "application/octet-stream"}, 415, "application/json"),
        (b"{}", {"origin": "https://evil.example"}, 403, "another site"),
        (b"{}", {"origin": f"http://{HOST}"}, 403, "another site"),
        (b"{}", {"host": "evil.example"}, 421, f"answers as {HOST}"),
        (b"{}", {"host": "127.0.0.1"}, 421, f"answers as {HOST}"),
    ],
)
def test_what_does_not_come_from_the_page_or_is_too_much_is_refused(world, ada, body, more, status, sentence):
    name = in_review(world)
    posted = ada.post(f"/review/tasks/{name}/submit", body, encoded=True, **more)
    assert (posted.status, sentence in json.loads(posted.body)["error"]) == (status, True)
    assert world.events() == []


def test_the_page_of_a_task_with_the_most_lines_fits_into_lambdas_answer(world, ada):
    name = in_review(world)
    [key] = [key for key in world.bucket.names(f"reviews/{name}/") if key.endswith("input.json")]
    content = json.loads(world.bucket.read(key, 10**7))
    vertices = [{"x": float(x), "y": round(x * 7.3 % 999, 1)} for x in range(100)]
    line, lines = {"label": "layer", "vertices": vertices}, content["a2i_json"]["polylines"]
    while len(json.dumps(content)) < MAX_TASK_BYTES:
        lines += [line] * 50
    world.bucket.write(key, json.dumps(content).encode(), "application/json")
    shown = ada.get(f"/review/tasks/{name}")
    assert (shown.status, shown.headers["content-encoding"]) == (200, "gzip")
    assert len(shown.body) > MAX_TASK_BYTES
    assert len(shown.body) > MAX_TASK_BYTES
    assert shown.size < MOST_OF_LAMBDA


@pytest.mark.parametrize("number", [3413, 3031])
def test_the_maps_coasts_come_whole_and_compressed_as_they_lie(ada, number):
    answered = ada.get(f"/review/coasts/{number}")
    assert (answered.status, answered.headers["content-type"]) == (200, "application/json")
    assert json.loads(answered.body)["projection"] == f"EPSG:{number}"
    assert answered.size < len(answered.body)


def test_a_picture_is_an_address_of_the_bucket_for_five_minutes(world, ada):
    name = in_review(world)
    uri = f"s3://workspace/frames/c/s/f/{REVISION}/echogram.png"
    sent = ada.get(f"/review/tasks/{name}/image", {"uri": uri}, **{"sec-fetch-mode": "no-cors"})
    assert (sent.status, sent.headers["cache-control"]) == (302, "no-store")
    where = urlsplit(sent.headers["location"])
    query = parse_qs(where.query)
    assert where.path.endswith(uri.removeprefix("s3://workspace"))
    assert (query["X-Amz-Expires"], query["X-Amz-Algorithm"]) == ([str(SIGNED_SECONDS)], ["AWS4-HMAC-SHA256"])
    assert query["response-content-type"] == ["image/png"]
    assert query["response-cache-control"] == ["no-store"]
    assert f"img-src 'self' data: {where.scheme}://{where.netloc};" in sent.headers["content-security-policy"]
    assert f"connect-src 'self' {where.scheme}://{where.netloc};" in sent.headers["content-security-policy"]


@pytest.mark.parametrize(
    "uri",
    ["s3://workspace/models/first/model.tar.gz", "s3://workspace/reviews/other/input.json", "s3://elsewhere/x.png", ""],
)
def test_no_address_is_given_of_what_the_task_does_not_name(world, ada, uri):
    world.bucket.write("models/first/model.tar.gz", b"secret", "application/gzip")
    name = in_review(world)
    assert ada.get(f"/review/tasks/{name}/image", {"uri": uri}).status == 404


def test_a_picture_that_is_gone_is_told(world, ada):
    name = in_review(world)
    world.bucket.delete(f"frames/c/s/f/{REVISION}/echogram.png")
    gone = ada.get(f"/review/tasks/{name}/image", {"uri": f"s3://workspace/frames/c/s/f/{REVISION}/echogram.png"})
    assert (gone.status, "is gone" in gone.body) == (404, True)


def test_every_answer_is_for_tls_and_forbids_the_browser_the_same(ada):
    shown = [
        ada.get("/review/"),
        ada.get("/review/crowd.js"),
        ada.get("/review/nothing"),
        ada.get("/review/", host="evil.example"),
        ada.post("/review/tasks/a/submit", b"{}", origin="https://evil.example"),
        ada.get("/sign-in/back"),
        ada.get("/sign-out"),
        ada.get("/signed-out"),
        ada.get("/review/"),
    ]
    assert [answered.status for answered in shown] == [200, 200, 404, 421, 403, 400, 303, 200, 303]
    for answered in shown:
        assert answered.headers["strict-transport-security"] == "max-age=31536000"
        assert "default-src 'none'" in answered.headers["content-security-policy"]
        assert answered.headers["x-frame-options"] == "DENY"
        assert answered.headers["cache-control"] == "no-store"


def test_no_token_and_no_cookie_is_logged(world, pool, ada, capsys, caplog):
    caplog.set_level("DEBUG")
    name = in_review(world)
    secrets = [ada.cookies[IDENTITY], ada.cookies[REFRESH]]
    ada.post(f"/review/tasks/{name}/submit", submission(ada, name))
    ada.cookies[IDENTITY] = pool.token("ada", key=KEY_OF_ANOTHER_POOL)
    ada.get("/review/")
    pool.down = True
    ada.cookies = {IDENTITY: pool.token("ada", exp=1), REFRESH: secrets[1]}
    ada.get("/sign-out")
    said = capsys.readouterr()
    for secret in [*secrets, ada.cookies.get(IDENTITY, secrets[0])]:
        assert secret not in said.out + said.err + caplog.text
