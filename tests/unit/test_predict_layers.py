"""Frames that are ready, their layers, and what happens when a message comes twice, late or in vain."""

import io
import json

import boto3
import numpy as np
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from firnline.documents.answer import MalformedAnswer
from firnline.documents.echogram import decode_png, encode_png
from firnline.documents.layers import LayersDocument
from firnline.documents.tiles import Tile, tiles
from firnline.events import FrameReady
from firnline.store import keys
from predict_layers import app
from predict_layers.endpoint import Endpoint
from predict_layers.prediction import Predictor
from tests.support.review_world import Context
from tests.support.samples import sample

MESSAGE = sample("predict_layers")
READY = FrameReady.model_validate(json.loads(MESSAGE["Records"][0]["body"])["detail"])
HEIGHT, WIDTH = 40, 60
WHERE = (READY.frame_id, READY.revision, "first")


def layers_document(**changes):
    document = {
        "schema": "firnline.layers/1",
        "frame_id": "",
        "image": {"width": WIDTH, "height": HEIGHT},
        "source": {"kind": "model", "model_version": "first", "created": "2026-11-22T12:00:00Z"},
        "coverage": "complete",
        "confidence": 0.91,
        "layers": [
            {"label": "surface", "confidence": 0.97, "vertices": [{"x": 0, "y": 5}, {"x": 59, "y": 6}]},
            {"label": "bed", "confidence": 0.8, "vertices": [{"x": 0, "y": 30}, {"x": 59, "y": 33}]},
        ],
    }
    return document | changes


