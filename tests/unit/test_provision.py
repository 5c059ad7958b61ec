"""The custom resource: what it makes, what it leaves alone, and that CloudFormation always hears of it."""

import io
import json
import math
import tarfile
import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sagemaker.models import sagemaker_backends

from firnline.learning import model_code
from firnline.store import keys
from firnline.store.models import Models
from provision import app, provisioning, review_flow, serving
from provision.request import ANSWER_TIMEOUT_SECONDS, ANSWER_TRIES, Properties
from provision.review_flow import NO_FLOW, FlowFailed, ReviewFlow
from tests.support.review_world import Context
from tests.support.samples import sample
from tests.support.template import functions

EVENT = sample("provision")
LATER = math.inf
PROPERTIES = Properties.model_validate(EVENT["ResourceProperties"])


class CloudFormation:
    """Listens at the ResponseURL, as CloudFormation's signed S3 address does."""

    def __init__(self):
        heard = self.heard = []
        refusals = self.refusals = []

        class Listener(BaseHTTPRequestHandler):
            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if refusals:
                    self.send_response(refusals.pop())
                else:
                    heard.append((self.headers["Content-Type"], json.loads(body)))
                    self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                """The test's output is no access log."""

        self._server = HTTPServer(("127.0.0.1", 0), Listener)
        self.url = f"http://127.0.0.1:{self._server.server_port}/answer"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Account:
    def __init__(self, world, cloudformation):
        self.cloudformation = cloudformation
        self.workspace = world.bucket
        self.models = Models(world.table)
        self.sagemaker = boto3.client("sagemaker")
        self.stack = {"StackName": "firnline", "StackStatus": "CREATE_IN_PROGRESS"}

    @property
    def clients(self):
        return {"sagemaker": self.sagemaker, "s3": self.workspace.client, "cloudformation": self}

    def describe_stacks(self, StackName):
        """CloudFormation's, which moto has only with more packages."""
        assert StackName == EVENT["StackId"]
        return {"Stacks": [self.stack]}

    def asks(self, request_type, **properties):
        """Send a request as CloudFormation does and return the one answer that it got."""
        known = EVENT["ResourceProperties"] | {"ReviewProvider": "portal"} | properties
        event = EVENT | {"RequestType": request_type, "ResponseURL": self.cloudformation.url}
        self.cloudformation.heard.clear()
        app.handler(event | {"ResourceProperties": known}, Context())
        [(content_type, answer)] = self.cloudformation.heard
        assert not content_type
        return answer

    @property
    def endpoints(self):
        return sagemaker_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].endpoints

    def endpoint_is(self, status):
        self.endpoints["firnline"].endpoint_status = status

    def endpoint_config(self):
        return self.sagemaker.describe_endpoint(EndpointName="firnline")["EndpointConfigName"]


@pytest.fixture
def account(world, monkeypatch, tmp_path):
    model = tmp_path / "model.tar.gz"
    model.write_bytes(b"the parameters of a network")
    monkeypatch.setattr(provisioning, "FIRST_MODEL", model)
    # moto knows no flows; how they are removed has a test of its own below.
    monkeypatch.setattr(ReviewFlow, "remove", lambda _: None)
    cloudformation = CloudFormation()
    client = boto3.client
    account = Account(world, cloudformation)
    others = lambda name, **options: account if name == "cloudformation" else client(name, **options)  # noqa: E731
    monkeypatch.setattr(app.boto3, "client", others)
    yield account
    cloudformation.close()


