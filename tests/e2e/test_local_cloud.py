"""The local cloud's SageMaker, A2I and IAM, through boto3 against a stack of its own."""

import io
import json
import os
import signal
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from workbench.local_cloud.identity import Credentials
from workbench.local_cloud.settings import mxnet_python
from workbench.local_cloud.testing import temporary_stack, wait_for

TRAINING_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-training:1.9.0-cpu-py38"
INFERENCE_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-inference:1.9.0-cpu-py38"
BUCKET = "radar-lab"
WORKTEAM = "arn:aws:sagemaker:us-east-1:000000000000:workteam/private-crowd/glaciologists"
TRAIN = """
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
arguments = parser.parse_args()
channel = os.environ["SM_CHANNEL_TRAIN"]
for epoch in range(arguments.epochs):
    if os.path.isdir(channel):
        data = b"".join(open(os.path.join(channel, n), "rb").read() for n in sorted(os.listdir(channel)))
    else:
        data = open(channel + "_" + str(epoch), "rb").read()
    assert data == b"firstsecond", data
    print("epoch=%d; f1_2px=%.2f;" % (epoch, 0.5 + epoch / 10), flush=True)
open(os.path.join(arguments.model_dir, "weights.txt"), "w").write("trained on %d bytes" % len(data))
"""
INFERENCE = """
import os
def model_fn(model_dir):
    return open(os.path.join(model_dir, "answer.txt")).read()
def transform_fn(model, body, content_type, accept):
    if body == b"poison":
        raise ValueError("this frame has no traces")
    return model + " " + content_type + " %d bytes" % len(body), "application/json"
"""


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return buffer.getvalue()


def role(stack, name, service, *statements):
    iam = stack.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"},
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"},
        ],
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": resources} for actions, resources in statements
        ],
    }
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    return arn


def sagemaker_role(stack):
    """The role of jobs and models whose data lie in `BUCKET`."""
    return role(
        stack,
        "sagemaker-role",
        "sagemaker.amazonaws.com",
        (["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/*"),
        (["s3:ListBucket"], f"arn:aws:s3:::{BUCKET}"),
        (["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "*"),
    )


def session_of(stack, role_arn):
    made = stack.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def error_of(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    if not mxnet_python().exists():
        pytest.skip("the MXNet environment is not installed: run `make setup`")
    with temporary_stack(tmp_path_factory.mktemp("local-cloud")) as running:
        s3 = running.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        # As the template's buckets have it: requests without TLS are refused.
        s3.put_bucket_policy(
            Bucket=BUCKET,
            Policy=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Condition": {"Bool": {"aws:SecureTransport": False}},
                            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
                        }
                    ],
                }
            ),
        )
        for key, body in {
            "data/train/a.rec": b"first",
            "data/train/b.rec": b"second",
            "code/sourcedir.tar.gz": tar({"train.py": TRAIN}),
            "models/blue.tar.gz": tar({"code/inference.py": INFERENCE, "answer.txt": "blue"}),
            "models/green.tar.gz": tar({"code/inference.py": INFERENCE, "answer.txt": "green"}),
            "models/broken.tar.gz": tar({"code/inference.py": INFERENCE}),
        }.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        yield running


@pytest.fixture(scope="module")
def model_role(stack):
    return sagemaker_role(stack)


@pytest.fixture(scope="module")
def sagemaker(stack):
    return stack.client("sagemaker")


def training_request(name, role_arn, mode="File", **changes):
    hyperparameters = {
        "sagemaker_program": "train.py",
        "epochs": 2,
        "sagemaker_submit_directory": f"s3://{BUCKET}/code/sourcedir.tar.gz",
    }
    return {
        "TrainingJobName": name,
        "RoleArn": role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": TRAINING_IMAGE,
            "TrainingInputMode": mode,
            "MetricDefinitions": [{"Name": "f1_2px", "Regex": r"f1_2px=([0-9.]+);"}],
        },
        "HyperParameters": {name: json.dumps(value) for name, value in hyperparameters.items()},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/train/"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        **changes,
    }


