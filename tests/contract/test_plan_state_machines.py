"""What functions answer is what the state machines read, and what state machines send is what functions take."""

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from pydantic import BaseModel

from build_dataset import app as build_dataset
from build_dataset.plan import PlanRequest
from compare_models import app as compare_models
from compare_models.comparison import ComparisonRequest
from firnline.store.models import Models
from record_deployment import app as record_deployment
from record_deployment.record import Outcome, Promotion
from smoke_test.smoke import SmokeTestRequest
from start_retraining.executions import Executions
from tests.support.retraining_world import MACHINE, correct, create_machine
from tests.support.review_world import Context, World, on_moto
from tests.support.samples import sample
from tests.support.statemachine_world import SUBSTITUTIONS, SageMaker, definition
from tests.support.template import ROOT, of_type
from workbench import operations
from workbench.connection import Connection

FRAMES = [f"2012_Greenland/2012033{segment}_01/{frame:04d}" for segment in range(4) for frame in range(3)]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def paths_read(machine: str, root: str) -> set[tuple[str, ...]]:
    """The paths below a variable, such as `plan` or `states.input`, that the expressions of a machine read."""
    pattern = re.compile(r"\$" + re.escape(root) + r"((?:\.\w+)+)")
    return {
        tuple(match.strip(".").split(".")) for text in strings(definition(machine)) for match in pattern.findall(text)
    }


def tasks(machine: str, function: str) -> list[dict[str, Any]]:
    """Payload of every task of a machine that invokes a function."""
    found = [
        state["Arguments"]["Payload"]
        for state in definition(machine)["States"].values()
        if state.get("Arguments", {}).get("FunctionName") == function
    ]
    assert found, f"{machine} never invokes {function}"
    return found


