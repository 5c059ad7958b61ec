"""`firnline train` and `firnline tune` with the real model code, on the parts of the stack that they need."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from samcli.yamlhelper import yaml_parse
from typer.testing import CliRunner

from firnline.documents.echogram import encode_png, to_grey
from firnline.geometry import kinds_of
from firnline.learning import records
from workbench.cli import app
from workbench.connection import Connection, connect
from workbench.local_cloud import client_environment
from workbench.local_cloud.settings import REGION, mxnet_python
from workbench.local_cloud.testing import temporary_stack, wait_for
from workbench.simulator import campaigns, simulate_frame

ROOT = Path(__file__).parents[2]
NEEDED = ("WorkspaceBucket", "WorkspaceBucketPolicy", "FirnlineTable", "TrainingRole")
TOLD = (
    "WorkspaceBucketName",
    "TableName",
    "TrainingRoleArn",
    "TrainingImageUri",
    "TrainingInstanceType",
    "EndpointName",
)
TINY = [
    word
    for pair in ("crop-rows=64", "crop-traces=64", "batch-size=2", "validation-frames=1")
    for word in ("--hyperparameter", pair)
]


def part_of_the_template() -> str:
    """The deployed template, less what trainings do not touch: its bucket, its table, the role of training jobs."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    kept = {name: template["Resources"][name] for name in NEEDED}
    parts = {part: template[part] for part in ("Parameters", "Mappings", "Conditions")} | {"Resources": kept}
    return json.dumps(parts | {"Outputs": {name: template["Outputs"][name] for name in TOLD}})


def record(number: int) -> bytes:
    frame = simulate_frame(campaigns["demo"], 1, number, samples=128)
    grey, rows = to_grey(frame.echogram_db)[:, :96], frame.rows[:, :96]
    drawn = np.isfinite(rows).any(axis=1)
    kinds = kinds_of(frame.labels)
    return records.pack_record(encode_png(grey), rows[drawn], kinds[drawn], frame.complete, number)


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    if not mxnet_python().exists():
        pytest.skip("the MXNet environment is not installed: run `make setup`")
    saved = dict(os.environ)
    with temporary_stack(tmp_path_factory.mktemp("training-commands")) as running:
        formation = running.client("cloudformation")
        formation.create_stack(
            StackName="firnline",
            TemplateBody=part_of_the_template(),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": "MaxEpochs", "ParameterValue": "2"}],
        )
        wait_for(
            lambda: formation.describe_stacks(StackName="firnline")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE", 60
        )
        for name in [name for name in os.environ if name.startswith(("AWS_", "FIRNLINE_"))]:
            del os.environ[name]
        os.environ |= client_environment(running.folder, running.port) | {"AWS_DEFAULT_REGION": REGION}
        try:
            yield connect()
        finally:
            os.environ.clear()
            os.environ.update(saved)


@pytest.fixture(autouse=True)
def only_who_asks_sees_the_stack():
    """This module's stack is its own: the environment names it as long as the module runs."""


def firnline(*arguments: str) -> str:
    """What the command prints; fails if it does."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 1, result.output
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def snapshot(connection: Connection) -> str:
    bucket = connection.workspace
    for name in ("retrain-1", "retrain-2"):
        for split, numbers in (("train", (0, 1)), ("validation", (2,)), ("holdout", (3,))):
            body = b"".join(map(record, numbers))
            bucket.write(f"datasets/{name}/{split}/part-00000.rec", body, "application/octet-stream")
        manifest = {
            "schema": "firnline.dataset/1",
            "snapshot": name,
            "counts": {"train": 2, "validation": 1, "holdout": 1},
        }
        bucket.write(f"datasets/{name}/manifest.json", json.dumps(manifest).encode(), "application/json")
    bucket.write("datasets/unfinished/train/part-00000.rec", b"", "application/octet-stream")
    return name


def test_without_a_snapshot_it_says_what_to_do(connection: Connection):
    assert "no data snapshot to train on yet" in refused("train")


@pytest.fixture(scope="module")
def trained(connection: Connection, snapshot: str) -> str:
    """The name of a job that `firnline train` ran."""
    told = firnline("train", "--seconds", "60", "--pipe", *TINY)
    assert "epoch 2 · train_loss" in told
    [version] = [item.model_version for item in connection.models.versions()]
    assert f"started {version} on snapshot {snapshot}, from scratch" in told
    assert f"firnline rollback {version}" in told
    return version


def test_train_leaves_a_model_of_the_newest_snapshot(connection: Connection, trained: str, snapshot: str):
    item = connection.models.version(trained)
    assert (item.decision, item.snapshot) == ("trained", snapshot)
    assert connection.workspace.uri(f"models/{trained}/output/model.tar.gz") == item.model_data
    job = connection.client("sagemaker").describe_training_job(TrainingJobName=trained)
    assert json.loads(job["HyperParameters"]["max-seconds"]) == 60
    assert {c["ChannelName"] for c in job["InputDataConfig"]} == {"train", "validation", "holdout"}
    assert {c["InputMode"] for c in job["InputDataConfig"]} == {"Pipe"}
    assert {"validation:score", "holdout:mae_px"} <= {metric["MetricName"] for metric in job["FinalMetricDataList"]}


@pytest.mark.slow
def test_tune_goes_on_from_the_champion_and_marks_the_best(connection: Connection, trained: str, snapshot: str):
    connection.models.promote(
        trained,
        None,
        model_name=trained,
        model_data=connection.models.version(trained).model_data,
        endpoint_config=trained,
    )
    told = firnline(
        "tune", "--range", "learning-rate=0.0001:0.01:log", "--jobs", "2", "--parallel", "2", "--snapshot", "retrain-1",
        "--hyperparameter", "epochs=1", *TINY,
    )  # fmt: skip
    assert f"going on from model {trained}" in told
    [row] = [line for line in told.splitlines() if "← best" in line]
    best = row.split()[0]
    [summary] = connection.client("sagemaker").list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    assert summary["TrainingJobStatusCounters"]["Completed"] == 2
    assert best.startswith(summary["HyperParameterTuningJobName"])
    assert connection.models.version(best).snapshot == "retrain-1"
    assert f"models/{best}/output/model.tar.gz" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "--snapshot", "retrain-9"), "There is no data snapshot 'retrain-9'"),
        (("train", "--from-version", "nobody"), "There is no model 'nobody' to start from"),
        (("train", "--from-version", "a", "--from-scratch"), "Choose one of"),
        (("train", "--hyperparameter", "speed=1"), "train.py has no hyperparameter 'speed'. It has: epochs,"),
        (("train", "--hyperparameter", "network=layers"), "use --network"),
        (("train", "--hyperparameter", "epochs"), "should look like name=value"),
        (("tune",), "Say what to tune"),
        (("tune", "--range", "learning-rate=0.1:0.01"), "with low below high"),
        (("tune", "--range", "seed=1:9", "--strategy", "Grid"), "give --choices in place of --range"),
        (("tune", "--range", "seed=1:9", "--strategy", "Bayesian"), "Random and Grid, not Bayesian"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_sentence(connection: Connection, snapshot: str, arguments, told):
    assert told in refused(*arguments)