def ended_job(sagemaker, name, seconds=90):
    return wait_for(
        lambda: (
            (job := sagemaker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"]
            in ("Completed", "Failed", "Stopped")
            and job
        ),
        seconds,
    )


def test_a_request_that_aws_would_refuse_is_refused(sagemaker, model_role):
    good = training_request("refused", model_role)
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
    assert (
        error_of(sagemaker.create_training_job, **{**good, "ResourceConfig": {**resources, "InstanceType": "big"}})[
            "Code"
        ]
        == "ValidationException"
    )
    assert "pattern" in error_of(sagemaker.create_training_job, **{**good, "TrainingJobName": "under_score"})["Message"]
    other_image = {**good["AlgorithmSpecification"], "TrainingImage": "1.dkr.ecr.us-east-1.amazonaws.com/pytorch:2"}
    assert (
        "mxnet-training"
        in error_of(sagemaker.create_training_job, **{**good, "AlgorithmSpecification": other_image})["Message"]
    )
    assert error_of(sagemaker.describe_training_job, TrainingJobName="refused")["Message"] == (
        "Requested resource not found."
    )


def test_an_unknown_member_is_refused(stack):
    raw = stack.client("sagemaker")
    raw.meta.events.register(
        "before-call.sagemaker.DescribeModel",
        lambda params, **_: params.update(body=json.dumps({"ModelName": "a", "Colour": "blue"}).encode()),
    )
    assert 'Unknown parameter in input: "Colour"' in error_of(raw.describe_model, ModelName="a")["Message"]


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_a_training_job_runs_the_toolkit_and_leaves_its_model(stack, sagemaker, model_role, mode):
    name = f"train-{mode.lower()}"
    sagemaker.create_training_job(**training_request(name, model_role, mode))
    assert error_of(sagemaker.create_training_job, **training_request(name, model_role))["Code"] == "ResourceInUse"
    job = ended_job(sagemaker, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [(m["MetricName"], round(m["Value"], 2)) for m in job["FinalMetricDataList"]] == [("f1_2px", 0.6)]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/models/{name}/output/model.tar.gz"
    packed = stack.client("s3").get_object(Bucket=BUCKET, Key=f"models/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.extractfile("weights.txt").read() == b"trained on 11 bytes"
    streams = stack.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=name
    )["logStreams"]
    assert streams


def test_a_training_job_whose_role_may_not_read_fails_with_the_reason(stack, sagemaker):
    blind = role(stack, "blind-role", "sagemaker.amazonaws.com")
    sagemaker.create_training_job(**training_request("blind", blind))
    job = ended_job(sagemaker, "blind")
    assert job["TrainingJobStatus"] == "Failed"
    assert "not authorized" in job["FailureReason"] or "AccessDenied" in job["FailureReason"]


def make_config(sagemaker, name, archive, role_arn):
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=role_arn,
        PrimaryContainer={"Image": INFERENCE_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/{archive}.tar.gz"},
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        ],
    )


def settled(sagemaker, name):
    return wait_for(
        lambda: (
            (e := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] in ("InService", "Failed") and e
        ),
        60,
    )


def test_an_endpoint_serves_is_updated_and_rolls_back(stack, sagemaker, model_role):
    for name in ("blue", "green", "broken"):
        make_config(sagemaker, name, name, model_role)
    assert (
        "already existing"
        in error_of(
            sagemaker.create_model,
            ModelName="blue",
            ExecutionRoleArn=model_role,
            PrimaryContainer={"Image": INFERENCE_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/blue.tar.gz"},
        )["Message"]
    )
    sagemaker.create_endpoint(EndpointName="layers", EndpointConfigName="blue")
    assert settled(sagemaker, "layers")["EndpointStatus"] == "InService"
    runtime = stack.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName="layers", Body=b"12345", ContentType="image/png")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"blue image/png 5 bytes", "application/json")
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    failed = error_of(runtime.invoke_endpoint, EndpointName="layers", Body=b"poison", ContentType="image/png")
    assert failed["Code"] == "ModelError"
    assert "no traces" in failed["Message"]
    assert error_of(runtime.invoke_endpoint, EndpointName="layers", Body=bytes(6_291_457))["Code"] == "ValidationError"

    sagemaker.update_endpoint(EndpointName="layers", EndpointConfigName="broken")
    rolled_back = settled(sagemaker, "layers")
    assert (rolled_back["EndpointStatus"], rolled_back["EndpointConfigName"]) == ("InService", "blue")
    assert "answer.txt" in rolled_back["FailureReason"]
    sagemaker.update_endpoint(EndpointName="layers", EndpointConfigName="green")
    assert settled(sagemaker, "layers")["EndpointConfigName"] == "green"
    assert runtime.invoke_endpoint(EndpointName="layers", Body=b"1")["Body"].read().startswith(b"green")


def transformed(stack, sagemaker, model_role, name, bodies, environment=None, output=None, **request):
    """A transform job over these bodies, once it has ended."""
    for number, body in enumerate(bodies):
        stack.client("s3").put_object(Bucket=BUCKET, Key=f"holdout/{name}/{number}.png", Body=body)
    container = {"Image": INFERENCE_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/blue.tar.gz"}
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=model_role, PrimaryContainer=container | {"Environment": environment or {}}
    )
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/holdout/{name}/"}}
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=name,
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        TransformInput={"ContentType": "image/png", "DataSource": source},
        TransformOutput={"S3OutputPath": output or f"s3://{BUCKET}/judged/{name}"},
        **request,
    )
    return wait_for(
        lambda: (
            (j := sagemaker.describe_transform_job(TransformJobName=name))["TransformJobStatus"] != "InProgress" and j
        ),
        60,
    )


def test_batch_transform_answers_each_object(stack, sagemaker, model_role):
    job = transformed(stack, sagemaker, model_role, "judge", [b"x", b"xx"])
    assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
    answer = stack.client("s3").get_object(Bucket=BUCKET, Key="judged/judge/1.png.out")["Body"].read()
    assert answer == b"blue image/png 2 bytes"


