import io

import boto3
import numpy as np
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from firnline.documents.echogram import encode_png
from predict_layers.app import predictor
from smoke_test import app
from smoke_test.smoke import SmokeTestFailed, SmokeTestRequest, smoke_test
from tests.support.retraining_world import document
from tests.support.review_world import Context, echogram
from tests.support.samples import sample
from tests.support.statemachine_world import definition

SAMPLE = sample("smoke_test")
VERSION = SAMPLE["model_version"]
GOOD = document("", kind="model", model_version=VERSION).to_json()


@pytest.fixture
def world(world):
    world.bucket.write("frames/c/s/f/r/frame.json", b"{}", "application/json")
    world.bucket.write("frames/c/s/f/r/echogram.png", encode_png(echogram()), "image/png")
    return world


def endpoint(body):
    """A SageMaker runtime client whose endpoint answers so, once, if it is asked as it should be."""
    client = boto3.client("sagemaker-runtime")
    stub = Stubber(client)
    stub.add_response(
        "invoke_endpoint",
        {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentType": "application/json"},
        {
            "EndpointName": "firnline",
            "ContentType": "image/png",
            "Accept": "application/json",
            "Body": encode_png(echogram()),
        },
    )
    stub.activate()
    return client


def test_passes_on_a_stored_frame_or_on_the_holdout(world):
    passed = smoke_test(SmokeTestRequest(**SAMPLE), world.bucket, endpoint(GOOD))
    assert passed == {"echogram": "frames/c/s/f/r/echogram.png", "layers": 2, "model_version": VERSION}
    world.bucket.write("datasets/retrain-1/holdout-images/000003.png", encode_png(echogram()), "image/png")
    passed = smoke_test(SmokeTestRequest(**SAMPLE), world.bucket, endpoint(GOOD))
    assert passed["echogram"] == "datasets/retrain-1/holdout-images/000003.png"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not a layers document"),
        (b'{"error": "no model"}', "not a layers document"),
        (GOOD.replace(VERSION.encode(), b"first"), "of another model, first"),
        (GOOD.replace(b'"height":48', b'"height":49'), "another image"),
    ],
)
def test_wrong_answers_fail(world, body, problem):
    with pytest.raises(SmokeTestFailed, match=problem):
        smoke_test(SmokeTestRequest(**SAMPLE), world.bucket, endpoint(body))


def test_of_an_echogram_too_large_for_a_request_the_beginning_is_sent(world, monkeypatch):
    monkeypatch.setattr("smoke_test.smoke.MAX_REQUEST_BYTES", len(encode_png(echogram())))
    monkeypatch.setattr("smoke_test.smoke.TILE_PIXELS", echogram().size)
    large = np.hstack([echogram(), echogram()])
    world.bucket.write("datasets/retrain-1/holdout-images/000003.png", encode_png(large), "image/png")
    passed = smoke_test(SmokeTestRequest(**SAMPLE), world.bucket, endpoint(GOOD))
    assert passed["echogram"] == "datasets/retrain-1/holdout-images/000003.png"


def test_without_an_echogram_there_is_no_test(world):
    world.bucket.client.delete_object(Bucket="workspace", Key="frames/c/s/f/r/echogram.png")
    with pytest.raises(SmokeTestFailed, match="upload a frame"):
        smoke_test(SmokeTestRequest(**SAMPLE), world.bucket, endpoint(GOOD))


def test_it_is_as_patient_as_prediction_and_its_errors_are_tried_again(world, monkeypatch):
    monkeypatch.setenv("ENDPOINT_NAME", "firnline")
    app.clients.cache_clear()
    app.load_settings.cache_clear()
    _, runtime = app.clients()
    app.clients.cache_clear()
    predictor.cache_clear()
    assert runtime.meta.config.read_timeout == predictor().endpoint._client.meta.config.read_timeout == 65
    predictor.cache_clear()
    assert runtime.meta.config.retries["total_max_attempts"] == 1
    step = definition("deploy_model")["States"]["SmokeTest"]
    retried = {error for retrier in step["Retry"] for error in retrier["ErrorEquals"]}
    modelled = {shape.name for shape in runtime.meta.service_model.operation_model("InvokeEndpoint").error_shapes}
    assert modelled - retried == {"ValidationError"}, "what is no fault of the request may pass"
    assert {"ReadTimeoutError", "ConnectTimeoutError", "EndpointConnectionError"} <= retried


def test_the_handler_reads_the_sample_event(world, monkeypatch):
    monkeypatch.setattr(app, "clients", lambda: (world.bucket, endpoint(GOOD)))
    assert app.handler(SAMPLE, Context())["model_version"] == VERSION
