import asyncio
import html
import json
import re
from datetime import UTC, datetime
from http.client import HTTPConnection
from threading import Thread
from urllib.parse import quote

import pytest
from liquid import Environment
from starlette.testclient import TestClient

from firnline.events import LayersPredicted
from firnline.limits import MAX_ANSWER_BYTES
from firnline.portal import page, problems
from firnline.portal.application import make_app
from firnline.portal.guards import MOST_UNREAD, THIS_MACHINE
from firnline.portal.identity import this_machine
from firnline.portal.serve import PageServer
from firnline.portal.store import AlreadyAnswered, Task, UnknownTask, View
from firnline.portal.table_store import FLOW_DEFINITION_ARN, TableStore
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from start_review.review import ReviewStarter
from tests.support.review_world import MODEL, REVISION, answer, polyline

ORIGIN = {"Host": "127.0.0.1:8765", "Origin": "http://127.0.0.1:8765"}
JSON = {**ORIGIN, "Content-Type": "application/json; charset=utf-8"}
SURFACE = polyline("surface", (0, 11), (63, 12))


@pytest.fixture
def store(world):
    return TableStore(world.table, world.bucket, world.bus)


def in_review(world, frame_id="c/s/f", confidence=0.6):
    name = world.predicted_frame(frame_id, confidence=confidence)
    starter = ReviewStarter(world.register, world.bucket, Portal(world.table, world.bucket), "portal", Policy(1, 0), 0)
    starter.handle(LayersPredicted(frame_id=frame_id, revision=REVISION, model_version=MODEL))
    return name


@pytest.fixture
def browser(store):
    return TestClient(make_app(store, this_machine("ada")), follow_redirects=False, raise_server_exceptions=False)


def get(browser, path, query=None, headers=ORIGIN):
    answered = browser.get(path, params=query, headers=headers)
    return answered.status_code, answered.headers, answered.content


def token(browser, name):
    return re.search(r'data-token="([0-9a-f]+)"', get(browser, f"/review/tasks/{name}")[2].decode())[1]


def submit(browser, name, content, headers=JSON, **more):
    body = {"answerContent": content, "token": token(browser, name), "seconds": 12.5} | more
    answered = post(browser, name, json.dumps(body).encode(), headers)
    return answered.status_code, answered.json()


def post(browser, name, body, headers=JSON):
    return browser.post(f"/review/tasks/{name}/submit", content=body, headers=headers)


def test_the_list_shows_the_most_uncertain_first(world, browser):
    names = [in_review(world, f"c/s/{stem}", confidence) for stem, confidence in [("a", 0.7), ("b", 0.2), ("c", 0.5)]]
    status, headers, body = get(browser, "/review/")
    assert status == 200
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert re.findall(r'data-task="([^"]+)" data-frame-id="([^"]+)"', body.decode()) == [
        (names[1], "c/s/b"),
        (names[2], "c/s/c"),
        (names[0], "c/s/a"),
    ]
    assert "20%" in body.decode()
    assert get(browser, "/review/next")[1]["Location"] == f"/review/tasks/{names[1]}"
    for skipped, following in [(1, 2), (2, 0), (0, 1)]:  # when all have been skipped, the first comes again
        told = get(browser, "/review/next", {"skip": names[skipped]})[1]
        assert told["Location"] == f"/review/tasks/{names[following]}"


def test_an_empty_list_says_so(browser):
    assert "Nothing is waiting" in get(browser, "/review/")[2].decode()
    assert get(browser, "/review/next")[1]["Location"] == "/review/"