def test_batch_transform_takes_a_large_picture_where_job_and_model_server_allow_it(stack, sagemaker, model_role):
    large, allowed = [bytes(7_000_000)], {"MMS_MAX_REQUEST_SIZE": "20971520"}
    jobs = {
        name: transformed(stack, sagemaker, model_role, name, large, environment, **payload)
        for name, environment, payload in (
            ("judge-small-job", allowed, {}),
            ("judge-small-server", {}, {"MaxPayloadInMB": 20}),
            ("judge-large", allowed, {"MaxPayloadInMB": 20}),
        )
    }
    for name, told in (("judge-small-job", "payload limit"), ("judge-small-server", "MMS_MAX_REQUEST_SIZE")):
        assert jobs[name]["FailureReason"] == "ClientError: See job logs for more information"
        assert told in job_log(stack, "/aws/sagemaker/TransformJobs", name)
    assert jobs["judge-large"]["TransformJobStatus"] == "Completed", jobs["judge-large"].get("FailureReason")


def job_log(stack, group, prefix):
    """What the log streams of a group tell whose names begin with `prefix`."""
    logs = stack.client("logs")
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    assert streams
    events = [
        event
        for stream in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    ]
    return "\n".join(event["message"] for event in events)


def test_one_object_that_fails_fails_the_transform_and_leaves_the_others_answers(stack, sagemaker, model_role):
    job = transformed(stack, sagemaker, model_role, "judge-poison", [b"x", b"poison", b"xxx"])
    told = (job["TransformJobStatus"], job["FailureReason"])
    assert told == ("Failed", "AlgorithmError: See job logs for more information")
    found = stack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="judged/judge-poison/")["Contents"]
    assert [one["Key"].rpartition("/")[2] for one in found] == ["0.png.out", "2.png.out"]
    log = job_log(stack, "/aws/sagemaker/TransformJobs", "judge-poison/")
    assert f"{BUCKET}/holdout/judge-poison/1.png: Bad HTTP status received from algorithm: 500" in log
    assert "no traces" in log


def test_a_slash_at_the_end_of_an_output_path_makes_two(stack, sagemaker, model_role):
    output = f"s3://{BUCKET}/judged/slash/"
    assert transformed(stack, sagemaker, model_role, "judge-slash", [b"x"], output=output)["TransformJobStatus"] == (
        "Completed"
    )
    assert stack.client("s3").get_object(Bucket=BUCKET, Key="judged/slash//0.png.out")["Body"].read(4) == b"blue"


ENDLESS = """
import os, signal, sys, time
def heard(number, frame):
    print("the script heard it", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, heard)
for place in (os.environ["SM_MODEL_DIR"], os.environ["SM_OUTPUT_DATA_DIR"]):
    open(os.path.join(place, "so_far.txt"), "w").write("best so far")
for second in range(600):
    print("second %d" % second, flush=True)
    time.sleep(1)
"""


@pytest.mark.parametrize("end", ["stopped", "timed-out"])
def test_a_training_that_is_to_end_hears_nothing_and_leaves_its_files(stack, sagemaker, model_role, end):
    name = f"endless-{end}"
    stack.client("s3").put_object(Bucket=BUCKET, Key="code/endless.tar.gz", Body=tar({"train.py": ENDLESS}))
    request = training_request(name, model_role)
    request["HyperParameters"]["sagemaker_submit_directory"] = json.dumps(f"s3://{BUCKET}/code/endless.tar.gz")
    if end == "timed-out":
        request["StoppingCondition"] = {"MaxRuntimeInSeconds": 8}
    sagemaker.create_training_job(**request)

    def log():
        return (stack.folder / "jobs" / "training" / name / "job.log").read_text()

    if end == "stopped":
        wait_for(lambda: (stack.folder / "jobs" / "training" / name / "job.log").exists() and "second 1" in log(), 60)
        sagemaker.stop_training_job(TrainingJobName=name)
    job = ended_job(sagemaker, name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["SecondaryStatus"] == ("Stopped" if end == "stopped" else "MaxRuntimeExceeded")
    assert "second 2" in log()
    assert "the script heard it" not in log()
    for archive in ("model.tar.gz", "output.tar.gz"):
        packed = stack.client("s3").get_object(Bucket=BUCKET, Key=f"models/{name}/output/{archive}")["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(packed)) as unpacked:
            assert unpacked.extractfile("so_far.txt").read() == b"best so far"


CREDENTIALS = """
import os
def model_fn(model_dir):
    return " ".join(sorted(name for name in os.environ if name.startswith("AWS_")))
def transform_fn(model, body, content_type, accept):
    return model, "text/plain"
"""


def test_an_isolated_model_has_no_credentials_and_no_address(stack, sagemaker, model_role):
    stack.client("s3").put_object(
        Bucket=BUCKET, Key="models/tells.tar.gz", Body=tar({"code/inference.py": CREDENTIALS})
    )
    answers = {}
    for name, isolated in (("tells-isolated", True), ("tells-open", False)):
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=model_role,
            PrimaryContainer={"Image": INFERENCE_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/models/tells.tar.gz"},
            EnableNetworkIsolation=isolated,
        )
        assert sagemaker.describe_model(ModelName=name)["EnableNetworkIsolation"] is isolated
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        assert settled(sagemaker, name)["EndpointStatus"] == "InService"
        runtime = stack.client("sagemaker-runtime")
        answers[name] = runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read().decode().split()
        sagemaker.delete_endpoint(EndpointName=name)
    assert answers["tells-isolated"] == []
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"} <= set(
        answers["tells-open"]
    )


def queue_with_rule(stack, name, pattern, allowed=True, bus="default"):
    """A queue for the events of a pattern; its address. Its policy lets EventBridge in if `allowed`."""
    sqs, events = stack.client("sqs"), stack.client("events")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    if allowed:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), EventBusName=bus)
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}], EventBusName=bus)
    return url


