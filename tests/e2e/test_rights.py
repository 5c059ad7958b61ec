"""What reviewers and operators may do with the policies that the stack makes for them, IAM enforced."""

import json
import time

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from conftest import wait_until, with_policy
from typer.testing import CliRunner

from firnline.documents.echogram import encode_png
from firnline.documents.frame import FrameDocument
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, now
from firnline.events import CorrectionBatchClaimed, EventBus, FrameReady
from firnline.portal.segment_store import SegmentStore
from firnline.portal.store import View
from firnline.portal.table_store import TableStore
from firnline.review.providers import Portal
from firnline.review.trends import standings_of
from firnline.store import keys
from firnline.store.frame_register import FrameRegister
from firnline.store.joins import Joins
from firnline.store.line_status import LineStatus, lines_key
from tests.support.simulated_products import made
from workbench.cli import app
from workbench.connection import Connection
from workbench.redrive import redrive

PNG = encode_png(np.arange(600, dtype=np.uint8).reshape(20, 30))


def denied(call, *arguments, **named) -> bool:
    """Whether IAM refuses the call."""
    try:
        call(*arguments, **named)
    except ClientError as error:
        return "AccessDenied" in error.response["Error"]["Code"]
    return False


@pytest.fixture
def task(deployed: Connection) -> str:
    """A task of the portal, as `start_review` opens it."""
    name = f"c-s-f-{time.monotonic_ns():x}"
    deployed.workspace.write("frames/c/s/f/r/echogram.png", PNG, "image/png")
    content = {
        "frame_id": "c/s/f",
        "revision": "r",
        "model_version": "first",
        "confidence": 0.5,
        "reason": "unsure",
        "unlabeled_image": deployed.workspace.uri("frames/c/s/f/r/echogram.png"),
    }
    Portal(deployed.table, deployed.workspace).start(name, content)
    return name


def test_a_reviewer_can_review(deployed: Connection, task: str) -> None:
    reviewer = with_policy(deployed, "ReviewerPolicyArn")
    store = TableStore(reviewer.table, reviewer.workspace, reviewer.events)
    assert task in [one.name for one in store.open_tasks(View(), 100)]
    image = deployed.workspace.uri("frames/c/s/f/r/echogram.png")
    assert store.read_object(task, image) == (PNG, "image/png")
    assert store.overview(View(campaign="c")).waiting
    for view in (View("track", "c"), View(campaign="c"), View("priority", "c", "s")):
        assert task in [one.name for one in store.open_tasks(view, 100)]
    deployed.workspace.delete(keys.review_thumbnail(task))
    assert store.thumbnail(task).startswith(PNG[:8])
    store.claim(task, "somebody")
    store.release(task, "somebody")
    store.submit(task, {"annotatedResult": {}}, "worker", 12.0)
    assert deployed.table.get(f"LOOP#{task}", "LOOP")["state"] == "COMPLETED"
    assert isinstance(standings_of(reviewer.corrections.all(), reviewer.corrections.golds()), list)  # --stats


@pytest.mark.parametrize("lines", ["unreviewed", "accepted", "imported", "reviewed"])
def test_a_reviewer_sees_the_segments(deployed: Connection, lines: LineStatus) -> None:
    stem = f"of-{lines}"
    frame_id, revision = f"seen/20120101_01/{stem}", "r" * 12
    register = deployed.register
    register.register(frame_id, f"{frame_id}.png", "01", revision, "READY", width=4, height=2)
    register.predicted(frame_id, revision, "first", 0.5)
    if lines == "accepted":
        register.accepted(frame_id, revision, "")
    if lines == "imported":
        register.mark_annotated(frame_id, revision, "complete")
    if lines == "reviewed":
        register.corrected(frame_id, revision, "a-loop")
    frame = FrameDocument.of_whole_file(
        4, 2, frame_id=frame_id, revision=revision, format="png", polarity="bright-strong", source_bucket="b", source_key="k",
        checksum_sha256="", created=now(), transforms=[],
    )  # fmt: skip
    deployed.workspace.write(keys.frame(frame_id, revision), frame.to_json(), "application/json")
    deployed.workspace.write(keys.echogram(frame_id, revision), PNG, "image/png")
    document = LayersDocument(
        frame_id=frame_id, image=ImageSize(width=4, height=2), source=Source(kind="import", created=now()),
        coverage="complete", layers=[Layer(label="surface", vertices=[Vertex(x=0, y=1), Vertex(x=3, y=1)])],
    )  # fmt: skip
    row = register.get(frame_id)
    assert row is not None
    deployed.workspace.write(lines_key(row, lines), document.to_json(), "application/json")
    reviewer = with_policy(deployed, "ReviewerPolicyArn")
    segments = SegmentStore(reviewer.table, reviewer.workspace)
    assert "seen" in segments.campaigns()
    assert [one.name for one in segments.segments("seen", 10)] == ["20120101_01"]
    assert (stem, lines) in [(one.stem, one.lines) for one in segments.frames("seen", "20120101_01")]
    shown = segments.shown(frame_id)
    assert (shown["status"], len(shown["lines"])) == (lines, 1)
    assert segments.picture(frame_id, revision, "64").startswith(b"\x89PNG")
    with pytest.raises(KeyError):
        segments.picture(frame_id, "0" * 12, "64")