def test_create_brings_code_model_endpoint_and_champion(account):
    # Given an empty stack, when CloudFormation creates the resource
    answer = account.asks("Create")
    # Then code and model lie in the workspace, and the answer says where
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "firnline-provision")
    assert account.workspace.read(keys.FIRST_MODEL, 100) == b"the parameters of a network"
    assert answer["Data"]["FirstModelUri"] == "s3://workspace/models/first/model.tar.gz"
    assert answer["Data"]["FlowDefinitionArn"] == NO_FLOW
    packed = account.workspace.read(answer["Data"]["SourceDirUri"].removeprefix("s3://workspace/"), 10_000_000)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert "train.py" in tar.getnames()
    # And the endpoint serves the first model, which is the champion
    assert account.models.version("first").model_data, "an operator can go back to the model in the box"
    champion = account.models.champion()
    assert (champion.model_version, champion.endpoint_config) == ("first", account.endpoint_config())
    container = account.sagemaker.describe_model(ModelName=champion.model_name)["PrimaryContainer"]
    assert container["ModelDataUrl"] == champion.model_data == answer["Data"]["FirstModelUri"]
    assert container["Environment"]["SAGEMAKER_SUBMIT_DIRECTORY"] == "/opt/ml/model/code"
    assert account.sagemaker.describe_model_package_group(ModelPackageGroupName="firnline")


def test_an_answer_that_is_not_taken_is_sent_again(account):
    account.cloudformation.refusals[:] = [503]
    assert account.asks("Create")["Status"] == "SUCCESS"


def test_all_waiting_has_one_end_and_leaves_time_to_say_so(account, monkeypatch):
    # Given an endpoint that keeps starting, and a clock that moves by the pauses between looks
    clock = [0.0]
    monkeypatch.setattr(app.time, "monotonic", lambda: clock[0])
    pause = lambda seconds: clock.__setitem__(0, clock[0] + seconds)  # noqa: E731
    monkeypatch.setattr(serving.time, "sleep", pause)
    made = account.sagemaker.meta.events
    made.register("after-call.sagemaker.CreateEndpoint", lambda **_: account.endpoint_is("Creating"))
    monkeypatch.setattr(app.boto3, "client", account.clients.get)
    # And a flow that took five minutes
    monkeypatch.setattr(ReviewFlow, "ensure", lambda *_: pause(300) or NO_FLOW)
    # When the stack is created, then the answer comes minutes before the function's end
    assert account.asks("Create")["Status"] == "SUCCESS"
    function = functions()["provision"]
    repeats = ANSWER_TRIES * ANSWER_TIMEOUT_SECONDS
    assert app.WAITING_SECONDS <= clock[0] <= function["Timeout"] - repeats - 60


def test_the_same_request_again_changes_nothing(account):
    first = account.asks("Create")
    assert account.asks("Create") == first
    assert account.asks("Update") == first
    assert len(account.sagemaker.list_models()["Models"]) == 1


def test_an_update_leaves_the_champion_serving(account):
    # Given a stack whose champion is no longer the first model
    account.asks("Create")
    config = {"VariantName": "AllTraffic", "ModelName": account.models.champion().model_name}
    account.sagemaker.create_endpoint_config(
        EndpointConfigName="better", ProductionVariants=[config | {"InstanceType": "ml.c5.large"}]
    )
    account.sagemaker.delete_endpoint(EndpointName="firnline")
    account.sagemaker.create_endpoint(EndpointName="firnline", EndpointConfigName="better")
    account.models.promote("firnline-1-1-abc", "first", model_name="m", model_data="d", endpoint_config="better")
    # When the stack is updated, with another instance type and another image
    answer = account.asks("Update", EndpointInstanceType="ml.m5.large", InferenceImageUri="other:1")
    # Then the endpoint still serves the champion; the next deployment takes the new settings
    assert answer["Status"] == "SUCCESS"
    assert account.endpoint_config() == "better"
    assert account.models.champion().model_version == "firnline-1-1-abc"


def test_an_endpoint_that_somebody_took_away_comes_back_with_the_champion(account):
    account.asks("Create")
    champion = account.models.champion()
    account.asks("Delete")
    assert account.sagemaker.list_endpoints()["Endpoints"] == []
    assert account.asks("Update")["Status"] == "SUCCESS"
    assert account.endpoint_config() == champion.endpoint_config
    assert account.models.champion() == champion