def received(stack, url, seconds=1):
    """The details of the events that come into a queue within so many seconds, in their order."""
    sqs, found = stack.client("sqs"), []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds).get(
        "Messages"
    ):
        found += [json.loads(message["Body"])["detail"] for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_an_endpoint_that_cannot_serve_fails_later_with_events_and_a_log(stack, sagemaker, model_role):
    pattern = {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Endpoint State Change"]}
    url = queue_with_rule(stack, "endpoint-states", pattern)
    make_config(sagemaker, "never-serves", "broken", model_role)
    sagemaker.create_endpoint(EndpointName="never-serves", EndpointConfigName="never-serves")
    assert sagemaker.describe_endpoint(EndpointName="never-serves")["EndpointStatus"] == "Creating"
    failed = settled(sagemaker, "never-serves")
    assert failed["EndpointStatus"] == "Failed"
    assert failed["FailureReason"].startswith(
        "The primary container for production variant AllTraffic did not pass the ping health check."
    )
    assert "answer.txt" in job_log(stack, "/aws/sagemaker/Endpoints/never-serves", "AllTraffic/")
    sagemaker.delete_endpoint(EndpointName="never-serves")
    told = [one for one in received(stack, url) if one["EndpointName"] == "never-serves"]
    assert [one["EndpointStatus"] for one in told] == ["CREATING", "FAILED", "DELETING"]
    assert told[1]["FailureReason"] == failed["FailureReason"]


def test_jobs_tell_of_every_state_they_enter(stack, sagemaker, model_role):
    kinds = ["SageMaker Training Job State Change", "SageMaker Transform Job State Change"]
    url = queue_with_rule(stack, "job-states", {"source": ["aws.sagemaker"], "detail-type": kinds})
    sagemaker.create_training_job(**training_request("told", model_role))
    assert ended_job(sagemaker, "told")["TrainingJobStatus"] == "Completed"
    transformed(stack, sagemaker, model_role, "judge-told", [b"x"])
    details = received(stack, url)
    states = [one["SecondaryStatus"] for one in details if one.get("TrainingJobName") == "told"]
    assert states == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    ends = [one["TransformJobStatus"] for one in details if one.get("TransformJobName") == "judge-told"]
    assert ends == ["InProgress", "Completed"]
    assert all(isinstance(one["CreationTime"], int) for one in details)


def test_a_queue_whose_policy_does_not_let_eventbridge_in_gets_nothing(stack):
    pattern = {"source": ["policies"]}
    urls = [queue_with_rule(stack, f"policy-{allowed}".lower(), pattern, allowed) for allowed in (True, False)]
    stack.client("events").put_events(Entries=[{"Source": "policies", "DetailType": "t", "Detail": '{"n": 1}'}])
    assert [received(stack, url) for url in urls] == [[{"n": 1}], []]


def test_one_stack_does_not_send_to_the_bus_of_another(stack):
    """Two buses: each one's function may put events on its own, and a bus's policy may refuse what its caller may do."""
    events = stack.client("events")
    arns = {name: events.create_event_bus(Name=name)["EventBusArn"] for name in ("north", "south")}
    urls = {name: queue_with_rule(stack, f"of-{name}", {"source": ["firnline"]}, bus=name) for name in arns}
    sender = role(stack, "north-sender", "lambda.amazonaws.com", (["events:PutEvents"], arns["north"]))
    as_north = stack.client("events", session_of(stack, sender))
    entry = {"Source": "firnline", "DetailType": "FrameReady", "Detail": '{"frame": 1}'}
    assert as_north.put_events(Entries=[{**entry, "EventBusName": "north"}])["FailedEntryCount"] == 0
    for entries in ([{**entry, "EventBusName": "south"}], [{**entry, "EventBusName": name} for name in arns], [entry]):
        assert error_of(as_north.put_events, Entries=entries)["Code"] == "AccessDeniedException"
    assert received(stack, urls["north"]) == [{"frame": 1}]
    assert received(stack, urls["south"]) == []

    denied = {"Sid": "own", "Effect": "Deny", "Principal": "*", "Action": "events:PutEvents", "Resource": arns["north"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    events.put_permission(EventBusName="north", Policy=policy)
    refused = error_of(as_north.put_events, Entries=[{**entry, "EventBusName": "north"}])
    assert refused["Code"] == "AccessDeniedException"


def test_late_lines_of_a_deleted_log_group_make_it_anew_only_if_the_role_may(stack):
    functions, logs = stack.client("lambda"), stack.client("logs")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    print('a line')\n")
    may = {
        "late-may": (["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "*"),
        "late-may-not": (["logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:*:*:log-group:/aws/lambda/late*"),
        "late-silent": (["s3:GetObject"], "*"),
    }
    groups = {}
    for name, statement in may.items():
        functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=role(stack, name, "lambda.amazonaws.com", statement),
            Handler="app.handler",
            Code={"ZipFile": buffer.getvalue()},
        )
        wait_for(lambda: functions.get_function(FunctionName=name)["Configuration"]["State"] == "Active", 10)  # noqa: B023
        group = f"/aws/lambda/{name}"
        logs.create_log_group(logGroupName=group)
        functions.invoke(FunctionName=name, Payload=b"{}")
        written = bool(logs.describe_log_streams(logGroupName=group)["logStreams"])
        logs.delete_log_group(logGroupName=group)
        functions.invoke(FunctionName=name, Payload=b"{}")
        back = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        groups[name] = (written, any(one["logGroupName"] == group for one in back))
    assert groups == {"late-may": (True, True), "late-may-not": (True, False), "late-silent": (False, False)}


def test_a_function_takes_a_queues_messages_only_if_its_role_may(stack):
    functions, sqs = stack.client("lambda"), stack.client("sqs")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return None\n")
    functions.create_function(
        FunctionName="taker",
        Runtime="python3.11",
        Role=role(stack, "taker", "lambda.amazonaws.com", (["sqs:DeleteMessage", "sqs:GetQueueAttributes"], "*")),
        Handler="app.handler",
        Code={"ZipFile": buffer.getvalue()},
    )
    wait_for(lambda: functions.get_function(FunctionName="taker")["Configuration"]["State"] == "Active", 10)
    url = sqs.create_queue(QueueName="taken")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions.create_event_source_mapping(FunctionName="taker", EventSourceArn=arn, BatchSize=1)
    sqs.send_message(QueueUrl=url, MessageBody="for the taker")

    def untouched():
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
        return [int(found[name]) for name in counts]

    time.sleep(3)
    assert untouched() == [1, 0]
    allowed = {"Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    stack.client("iam").put_role_policy(RoleName="taker", PolicyName="receive", PolicyDocument=policy)
    wait_for(lambda: untouched() == [0, 0], 20)


def flow_request(name, role_arn, ui, output):
    config = {"TaskTitle": "Layers", "TaskDescription": "Correct", "WorkteamArn": WORKTEAM, "TaskCount": 1}
    return {
        "FlowDefinitionName": name,
        "RoleArn": role_arn,
        "OutputConfig": {"S3OutputPath": output},
        "HumanLoopConfig": {"HumanTaskUiArn": ui, **config},
    }


def test_a_flow_is_active_later_or_has_failed_and_no_loop_starts_before(stack, sagemaker, model_role):
    ui = sagemaker.create_human_task_ui(HumanTaskUiName="later", UiTemplate={"Content": "<crowd-form></crowd-form>"})
    a2i, outputs = stack.client("sagemaker-a2i-runtime"), {"flow-good": BUCKET, "flow-bad": "no-such-bucket"}
    for name, bucket in outputs.items():
        request = flow_request(name, model_role, ui["HumanTaskUiArn"], f"s3://{bucket}/reviews")
        arn = sagemaker.create_flow_definition(**request)["FlowDefinitionArn"]
        loop = {
            "HumanLoopName": name,
            "FlowDefinitionArn": arn,
            "HumanLoopInput": {"InputContent": "{}"},
        }
        assert sagemaker.describe_flow_definition(FlowDefinitionName=name)["FlowDefinitionStatus"] == "Initializing"
        early = error_of(a2i.start_human_loop, **loop)
        assert (early["Code"], "Initializing" in early["Message"]) == ("ValidationException", True)
        flow = wait_for(
            lambda: (
                (f := sagemaker.describe_flow_definition(FlowDefinitionName=name))["FlowDefinitionStatus"]  # noqa: B023
                != "Initializing"
                and f
            ),
            20,
        )
        if name == "flow-good":
            assert flow["FlowDefinitionStatus"] == "Active"
            assert a2i.start_human_loop(**loop)["HumanLoopArn"].endswith("human-loop/flow-good")
        else:
            assert flow["FlowDefinitionStatus"] == "Failed"
            assert "no-such-bucket" in flow["FailureReason"]
            assert "Failed" in error_of(a2i.start_human_loop, **loop)["Message"]


@pytest.fixture(scope="module")
def flow(stack, sagemaker, model_role):
    ui = sagemaker.create_human_task_ui(HumanTaskUiName="layers", UiTemplate={"Content": "<crowd-form></crowd-form>"})
    request = flow_request("layers", model_role, ui["HumanTaskUiArn"], f"s3://{BUCKET}/reviews")
    arn = sagemaker.create_flow_definition(**request)["FlowDefinitionArn"]
    wait_for(
        lambda: sagemaker.describe_flow_definition(FlowDefinitionName="layers")["FlowDefinitionStatus"] == "Active", 20
    )
    return arn


def test_a_human_loop_is_kept_apart_from_another_of_its_name(stack, flow):
    a2i = stack.client("sagemaker-a2i-runtime")
    loop = {"HumanLoopName": "frame-1", "FlowDefinitionArn": flow}
    first = a2i.start_human_loop(**loop, HumanLoopInput={"InputContent": '{"image": "s3://radar-lab/a.png"}'})
    again = a2i.start_human_loop(**loop, HumanLoopInput={"InputContent": '{"image": "s3://radar-lab/a.png"}'})
    assert first["HumanLoopArn"] == again["HumanLoopArn"]
    assert error_of(a2i.start_human_loop, **loop, HumanLoopInput={"InputContent": "{}"})["Code"] == "ConflictException"
    assert (
        "JSON"
        in error_of(
            a2i.start_human_loop, HumanLoopName="frame-2", FlowDefinitionArn=flow, HumanLoopInput={"InputContent": "{"}
        )["Message"]
    )
    assert a2i.describe_human_loop(HumanLoopName="frame-1")["HumanLoopStatus"] == "InProgress"
    assert [s["HumanLoopName"] for s in a2i.list_human_loops(FlowDefinitionArn=flow)["HumanLoopSummaries"]] == [
        "frame-1"
    ]
    assert error_of(a2i.describe_human_loop, HumanLoopName="nobody")["Code"] == "ResourceNotFoundException"


def test_a_stopped_loop_is_announced_to_a_queue(stack, flow):
    sqs, events, a2i = stack.client("sqs"), stack.client("events"), stack.client("sagemaker-a2i-runtime")
    url = sqs.create_queue(QueueName="completions")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(
        Name="completions",
        EventPattern=json.dumps(
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker A2I HumanLoop Status Change"],
                "detail": {"flowDefinitionArn": [flow]},
            }
        ),
    )
    events.put_targets(Rule="completions", Targets=[{"Id": "queue", "Arn": arn}])
    sqs.set_queue_attributes(
        QueueUrl=url,
        Attributes={
            "Policy": json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "events.amazonaws.com"},
                            "Action": "sqs:SendMessage",
                            "Resource": arn,
                        }
                    ],
                }
            )
        },
    )
    a2i.start_human_loop(HumanLoopName="stopped", FlowDefinitionArn=flow, HumanLoopInput={"InputContent": "{}"})
    a2i.stop_human_loop(HumanLoopName="stopped")
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["detail"]["humanLoopStatus"]) == ("aws.sagemaker", "Stopped")