def test_a_reviewer_says_which_lines_are_one_layer(deployed: Connection) -> None:
    """`firnline layers`, by somebody who may review and nothing else."""
    frames = [accepted(deployed, 0), accepted(deployed, 1)]
    person = with_policy(deployed, "ReviewerPolicyArn").session.get_credentials()
    key = {"AWS_ACCESS_KEY_ID": person.access_key, "AWS_SECRET_ACCESS_KEY": person.secret_key, "COLUMNS": "200"}

    def layers(*words: str) -> str:
        ran = CliRunner().invoke(app, ["layers", *words], env=key)
        assert ran.exit_code == 0, ran.output
        return ran.output

    segment = frames[0].rpartition("/")[0]
    assert "along 2 frames" in layers("list", segment)
    layers("part", f"{frames[0]}:2", f"{frames[1]}:2")
    [said] = Joins(deployed.table).of_segment(segment)
    assert not said.same
    layers("forget", segment, said.one, said.other)
    assert list(Joins(deployed.table).of_segment(segment)) == []


def accepted(deployed: Connection, number: int) -> str:
    """A simulated frame that was accepted as the model drew it; returns its id."""
    frame = made("greenland_2012", 0, number)
    frame_id, revision = frame.frame.frame_id, frame.frame.revision
    register = deployed.register
    register.register(frame_id, frame.frame.source_key, "01", revision, "READY")
    deployed.workspace.write(keys.frame(frame_id, revision), frame.frame.to_json(), "application/json")
    lines = keys.prediction(frame_id, revision, "first")
    deployed.workspace.write(lines, frame.truth.to_json(), "application/json")
    register.predicted(frame_id, revision, "first", 0.95)
    register.accepted(frame_id, revision, "")
    return frame_id


def test_a_reviewer_can_do_nothing_else(deployed: Connection) -> None:
    reviewer = with_policy(deployed, "ReviewerPolicyArn")
    assert denied(reviewer.table.get, "MODEL", "CHAMPION")
    assert denied(lambda: list(reviewer.register.of_status("READY")))
    assert denied(
        reviewer.table.update, "COUNTER", "CORRECTIONS", "ADD #total :one", {":one": 1}, "attribute_exists(pk)"
    )
    assert denied(reviewer.table.put, {"pk": "FRAME#c/s/f", "sk": "STATUS"})
    assert denied(reviewer.table.delete, "FRAME#c/s/f", "STATUS")
    assert denied(reviewer.table.delete, "LOOP#a", "LOOP")
    assert denied(reviewer.table.transact, {"put": {"pk": "LOOP#a", "sk": "LOOP"}}, {"put": {"pk": "MODEL", "sk": "X"}})
    assert denied(lambda: list(reviewer.table.query("MODEL")))
    assert denied(reviewer.workspace.write, "corrections/x.json", b"{}", "application/json")
    assert denied(reviewer.workspace.read, "models/first/model.tar.gz", 10**9)
    assert denied(reviewer.events.send, CorrectionBatchClaimed(batch=0))
    assert denied(EventBus(reviewer.client("events"), "default").send, CorrectionBatchClaimed(batch=0))
    queue = deployed.outputs["IngestDeadLettersUrl"]
    assert denied(reviewer.client("sqs").get_queue_attributes, QueueUrl=queue, AttributeNames=["QueueArn"])


def test_an_operator_sends_dead_letters_back(deployed: Connection) -> None:
    operator = with_policy(deployed, "OperatorPolicyArn")
    letters, queue = (deployed.outputs[f"Retraining{what}"] for what in ("DeadLettersUrl", "QueueUrl"))
    swept = {"id": "1", "detail-type": "Scheduled Event", "detail": {}}
    deployed.client("sqs").send_message(QueueUrl=letters, MessageBody=json.dumps(swept))
    moved = {one.queue: one.messages for one in redrive(operator)}
    assert moved["retraining"] == 1

    def waiting() -> int:
        counts = [
            deployed.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            for url in (letters, queue)
        ]
        return sum(int(c[f"ApproximateNumberOfMessages{state}"]) for c in counts for state in ("", "NotVisible"))

    wait_until(lambda: waiting() == 0, 60, "the message handled by its function")
    assert list(operator.register.of_status("READY")) == list(FrameRegister(deployed.table).of_status("READY"))
    assert denied(operator.workspace.read, "models/first/model.tar.gz", 10**9)


def test_nobody_says_in_a_functions_place_that_a_frame_is_ready(deployed: Connection) -> None:
    """The bus itself refuses it, of whoever may put any event anywhere."""
    iam, name = deployed.client("iam"), f"sender-{time.monotonic_ns()}"
    iam.create_user(UserName=name)
    anything = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}],
    }
    iam.put_user_policy(UserName=name, PolicyName="any", PolicyDocument=json.dumps(anything))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    bus = EventBus(session.client("events"), deployed.outputs["EventBusName"])
    assert denied(bus.send, FrameReady(frame_id="c/s/f", revision="r"))
    assert denied(bus.send, CorrectionBatchClaimed(batch=7), source="somebody")
    EventBus(session.client("events"), "default").send(FrameReady(frame_id="c/s/f", revision="r"))
    assert deployed.register.get("c/s/f") is None, "the default bus leads nowhere"
