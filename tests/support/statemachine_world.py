"""Runs the state machines with MiniStack's interpreter, our Lambdas' own handlers, and a SageMaker that can fail."""

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import yaml
from botocore.validate import ParamValidator
from ministack.services import stepfunctions

import build_dataset.app
import compare_models.app
import record_deployment.app
from firnline.store.models import Models
from firnline.store.rows import ChampionRow
from smoke_test.smoke import SmokeTestRequest, smoke_test
from tests.support.retraining_world import ACCOUNT, MACHINE, REGION, document
from tests.support.review_world import Context, World, line

FOLDER = Path(__file__).parents[2] / "statemachines"
ENDPOINT = "firnline"
DEPLOY_MACHINE = MACHINE.replace("retrain", "deploy")
SUBSTITUTIONS = {
    "BuildDatasetFunctionArn": "build_dataset",
    "CompareModelsFunctionArn": "compare_models",
    "RecordDeploymentFunctionArn": "record_deployment",
    "SmokeTestFunctionArn": "smoke_test",
    "DeployModelStateMachineArn": DEPLOY_MACHINE,
    "WorkspaceBucket": "workspace",
    "EndpointName": ENDPOINT,
    "Partition": "aws",
    "StackName": "firnline",
    "TrainingRoleArn": f"arn:aws:iam::{ACCOUNT}:role/training",
    "ServingRoleArn": f"arn:aws:iam::{ACCOUNT}:role/serving",
    "ServingWorkers": "3",
    "UseSpot": "false",
    "TrainingImageUri": "image/train:1",
    "InferenceImageUri": "image/serve:1",
    "TrainingInstanceType": "ml.c5.2xlarge",
    "TransformInstanceType": "ml.m5.large",
    "EndpointInstanceType": "ml.m5.large",
    "TrainingSeconds": "600",
    "MaxEpochs": "40",
    "ModelPackageGroupName": "firnline",
    "TableName": "firnline",
    "SourceDirUri": "s3://workspace/code/abc/sourcedir.tar.gz",
}


@cache
def definition(name: str) -> dict[str, Any]:
    """A state machine as it is deployed: substituted, then read."""
    text = (FOLDER / f"{name}.asl.yaml").read_text()
    return yaml.safe_load(re.sub(r"\$\{(\w+)\}", lambda match: SUBSTITUTIONS[match[1]], text))


@cache
def service_model():
    return botocore.session.get_session().get_service_model("sagemaker")