def reads(document: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Whether a document has something at a path; of a list, each of its items."""
    if not path:
        return True
    if isinstance(document, list):
        return all(reads(item, path) for item in document)
    return path[0] in document and reads(document[path[0]], path[1:])


@pytest.fixture
def world() -> Iterator[World]:
    with on_moto(HOLDOUT_SEGMENTS="", PROMOTION_MARGIN="0.005", MAE_TOLERANCE_PX="0.1") as made:
        made.serve_the_first_model(scores={"f1_2px": 0.5})
        yield made


def plan(world: World) -> dict[str, Any]:
    for frame_id in FRAMES:
        correct(world, frame_id)
    return json.loads(json.dumps(build_dataset.handler(sample("build_dataset"), Context())))


def test_the_plan_has_all_that_retrain_reads_of_it(world: World) -> None:
    answer = plan(world)
    read = paths_read("retrain", "plan")
    assert {("job_name",), ("champion", "model_name"), ("channels",)} <= read
    assert {path for path in read if not reads(answer, path)} == set()
    assert all(reads(channel, ("name",)) and reads(channel, ("uri",)) for channel in answer["channels"])


def test_the_plan_names_a_channel_for_all_that_training_asks_of_sagemaker(world: World) -> None:
    assert {channel["name"] for channel in plan(world)["channels"]} >= {"train", "holdout", "model"}


def test_the_comparison_has_all_that_retrain_reads_of_it(world: World) -> None:
    made, sagemaker = plan(world), SageMaker(world)
    for role in ("candidate", "champion"):
        sagemaker.CreateTransformJob(
            ModelName=made["champion"]["model_name"],
            TransformInput={"DataSource": {"S3DataSource": {"S3Uri": made["holdout_images_uri"]}}},
            TransformOutput={"S3OutputPath": f"{made['answers_uri']}{role}"},
        )
    request = {
        "snapshot": made["snapshot"],
        "execution": sample("build_dataset")["execution"],
        "candidate": made["job_name"],
        "candidate_model_data": "s3://workspace/m",
        "champion": "first",
    }
    decision = compare_models.handler(request, Context())
    read = paths_read("retrain", "decision")
    assert read >= {("promote",), ("reason",), ("candidate",)}
    assert {path for path in read if not reads(decision, path)} == set()


@pytest.mark.parametrize("machine", ["retrain", "deploy_model"])
def test_what_is_recorded_answers_with_the_reason_that_the_machine_ends_with(world: World, machine: str) -> None:
    answer = record_deployment.handler({"outcome": "failed", "execution": "e", "reason": "cut"}, Context())
    assert {path for path in paths_read(machine, "states.result.Payload") if path != ("job_name",)} == {("reason",)}
    assert answer["reason"] == "cut"


@pytest.mark.parametrize(
    ("machine", "function", "request_model"),
    [
        ("retrain", "build_dataset", PlanRequest),
        ("retrain", "compare_models", ComparisonRequest),
        ("retrain", "record_deployment", Outcome),
        ("deploy_model", "record_deployment", Outcome),
        ("deploy_model", "smoke_test", SmokeTestRequest),
    ],
)
def test_a_machine_sends_what_the_function_takes_and_nothing_else(
    machine: str, function: str, request_model: type[BaseModel]
) -> None:
    for payload in tasks(machine, function):
        agrees(set(payload), request_model)


def test_a_promotion_says_all_that_the_champion_is_known_by() -> None:
    [promotion] = [
        payload["promotion"] for payload in tasks("deploy_model", "record_deployment") if "promotion" in payload
    ]
    agrees(set(promotion), Promotion)


def agrees(sent: set[str], request_model: type[BaseModel]) -> None:
    fields = request_model.model_fields
    assert sent <= set(fields)
    assert {name for name, field in fields.items() if field.is_required()} <= sent


def test_every_outcome_that_a_machine_can_record_is_one_that_is_known() -> None:
    assigned = {
        assigned["outcome"]
        for state in definition("retrain")["States"].values()
        for assigned in (state.get("Assign", {}), *(catch.get("Assign", {}) for catch in state.get("Catch", [])))
        if "outcome" in assigned
    }
    sent = {payload["outcome"] for payload in tasks("deploy_model", "record_deployment")}
    for outcome in assigned | sent:
        Outcome(outcome=outcome, execution="e", reason="r")


def optional(machine: str) -> set[tuple[str, ...]]:
    """Members of its input that a machine reads only where they exist."""
    found = re.findall(r"\$exists\(\$states\.input\.(\w+)\)", " ".join(strings(definition(machine))))
    return {(name,) for name in found}


def test_retrain_is_started_with_the_input_that_it_reads(world: World) -> None:
    client = boto3.client("stepfunctions")
    executions = Executions(client, create_machine(client))
    executions.start(executions.arn(7, 2), batch=7, attempt=2)
    started = json.loads(client.describe_execution(executionArn=executions.arn(7, 2))["input"])
    read = paths_read("retrain", "states.input")
    assert {(name,) for name in started} <= read
    assert read - optional("retrain") <= {(name,) for name in started}


def test_the_execution_that_is_started_has_a_name_that_build_dataset_takes(world: World) -> None:
    executions = Executions(boto3.client("stepfunctions"), MACHINE)
    for attempt in (1, 2):
        PlanRequest(execution=executions.arn(7, attempt), batch=7, attempt=attempt)


def test_deploy_model_is_started_by_retrain_with_the_input_that_it_reads() -> None:
    sent = {(name,) for name in definition("retrain")["States"]["Deploy"]["Arguments"]["Input"]}
    read = paths_read("deploy_model", "states.input")
    assert sent <= read
    assert read - optional("deploy_model") <= sent


def test_deploy_model_is_started_by_an_operators_rollback_with_the_input_that_it_reads(world: World) -> None:
    models = Models(world.table)
    models.record("older", model_data="s3://workspace/models/older/output/model.tar.gz", decision="promoted")
    client = boto3.client("stepfunctions")
    machine = create_machine(client)
    connection = Connection(
        boto3.Session(),
        {"TableName": "firnline", "WorkspaceBucketName": "workspace", "DeployStateMachineArn": machine},
        local=False,
    )
    operations.roll_back(connection, "older")
    [execution] = client.list_executions(stateMachineArn=machine)["executions"]
    started = json.loads(client.describe_execution(executionArn=execution["executionArn"])["input"])
    read = paths_read("deploy_model", "states.input")
    assert {(name,) for name in started} <= read
    assert read - optional("deploy_model") <= {(name,) for name in started}


@pytest.mark.parametrize("machine", ["retrain", "deploy_model"])
def test_the_template_fills_in_every_name_that_a_machine_leaves_open(machine: str) -> None:
    [properties] = [
        found
        for found in of_type("AWS::Serverless::StateMachine").values()
        if found["DefinitionUri"].endswith(f"/{machine}.asl.yaml")
    ]
    named = set(re.findall(r"\$\{(\w+)\}", (ROOT / "statemachines" / f"{machine}.asl.yaml").read_text()))
    assert named == set(properties["DefinitionSubstitutions"])
    assert named <= set(SUBSTITUTIONS)
