import io
import json
import re

import boto3
import pytest
import yaml

from firnline.store.models import Models
from tests.support import export_world
from tests.support.retraining_world import MACHINE, correct
from tests.support.review_world import on_moto
from tests.support.statemachine_world import (
    DEPLOY_MACHINE,
    ENDPOINT,
    FOLDER,
    SUBSTITUTIONS,
    StateMachines,
    definition,
    failed,
)
from workbench import operations
from workbench.connection import Connection

NAMES = ("retrain", "deploy_model", "export")
FRAMES = [f"2012_Greenland/2012033{segment}_01/{frame:04d}" for segment in range(4) for frame in range(3)]
TEMPLATE = FOLDER.parent / "template.yaml"


def described(name):
    return export_world.definition() if name == "export" else definition(name)


def inside(state):
    """The machines within a Parallel or a Map state."""
    return [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]


def states(machine):
    """(name, state, the Parallel around it or None), all levels."""
    for name, state in machine["States"].items():
        yield name, state, None
        for branch in inside(state):
            for inner, of_branch in branch["States"].items():
                yield inner, of_branch, state


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_retry_catch_and_timeout(name):
    for task, state, around in states(described(name)):
        if state["Type"] != "Task":
            continue
        assert state["TimeoutSeconds"] > 0, task
        retried = [error for retrier in state["Retry"] for error in retrier["ErrorEquals"]]
        assert retried, task
        assert not {"States.ALL", "States.TaskFailed", "States.Timeout"} & set(retried), task
        assert all(retrier["MaxAttempts"] <= 10 for retrier in state["Retry"]), task
        assert "States.ALL" in (state if "Catch" in state else around)["Catch"][-1]["ErrorEquals"], task


@pytest.mark.parametrize("name", NAMES)
def test_every_state_can_be_reached_and_goes_somewhere(name):
    def follow(level):
        reached, waiting = set(), [level["StartAt"]]
        while waiting:
            state = level["States"][waiting[-1]]
            reached.add(waiting.pop())
            onward = [state.get("Next"), state.get("Default")]
            onward += [entry["Next"] for entry in (*state.get("Catch", []), *state.get("Choices", []))]
            assert any(onward) or state.get("End") or state["Type"] in ("Succeed", "Fail")
            waiting += [target for target in onward if target and target not in reached]
            for branch in inside(state):
                follow(branch)
        assert reached == set(level["States"])

    follow(described(name))


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("retrain", "RetrainStateMachine"),
        ("deploy_model", "DeployModelStateMachine"),
        ("export", "ExportStateMachine"),
    ],
)
def test_the_template_gives_every_substitution(name, resource):
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: suffix)
    template = yaml.load(TEMPLATE.read_text(), Loader)  # noqa: S506 a SafeLoader that knows CloudFormation's tags
    given = set(template["Resources"][resource]["Properties"]["DefinitionSubstitutions"])
    used = set(re.findall(r"\$\{(\w+)\}", (FOLDER / f"{name}.asl.yaml").read_text()))
    assert used <= given
    assert used <= set(SUBSTITUTIONS if name != "export" else export_world.SUBSTITUTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_the_files_do_without_anchors_and_merges_which_not_every_reader_of_yaml_knows(name):
    tokens = yaml.scan((FOLDER / f"{name}.asl.yaml").read_text())
    assert not any(isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in tokens)


@pytest.fixture
def machines(monkeypatch):
    settings = {
        "HOLDOUT_SEGMENTS": "",
        "PROMOTION_MARGIN": "0.005",
        "MAE_TOLERANCE_PX": "0.1",
        "RETRAIN_EVERY": "12",
    }
    with on_moto(**settings) as world:
        yield StateMachines(world, monkeypatch)


def retrain(machines, frames=FRAMES):
    """Run what the sweep would start for batch 1."""
    world = machines.world
    for frame in frames:
        correct(world, frame)
    world.corrections.claim_batches(len(frames))
    execution = MACHINE.replace("stateMachine", "execution") + ":retrain-1"
    assert world.corrections.start_retraining(world.corrections.batch(1), execution)
    return machines.run(MACHINE, "retrain-1", batch=1, attempt=1)


def test_a_better_candidate_is_deployed(machines):
    answer = retrain(machines)
    sagemaker, champion = machines.sagemaker, machines.champion()
    assert answer["status"] == "SUCCEEDED", answer
    assert answer["output"]["outcome"] == "promoted"
    version = champion.model_version
    assert re.fullmatch(r"firnline-1-1-[0-9a-f]{8}", version)
    assert (champion.previous, champion.snapshot) == ("first", "retrain-1")
    assert champion.scores["f1_2px"] == 1.0
    assert sagemaker.config == champion.endpoint_config
    assert sagemaker.configs == {champion.endpoint_config: champion.model_name}
    assert set(sagemaker.models) == {"firnline-first", champion.model_name}
    record = Models(machines.world.table).version(version)
    assert (record.decision, record.champion) == ("promoted", "first")
    assert record.model_data == f"s3://workspace/models/{version}/output/model.tar.gz"
    batch = machines.world.corrections.batch(1)
    assert (batch.outcome, batch.state) == ("promoted", "STARTED")
    assert "f1_2px" in batch.reason


def test_the_training_job_gets_what_the_toolkit_reads(machines):
    retrain(machines)
    job = dict(machines.sagemaker.calls)["CreateTrainingJob"]
    assert job["HyperParameters"] == {
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://workspace/code/abc/sourcedir.tar.gz"',
        "sagemaker_region": '"us-east-1"',
        "epochs": "40",
        "max-seconds": "600",
        "snapshot": '"retrain-1"',
        "model-version": f'"{job["TrainingJobName"]}"',
    }
    channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in job["InputDataConfig"]}
    assert channels["model"] == "s3://workspace/models/first/model.tar.gz"
    assert channels["train"] == "s3://workspace/datasets/retrain-1/train/"
    assert {"train", "holdout", "model"} <= set(channels) <= {"train", "validation", "holdout", "model"}
    assert job["StoppingCondition"]["MaxRuntimeInSeconds"] == 4200
    claimed = re.sub(r"\D", "", machines.world.corrections.batch(1).claimed_at)
    place = rf"s3://workspace/checkpoints/1-{claimed}/first-[0-9a-f]{{12}}/"
    assert re.fullmatch(place, job["CheckpointConfig"]["S3Uri"])
    assert not job["EnableManagedSpotTraining"]