class SageMaker:
    """Answers the calls of the state machines: each is checked against botocore's model of the service.

    `rows` gives each model's answer to the holdout: the row at which it finds the second layer, whose true row is 20.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.model = service_model()
        self.calls: list[tuple[str, dict]] = []
        self.models = {"firnline-first": "s3://workspace/models/first/model.tar.gz"}
        self.configs = {"firnline-first": "firnline-first"}
        self.config, self.status, self.pending, self.looks = "firnline-first", "InService", "", 0
        self.rolls_back: set[str] = set()
        self.training_fails = False
        self.rows: dict[str, float] = {"first": 23.0}
        self.default_row = 20.4
        self.unanswered: dict[str, int] = {}  # by version: on how many of the first frames its transform job fails

    def version_of(self, model_name: str) -> str:
        data = self.models[model_name]
        return "first" if "/first/" in data else data.split("/")[4]

    def call(self, operation: str, params: dict) -> dict:
        shape = self.model.operation_model(operation).input_shape
        report = ParamValidator().validate(params, shape)
        assert not report.has_errors(), f"{operation}: {report.generate_report()}"
        self.calls.append((operation, params))
        for name, value in params.items():
            if re.fullmatch(r"(TrainingJob|TransformJob|Model|EndpointConfig)Name", name):
                assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", value), (name, value)
        return getattr(self, operation)(**params)

    def CreateTrainingJob(self, TrainingJobName, OutputDataConfig, **_):
        if self.training_fails:
            raise failed("States.TaskFailed", json.dumps({"FailureReason": "AlgorithmError: the loss is not a number"}))
        uri = f"{OutputDataConfig['S3OutputPath']}{TrainingJobName}/output/model.tar.gz"
        return {"TrainingJobName": TrainingJobName, "ModelArtifacts": {"S3ModelArtifacts": uri}}

    def CreateModel(self, ModelName, PrimaryContainer, **_):
        self._new(self.models, ModelName)
        self.models[ModelName] = PrimaryContainer["ModelDataUrl"]
        return {"ModelArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/{ModelName}"}

    def DeleteModel(self, ModelName):
        self._known(self.models, ModelName)
        del self.models[ModelName]
        return {}

    def CreateTransformJob(self, ModelName, TransformInput, TransformOutput, **_):
        version = self.version_of(ModelName)
        prefix = TransformInput["DataSource"]["S3DataSource"]["S3Uri"].removeprefix("s3://workspace/")
        out = TransformOutput["S3OutputPath"].removeprefix("s3://workspace/") + "/"
        listed = self.world.bucket.client.list_objects_v2(Bucket="workspace", Prefix=prefix)["Contents"]
        for item in listed[self.unanswered.get(version, 0) :]:
            name = item["Key"].removeprefix(prefix)
            self.world.bucket.write(f"{out}{name}.out", self.answer(version), "application/json")
        if version in self.unanswered:
            raise failed("States.TaskFailed", "ClientError: an object failed")
        return {}

    def CreateModelPackage(self, ModelPackageGroupName, **_):
        return {"ModelPackageArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{ModelPackageGroupName}/1"}

    def CreateEndpointConfig(self, EndpointConfigName, ProductionVariants):
        self._new(self.configs, EndpointConfigName)
        self._known(self.models, ProductionVariants[0]["ModelName"])
        self.configs[EndpointConfigName] = ProductionVariants[0]["ModelName"]
        return {}

    def DeleteEndpointConfig(self, EndpointConfigName):
        self._known(self.configs, EndpointConfigName)
        del self.configs[EndpointConfigName]
        return {}

    def UpdateEndpoint(self, EndpointName, EndpointConfigName):
        self._known(self.configs, EndpointConfigName)
        if self.status == "Updating":
            raise failed("SageMaker.ValidationException", "Cannot update in-progress endpoint")
        self.status, self.pending, self.looks = "Updating", EndpointConfigName, 0
        return {"EndpointArn": "arn"}

    def DescribeEndpoint(self, EndpointName):
        self.looks += 1
        if self.status == "Updating" and self.looks > 2:
            self.status = "InService"
            self.config = self.config if self.pending in self.rolls_back else self.pending
        return {"EndpointStatus": self.status, "EndpointConfigName": self.config}

    def invoke_endpoint(self, **_):
        return {"Body": io.BytesIO(self.answer(self.version_of(self.configs[self.config])))}

    def answer(self, version: str) -> bytes:
        row = self.rows.get(version, self.default_row)
        layers = [line("surface", 10), line("layer", row)]
        return document("", *layers, kind="model", model_version=version).to_json()

    @staticmethod
    def _new(known: dict, name: str) -> None:
        if name in known:
            raise failed("SageMaker.ValidationException", f"{name} exists already")

    @staticmethod
    def _known(known: dict, name: str) -> None:
        if name not in known:
            raise failed("SageMaker.ValidationException", f"Could not find {name}")


def failed(error: str, cause: str) -> Exception:
    return stepfunctions._ExecutionError(error, cause)


class StateMachines:
    """`sabotage(n)` is asked before and after every task's n-th call; what it raises is the task's error."""

    def __init__(self, world: World, monkeypatch) -> None:
        self.world = world
        self.sagemaker = SageMaker(world)
        self.count = 0
        self.trail: list[str] = []
        self.before: Callable[[int], None] = lambda n: None
        self.after: Callable[[int], None] = lambda n: None
        self._original = stepfunctions._invoke_resource
        monkeypatch.setattr(stepfunctions, "_invoke_resource", self._invoke)
        monkeypatch.setattr(stepfunctions, "_scaled_sleep", lambda seconds: None)
        monkeypatch.setattr(stepfunctions, "get_region", lambda: REGION)
        monkeypatch.setattr(stepfunctions, "get_account_id", lambda: ACCOUNT)
        self.define()
        world.serve_the_first_model(scores={"f1_2px": 0.5})

    def define(self) -> None:
        """Put both machines in place, with the substitutions as they are now."""
        definition.cache_clear()
        for arn, name in ((MACHINE, "retrain"), (DEPLOY_MACHINE, "deploy_model")):
            stepfunctions._state_machines[arn] = {
                "stateMachineArn": arn,
                "name": arn.rpartition(":")[2],
                "roleArn": "role",
                "type": "STANDARD",
                "definition": json.dumps(definition(name)),
            }

    def run(self, machine: str, name: str, **given: Any) -> dict[str, Any]:
        answer = json.loads(
            stepfunctions._start_sync_execution({"stateMachineArn": machine, "name": name, "input": json.dumps(given)})[
                2
            ]
        )
        return answer | {"output": json.loads(answer["output"])}

    def champion(self) -> ChampionRow:
        champion = Models(self.world.table).champion()
        assert champion is not None
        return champion

    def settle(self) -> None:
        while self.sagemaker.status == "Updating":
            self.sagemaker.DescribeEndpoint(ENDPOINT)

    def _invoke(self, resource: str, params: Any) -> Any:
        if "startExecution" in resource:
            return self._original(resource, params)
        self.count += 1
        number = self.count
        self.trail.append(params.get("FunctionName") or resource.rsplit(":", 1)[-1])
        self.before(number)
        result = self._do(resource, params)
        self.after(number)
        return result

    def _do(self, resource: str, params: Any) -> Any:
        if resource.endswith("lambda:invoke"):
            return {"StatusCode": 200, "Payload": self._lambda(params["FunctionName"], params["Payload"])}
        operation = resource.rsplit(":", 1)[-1].removesuffix(".sync")
        return self.sagemaker.call(operation[0].upper() + operation[1:], params)

    def _lambda(self, function: str, payload: dict) -> Any:
        payload = json.loads(json.dumps(payload))
        handlers = {
            "build_dataset": build_dataset.app.handler,
            "compare_models": compare_models.app.handler,
            "record_deployment": record_deployment.app.handler,
            "smoke_test": lambda event, _: smoke_test(
                SmokeTestRequest.model_validate(event), self.world.bucket, self.sagemaker
            ),
        }
        try:
            return json.loads(json.dumps(handlers[function](payload, Context())))
        except Exception as error:
            body = {"errorType": type(error).__name__, "errorMessage": str(error), "at": datetime.now(UTC).isoformat()}
            raise failed(type(error).__name__, json.dumps(body)) from error
