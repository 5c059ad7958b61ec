"""Training under AWS's training toolkit, serving under AWS's serving handler, on the artefact that training wrote."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import code_files
import numpy as np
import pytest
from conftest import ROOT, draw_frame, png_of, write_channel

from firnline.learning import model_code

SERVE = """
import json, sys
from sagemaker_mxnet_serving_container.handler_service import HandlerService

class Request:
    def get_request_properties(self):
        return {"Content-Type": sys.argv[3], "Accept": "application/json"}

class Context:
    system_properties = {"model_dir": sys.argv[1]}
    request_processor = [Request()]
    status = 200
    def set_response_status(self, code=200, phrase="", idx=0):
        self.status = code
    def set_response_content_type(self, idx, value):
        self.content_type = value

service, context = HandlerService(), Context()
service.initialize(context)
answer = service.handle([{"body": open(sys.argv[2], "rb").read()}], context)
print(json.dumps({"status": context.status, "body": answer[0]}))
"""


def run_job(base, hyperparameters, channels):
    """Run `train` as SageMaker's container does, in the folder `base`."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    source = base / "sourcedir.tar.gz"
    source.write_bytes(model_code.pack(code_files.training_files())[1])
    hyperparameters = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": str(source),
        "sagemaker_region": "us-east-1",
        **hyperparameters,
    }
    (config / "hyperparameters.json").write_text(json.dumps({k: json.dumps(v) for k, v in hyperparameters.items()}))
    (config / "resourceconfig.json").write_text(
        json.dumps({"current_host": "localhost", "hosts": ["localhost"], "network_interface_name": "lo"})
    )
    (config / "inputdataconfig.json").write_text(
        json.dumps(
            {
                name: {
                    "TrainingInputMode": "File",
                    "S3DistributionType": "FullyReplicated",
                    "RecordWrapperType": "None",
                }
                for name in channels
            }
        )
    )
    environment = dict(
        os.environ,
        SAGEMAKER_BASE_DIR=str(base),
        TRAINING_JOB_NAME="firnline-1-1-abc",
        OMP_NUM_THREADS="1",
        SAGEMAKER_TRAINING_MODULE="sagemaker_mxnet_container.training:main",
    )
    environment["PATH"] = str(Path(sys.executable).parent) + os.pathsep + environment["PATH"]
    return subprocess.run(
        [str(Path(sys.executable).parent / "train")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def serve(model_dir, body, content_type="image/png"):
    environment = dict(os.environ, PYTHONPATH=str(model_dir / "code"))
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(model_dir), str(body), content_type],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    base = tmp_path_factory.mktemp("job")
    data = base / "input" / "data"
    write_channel(data / "train", range(12))
    write_channel(data / "validation", range(100, 103))
    (data / "holdout").mkdir()
    done = run_job(
        base,
        {
            "epochs": 8,
            "max-seconds": 0,
            "crop-rows": 96,
            "crop-traces": 160,
            "batch-size": 2,
            "learning-rate": 0.01,
            "snapshot": "s1",
        },
        ["train", "validation", "holdout"],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return base, done.stdout


def test_the_job_reports_metrics_and_writes_the_artefact(job):
    base, stdout = job
    assert "epoch=1 train_loss=" in stdout
    assert "validation_f1_2px=" in stdout
    card = json.loads((base / "model" / "model_card.json").read_text())
    assert card["model_version"] == "firnline-1-1-abc"
    assert card["snapshot"] == "s1"
    assert card["scores"]["validation"]["frames"] == 3
    assert card["scores"]["holdout"] is None
    assert (base / "output" / "success").exists()


def test_retraining_reads_the_metrics_that_the_job_reports(job):
    machine = (ROOT / "statemachines" / "retrain.asl.yaml").read_text()
    definitions = dict(re.findall(r'Name: "(\S+)", Regex: "([^"]+)"', machine))
    read = {name: re.findall(regex, job[1]) for name, regex in definitions.items()}
    assert {name for name, values in read.items() if values} == {
        name for name in definitions if name.startswith("validation:")
    }
    assert float(read["validation:score"][-1]) == max(map(float, read["validation:score"]))


def test_the_endpoint_answers_with_layers_where_they_are(job, tmp_path):
    base, _ = job
    grey, rows, _ = draw_frame(500)
    (tmp_path / "frame.png").write_bytes(png_of(grey))
    answer = serve(base / "model", tmp_path / "frame.png")
    document = json.loads(answer["body"])
    assert answer["status"] == 200
    assert document["schema"] == "firnline.layers/1"
    assert document["image"] == {"width": 160, "height": 96}
    assert document["source"]["model_version"] == "firnline-1-1-abc"
    found = [np.mean([v["y"] for v in layer["vertices"]]) for layer in document["layers"]]
    assert found == sorted(found)
    assert sum(any(abs(row.mean() - y) < 3 for y in found) for row in rows) >= 4


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"GIF89a", "image/png", 400),
        (png_of(np.zeros((8, 8, 3), np.uint8)), "image/png", 400),
        (b"{}", "application/json", 415),
    ],
)
def test_a_bad_request_gets_a_sentence(job, tmp_path, body, content_type, status):
    (tmp_path / "body").write_bytes(body)
    answer = serve(job[0] / "model", tmp_path / "body", content_type)
    assert answer["status"] == status
    assert "Traceback" not in answer["body"]
    assert json.loads(answer["body"])["error"].endswith(".")


def test_a_second_job_starts_from_the_first_ones_model_and_carries_its_rehearsal_on(job, tmp_path):
    data = tmp_path / "input" / "data"
    write_channel(data / "train", range(20, 24), complete=False)
    (data / "model").mkdir()
    with tarfile.open(data / "model" / "model.tar.gz", "w:gz") as archive:
        archive.add(job[0] / "model", arcname=".")
        archive.add(data / "train" / "part-00000.rec", arcname="./rehearsal.rec")
    done = run_job(
        tmp_path,
        {"epochs": 1, "crop-rows": 96, "crop-traces": 160, "batch-size": 2, "learning-rate": 0.0005},
        ["train", "model"],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    card = json.loads((tmp_path / "model" / "model_card.json").read_text())
    assert card["started_from"] == "firnline-1-1-abc"
    assert card["scores"] == {"validation": None, "holdout": None}
    assert (tmp_path / "model" / "rehearsal.rec").read_bytes() == (data / "train" / "part-00000.rec").read_bytes()