def test_spot_instances_may_be_waited_for(machines, monkeypatch):
    monkeypatch.setitem(SUBSTITUTIONS, "UseSpot", "true")
    machines.define()
    retrain(machines)
    job = dict(machines.sagemaker.calls)["CreateTrainingJob"]
    assert job["EnableManagedSpotTraining"]
    stop = job["StoppingCondition"]
    assert stop == {"MaxRuntimeInSeconds": 4200, "MaxWaitTimeInSeconds": 15600}


def test_models_serve_without_a_network_and_as_many_workers_as_fit(machines):
    retrain(machines)
    made = [params for operation, params in machines.sagemaker.calls if operation == "CreateModel"]
    assert len(made) == 2
    for model in made:
        assert model["EnableNetworkIsolation"] is True
        assert model["ExecutionRoleArn"].endswith("role/serving")
        assert model["PrimaryContainer"]["Environment"]["SAGEMAKER_MODEL_SERVER_WORKERS"] == "3"


def test_a_champion_that_fails_on_a_frame_is_replaced_by_a_better_candidate(machines):
    machines.sagemaker.unanswered["first"] = 1
    answer = retrain(machines)
    assert (answer["status"], answer["output"]["outcome"]) == ("SUCCEEDED", "promoted"), answer
    assert machines.champion().model_version != "first"


def test_a_model_that_answers_nothing_fails_the_run_in_a_sentence(machines):
    machines.sagemaker.unanswered["first"] = 100
    answer = retrain(machines)
    assert answer["status"] == "FAILED"
    assert "champion answered 0 of" in answer["output"]["Cause"]
    assert "ClientError: an object failed" in answer["output"]["Cause"]
    assert machines.champion().model_version == "first"
    assert set(machines.sagemaker.models) == {"firnline-first"}, "the candidate's model is removed"


