"""Serves the model inside SageMaker: image/png in, layers document out; for `sagemaker_mxnet_serving_container`."""

from __future__ import annotations

import datetime
import json
import os
import traceback
from typing import Any, Dict, Optional, Tuple

import artefact
import calibration
import numpy as np
import tracker
from echogram_input import EchogramError, decode_png

CONTENT_TYPES = ("image/png", "application/x-image")
JSON = "application/json"
_PHRASE = "Bad echogram"


class Model:
    """A loaded artefact."""

    def __init__(self, folder: str) -> None:
        self.card, self.forward = artefact.load_for_serving(folder)
        self.ridge: float = self.card["calibration"].get("ridge", calibration.UNCALIBRATED["ridge"])

    def predict(self, grey: np.ndarray) -> Dict[str, Any]:
        """The layers document of an echogram (rows, traces) uint8."""
        tracked = tracker.track(self.forward, grey, self.card["channels"], self.card["trace_stride"], self.ridge)
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        source = {"kind": "model", "model_version": self.card["model_version"], "created": now}
        return tracker.layers_document(tracked, grey.shape, self.card["calibration"], source)


def model_fn(model_dir: str) -> Model:
    """The `Model` in SageMaker's model folder."""
    return Model(model_dir)


def in_batch_transform() -> bool:
    """Whether this is a batch transform, whose job SageMaker fails if one object fails: it sets SAGEMAKER_BATCH."""
    return os.environ.get("SAGEMAKER_BATCH", "").lower() == "true"


def transform_fn(
    model: Model, data: bytes, content_type: str, accept: str, context: Optional[Any] = None
) -> Tuple[str, str]:
    """A request's answer. What the sender can mend is answered with a sentence and a 4xx status.

    In a batch transform every failure is an answer, `{"error": sentence}`, so that one frame does not fail the job; whoever
    judges the model counts it.

    sagemaker-inference gives a context since 1.7. Before, an error is all that can carry a status: then the sentence comes
    with what the toolkit adds to it, from 1.5 on a trace.
    """
    if in_batch_transform():
        try:
            document = model.predict(decode_png(data))
        except Exception as error:  # of whatever kind: it is this model's on this frame
            traceback.print_exc()
            document = {"error": f"{type(error).__name__}: {error}"}
        return json.dumps(document), JSON
    try:
        if content_type not in CONTENT_TYPES:
            raise EchogramError(f"The endpoint takes image/png, not {content_type}.", 415)
        document = model.predict(decode_png(data))
    except EchogramError as error:
        answer = json.dumps({"error": str(error)})
        if context is None:
            raise _with_status(error.status, answer) from None
        context.set_response_status(code=error.status, phrase=_PHRASE)
        return answer, JSON
    return json.dumps(document), JSON


def _with_status(status: int, answer: str) -> Exception:
    from sagemaker_inference.errors import GenericInferenceToolkitError  # serving's alone: other images lack it

    error: Exception = GenericInferenceToolkitError(status, answer, _PHRASE)
    return error
