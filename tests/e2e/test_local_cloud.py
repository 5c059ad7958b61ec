"""The local cloud's SageMaker, A2I and IAM, through boto3 against a stack of its own."""

import io
import json
import os
import signal
import tarfile
import urllib.error
import urllib.request
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


def transformed(stack, sagemaker, model_role, name, bodies, environment=None, **request):
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
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/judged/{name}/"},
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


def test_batch_transform_goes_on_after_an_object_that_fails_and_has_failed_then(stack, sagemaker, model_role):
    """ "A transform job continues to process input files even if it fails to process one" (Batch transform for inference)."""
    job = transformed(stack, sagemaker, model_role, "judge-poison", [b"x", b"poison", b"xx"])
    assert job["TransformJobStatus"] == "Failed"
    assert "1 of 3 objects failed" in job["FailureReason"]
    assert "no traces" in job["FailureReason"]
    listed = stack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="judged/judge-poison/")["Contents"]
    assert [item["Key"].rpartition("/")[2] for item in listed] == ["0.png.out", "2.png.out"]


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
    assert "MaxPayloadInMB" in jobs["judge-small-job"]["FailureReason"]
    assert "MMS_MAX_REQUEST_SIZE" in jobs["judge-small-server"]["FailureReason"]
    assert jobs["judge-large"]["TransformJobStatus"] == "Completed", jobs["judge-large"].get("FailureReason")


@pytest.fixture(scope="module")
def flow(stack, sagemaker, model_role):
    ui = sagemaker.create_human_task_ui(HumanTaskUiName="layers", UiTemplate={"Content": "<crowd-form></crowd-form>"})
    return sagemaker.create_flow_definition(
        FlowDefinitionName="layers",
        RoleArn=model_role,
        OutputConfig={"S3OutputPath": f"s3://{BUCKET}/reviews"},
        HumanLoopConfig={
            "HumanTaskUiArn": ui["HumanTaskUiArn"],
            "TaskTitle": "Layers",
            "TaskDescription": "Correct",
            "WorkteamArn": WORKTEAM,
            "TaskCount": 1,
        },
    )["FlowDefinitionArn"]


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
        stack, "parent-role", "states.amazonaws.com", (["states:StartExecution"], child), (["events:*"], "*")
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