class Loop:
    """The AWS that the function sees: moto's, but for the endpoint, whose answers each test gives."""

    def __init__(self, world, monkeypatch):
        self.world = world
        self.workspace, self.register = world.bucket, world.register
        self.runtime = boto3.client("sagemaker-runtime")
        self.endpoint = Stubber(self.runtime)
        self.endpoint.activate()
        self.predictor = Predictor(self.register, self.workspace, Endpoint(self.runtime, "firnline"), world.bus)
        monkeypatch.setattr(app, "predictor", lambda: self.predictor)

    def upload(self, revision=READY.revision, sequencer="01"):
        grey = np.random.default_rng(7).integers(1, 255, (HEIGHT, WIDTH), dtype=np.uint8)
        png = encode_png(grey)
        self.workspace.write(keys.echogram(READY.frame_id, revision), png, "image/png")
        self.register.register(READY.frame_id, f"{READY.frame_id}.nc", sequencer, revision, "READY")
        return png

    def answers(self, png, document):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.endpoint.add_response(
            "invoke_endpoint",
            {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentType": "application/json"},
            {"EndpointName": "firnline", "ContentType": "image/png", "Accept": "application/json", "Body": png},
        )

    def fails(self, code, status=400, message="", **fields):
        self.endpoint.add_client_error("invoke_endpoint", code, message, status, modeled_fields=fields)

    def deliver(self):
        return app.handler(MESSAGE, Context())

    def sent(self):
        return [(event["detail-type"], event["detail"]) for event in self.world.events()]

    def frame(self):
        return self.register.get(READY.frame_id)


@pytest.fixture
def loop(world, monkeypatch):
    return Loop(world, monkeypatch)


def test_a_ready_frame_gets_its_layers_its_overlay_and_its_event(loop):
    # Given a frame that is ready, and an endpoint that finds two layers
    loop.answers(loop.upload(), layers_document())
    # When its message comes
    failures = loop.deliver()
    # Then the layers and the overlay lie in the workspace, the frame is PREDICTED, and the review queue hears of it
    assert failures == {"batchItemFailures": []}
    kept = json.loads(loop.workspace.read(keys.prediction(*WHERE), 10_000))
    assert kept["frame_id"] == READY.frame_id
    assert [layer["label"] for layer in kept["layers"]] == ["surface", "bed"]
    assert decode_png(loop.workspace.read(keys.prediction_overlay(*WHERE), 100_000)).shape == (HEIGHT, WIDTH)
    frame = loop.frame()
    assert (frame.status, frame.confidence, frame.model_version) == ("PREDICTED", 0.91, "first")
    assert loop.register.prediction(*WHERE).layers == 2
    assert loop.sent() == [("LayersPredicted", {**READY.model_dump(), "model_version": "first"})]


def test_the_same_message_again_asks_nothing_but_says_it_again(loop):
    # Given a frame whose layers are known; the endpoint has no second answer
    loop.answers(loop.upload(), layers_document())
    loop.deliver()
    loop.sent()
    # When the message comes again
    failures = loop.deliver()
    # Then nobody asked the endpoint, and the event is sent again: the first one may never have left
    assert failures == {"batchItemFailures": []}
    loop.endpoint.assert_no_pending_responses()
    assert [kind for kind, _ in loop.sent()] == ["LayersPredicted"]


@pytest.mark.parametrize("status", ["IN_REVIEW", "ACCEPTED", "CORRECTED"])
def test_a_frame_that_has_moved_on_is_left_alone(loop, status):
    loop.upload()
    frame = (READY.frame_id, READY.revision)
    assert loop.register.predicted(*frame, "first", 0.5)
    move = {
        "IN_REVIEW": loop.register.in_review,
        "ACCEPTED": loop.register.accepted,
        "CORRECTED": loop.register.corrected,
    }
    assert move[status](*frame, "loop")
    assert loop.deliver() == {"batchItemFailures": []}
    assert loop.sent() == []
    assert loop.frame().status == status


def test_an_older_revision_is_skipped(loop):
    # Given a frame that was uploaded anew
    loop.upload()
    loop.upload(revision="ffffffffffff", sequencer="02")
    # When the message of the first upload comes at last
    failures = loop.deliver()
    # Then it changes nothing
    assert failures == {"batchItemFailures": []}
    assert (loop.frame().revision, loop.frame().status) == ("ffffffffffff", "READY")
    assert loop.sent() == []


def test_a_new_upload_during_the_prediction_wins(loop):
    # Given a frame of which a new revision arrives while the endpoint thinks
    png = loop.upload()
    loop.answers(png, layers_document())
    ask = loop.runtime.invoke_endpoint

    def ask_slowly(**arguments):
        answer = ask(**arguments)
        loop.upload(revision="ffffffffffff", sequencer="02")
        return answer

    loop.runtime.invoke_endpoint = ask_slowly
    # When the old one's message is handled, then the new revision stays READY and no event speaks of the old one
    assert loop.predictor.handle(READY) == "stale"
    assert (loop.frame().revision, loop.frame().status) == ("ffffffffffff", "READY")
    assert loop.sent() == []


@pytest.mark.parametrize(
    ("code", "status", "fields"),
    [
        ("ThrottlingException", 400, {}),
        ("ModelNotReadyException", 429, {}),
        ("ServiceUnavailable", 503, {}),
        ("ValidationError", 400, {}),  # the endpoint is still being created
        ("ModelError", 424, {"OriginalStatusCode": 503, "OriginalMessage": "out of memory"}),
    ],
)
def test_what_may_pass_is_left_to_the_queue(loop, code, status, fields):
    loop.upload()
    loop.fails(code, status, **fields)
    # When the endpoint fails in a way that may pass, then the message is given back and the frame waits
    assert loop.deliver() == {"batchItemFailures": [{"itemIdentifier": MESSAGE["Records"][0]["messageId"]}]}
    assert loop.frame().status == "READY"
    assert loop.sent() == []


def test_a_frame_that_the_network_refuses_is_rejected_with_its_reason(loop):
    # Given an endpoint that refuses the picture
    loop.upload()
    loop.fails("ModelError", 424, OriginalStatusCode=400, OriginalMessage="the picture is all of one grey")
    # When the message comes, twice
    assert loop.deliver() == {"batchItemFailures": []}
    assert loop.deliver() == {"batchItemFailures": []}
    # Then the frame is REJECTED, with a sentence in the table, beside it in S3 and in the event
    frame = loop.frame()
    assert frame.status == "REJECTED"
    assert frame.reason == "The network cannot read this echogram: the picture is all of one grey"
    assert json.loads(loop.workspace.read(keys.rejection(READY.frame_id), 10_000))["reason"] == frame.reason
    expected = {"frame_id": READY.frame_id, "source_key": f"{READY.frame_id}.nc", "reason": frame.reason}
    assert loop.sent() == [("FrameRejected", expected)] * 2


def test_a_picture_larger_than_a_request_is_asked_for_in_tiles(loop, monkeypatch):
    # Given a picture of which at most half may be sent at once
    loop.upload()
    grey = np.random.default_rng(1).integers(1, 255, (HEIGHT, 10 * WIDTH), dtype=np.uint8)
    loop.workspace.write(keys.echogram(READY.frame_id, READY.revision), encode_png(grey), "image/png")
    cut = tiles(HEIGHT, 10 * WIDTH, HEIGHT * 6 * WIDTH)
    monkeypatch.setattr("predict_layers.endpoint.tiles", lambda rows, columns: cut)
    for tile in cut:
        wide = tile.right - tile.left
        loop.answers(
            encode_png(np.ascontiguousarray(grey[:, tile.left : tile.right])),
            layers_document()
            | {
                "image": {"width": wide, "height": HEIGHT},
                "layers": [{"label": "surface", "vertices": [{"x": 0, "y": 4}, {"x": wide - 1, "y": 4}]}],
            },
        )
    # When its message comes
    assert loop.deliver() == {"batchItemFailures": []}
    # Then every tile was asked for, and the surface is one line over the whole picture
    loop.endpoint.assert_no_pending_responses()
    document = LayersDocument.model_validate_json(loop.workspace.read(keys.prediction(*WHERE), 100_000))
    assert (document.image.width, document.image.height) == (10 * WIDTH, HEIGHT)
    [surface] = document.layers
    assert [(vertex.x, vertex.y) for vertex in surface.vertices] == [(0, 4), (10 * WIDTH - 1, 4)]


def test_tiles_that_two_models_answered_are_asked_for_again(loop, monkeypatch):
    # Given an update of the endpoint that passes between two tiles
    loop.upload()
    monkeypatch.setattr("predict_layers.endpoint.tiles", lambda rows, columns: [Tile(0, columns), Tile(0, columns)])
    png = loop.workspace.read(keys.echogram(READY.frame_id, READY.revision), 100_000)
    for version in ("first", "second"):
        answer = layers_document()
        loop.answers(png, answer | {"source": answer["source"] | {"model_version": version}})
    # When the message comes, then it goes back to its queue and the frame waits
    assert loop.deliver() == {"batchItemFailures": [{"itemIdentifier": MESSAGE["Records"][0]["messageId"]}]}
    assert loop.frame().status == "READY"


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>502</html>",
        layers_document(layers=[{"label": "bed", "vertices": [{"x": 3, "y": 1}, {"x": 2, "y": 1}]}]),
        layers_document(image={"width": WIDTH + 1, "height": HEIGHT}),
        layers_document(source={"kind": "human", "created": "2026-11-22T12:00:00Z"}),
        layers_document(source={"kind": "model", "created": "2026-11-22T12:00:00Z"}),
    ],
    ids=["no JSON", "backwards", "other size", "not by a model", "by no version"],
)
def test_an_ill_formed_answer_is_an_error_and_changes_nothing(loop, answer):
    loop.answers(loop.upload(), answer)
    with pytest.raises(MalformedAnswer):
        loop.predictor.handle(READY)
    assert loop.frame().status == "READY"
    assert loop.sent() == []


def test_a_model_that_does_not_say_how_sure_it_is_counts_as_unsure(loop):
    loop.answers(loop.upload(), layers_document(confidence=None))
    loop.deliver()
    assert loop.frame().confidence == 0


def test_a_frame_without_its_echogram_is_left_to_the_queue_and_the_log_says_why(loop, caplog):
    loop.register.register(READY.frame_id, f"{READY.frame_id}.nc", "01", READY.revision, "READY")
    assert len(loop.deliver()["batchItemFailures"]) == 1
    assert "echogram.png" in caplog.text