@pytest.mark.parametrize("broken", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_a_broken_endpoint_is_made_again_with_the_image_that_is_given_now(account, broken):
    # Given an endpoint that never came up, since its image can't be pulled, or that broke later
    account.asks("Create", InferenceImageUri="gone:1")
    champion = account.models.champion()
    account.endpoint_is(broken)
    # When the stack is updated with another image
    assert account.asks("Update", InferenceImageUri="there:1")["Status"] == "SUCCESS"
    # Then the same champion is on its way again, in that image
    assert account.sagemaker.describe_endpoint(EndpointName="firnline")["EndpointStatus"] == "InService"
    assert account.models.champion() == champion
    assert account.endpoint_config() == champion.endpoint_config
    model = account.sagemaker.describe_model(ModelName=champion.model_name)
    assert model["PrimaryContainer"]["Image"] == "there:1"


def test_a_first_model_that_never_served_is_replaced_by_the_one_in_the_box(account):
    # Given an endpoint that never came up, since the file that came in the box was damaged
    account.asks("Create")
    account.endpoint_is("Failed")
    # When the file is mended and the stack deployed again, then it is what the endpoint starts with
    provisioning.FIRST_MODEL.write_bytes(b"the parameters, whole")
    assert account.asks("Update")["Status"] == "SUCCESS"
    assert account.workspace.read(keys.FIRST_MODEL, 100) == b"the parameters, whole"
    assert account.sagemaker.describe_endpoint(EndpointName="firnline")["EndpointStatus"] == "InService"


@pytest.mark.parametrize(("status", "champion"), [("InService", "first"), ("Failed", "firnline-1-1-abc")])
def test_a_first_model_that_served_is_never_replaced(account, status, champion):
    account.asks("Create")
    serves = account.models.champion()
    if champion != "first":
        names = serves.model_dump(include={"model_name", "model_data", "endpoint_config"})
        account.models.promote(champion, "first", **names)
    account.endpoint_is(status)
    provisioning.FIRST_MODEL.write_bytes(b"a later one")
    assert account.asks("Update")["Status"] == "SUCCESS"
    assert account.workspace.read(keys.FIRST_MODEL, 100) == b"the parameters of a network"


def test_delete_waits_for_an_endpoint_that_is_still_being_made(account, monkeypatch):
    # Given a stack whose endpoint is starting, which SageMaker doesn't delete
    account.asks("Create")
    account.endpoint_is("Creating")
    deletions = []
    account.sagemaker.meta.events.register("before-call.sagemaker.DeleteEndpoint", lambda **_: deletions.append("sent"))
    monkeypatch.setattr(serving.time, "sleep", lambda _: (deletions.append("waited"), account.endpoint_is("InService")))
    # When it is deleted, then the endpoint is in service before it goes
    monkeypatch.setattr(app.boto3, "client", account.clients.get)
    assert account.asks("Delete")["Status"] == "SUCCESS"
    assert deletions == ["waited", "sent"]
    assert account.sagemaker.list_endpoints()["Endpoints"] == []


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_an_endpoint_that_is_being_deleted_is_made_anew_once_it_is_gone(account, monkeypatch, request_type):
    # Given an endpoint that somebody is deleting, or the stack of this name before
    account.asks("Create")
    champion = account.models.champion()
    account.endpoint_is("Deleting")
    waited = []
    monkeypatch.setattr(serving.time, "sleep", lambda _: (waited.append(1), account.endpoints.pop("firnline")))
    # When the stack is deployed, then the endpoint goes, and another one comes
    assert account.asks(request_type)["Status"] == "SUCCESS"
    assert waited == [1]
    assert account.sagemaker.describe_endpoint(EndpointName="firnline")["EndpointStatus"] == "InService"
    assert account.endpoint_config() == champion.endpoint_config
    assert account.models.champion() == champion


def test_an_endpoint_that_is_not_gone_in_time_fails_the_deployment_and_says_what_to_do(account, monkeypatch):
    account.asks("Create")
    account.endpoint_is("Deleting")
    monkeypatch.setattr(app, "WAITING_SECONDS", 0)
    answer = account.asks("Update")
    assert answer["Status"] == "FAILED"
    assert "The endpoint firnline is still being deleted" in answer["Reason"]
    assert "Deploy again when" in answer["Reason"]


def test_delete_answers_when_the_endpoint_is_gone(account, monkeypatch):
    # Given a stack whose endpoint takes a while to go
    account.asks("Create")
    standing, order = account.endpoints["firnline"], []

    def goes_slowly(**_):
        standing.endpoint_status = "Deleting"
        account.endpoints["firnline"] = standing

    account.sagemaker.meta.events.register("after-call.sagemaker.DeleteEndpoint", goes_slowly)
    monkeypatch.setattr(
        serving.time, "sleep", lambda _: (order.append("waited"), account.endpoints.pop("firnline", None))
    )
    monkeypatch.setattr(app.boto3, "client", account.clients.get)
    # When the stack is deleted, then CloudFormation hears of it once the name is free
    assert account.asks("Delete")["Status"] == "SUCCESS"
    assert order == ["waited"]
    assert account.sagemaker.list_endpoints()["Endpoints"] == []
    assert account.sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert account.sagemaker.list_models()["Models"] == []


def test_delete_takes_away_what_bills_and_keeps_the_data(account):
    # Given a stack that serves
    account.asks("Create")
    # When it is deleted, twice
    answers = [account.asks("Delete")["Status"] for _ in range(2)]
    # Then endpoint, configuration and model are gone, and the artefact stays
    assert answers == ["SUCCESS", "SUCCESS"]
    assert account.sagemaker.list_endpoints()["Endpoints"] == []
    assert account.sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert account.sagemaker.list_models()["Models"] == []
    assert account.workspace.exists(keys.FIRST_MODEL)


def test_an_endpoint_that_does_not_start_fails_the_deployment_and_says_why(account, monkeypatch):
    # Given an endpoint that SageMaker makes for a while and then gives up
    made = account.sagemaker.meta.events
    made.register("after-call.sagemaker.CreateEndpoint", lambda **_: account.endpoint_is("Creating"))
    waited = []
    monkeypatch.setattr(serving.time, "sleep", lambda _: (waited.append(1), account.endpoint_is("Failed")))
    monkeypatch.setattr(app.boto3, "client", account.clients.get)
    # When the stack is created, then CloudFormation hears of it
    answer = account.asks("Create", InferenceImageUri="gone:1")
    assert waited == [1]
    assert answer["Status"] == "FAILED"
    assert "with the image gone:1" in answer["Reason"]
    assert answer["Reason"].endswith("deploy again.")


def test_the_model_serves_without_a_network_with_the_serving_role(account, monkeypatch):
    made = []
    monkeypatch.setattr(app.boto3, "client", account.clients.get)
    account.sagemaker.meta.events.register(
        "provide-client-params.sagemaker.CreateModel", lambda params, **_: made.append(params)
    )
    account.asks("Create")
    [model] = made
    assert model["EnableNetworkIsolation"] is True
    assert model["ExecutionRoleArn"] == PROPERTIES.serving_role_arn
    assert model["PrimaryContainer"]["Environment"]["SAGEMAKER_MODEL_SERVER_WORKERS"] == "1"


@pytest.mark.parametrize(
    ("status", "gone"),
    [("ROLLBACK_IN_PROGRESS", True), ("DELETE_IN_PROGRESS", False), ("UPDATE_ROLLBACK_IN_PROGRESS", False)],
)
def test_only_a_creation_that_is_rolled_back_empties_the_bucket_of_what_it_wrote(account, status, gone):
    client = account.workspace.client
    client.put_bucket_versioning(Bucket="workspace", VersioningConfiguration={"Status": "Enabled"})
    account.asks("Create")
    account.workspace.write("frames/c/s/1/frame.json", b"{}", "application/json")
    account.stack["StackStatus"] = status
    assert account.asks("Delete")["Status"] == "SUCCESS"
    versions = client.list_object_versions(Bucket="workspace")["Versions"]
    left = {item["Key"].partition("/")[0] for item in versions}
    assert left == ({"frames"} if gone else {"frames", "code", "models"})


def test_a_failure_is_told_with_its_reason(account, monkeypatch, tmp_path):
    # Given a build without the first model
    monkeypatch.setattr(provisioning, "FIRST_MODEL", tmp_path / "nowhere" / "model.tar.gz")
    # When CloudFormation asks, then it hears at once that this failed, and why
    answer = account.asks("Create")
    assert answer["Status"] == "FAILED"
    assert "nowhere/model.tar.gz is missing" in answer["Reason"]


def test_a_stack_name_that_sagemaker_cannot_carry_is_refused_and_can_be_deleted(account):
    answer = account.asks("Create", StackName="Firnline_1")
    assert answer["Status"] == "FAILED"
    assert "StackName" in answer["Reason"]
    assert account.asks("Delete", StackName="Firnline_1")["Status"] == "SUCCESS"


def test_the_same_code_packs_to_the_same_bytes(tmp_path):
    # Given two files, written at different times
    (tmp_path / "train.py").write_text("import network\n")
    (tmp_path / "limits.py").write_text("")
    files = {"train.py": tmp_path / "train.py", "firnline/limits.py": tmp_path / "limits.py"}
    first = model_code.pack(files)
    (tmp_path / "train.py").write_text("import network\n")
    # When they are packed, then by their names, in order, and twice the same
    assert model_code.pack(files) == first
    with tarfile.open(fileobj=io.BytesIO(first[1])) as tar:
        assert tar.getnames() == ["firnline/limits.py", "train.py"]
    (tmp_path / "train.py").write_text("import losses\n")
    assert model_code.pack(files)[0] != first[0]


def described(arn, status, **more):
    """What SageMaker says of a flow in this state."""
    return {
        "FlowDefinitionArn": arn,
        "FlowDefinitionName": arn.rpartition("/")[2],
        "FlowDefinitionStatus": status,
        "CreationTime": datetime(2026, 11, 22, tzinfo=UTC),
        "OutputConfig": {"S3OutputPath": "s3://workspace/a2i"},
        "RoleArn": PROPERTIES.review_flow_role_arn,
        **more,
    }


def test_a_flow_that_a2i_does_not_take_fails_the_deployment_in_a_sentence(monkeypatch):
    # Given a flow that an earlier deployment left failed, which is made anew and fails again
    monkeypatch.setattr(review_flow.time, "sleep", lambda _: None)
    client = boto3.client(
        "sagemaker", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    arn = "arn:aws:sagemaker:eu-central-1:123456789012:flow-definition/firnline-review-0123456789ab"
    ui = {
        "HumanTaskUiArn": arn.replace("flow-definition", "human-task-ui"),
        "HumanTaskUiName": "ui",
        "CreationTime": datetime(2026, 11, 22, tzinfo=UTC),
        "UiTemplate": {},
    }
    with Stubber(client) as aws:
        aws.add_response("describe_human_task_ui", ui)
        aws.add_response("describe_flow_definition", described(arn, "Failed"))
        aws.add_response("delete_flow_definition", {})
        aws.add_response("describe_flow_definition", described(arn, "Deleting"))
        aws.add_client_error("describe_flow_definition", "ResourceNotFound")
        aws.add_response("create_flow_definition", {"FlowDefinitionArn": arn})
        aws.add_response("describe_flow_definition", described(arn, "Failed", FailureReason="The work team is gone."))
        with pytest.raises(FlowFailed, match=r"it is Failed\. The work team is gone\. Check WorkteamArn"):
            ReviewFlow(client, PROPERTIES, "workspace", LATER).ensure("<crowd-form></crowd-form>")
        aws.assert_no_pending_responses()


@pytest.mark.parametrize("people", [1, 3])
def test_the_review_flow_is_made_once_and_named_after_its_content(monkeypatch, people):
    monkeypatch.setattr(review_flow.time, "sleep", lambda _: None)
    # Given an account without a flow (moto knows none of this, so botocore checks the calls against its own models)
    client = boto3.client(
        "sagemaker", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    properties = PROPERTIES.model_copy(update={"reviewers_per_task": people})
    flow = ReviewFlow(client, properties, "workspace", LATER)
    arn = "arn:aws:sagemaker:eu-central-1:123456789012:flow-definition/firnline-review-0123456789ab"
    ui_arn = "arn:aws:sagemaker:eu-central-1:123456789012:human-task-ui/firnline-review-0123456789ab"
    asked = []
    client.meta.events.register("provide-client-params.sagemaker.*", lambda params, **_: asked.append(params))
    with Stubber(client) as aws:
        aws.add_client_error("describe_human_task_ui", "ResourceNotFound")
        aws.add_response(
            "create_human_task_ui",
            {"HumanTaskUiArn": ui_arn},
            {"HumanTaskUiName": ANY, "UiTemplate": {"Content": "<crowd-form></crowd-form>"}},
        )
        aws.add_client_error("describe_flow_definition", "ResourceNotFound")
        aws.add_response("create_flow_definition", {"FlowDefinitionArn": arn})
        aws.add_response("describe_flow_definition", described(arn, "Initializing"))
        aws.add_response("describe_flow_definition", described(arn, "Active"))
        # When it is asked for, then template and flow are made, with names that start as the template's rule expects
        assert flow.ensure("<crowd-form></crowd-form>") == arn
        aws.assert_no_pending_responses()
    ui_name, flow_name = asked[1]["HumanTaskUiName"], asked[3]["FlowDefinitionName"]
    assert ui_name.startswith("firnline-review-")
    assert flow_name.startswith("firnline-review-")
    assert len(flow_name) <= 63
    assert asked[3]["OutputConfig"] == {"S3OutputPath": "s3://workspace/a2i"}
    assert asked[3]["HumanLoopConfig"]["TaskCount"] == people


def test_deletion_removes_this_stacks_flows_and_templates_and_no_others():
    client = boto3.client(
        "sagemaker", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    made = {"CreationTime": datetime(2026, 11, 22, tzinfo=UTC)}
    arn = "arn:aws:sagemaker:eu-central-1:123456789012:"
    names = ("firnline-review-0123456789ab", "firnline-test-review-0123456789ab")
    flows = [
        {
            "FlowDefinitionName": name,
            "FlowDefinitionArn": f"{arn}flow-definition/{name}",
            "FlowDefinitionStatus": "Active",
            **made,
        }
        for name in names
    ]
    templates = [{"HumanTaskUiName": name, "HumanTaskUiArn": f"{arn}human-task-ui/{name}", **made} for name in names]
    with Stubber(client) as aws:
        aws.add_response("list_flow_definitions", {"FlowDefinitionSummaries": flows})
        aws.add_response("delete_flow_definition", {}, {"FlowDefinitionName": names[0]})
        aws.add_response("list_human_task_uis", {"HumanTaskUiSummaries": templates})
        aws.add_response("delete_human_task_ui", {}, {"HumanTaskUiName": names[0]})
        ReviewFlow(client, PROPERTIES, "workspace", LATER).remove()
        aws.assert_no_pending_responses()


@pytest.mark.parametrize("provider", ["a2i", "portal"])
def test_a_stack_without_a2i_can_be_deleted_where_there_is_none(provider):
    client = boto3.client(
        "sagemaker", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    known = Properties.model_validate(EVENT["ResourceProperties"] | {"ReviewProvider": provider})
    refused = pytest.raises(ClientError, match="AccessDenied") if provider == "a2i" else nullcontext()
    with Stubber(client) as aws, refused:
        aws.add_client_error("list_flow_definitions", "AccessDeniedException", "A2I takes no new customers.")
        ReviewFlow(client, known, "workspace", LATER).remove()


def test_a_rolled_back_creation_empties_the_bucket_whatever_else_fails(account, monkeypatch):
    account.asks("Create")
    account.stack["StackStatus"] = "ROLLBACK_IN_PROGRESS"
    refuse = lambda _: (_ for _ in ()).throw(RuntimeError("A2I is not there"))  # noqa: E731
    monkeypatch.setattr(ReviewFlow, "remove", refuse)
    assert account.asks("Delete")["Status"] == "FAILED"
    assert not account.workspace.exists(keys.FIRST_MODEL)


@pytest.mark.parametrize("properties", [{"ReviewProvider": "portal"}, {"WorkteamArn": ""}])
def test_without_a_work_team_or_a2i_there_is_no_flow(properties):
    known = Properties.model_validate(EVENT["ResourceProperties"] | properties)
    assert ReviewFlow(None, known, "workspace", LATER).ensure("<crowd-form></crowd-form>") == NO_FLOW
