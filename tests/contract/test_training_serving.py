"""What training wrote is what serves, and what serves answers is what predict, the smoke test and the judge take.

The model in the box stands for any training's: it was written by the same code, as the same archive. A training and its
artefact from end to end are in `tests/mxnet/test_train_and_serve.py`.
"""

import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from firnline import archives
from firnline.documents.answer import checked_answer
from firnline.documents.echogram import encode_png
from firnline.documents.layers import ImageSize, LayersDocument
from firnline.errors import Refused
from firnline.learning.judgement import HoldoutFrame, judge
from layer_model.code_files import FOLDER
from layer_model.hyperparameters import BY_NAME
from predict_layers.endpoint import Endpoint
from smoke_test.smoke import SmokeTestRequest, smoke_test
from tests.support.functions import HEIGHT, WIDTH, echoes
from tests.support.review_world import World
from tests.support.statemachine_world import definition

ROOT = Path(__file__).parents[2]
FIRST_MODEL = Path(FOLDER) / "first_model" / "model.tar.gz"
IMAGE = ImageSize(width=WIDTH, height=HEIGHT)
SERVE = """
import json, sys
import inference

class Context:
    status = 200
    def set_response_status(self, code=200, phrase=""):
        self.status = code

model, answers = inference.model_fn(sys.argv[1]), []
for path in sys.argv[2:]:
    context = Context()
    with open(path, "rb") as stream:
        body, content_type = inference.transform_fn(model, stream.read(), "image/png", "application/json", context)
    answers.append({"status": context.status, "body": body, "content_type": content_type})
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Answers to an echogram and to bytes that are none, from the archive's own code in MXNet's environment."""
    folder = tmp_path_factory.mktemp("served")
    archives.unpack(str(FIRST_MODEL), str(folder / "model"))
    (folder / "echogram.png").write_bytes(encode_png(echoes()))
    (folder / "none.png").write_bytes(b"GIF89a")
    done = subprocess.run(
        [ROOT / ".venv" / "mxnet" / "bin" / "python", "-c", SERVE, folder / "model", folder / "echogram.png", folder / "none.png"],
        env=os.environ | {"PYTHONPATH": str(folder / "model" / "code"), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def body(answer: dict[str, Any]) -> StreamingBody:
    content = answer["body"].encode()
    return StreamingBody(io.BytesIO(content), len(content))


def test_predict_takes_the_answer_and_fills_the_frames_name_in(served: list[dict[str, Any]]) -> None:
    client = boto3.client("sagemaker-runtime", region_name="us-east-1")
    with Stubber(client) as stub:
        stub.add_response("invoke_endpoint", {"Body": body(served[0]), "ContentType": served[0]["content_type"]})
        document = Endpoint(client, "firnline").layers(echoes(), "c/s/f")
    assert (document.frame_id, document.source.model_version) == ("c/s/f", "first")
    assert document.layers
    assert document.confidence is not None


def test_predict_tells_the_models_refusal_in_the_models_sentence(served: list[dict[str, Any]]) -> None:
    refused = served[1]
    client = boto3.client("sagemaker-runtime", region_name="us-east-1")
    with Stubber(client) as stub:
        fields = {"OriginalStatusCode": refused["status"], "OriginalMessage": refused["body"]}
        stub.add_client_error("invoke_endpoint", "ModelError", "", 424, response_meta=None, modeled_fields=fields)
        with pytest.raises(Refused) as told:
            Endpoint(client, "firnline").layers(echoes(), "c/s/f")
    sentence = json.loads(refused["body"])["error"]
    assert str(told.value) == f"The network cannot read this echogram: {sentence}"


def test_the_smoke_test_passes_on_the_answer(served: list[dict[str, Any]], world: World) -> None:
    world.bucket.write("frames/c/s/f/r/echogram.png", encode_png(echoes()), "image/png")
    client = boto3.client("sagemaker-runtime")
    with Stubber(client) as stub:
        stub.add_response("invoke_endpoint", {"Body": body(served[0])})
        passed = smoke_test(SmokeTestRequest(endpoint_name="e", model_version="first"), world.bucket, client)
    assert passed["model_version"] == "first"


def test_the_judge_reads_the_answer_as_batch_transform_stores_it(served: list[dict[str, Any]]) -> None:
    answer = served[0]["body"].encode()
    document = checked_answer(answer, IMAGE, "first")
    truth = LayersDocument.model_validate(
        document.model_dump() | {"source": document.source.model_dump() | {"kind": "human"}}
    ).to_json()
    verdict = judge(iter([HoldoutFrame(0, truth, answer, answer)]), "first", "first", 0.01, 0.1)
    assert verdict.candidate["primary"] == 1.0
    assert verdict.candidate == verdict.champion


def test_retrain_sends_hyperparameters_that_training_knows_with_values_that_it_takes() -> None:
    sent = definition("retrain")["States"]["Train"]["Arguments"]["HyperParameters"]
    own = {name: value for name, value in sent.items() if not name.startswith("sagemaker_")}
    assert set(own) <= set(BY_NAME)
    for name in ("epochs", "max-seconds"):
        number = own[name].split("'")[1]
        assert BY_NAME[name].problem_with(number) is None