def test_the_task_page_is_the_worker_template_with_our_own_elements(world, browser):
    name = in_review(world)
    status, _, body = get(browser, f"/review/tasks/{name}")
    text = body.decode()
    assert status == 200
    assert '<script src="/review/crowd.js">' in text
    assert "assets.crowd.aws" not in text
    source = re.search(r'src="(/review/tasks/[^"]+/image\?uri=[^"]+echogram[^"]+)"', text)[1]
    path, _, uri = source.partition("?uri=")
    assert uri == quote("s3://workspace/frames/c/s/f/0123456789ab/echogram.png", safe="")
    picture = get(browser, path, {"uri": "s3://workspace/frames/c/s/f/0123456789ab/echogram.png"})
    assert (picture[0], picture[1]["Content-Type"]) == (200, "image/png")
    attribute = re.search(r'initial-value="([^"]*)"', text)[1]
    assert [line["label"] for line in json.loads(html.unescape(attribute))["polylines"]] == ["surface", "layer"]


def test_input_cannot_break_out_of_the_page(store):
    template = "<p title='{{ task.input.reason }}'>{{ task.input.reason | to_json | escape }}</p>"
    hostile = "'\"><script>alert(1)</script>"
    task = Task("a", datetime.now(UTC), "open", {"reason": hostile}, template)
    assert "<script>" not in page.render_template(task, str)
    assert "<script>" not in Environment(autoescape=True).from_string("{{ x }}").render(x=hostile)


@pytest.mark.parametrize(
    "uri", ["s3://workspace/frames/other/echogram.png", "s3://elsewhere/x.png", "", "file:///etc/passwd", "c/s/f"]
)
def test_only_the_pictures_of_the_task_are_shown(world, browser, uri):
    name = in_review(world)
    assert get(browser, f"/review/tasks/{name}/image", {"uri": uri})[0] == 404


def test_an_answer_becomes_output_json_and_an_event_as_a2i_has_them(world, browser):
    name = in_review(world)
    content = answer(SURFACE, all_layers_drawn={"on": True})
    assert submit(browser, name, content) == (200, {"next": f"/review/next?after={name}"})
    (event,) = world.events("SageMaker A2I HumanLoop Status Change")
    assert event["source"] == "firnline.review"
    detail = event["detail"]
    assert (detail["humanLoopName"], detail["humanLoopStatus"]) == (name, "Completed")
    uri = detail["humanLoopOutput"]["outputS3Uri"]
    assert re.fullmatch(rf"s3://workspace/reviews/{name}/a2i/\d{{4}}/\d\d/\d\d/\d\d/\d\d/\d\d/{name}/output\.json", uri)
    output = json.loads(world.bucket.read(uri.removeprefix("s3://workspace/"), 10**6))
    assert set(output) == {"flowDefinitionArn", "humanAnswers", "humanLoopName", "inputContent"}
    assert output["flowDefinitionArn"] == detail["flowDefinitionArn"] == FLOW_DEFINITION_ARN
    assert output["humanAnswers"][0]["answerContent"] == content
    assert output["humanAnswers"][0]["timeSpentInSeconds"] == 12.5
    assert output["humanAnswers"][0]["workerId"] == "ada"
    assert "<b data-done>1</b>" in get(browser, "/review/")[2].decode()
    assert get(browser, f"/review/tasks/{name}")[0] == 410


def test_a_task_takes_one_answer(world, browser, store):
    name = in_review(world)
    proof = token(browser, name)
    submit(browser, name, answer(SURFACE))
    again = json.dumps({"answerContent": answer(), "token": proof}).encode()
    answered = post(browser, name, again)
    assert (answered.status_code, "answered already" in answered.json()["error"]) == (409, True)
    with pytest.raises(AlreadyAnswered):
        store.submit(name, answer(), "other", 1)
    with pytest.raises(UnknownTask):
        store.submit("nobody", answer(), "other", 1)
    assert len(world.events("SageMaker A2I HumanLoop Status Change")) == 1


