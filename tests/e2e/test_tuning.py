"""Hyperparameter tuning in the local cloud, through the SageMaker Python SDK and through boto3."""

import json
import os

import boto3
import pytest
from test_local_cloud import BUCKET, TRAINING_IMAGE, error_of, role, sagemaker_role, tar

from workbench import training_jobs
from workbench.local_cloud import credentials
from workbench.local_cloud.settings import REGION, mxnet_python
from workbench.local_cloud.testing import temporary_stack, wait_for

REGEX = r"validation_error=([0-9.e+-]+);"
# Fits y = 3x by gradient descent in MXNet; how well depends on the learning rate, how long on the seconds per epoch.
TRAIN = """
import argparse, os, time
import mxnet as mx
from mxnet import autograd, gluon
parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--seconds-per-epoch", type=float, default=0)
parser.add_argument("--_tuning_objective_metric")
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
options = parser.parse_args()
print("tuned for", options._tuning_objective_metric, "at", repr(options.learning_rate))
x = mx.nd.arange(-1, 1, 0.25).reshape((-1, 1))
net = gluon.nn.Dense(1, use_bias=False)
net.initialize(mx.init.Zero())
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": options.learning_rate})
for epoch in range(options.epochs):
    with autograd.record():
        loss = gluon.loss.L2Loss()(net(x), 3 * x)
    loss.backward()
    trainer.step(len(x))
    print("validation_error=%.6f;" % abs(float(net.weight.data().asscalar()) - 3), flush=True)
    time.sleep(options.seconds_per_epoch)
net.save_parameters(os.path.join(options.model_dir, "net.params"))
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    if not mxnet_python().exists():
        pytest.skip("the MXNet environment is not installed: run `make setup`")
    with temporary_stack(tmp_path_factory.mktemp("tuning")) as running:
        s3 = running.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="code/sourcedir.tar.gz", Body=tar({"train.py": TRAIN}))
        yield running


@pytest.fixture(scope="module")
def training_role(stack):
    return sagemaker_role(stack)


@pytest.fixture(scope="module")
def sagemaker(stack):
    return stack.client("sagemaker")


def tuning_request(name, role_arn, rates, epochs=4, seconds_per_epoch=0.0, **changes):
    static = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": f"s3://{BUCKET}/code/sourcedir.tar.gz",
        "epochs": epochs,
        "seconds-per-epoch": seconds_per_epoch,
    }
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Grid",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "validation:error"},
            "ResourceLimits": {"MaxParallelTrainingJobs": 1},
            "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "learning-rate", "Values": rates}]},
            **changes,
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": TRAINING_IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "validation:error", "Regex": REGEX}],
            },
            "StaticHyperParameters": {key: json.dumps(value) for key, value in static.items()},
            "RoleArn": role_arn,
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        },
    }


def described(sagemaker, name):
    return sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def ended(sagemaker, name, seconds=120):
    def look():
        job = described(sagemaker, name)
        return job if job["HyperParameterTuningJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_for(look, seconds)


def trainings(sagemaker, name, **params):
    found = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name, **params)
    return found["TrainingJobSummaries"]


@pytest.fixture
def sdk_session(stack, monkeypatch):
    key = credentials(stack.folder)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.endpoint)
    return training_jobs.sdk_session(boto3.Session(key.access_key, key.secret_key, region_name=REGION), BUCKET)


def test_the_sdk_s_tuner_finds_the_best_training(sdk_session, training_role, sagemaker):
    from sagemaker.mxnet import MXNet
    from sagemaker.tuner import ContinuousParameter, HyperparameterTuner

    estimator = MXNet(
        "train.py",
        source_dir=f"s3://{BUCKET}/code/sourcedir.tar.gz",
        role=training_role,
        image_uri=TRAINING_IMAGE,
        instance_count=1,
        instance_type="ml.m5.large",
        hyperparameters={"epochs": 3},
        output_path=f"s3://{BUCKET}/models",
        sagemaker_session=sdk_session,
    )
    tuner = HyperparameterTuner(
        estimator,
        "validation:error",
        {"learning-rate": ContinuousParameter(0.001, 1, "Logarithmic")},
        [{"Name": "validation:error", "Regex": REGEX}],
        strategy="Random",
        objective_type="Minimize",
        max_jobs=2,
        max_parallel_jobs=2,
        random_seed=5,
    )
    tuner.fit(job_name="by-the-sdk", wait=False)

    job = ended(sagemaker, "by-the-sdk")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 2,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 0}
    table = tuner.analytics().dataframe()
    assert table["learning-rate"].between(0.001, 1).all()
    # The error falls as the rate grows: the best training is the one with the highest.
    best = table.loc[table["learning-rate"].idxmax(), "TrainingJobName"]
    assert tuner.best_training_job() == best
    assert table["FinalObjectiveValue"].min() == table.set_index("TrainingJobName")["FinalObjectiveValue"][best]
    assert tuner.best_estimator().model_data == f"s3://{BUCKET}/models/{best}/output/model.tar.gz"

    child = sagemaker.describe_training_job(TrainingJobName=best)
    assert child["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert child["HyperParameters"]["_tuning_objective_metric"] == "validation:error"
    ascending = trainings(sagemaker, "by-the-sdk", SortBy="FinalObjectiveMetricValue")
    assert ascending[0]["TrainingJobName"] == best
    assert ascending[0]["TunedHyperParameters"]["learning-rate"] == child["HyperParameters"]["learning-rate"]
    listed = sagemaker.list_hyper_parameter_tuning_jobs(NameContains="sdk")["HyperParameterTuningJobSummaries"]
    assert [one["Strategy"] for one in listed] == ["Random"]


def test_a_training_that_falls_behind_is_stopped_early(sagemaker, training_role):
    sagemaker.create_hyper_parameter_tuning_job(
        **tuning_request("early", training_role, ["0.9", "0.001"], 8, 0.3, TrainingJobEarlyStoppingType="Auto")
    )
    job = ended(sagemaker, "early")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    good, bad = trainings(sagemaker, "early", SortBy="CreationTime")
    assert (good["TrainingJobStatus"], bad["TrainingJobStatus"]) == ("Completed", "Stopped")
    assert bad["ObjectiveStatus"] == "Succeeded"
    assert bad["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] > 2.9
    assert job["BestTrainingJob"]["TrainingJobName"] == good["TrainingJobName"]
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1


def test_a_killed_cloud_goes_on_with_a_tuning_job_and_a_running_one_can_be_stopped(stack, sagemaker, training_role):
    sagemaker.create_hyper_parameter_tuning_job(
        **tuning_request("killed", training_role, ["0.5", "0.9"], epochs=1000, seconds_per_epoch=0.2)
    )
    in_use = error_of(sagemaker.create_hyper_parameter_tuning_job, **tuning_request("killed", training_role, ["0.5"]))
    assert in_use["Code"] == "ResourceInUse"

    def training_now():
        return [
            one["TrainingJobName"]
            for one in trainings(sagemaker, "killed", StatusEquals="InProgress")
            if sagemaker.describe_training_job(TrainingJobName=one["TrainingJobName"])["SecondaryStatus"] == "Training"
        ]

    [first] = wait_for(training_now, 30)
    stack.kill()
    stack.start()
    [second] = wait_for(training_now, 30)
    assert second != first
    job = described(sagemaker, "killed")
    assert job["HyperParameterTuningJobStatus"] == "InProgress"
    assert job["TrainingJobStatusCounters"]["RetryableError"] == 1
    interrupted, again = (sagemaker.describe_training_job(TrainingJobName=name) for name in (first, second))
    assert "Start the job again" in interrupted["FailureReason"]
    assert again["HyperParameters"] == interrupted["HyperParameters"]

    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="killed")
    job = ended(sagemaker, "killed", 60)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert [one["TrainingJobStatus"] for one in trainings(sagemaker, "killed", SortBy="CreationTime")] == [
        "Failed",
        "Stopped",
    ]
    refused = error_of(sagemaker.stop_hyper_parameter_tuning_job, HyperParameterTuningJobName="killed")
    assert "is in status Stopped" in refused["Message"]


def test_a_tuning_job_of_which_nothing_succeeds_fails_with_a_sentence(sagemaker, stack):
    not_ours = role(stack, "lambda-role", "lambda.amazonaws.com")
    rates = [str(number) for number in range(9)]
    sagemaker.create_hyper_parameter_tuning_job(**tuning_request("hopeless", not_ours, rates))
    job = ended(sagemaker, "hopeless")
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "No training job succeeded after 5 attempts" in job["FailureReason"]
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] == 5
    assert "BestTrainingJob" not in job


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"Strategy": "Bayesian"}, "runs the strategies Random and Grid, not Bayesian"),
        ({"Strategy": "Random"}, "MaxNumberOfTrainingJobs is missing"),
        ({"Strategy": "Guessing"}, "enum value set"),
        ({"ResourceLimits": {"MaxParallelTrainingJobs": 1, "MaxNumberOfTrainingJobs": 5}}, "The grid has 1 comb"),
        ({"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"}}, "not among the MetricDef"),
        ({"ParameterRanges": {"CategoricalParameterRanges": [{"Name": "epochs", "Values": ["1"]}]}}, "both a static"),
        ({"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.9}}, "by its ResourceLimits only"),
    ],
)
def test_a_tuning_job_that_cannot_be_run_is_refused(sagemaker, training_role, changes, told):
    request = tuning_request("refused", training_role, ["0.5"], **changes)
    error = error_of(sagemaker.create_hyper_parameter_tuning_job, **request)
    assert error["Code"] == "ValidationException"
    assert told in error["Message"]
    assert error_of(sagemaker.describe_hyper_parameter_tuning_job, HyperParameterTuningJobName="refused")["Code"] == (
        "ResourceNotFound"
    )