def test_the_metric_definitions_read_what_training_prints(machines):
    retrain(machines)
    definitions = dict(machines.sagemaker.calls)["CreateTrainingJob"]["AlgorithmSpecification"]["MetricDefinitions"]
    line = (
        "final validation_f1_2px=0.87310; validation_recall_2px=0.9; validation_mae_px=0.62000; validation_score=0.8;"
    )
    line += " holdout_f1_2px=0.5; holdout_mae_px=0.7;"
    found = {entry["Name"]: re.search(entry["Regex"], line) for entry in definitions}
    assert all(found.values()), found
    assert found["validation:f1_2px"][1] == "0.87310"


def test_a_worse_candidate_is_not_deployed(machines):
    machines.sagemaker.default_row = 30.0
    answer = retrain(machines)
    assert (answer["status"], answer["output"]["outcome"]) == ("SUCCEEDED", "kept")
    assert "The champion stays" in answer["output"]["reason"]
    assert machines.champion().model_version == "first"
    assert set(machines.sagemaker.models) == {"firnline-first"}
    assert "updateEndpoint" not in machines.trail


def test_too_little_data_is_no_failure(machines):
    answer = retrain(machines, FRAMES[:3])
    assert (answer["status"], answer["output"]["outcome"]) == ("SUCCEEDED", "skipped")
    assert "at least two segments" in machines.world.corrections.batch(1).reason
    assert machines.trail == ["build_dataset", "record_deployment"]


def test_a_failed_training_says_why(machines):
    machines.sagemaker.training_fails = True
    answer = retrain(machines)
    assert answer["status"] == "FAILED"
    assert answer["output"]["Cause"] == "States.TaskFailed: AlgorithmError: the loss is not a number"
    assert machines.world.corrections.batch(1).reason == answer["output"]["Cause"]


def test_sagemakers_own_rollback_is_not_taken_for_success(machines):
    class Every(set):
        def __contains__(self, config):
            return config != "firnline-first"

    machines.sagemaker.rolls_back = Every()
    answer = retrain(machines)
    assert answer["status"] == "FAILED"
    assert "did not come into service" in answer["output"]["Cause"]
    consistent(machines, "first")


def test_an_endpoint_that_never_settles_ends_in_words(machines, monkeypatch):
    monkeypatch.setattr(
        machines.sagemaker,
        "DescribeEndpoint",
        lambda EndpointName: {
            "EndpointStatus": machines.sagemaker.status,
            "EndpointConfigName": machines.sagemaker.config,
        },
    )
    answer = retrain(machines)
    assert answer["status"] == "FAILED"
    assert machines.trail.count("describeEndpoint") < 800
    assert machines.champion().model_version == "first"


def test_a_model_that_answers_wrongly_is_taken_back(machines, monkeypatch):
    monkeypatch.setattr(machines.sagemaker, "invoke_endpoint", lambda **_: {"Body": io.BytesIO()})
    answer = retrain(machines)
    assert "SmokeTestFailed" in answer["output"]["Cause"]
    consistent(machines, "first")


def test_a_champion_that_changed_meanwhile_is_not_overruled(machines):
    def change(number):
        if machines.trail[number - 1] == "smoke_test":
            Models(machines.world.table).promote(
                "other", "first", model_name="m", model_data="d", endpoint_config="c", execution="e"
            )

    machines.after = change
    answer = retrain(machines)
    assert "ChampionChanged" in answer["output"]["Cause"]
    assert machines.champion().model_version == "other"
    assert machines.sagemaker.config == "firnline-first"


def test_a_rollback_deploys_the_earlier_artefact_again(machines):
    retrain(machines)
    newer = machines.champion()
    answer = machines.run(
        DEPLOY_MACHINE,
        "rollback-1",
        model_version="first",
        model_data="s3://workspace/models/first/model.tar.gz",
        expected_champion=newer.model_version,
        reason="The new model lost the bed.",
    )
    assert answer["status"] == "SUCCEEDED", answer
    champion = machines.champion()
    assert (champion.model_version, champion.previous) == ("first", newer.model_version)
    assert champion.endpoint_config.startswith("firnline-first-")
    consistent(machines, "first")


class Stopped(BaseException):
    """Somebody stopped the execution: nothing is caught, nothing is put back."""


