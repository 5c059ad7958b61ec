"""What the endpoint answers, whatever version of AWS's toolkit asks; in a batch transform failures are answers too."""

import json

import calibration
import inference
import numpy as np
import pytest
import tracker
from conftest import draw_frame, png_of
from echogram_input import EchogramError
from inference import transform_fn
from sagemaker_inference.transformer import Transformer


class Answers:
    """A model that finds nothing."""

    def predict(self, grey):
        return tracker.layers_document([], grey.shape, calibration.UNCALIBRATED, {"kind": "model"})


class Context:
    """Of an MMS request."""

    def __init__(self, content_type):
        self.status, self.content_type = 200, None
        self.system_properties = {"model_dir": "none"}
        self.request_processor = [self]
        self._properties = {"Content-Type": content_type, "Accept": "application/json"}

    def get_request_properties(self):
        return self._properties

    def set_response_status(self, code=200, phrase="", idx=0):
        self.status = code

    def set_response_content_type(self, idx, value):
        self.content_type = value


class Toolkit(Transformer):
    """AWS's, with our model; `contextless` calls functions as it did before 1.7."""

    def __init__(self, contextless):
        super().__init__()
        self._initialized, self._model, self._transform_fn = True, Answers(), transform_fn
        self._contextless = contextless

    def transform(self, data, context):
        self._context = context
        return super().transform(data, context)

    def _run_handler_function(self, function, *arguments):
        return function(*arguments) if self._contextless else super()._run_handler_function(function, *arguments)


BAD = [
    (b"GIF89a", "image/png", 400, "not a PNG"),
    (png_of(np.zeros((8, 8, 3), np.uint8)), "image/png", 400, "8-bit grey"),
    (b"{}", "text/html", 415, "takes image/png"),
]


@pytest.mark.parametrize("contextless", [False, True])
def test_an_echogram_is_answered_with_its_layers(contextless):
    grey, _, _ = draw_frame(3)
    context = Context("image/png")
    [body] = Toolkit(contextless).transform([{"body": png_of(grey)}], context)
    assert (context.status, context.content_type) == (200, "application/json")
    assert json.loads(body)["image"] == {"width": 160, "height": 96}


@pytest.mark.parametrize("contextless", [False, True])
@pytest.mark.parametrize(("body", "content_type", "status", "said"), BAD)
def test_what_the_sender_can_mend_has_its_status_and_a_sentence(contextless, body, content_type, status, said):
    context = Context(content_type)
    [answer] = Toolkit(contextless).transform([{"body": body}], context)
    assert context.status == status
    first = json.loads(answer.splitlines()[0])
    assert said in first["error"]
    assert contextless or "Traceback" not in answer


class Model:
    """Finds nothing, or raises what it was given."""

    def __init__(self, error=None):
        self.error = error

    def predict(self, grey):
        if self.error:
            raise self.error
        return {"layers": []}


@pytest.mark.parametrize("error", [MemoryError("2 GB"), EchogramError("too wide"), ValueError("nan")])
def test_in_a_batch_transform_every_failure_is_an_answer(monkeypatch, error):
    monkeypatch.setenv("SAGEMAKER_BATCH", "true")
    monkeypatch.setattr(inference, "decode_png", lambda data: data)
    body, content_type = inference.transform_fn(Model(error), b"png", "image/png", "application/json", None)
    assert content_type == "application/json"
    assert json.loads(body) == {"error": f"{type(error).__name__}: {error}"}


def test_a_picture_that_cannot_be_read_is_one_too(monkeypatch):
    monkeypatch.setenv("SAGEMAKER_BATCH", "true")
    body, _ = inference.transform_fn(Model(), b"no png", "image/png", "application/json", None)
    assert json.loads(body)["error"].startswith("EchogramError: ")


def test_an_endpoints_failure_stays_one(monkeypatch):
    monkeypatch.delenv("SAGEMAKER_BATCH", raising=False)
    monkeypatch.setattr(inference, "decode_png", lambda data: data)
    with pytest.raises(MemoryError):
        inference.transform_fn(Model(MemoryError("2 GB")), b"png", "image/png", "application/json", None)