def test_policies_decide_over_sagemaker_and_a2i(stack, flow, sagemaker):
    flow_only = session_of(stack, role(stack, "reviewer", "lambda.amazonaws.com", (["sagemaker:StartHumanLoop"], flow)))
    started = stack.client("sagemaker-a2i-runtime", flow_only).start_human_loop(
        HumanLoopName="allowed", FlowDefinitionArn=flow, HumanLoopInput={"InputContent": "{}"}
    )
    assert started["HumanLoopArn"].endswith("human-loop/allowed")
    for service, call, params in (
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "layers", "Body": b"1"}),
        ("sagemaker-a2i-runtime", "stop_human_loop", {"HumanLoopName": "allowed"}),
        ("sagemaker", "describe_endpoint", {"EndpointName": "layers"}),
    ):
        denied = error_of(getattr(stack.client(service, flow_only), call), **params)
        assert denied["Code"] == "AccessDeniedException"
        assert "is not authorized to perform: sagemaker:" in denied["Message"]


def test_an_event_is_put_only_with_the_source_that_the_policy_names(stack):
    iam, arn = stack.client("iam"), role(stack, "announcer", "lambda.amazonaws.com")
    iam.put_role_policy(
        RoleName="announcer",
        PolicyName="own",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "events:PutEvents",
                        "Resource": "*",
                        "Condition": {"StringEquals": {"events:source": "firnline"}},
                    }
                ],
            }
        ),
    )
    events = stack.client("events", session_of(stack, arn))
    entry = {"Source": "firnline", "DetailType": "FrameReady", "Detail": "{}"}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert error_of(events.put_events, Entries=[entry, {**entry, "Source": "other"}])["Code"] == "AccessDeniedException"