class Operator:
    """The session of whoever runs `firnline rollback`: what is started runs at once."""

    def __init__(self, machines):
        self._machines = machines
        self.answers = []
        in_the_box = machines.champion()  # which provision writes down like any other model
        Models(machines.world.table).record("first", decision="in the box", model_data=in_the_box.model_data)

    def client(self, service, config):
        assert service in ("sagemaker", "stepfunctions")
        return self

    def resource(self, service):
        return boto3.resource(service)

    def describe_endpoint(self, **named):
        return self._machines.sagemaker.call("DescribeEndpoint", named)

    def start_execution(self, stateMachineArn, input):
        answer = self._machines.run(stateMachineArn, f"rollback-{len(self.answers)}", **json.loads(input))
        self.answers.append(answer)
        return answer

    def roll_back(self, version):
        outputs = {"TableName": "firnline", "EndpointName": ENDPOINT, "DeployStateMachineArn": DEPLOY_MACHINE}
        return operations.roll_back(Connection(self, outputs, local=False), version)


def stop(machines, before):
    """Retrain, and stop it before this call."""

    def stopped(number):
        if machines.trail[number - 1] == before:
            raise Stopped

    machines.before = stopped
    with pytest.raises(Stopped):
        retrain(machines)
    machines.before = lambda number: None


@pytest.mark.parametrize("fails", [False, True])
def test_a_champion_that_does_not_serve_since_a_deployment_was_stopped_is_brought_back(machines, fails):
    # Given a deployment that was stopped before its model, which serves, was champion
    stop(machines, "smoke_test")
    machines.settle()
    stray = machines.sagemaker.config
    assert machines.champion().endpoint_config != stray
    # When an operator rolls back to the champion, and it does not answer well at first
    operator = Operator(machines)
    if fails:
        machines.sagemaker.answer, well = (lambda version: b"no layers"), machines.sagemaker.answer
        operator.roll_back("first")
        assert operator.answers.pop()["status"] == "FAILED"
        assert machines.champion().endpoint_config == "firnline-first"
        machines.sagemaker.answer = well
    operator.roll_back("first")
    # Then it serves, and nothing of the stopped deployment does
    [answer] = operator.answers
    assert answer["status"] == "SUCCEEDED", answer
    consistent(machines, "first")
    assert stray not in machines.sagemaker.configs
    # And another time there is nothing to bring back
    with pytest.raises(operations.CannotRollBack, match=r"first serves already\."):
        operator.roll_back("first")


def test_whether_the_champion_serves_is_not_said_of_an_endpoint_that_is_changing(machines):
    machines.sagemaker.UpdateEndpoint(ENDPOINT, "firnline-first")
    with pytest.raises(operations.CannotRollBack, match=r"changing \(Updating\).*ask again"):
        Operator(machines).roll_back("first")


def consistent(machines, *allowed):
    """The champion is one of `allowed`, and the endpoint serves it."""
    machines.settle()
    champion, sagemaker = machines.champion(), machines.sagemaker
    assert champion.model_version in allowed
    assert sagemaker.status == "InService"
    assert sagemaker.config == champion.endpoint_config
    assert sagemaker.version_of(sagemaker.configs[sagemaker.config]) == champion.model_version


CALLS = 19


def test_the_number_of_calls(machines):
    retrain(machines)
    assert len(machines.trail) == CALLS, machines.trail


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_whichever_call_fails_the_champion_serves(machines, number, moment):
    """`after`: AWS has done what was asked, but the answer is an error."""

    def fail(count):
        if count == number:
            raise failed("Sabotage", "cut")

    setattr(machines, moment, fail)
    answer = retrain(machines, FRAMES[::3])
    done = machines.trail[number - 1]
    assert machines.world.corrections.batch(1).outcome or done == "record_deployment"
    if answer["status"] == "SUCCEEDED":
        assert done in ("deleteEndpointConfig", "deleteModel") or (done, moment) == ("createTransformJob.sync", "after")
        assert machines.champion().model_version != "first"
    else:
        assert "cut" in answer["output"]["Cause"]
    consistent(machines, "first", machines.champion().model_version)
    if answer["status"] == "FAILED" and done != "record_deployment":
        assert machines.champion().model_version == "first"
        assert "cut" in machines.world.corrections.batch(1).reason
