"""Serves the model inside SageMaker: image/png in, layers document out; for `sagemaker_mxnet_serving_container`."""

import datetime
import json
import os
import traceback

import artefact
import calibration
import tracker
from echogram_input import EchogramError, decode_png

CONTENT_TYPES = ("image/png", "application/x-image")


class Model:
    """A loaded artefact. `predict(grey)` gives the layers document of an echogram (rows, traces) uint8."""

    def __init__(self, folder):
        self.card, self.forward = artefact.load_for_serving(folder)
        self.ridge = self.card["calibration"].get("ridge", calibration.UNCALIBRATED["ridge"])

    def predict(self, grey):
        tracked = tracker.track(self.forward, grey, self.card["channels"], self.card["trace_stride"], self.ridge)
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        source = {"kind": "model", "model_version": self.card["model_version"], "created": now}
        return tracker.layers_document(tracked, grey.shape, self.card["calibration"], source)


def model_fn(model_dir):
    """The `Model` in SageMaker's model folder."""
    return Model(model_dir)


def in_batch_transform():
    """Whether this is a batch transform, whose job SageMaker fails if one object fails: it sets SAGEMAKER_BATCH."""
    return os.environ.get("SAGEMAKER_BATCH", "").lower() == "true"


def transform_fn(model, data, content_type, accept, context):
    """A request's answer. What the sender can mend is answered with a sentence and a 4xx status, not with a trace.

    In a batch transform every failure is an answer, `{"error": sentence}`, so that one frame does not fail the job; whoever
    judges the model counts it.
    """
    if in_batch_transform():
        try:
            document = model.predict(decode_png(data))
        except Exception as error:  # of whatever kind: it is this model's on this frame
            traceback.print_exc()
            document = {"error": "{}: {}".format(type(error).__name__, error)}
        return json.dumps(document), "application/json"
    try:
        if content_type not in CONTENT_TYPES:
            raise EchogramError("The endpoint takes image/png, not {}.".format(content_type), 415)
        document = model.predict(decode_png(data))
    except EchogramError as error:
        context.set_response_status(code=error.status, phrase="Bad echogram")
        return json.dumps({"error": str(error)}), "application/json"
    return json.dumps(document), "application/json"