@pytest.mark.parametrize(("may_list", "codes"), [(False, ("403", "AccessDenied")), (True, ("404", "NoSuchKey"))])
def test_only_who_may_list_a_bucket_is_told_that_an_object_is_not_in_it(stack, may_list, codes):
    rights = [(["s3:GetObject"], f"arn:aws:s3:::{BUCKET}/*"), (["s3:ListBucket"], f"arn:aws:s3:::{BUCKET}")]
    arn = role(stack, f"reader-{may_list}", "lambda.amazonaws.com", *rights[: 2 if may_list else 1])
    s3 = stack.client("s3", session_of(stack, arn))
    assert error_of(s3.head_object, Bucket=BUCKET, Key="not/there")["Code"] == codes[0]
    assert error_of(s3.get_object, Bucket=BUCKET, Key="not/there")["Code"] == codes[1]
    assert s3.get_object(Bucket=BUCKET, Key="models/blue.tar.gz")["Body"].read()


def test_a_role_is_passed_only_by_those_who_may(stack, model_role):
    trainer = session_of(stack, role(stack, "trainer", "lambda.amazonaws.com", (["sagemaker:*"], "*")))
    denied = error_of(stack.client("sagemaker", trainer).create_training_job, **training_request("passed", model_role))
    assert "iam:PassRole" in denied["Message"]


