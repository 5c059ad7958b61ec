"""The local cloud's parts that need no running stack."""

import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from workbench.local_cloud import state_events, training
from workbench.local_cloud.durability import Durability
from workbench.local_cloud.errors import UnknownOperationException, ValidationException
from workbench.local_cloud.http_api import checked_arn, identify
from workbench.local_cloud.images import require_mxnet
from workbench.local_cloud.journal import Journal
from workbench.local_cloud.lambda_runtime import error_type
from workbench.local_cloud.process_group import end_container
from workbench.local_cloud.retention import cut
from workbench.local_cloud.s3_paths import relative_name, split_uri, transform_output
from workbench.local_cloud.sagemaker_api import resource_arn
from workbench.local_cloud.service_model import _matches, check, operation_model, service_model, shaped
from workbench.local_cloud.settings import Settings
from workbench.local_cloud.step_functions import permissions
from workbench.local_cloud.store import Store

ACCOUNT = "us-east-1:000000000000"


@pytest.mark.parametrize("service", ["sagemaker", "sagemaker-runtime", "sagemaker-a2i-runtime"])
def test_every_pattern_of_the_models_can_be_checked(service):
    model = service_model(service)
    for name in model.shape_names:
        pattern = model.shape_for(name).metadata.get("pattern")
        if pattern:
            _matches(pattern)("x")


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({}, "Missing required parameter"),
        ({"EndpointName": "a", "Colour": 1}, "Unknown parameter"),
        ({"EndpointName": 5}, "Invalid type"),
        ({"EndpointName": "under_score"}, "regular expression pattern"),
        ({"EndpointName": "a" * 64}, "length less than or equal to 63"),
    ],
)
def test_a_request_is_checked_against_the_model(params, told):
    with pytest.raises(ValidationException, match=told):
        check(params, operation_model("sagemaker", "DescribeEndpoint").input_shape)


def test_an_answer_has_only_the_members_of_the_model():
    answer = shaped(
        {"EndpointName": "a", "FailureReason": None, "secret": 1},
        operation_model("sagemaker", "DescribeEndpoint").output_shape,
    )
    assert answer == {"EndpointName": "a"}


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("data/train/a.rec", "data/train/", "a.rec"),
        ("data/train/a.rec", "data/train", "a.rec"),
        ("data/train/a/b", "data/train/", "a/b"),
        ("data/train", "data/train", "train"),
        ("data/train-2", "data/train", "train-2"),
        ("a", "", "a"),
    ],
)
def test_an_object_is_named_relative_to_its_prefix(key, prefix, name):
    assert relative_name(key, prefix) == name


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValidationException, match="not an S3 address"):
        split_uri("https://example.org/a")


@pytest.mark.parametrize(
    ("image", "fits"),
    [
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-training:1.9.0-cpu-py38", True),
        ("lab/firnline-mxnet-training@sha256:" + "a" * 64, True),
        ("mxnet-inference:1.9.0", False),
        ("", False),
    ],
)
def test_only_training_images_of_mxnet_train(image, fits):
    if fits:
        require_mxnet(image, "training")
    else:
        with pytest.raises(ValidationException, match="has no containers"):
            require_mxnet(image, "training")


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/endpoints/layers/invocations", "InvokeEndpoint"),
        ("POST", "/human-loops", "StartHumanLoop"),
        ("POST", "/human-loops/stop", "StopHumanLoop"),
        ("GET", "/human-loops", "ListHumanLoops"),
        ("GET", "/human-loops/a", "DescribeHumanLoop"),
        ("DELETE", "/human-loops/a", "DeleteHumanLoop"),
    ],
)
def test_runtime_operations_are_told_by_their_path(method, path, operation):
    assert identify(method, path, {}).operation == operation


def test_a_path_of_nothing_is_refused():
    with pytest.raises(UnknownOperationException):
        identify("PUT", "/endpoints/a", {})


def test_iam_checks_the_resource_that_a_call_names():
    flow = f"arn:aws:sagemaker:{ACCOUNT}:flow-definition/f"
    start = identify("POST", "/human-loops", {})
    assert checked_arn(start, json.dumps({"FlowDefinitionArn": flow}).encode(), {}) == flow
    invoke = identify("POST", "/endpoints/Layers/invocations", {})
    assert checked_arn(invoke, b"\x89PNG", {}) == f"arn:aws:sagemaker:{ACCOUNT}:endpoint/layers"
    assert resource_arn("CreateEndpointConfig", {"EndpointConfigName": "c"}).endswith(":endpoint-config/c")
    assert resource_arn("ListModels", {}) == "*"


