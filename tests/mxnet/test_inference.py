"""What a request is answered, and that in a batch transform a frame on which the model fails is answered too."""

import json

import inference
import pytest
from echogram_input import EchogramError


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