def execution(stack, name, role_arn, states, start_at=None):
    states_client = stack.client("stepfunctions")
    machine = states_client.create_state_machine(
        name=name,
        roleArn=role_arn,
        definition=json.dumps({"StartAt": start_at or next(iter(states)), "States": states}),
    )["stateMachineArn"]
    arn = states_client.start_execution(stateMachineArn=machine)["executionArn"]
    return machine, wait_for(
        lambda: (e := states_client.describe_execution(executionArn=arn))["status"] != "RUNNING" and e, 60
    )


def test_a_state_machine_trains_and_describes_with_its_role(stack, model_role):
    rule = "arn:aws:events:us-east-1:000000000000:rule/StepFunctionsGetEventsFor*"
    allowed = role(
        stack,
        "states-role",
        "states.amazonaws.com",
        (["sagemaker:*"], "*"),
        (["iam:PassRole"], model_role),
        (["events:PutTargets", "events:PutRule", "events:DescribeRule"], rule),
    )
    _, done = execution(
        stack,
        "train",
        allowed,
        {
            "Train": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
                "Parameters": training_request("by-states", model_role),
                "ResultPath": "$.job",
                "Next": "Look",
            },
            "Look": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeTrainingJob",
                "Parameters": {"TrainingJobName.$": "$.job.TrainingJobName"},
                "End": True,
            },
        },
    )
    assert done["status"] == "SUCCEEDED", (done.get("error"), done.get("cause"))
    assert json.loads(done["output"])["TrainingJobStatus"] == "Completed"


def test_a_failed_job_and_a_missing_permission_are_caught(stack, model_role):
    blind = "arn:aws:iam::000000000000:role/blind-role"
    allowed = role(stack, "states-role-2", "states.amazonaws.com", (["sagemaker:*", "iam:PassRole", "events:*"], "*"))
    caught = {"ErrorEquals": ["States.ALL"], "Next": "Note", "ResultPath": "$"}
    _, done = execution(
        stack,
        "fail",
        allowed,
        {
            "Train": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
                "Catch": [caught],
                "Parameters": training_request("fails-by-states", blind),
                "End": True,
            },
            "Note": {"Type": "Pass", "End": True},
        },
    )
    output = json.loads(done["output"])
    assert output["Error"] == "States.TaskFailed"
    assert json.loads(output["Cause"])["TrainingJobStatus"] == "Failed"
    nothing = role(stack, "states-role-3", "states.amazonaws.com")
    _, denied = execution(
        stack,
        "denied",
        nothing,
        {
            "Look": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
                "Parameters": {"EndpointName": "layers"},
                "End": True,
            }
        },
    )
    assert (denied["status"], denied["error"]) == ("FAILED", "SageMaker.AccessDeniedException")


def test_a_nested_execution_returns_its_output(stack):
    child_role = role(stack, "child-role", "states.amazonaws.com")
    child, done = execution(
        stack, "child", child_role, {"Answer": {"Type": "Pass", "Result": {"better": True}, "End": True}}
    )
    assert json.loads(done["output"]) == {"better": True}
    parent_role = role(
        stack,
        "parent-role",
        "states.amazonaws.com",
        (["states:StartExecution"], child),
        (["states:DescribeExecution", "states:StopExecution"], child.replace(":stateMachine:", ":execution:") + ":*"),
        (["events:*"], "*"),
    )
    branches = [
        {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}}},
        {
            "StartAt": "Child",
            "States": {
                "Child": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::states:startExecution.sync:2",
                    "Parameters": {"StateMachineArn": child, "Input": {}},
                    "End": True,
                }
            },
        },
    ]
    _, done = execution(stack, "parent", parent_role, {"Both": {"Type": "Parallel", "Branches": branches, "End": True}})
    assert done["status"] == "SUCCEEDED", (done.get("error"), done.get("cause"))
    assert json.loads(done["output"])[1]["Output"] == {"better": True}