def test_a_task_needs_the_permissions_of_its_integration():
    job = {"TrainingJobName": "t", "RoleArn": "arn:aws:iam::000000000000:role/r"}
    needed = permissions("arn:aws:states:::sagemaker:createTrainingJob.sync", job)
    assert ("sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:{ACCOUNT}:training-job/t") in needed
    assert ("events:PutRule", f"arn:aws:events:{ACCOUNT}:rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule") in (
        needed
    )
    machine = {"StateMachineArn": f"arn:aws:states:{ACCOUNT}:stateMachine:m", "Name": "n"}
    needed = permissions("arn:aws:states:::states:startExecution.sync:2", machine)
    assert ("states:StopExecution", f"arn:aws:states:{ACCOUNT}:execution:m:n") in needed
    assert permissions("arn:aws:states:::aws-sdk:s3:headObject", {"Bucket": "b", "Key": "k"}) == [
        ("s3:GetObject", "arn:aws:s3:::b/k")
    ]


def test_the_journal_keeps_what_a_snapshot_lacks_and_drops_a_line_cut_off(tmp_path):
    with closing(Journal(tmp_path)) as journal:
        journal.append({"n": 1})
        mark = journal.rotate()
        journal.append({"n": 2})
    with (tmp_path / f"{mark:09d}.jsonl").open("a") as file:
        file.write('{"n": 3')
    with closing(Journal(tmp_path)) as again:
        assert [entry["n"] for number, entry in again.entries() if number >= mark] == [2]
        again.forget_before(mark)
        assert [entry["n"] for _, entry in again.entries()] == [2]


def test_a_record_is_there_after_the_store_is_opened_again(tmp_path):
    store = Store(tmp_path / "records.sqlite3")
    assert store.add("model", "a", {"x": 1})
    assert not store.add("model", "a", {"x": 2})
    store.change("model", "a", lambda document: {"y": document["x"] + 1})
    store.close()
    assert Store(tmp_path / "records.sqlite3").get("model", "a") == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("log", "name"),
    [
        (
            'Traceback (most recent call last):\n  File "a", line 1\nfirnline.errors.NotEnoughData: few\n',
            "NotEnoughData",
        ),
        (
            "Traceback (most recent call last):\n  x\nKeyError: 1\n\nThe above …\n\nTraceback (most recent call last):\n"
            '  File "b"\napp.Unreadable: two\nlines\n',
            "Unreadable",
        ),
        ("nothing", None),
    ],
)
def test_an_error_has_the_name_of_its_class(log, name):
    assert error_type(log) == name


def test_a_message_that_a_killed_function_had_was_not_received_and_one_that_it_failed_on_was():
    later = time.time() + 60
    messages = {
        "never received": {"receive_count": 0, "visible_at": 0},
        "delayed": {"receive_count": 0, "visible_at": later},
        "in flight": {"receive_count": 1, "visible_at": later},
        "in flight for longer than the kill": {"receive_count": 1, "visible_at": 0},
        "failed on": {"receive_count": 3, "visible_at": later},
        "failed on, and in flight again": {"receive_count": 3, "visible_at": later},
    }

    def ends(mapping, function, event, batch, *rest):
        raise ConnectionError("the function ended")

    note = Durability._noting_ends(ends)
    for name in ("failed on", "failed on, and in flight again"):
        with pytest.raises(ConnectionError):
            note({}, {}, {}, [messages[name]], "url", "name")
    messages["failed on, and in flight again"]["receive_count"] += 1
    queues = {"url": {"messages": list(messages.values())}}
    Durability._release_in_flight(SimpleNamespace(_queues=SimpleNamespace(_data=queues)))
    assert [message["receive_count"] for message in messages.values()] == [0, 0, 0, 0, 3, 3]
    assert [message["visible_at"] == later for message in messages.values()] == [False, True, False, False, True, False]


@pytest.mark.parametrize(
    ("output", "address"),
    [("s3://b/judged", "s3://b/judged/a/1.png.out"), ("s3://b/judged/", "s3://b/judged//a/1.png.out")],
)
def test_a_slash_at_the_end_of_a_transforms_output_stays(output, address):
    assert transform_output(output, "a/1.png") == address