def test_an_answer_whose_event_was_not_sent_is_finished_later(world, store):
    name = in_review(world)

    class DeadBus:
        def send(self, *events, source):
            raise ConnectionError("the process died here")

    with pytest.raises(ConnectionError):
        TableStore(world.table, world.bucket, DeadBus()).submit(name, answer(SURFACE), "a", 1)
    assert world.events() == []
    assert (store.overview(View()).waiting, store.overview(View()).done) == (0, 1)
    assert len(world.events("SageMaker A2I HumanLoop Status Change")) == 1
    store.overview(View())
    assert world.events() == []


def test_crossing_lines_are_told_before_they_are_accepted(world, browser, store):
    name = in_review(world)
    crossing = answer(polyline("layer", (0, 10), (63, 40)), polyline("layer", (0, 40), (63, 10)))
    status, body = submit(browser, name, crossing)
    assert (status, "cross at trace" in body["error"]) == (422, True)
    assert store.get(name).status == "open"


@pytest.mark.parametrize(
    ("headers", "more", "status"),
    [
        ({**JSON, "Origin": "https://evil.example"}, {}, 403),
        ({**JSON, "Origin": "null"}, {}, 403),
        ({**JSON, "Host": "evil.example"}, {}, 421),
        ({**JSON, "Host": "[::1"}, {}, 421),
        ({**JSON, "Host": "127.0.0.1.evil.example:8765"}, {}, 421),
        ({**ORIGIN, "Content-Type": "text/plain"}, {}, 415),
        (JSON, {"token": "0" * 64}, 403),
        (JSON, {"extra": 1}, 400),
        (JSON, {"seconds": -1}, 400),
        (JSON, {"workerId": "somebody else"}, 400),
        (JSON, {"answerContent": []}, 400),
        (JSON, {"answerContent": {"annotatedResult": {"polylines": 7}}}, 422),
    ],
)
def test_posts_that_do_not_come_from_the_page_are_refused(world, browser, store, headers, more, status):
    name = in_review(world)
    answered, body = submit(browser, name, answer(SURFACE), headers, **more)
    assert answered == status
    assert body["error"].endswith(".")
    assert store.get(name).status == "open"


def test_an_answer_with_more_vertices_than_a_line_may_have_is_accepted(world, browser, store):
    name = in_review(world)
    line = polyline("surface", *((x / 1000, 11 + x % 2 / 10) for x in range(60_000)))
    assert submit(browser, name, answer(line))[0] == 200
    assert store.get(name).status == "completed"


def test_too_much_or_no_json_is_refused(world, browser):
    name = in_review(world)
    assert post(browser, name, b" " * (MAX_ANSWER_BYTES + 1)).status_code == 413
    assert post(browser, name, b"{").status_code == 400
    assert post(browser, name, b"\xff\xfe").status_code == 400


def test_an_answer_that_grows_over_the_limit_when_it_is_written_is_refused_and_not_kept(world, browser, store):
    """JSON in ASCII has six characters for one of two bytes."""
    name = in_review(world)
    content = answer(SURFACE, note="é" * (MAX_ANSWER_BYTES // 2 - 1_000))
    body = json.dumps({"answerContent": content, "token": token(browser, name)}, ensure_ascii=False).encode()
    assert len(body) <= MAX_ANSWER_BYTES
    answered = post(browser, name, body)
    assert (answered.status_code, answered.json()["error"]) == (413, problems.TOO_LARGE)
    assert list(world.bucket.names(f"reviews/{name}/answers/")) == []
    assert store.get(name).status == "open"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/review/tasks/..%2F..%2Fetc", 404),
        ("GET", "/review/tasks/UPPER", 404),
        ("GET", "/review/tasks/nobody", 404),
        ("GET", f"/review/tasks/{'a' * 64}", 404),
        ("GET", "/review/nothing", 404),
        ("POST", "/review/", 405),
        ("GET", "/review/tasks/a/", 404),
        ("GET", "/review/tasks/a/submit", 405),
        ("DELETE", "/review/tasks/a", 405),
        ("GET", "/review/crowd.js", 200),
    ],
)
def test_addresses(browser, method, path, status):
    assert browser.request(method, path, headers=ORIGIN).status_code == status