JSONATA = {
    "QueryLanguage": "JSONata",
    "StartAt": "Begin",
    "States": {
        "Begin": {
            "Type": "Pass",
            "Next": "Ask",
            "Assign": {
                "checks": 0,
                "given": "{% $exists($states.input.given) ? $states.input.given : 'nothing' %}",
                "name": "{% 'firnline-' & $substring($hash($states.context.Execution.Id, 'SHA-256'), 0, 8) %}",
            },
        },
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
            "TimeoutSeconds": 60,
            "Arguments": {"EndpointName": "nobody"},
            "Next": "Never",
            "Retry": [
                {
                    "ErrorEquals": ["SageMaker.SageMakerException"],
                    "IntervalSeconds": 1,
                    "MaxAttempts": 1,
                    "BackoffRate": 2,
                    "MaxDelaySeconds": 5,
                }
            ],
            "Catch": [
                {
                    "ErrorEquals": ["States.ALL"],
                    "Next": "Hold",
                    "Assign": {"failure": "{% $states.errorOutput %}", "checks": 0},
                }
            ],
        },
        "Never": {"Type": "Fail"},
        "Hold": {"Type": "Wait", "Seconds": 1, "Assign": {"checks": "{% $checks + 1 %}"}, "Next": "Enough"},
        "Enough": {
            "Type": "Choice",
            "Assign": {"said": "{% 'after ' & $string($checks) & ' looks' %}"},
            "Default": "Both",
            "Choices": [{"Condition": "{% $checks in [1] and $checks < 2 %}", "Next": "Hold"}],
        },
        "Both": {
            "Type": "Parallel",
            "Next": "Each",
            "Assign": {"answers": "{% $states.result %}"},
            "Branches": [
                {"StartAt": "A", "States": {"A": {"Type": "Pass", "Output": "{% $name %}", "End": True}}},
                {"StartAt": "B", "States": {"B": {"Type": "Pass", "Output": "{% $given %}", "End": True}}},
            ],
        },
        "Each": {
            "Type": "Map",
            "Items": "{% [1, 2] %}",
            "Next": "Done",
            "Assign": {"squares": "{% $states.result %}"},
            "ItemProcessor": {
                "StartAt": "Square",
                "States": {"Square": {"Type": "Pass", "Output": "{% $states.input * $states.input %}", "End": True}},
            },
        },
        "Done": {
            "Type": "Pass",
            "End": True,
            "Output": {
                "failure": "{% $failure.Error %}",
                "said": "{% $said %}",
                "answers": "{% $answers %}",
                "squares": "{% $squares %}",
            },
        },
    },
}


def test_the_interpreter_knows_what_our_state_machines_say(stack):
    client = stack.client("stepfunctions")
    machine = client.create_state_machine(
        name="jsonata",
        definition=json.dumps(JSONATA),
        roleArn=role(stack, "jsonata-role", "states.amazonaws.com", (["sagemaker:DescribeEndpoint"], "*")),
    )["stateMachineArn"]
    arn = client.start_execution(stateMachineArn=machine, input='{"given": "a frame"}')["executionArn"]
    done = wait_for(lambda: (e := client.describe_execution(executionArn=arn))["status"] != "RUNNING" and e, 60)
    assert done["status"] == "SUCCEEDED", (done.get("error"), done.get("cause"))
    output = json.loads(done["output"])
    assert output["answers"][0].startswith("firnline-")
    assert output["answers"][1] == "a frame"
    assert (output["failure"], output["said"], output["squares"]) == (
        "SageMaker.SageMakerException",
        "after 2 looks",
        [1, 4],
    )


def test_the_open_switches_are_closed_and_unsigned_requests_refused(stack):
    for method, path in (("POST", "/_ministack/reset"), ("GET", f"/{BUCKET}/data/train/a.rec"), ("POST", "/")):
        request = urllib.request.Request(stack.endpoint + path, method=method)  # noqa: S310
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310
        assert refused.value.code == 403


@pytest.mark.parametrize("key", ["test", "000000000000"])
def test_a_guessed_root_key_is_refused(stack, key):
    assert error_of(stack.client("sagemaker", Credentials(key, "test")).list_models)["Code"] == (
        "UnrecognizedClientException"
    )


def test_an_endpoint_comes_back_after_kill_9(stack, sagemaker):
    stack.kill()
    stack.start()
    assert sagemaker.describe_endpoint(EndpointName="layers")["EndpointStatus"] == "InService"
    answer = stack.client("sagemaker-runtime").invoke_endpoint(EndpointName="layers", Body=b"1")
    assert answer["Body"].read().startswith(b"green")


def test_a_worker_that_died_is_started_again(stack):
    runtime = stack.client("sagemaker-runtime")
    [folder] = (stack.folder / "endpoints" / "layers").iterdir()
    workers = [
        int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline") if str(folder).encode() in p.read_bytes()
    ]
    assert len(workers) == 1
    os.kill(workers[0], signal.SIGKILL)

    def answered():
        try:
            return runtime.invoke_endpoint(EndpointName="layers", Body=b"1")["Body"].read().startswith(b"green")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ServiceUnavailable"  # noqa: PT017 - polling
            return False

    wait_for(answered, 30)