@pytest.mark.parametrize(
    ("spot", "condition", "told"),
    [
        (True, {"MaxRuntimeInSeconds": 600}, "Invalid MaxWaitTimeInSeconds"),
        (True, {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 599}, "Invalid MaxWaitTimeInSeconds"),
        (False, {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900}, "managed spot training only"),
        (True, {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600}, None),
    ],
)
def test_spot_wants_a_time_to_wait(spot, condition, told):
    request = {
        "AlgorithmSpecification": {"TrainingImage": "mxnet-training:1.9.0"},
        "EnableManagedSpotTraining": spot,
        "StoppingCondition": condition,
        "OutputDataConfig": {"S3OutputPath": "s3://b/models"},
    }
    if told:
        with pytest.raises(ValidationException, match=told):
            training.check_request(request)
    else:
        training.check_request(request)
        assert training.new_document(request, "arn", 0.0)["EnableManagedSpotTraining"] is True


CHILD = """
import signal, sys, time
def heard(number, frame):
    print("child heard", flush=True)
signal.signal(signal.SIGTERM, heard)
print("ready", flush=True)
for _ in range(600):
    time.sleep(0.1)
"""
PARENT = """
import signal, subprocess, sys
HANDLER
subprocess.run([sys.executable, "-c", sys.argv[1]])
"""


@pytest.mark.parametrize(
    ("handler", "heard"),
    [
        ("", "ready\n"),
        ("signal.signal(signal.SIGTERM, lambda *_: print('parent heard', flush=True))", "ready\nparent heard\n"),
    ],
)
def test_a_containers_end_is_told_to_its_first_process_only(handler, heard):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.replace("HANDLER", handler), CHILD],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        line = process.stdout.readline()
        end_container(process, 0.5)
        assert line + process.stdout.read() == heard
    assert process.returncode == -signal.SIGKILL


def test_an_event_of_a_job_says_what_describe_says_with_times_in_milliseconds(monkeypatch):
    told = []
    monkeypatch.setattr(state_events, "emit", lambda *event: told.append(event))
    job = {"TrainingJobName": "t", "TrainingJobArn": "arn:t", "TrainingJobStatus": "InProgress", "own": 1}
    moved = [{"Status": "Starting", "StartTime": 1.5, "EndTime": 2.25}]
    state_events.training_job({**job, "CreationTime": 1.5, "SecondaryStatusTransitions": moved})
    [(detail_type, resources, detail)] = told
    assert (detail_type, resources) == ("SageMaker Training Job State Change", ["arn:t"])
    detail = json.loads(detail)
    assert (detail["TrainingJobStatus"], detail["CreationTime"], "own" in detail) == ("InProgress", 1500, False)
    assert detail["SecondaryStatusTransitions"] == [{"Status": "Starting", "StartTime": 1500, "EndTime": 2250}]


@pytest.mark.parametrize(
    ("status", "spelled"), [("Creating", "CREATING"), ("InService", "IN_SERVICE"), ("Failed", "FAILED")]
)
def test_an_endpoints_event_spells_its_status_as_aws_does(monkeypatch, status, spelled):
    told = []
    monkeypatch.setattr(state_events, "emit", lambda *event: told.append(event))
    endpoint = {"EndpointName": "e", "EndpointArn": "arn:e", "EndpointStatus": status, "FailureReason": "because"}
    state_events.endpoint(endpoint)
    [(detail_type, _, detail)] = told
    assert (detail_type, json.loads(detail)["EndpointStatus"]) == ("SageMaker Endpoint State Change", spelled)
    assert json.loads(detail)["FailureReason"] == "because"


def test_records_are_cut_to_the_newest_now_and_then():
    kept, taken = [], []
    for number in range(1000):
        kept.append(number)
        taken += cut(kept, 100)
        assert len(kept) <= 110
    assert taken + kept == list(range(1000))


def test_a_replay_ends_with_what_was_accepted_and_not_done(tmp_path):
    queues = {"url": {"messages": [{"id": "in the snapshot"}, {"id": "done since"}]}}
    sqs = SimpleNamespace(_queues=SimpleNamespace(_data=queues), _Err=KeyError)
    durability = Durability(Settings(tmp_path, 1))
    durability._send = lambda data, url: queues[url]["messages"].append({"id": f"new {data['MessageBody']}"})
    sent = [{"call": "send", "data": {"MessageBody": n}, "url": "url", "id": n} for n in ("handled", "waiting")]
    events = [{"call": "accepted", "id": n, "event": {"key": n}} for n in ("told", "untold")]
    for entry in (
        *sent,
        *events,
        {"call": "remove", "ids": ["done since", "handled"]},
        {"call": "told", "id": "told"},
    ):
        durability._replay_message(sqs, entry)
    assert [message["id"] for message in queues["url"]["messages"]] == ["in the snapshot", "waiting"]
    assert durability._untold == {"untold": {"key": "untold"}}
    durability._journal.close()