@pytest.fixture
def server(store):
    server = PageServer(store)
    thread = Thread(target=server.serve_until_stopped)
    thread.start()
    yield server
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_the_server_answers_and_limits_what_it_reads(world, server):
    name = in_review(world)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/")
    redirect = connection.getresponse()
    redirect.read()
    assert (redirect.status, redirect.getheader("Location")) == (303, "/review/")
    connection.request("GET", f"/review/tasks/{name}")
    shown = connection.getresponse()
    assert (shown.status, b"<layer-editor" in shown.read()) == (200, True)
    connection.request("GET", "/review/tasks/../../etc")
    refused = connection.getresponse()
    refused.read()
    assert refused.status == 404
    connection.putrequest("POST", f"/review/tasks/{name}/submit")
    connection.putheader("Content-Length", "99999999999")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    connection.request("POST", f"/review/tasks/{name}/submit", b" " * (MAX_ANSWER_BYTES + 1), JSON)
    refused = connection.getresponse()
    assert (refused.status, json.loads(refused.read())["error"]) == (413, problems.TOO_LARGE)
    assert refused.getheader("Connection") == "close"


def test_what_another_site_sends_is_not_read(server):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("POST", "/review/tasks/a/submit")
    connection.putheader("Origin", "https://evil.example")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    refused = connection.getresponse()
    assert (refused.status, refused.getheader("Connection")) == (403, "close")
    assert "another site" in json.loads(refused.read())["error"]
    connection.close()


@pytest.mark.parametrize(
    "headers",
    [{"Transfer-Encoding": "chunked"}, {"Content-Length": "0x10"}, {"Content-Length": "9" * 12}],
)
def test_a_body_of_unknown_length_is_not_read(server, headers):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("POST", "/review/tasks/a/submit")
    for header in headers.items():
        connection.putheader(*header)
    connection.endheaders()
    # A length that is no number does not get past the HTTP parser.
    assert connection.getresponse().status in (400, 411)
    connection.close()


def test_what_comes_without_a_length_is_read_up_to_the_limit_only(world, store):
    """An HTTP/2 request needs neither a Content-Length nor a Transfer-Encoding."""
    name = in_review(world)
    read = []

    def receive_pieces():
        while True:
            read.append(1)
            yield {"type": "http.request", "body": b" " * 1_000_000, "more_body": True}

    pieces, sent = receive_pieces(), []

    async def receive():
        return next(pieces)

    async def send(message):
        sent.append(message)

    headers = [(key.lower().encode(), value.encode()) for key, value in JSON.items()]
    scope = {"type": "http", "method": "POST", "path": f"/review/tasks/{name}/submit", "headers": headers,
             "query_string": b"", "root_path": "", "scheme": "http", "http_version": "2"}  # fmt: skip
    asyncio.run(make_app(store, this_machine())(scope, receive, send))
    assert sent[0]["status"] == 413
    assert len(read) <= MAX_ANSWER_BYTES // 1_000_000 + 2
    assert MOST_UNREAD > MAX_ANSWER_BYTES


def test_every_answer_forbids_the_browser_the_same(browser, monkeypatch):
    def fails(self, view):
        raise RuntimeError("the table does not answer")

    shown = [browser.get("/review/", headers=ORIGIN), browser.get("/elsewhere", headers=ORIGIN)]
    shown += [browser.get("/review/nothing", headers=ORIGIN), browser.get("/review/", headers={"Host": "evil.example"})]
    monkeypatch.setattr(TableStore, "overview", fails)
    shown.append(browser.get("/review/", headers=ORIGIN))
    assert [answered.status_code for answered in shown] == [200, 303, 404, 421, 500]
    for answered in shown:
        assert {name: answered.headers[name] for name in THIS_MACHINE.headers} == THIS_MACHINE.headers
