"""Step Functions' SageMaker integrations, and the state machine's role enforced on every task."""

import json
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from workbench.waiting import wait_until

from .errors import AccessDenied, AwsError
from .identity import Credentials, assume_role, drop_session, require
from .sagemaker_api import SageMakerApi, resource_arn
from .service_model import operation_model, with_times
from .settings import ACCOUNT, REGION
from .training import KIND as TRAINING_JOB
from .transform import KIND as TRANSFORM_JOB

OPTIMIZED = "arn:aws:states:::sagemaker:"
SDK = "arn:aws:states:::aws-sdk:"
# createX.sync: the operations that tell how the job goes and that stop it.
SYNC_JOBS = {"CreateTrainingJob": (TRAINING_JOB, "TrainingJob"), "CreateTransformJob": (TRANSFORM_JOB, "TransformJob")}
SDK_NAMESPACES = {"sfn": "states", "eventbridge": "events", "cloudwatchlogs": "logs"}
S3_ACTIONS = {
    "HeadObject": ["GetObject"],
    "CopyObject": ["PutObject"],
    "ListObjectsV2": ["ListBucket"],
    "ListObjects": ["ListBucket"],
    "HeadBucket": ["ListBucket"],
    "DeleteObjects": ["DeleteObject"],
}


@dataclass(frozen=True)
class TaskRun:
    """The task in progress on this thread: its execution, its session of the role, and when its time is up."""

    execution: dict
    session: Credentials
    deadline: float


_task: ContextVar[TaskRun | None] = ContextVar("firnline_task", default=None)


def install(api: SageMakerApi) -> None:
    """Put both into MiniStack's interpreter of state machines."""
    from ministack.services import stepfunctions
    from ministack.services.cloudformation import provisioners

    failed: type[Exception] = stepfunctions._ExecutionError
    execute_task, invoke_resource = stepfunctions._execute_task, stepfunctions._invoke_resource

    def execute_with_role(state: dict, raw_input: Any, execution: dict, context: dict) -> Any:
        machine = stepfunctions._state_machines.get(_own_machine(execution))
        if machine is None:
            return execute_task(state, raw_input, execution, context)
        try:
            session = assume_role(machine["roleArn"], "states.amazonaws.com", execution["name"])
        except AwsError as error:
            raise failed("States.Runtime", error.message) from error
        seconds = state.get("TimeoutSeconds", float("inf"))
        token = _task.set(TaskRun(execution, session, time.monotonic() + seconds))
        try:
            return execute_task(state, raw_input, execution, context)
        finally:
            _task.reset(token)
            drop_session(session)

    def invoke_as_role(resource: str, params: Any) -> Any:
        task = _task.get()
        try:
            if task is not None:
                for action, target in permissions(resource, params if isinstance(params, dict) else {}):
                    context = {"iam:passedtoservice": "sagemaker.amazonaws.com"} if action == "iam:PassRole" else None
                    require(task.session.access_key, action, target, service=action.partition(":")[0], context=context)
        except AccessDenied as error:
            raise failed(denial_name(resource), error.message) from error
        if resource.startswith(f"{SDK}sagemaker:"):
            return sagemaker_call(api, failed, resource, params)
        return invoke_resource(resource, params)

    definition = provisioners._sfn_definition
    # AWS takes a definition in YAML, as SAM passes it on; MiniStack reads JSON only.
    provisioners._sfn_definition = lambda properties: json.dumps(yaml.safe_load(definition(properties)))
    run_branches = stepfunctions._run_parallel_branches

    def run_branches_in_jsonata(state: dict, raw_input: Any, execution: dict, context: dict) -> Any:
        """MiniStack leaves Arguments, Output and Assign of a Parallel state out."""
        if stepfunctions._state_query_language(state, context) != "JSONata":
            return run_branches(state, raw_input, execution, context)
        branch_input = stepfunctions._apply_jsonata_arguments(state, raw_input, context)
        results, _ = run_branches({"Branches": state["Branches"]}, branch_input, execution, context)
        output = stepfunctions._apply_jsonata_output(state, raw_input, context, result=results, default=results)
        stepfunctions._apply_state_assign(state, raw_input, context, result=results)
        return output, stepfunctions._next_or_end(state)

    stepfunctions._run_parallel_branches = run_branches_in_jsonata
    _install_map_rights(failed)
    stepfunctions._execute_task = execute_with_role
    stepfunctions._invoke_resource = invoke_as_role
    stepfunctions._SERVICE_DISPATCH[OPTIMIZED] = lambda resource, params: sagemaker_call(api, failed, resource, params)


def _install_map_rights(failed: type[Exception]) -> None:
    """A Distributed Map reads its items and starts its children as the machine's role does; MiniStack asks nobody."""
    from ministack.services import stepfunctions

    run_distributed = stepfunctions._run_distributed_map

    def run_with_role(
        state: dict, raw_input: Any, effective: Any, iterator: dict, execution: dict, context: dict
    ) -> Any:
        machine = _own_machine(execution)
        reader = state.get("ItemReader") or {}
        where = stepfunctions._resolve_params_obj(reader.get("Parameters") or {}, effective, context)
        needed = [*permissions(reader.get("Resource", ""), where), ("states:StartExecution", machine)]
        try:
            session = assume_role(
                stepfunctions._state_machines[machine]["roleArn"], "states.amazonaws.com", execution["name"]
            )
            try:
                for action, target in needed:
                    require(session.access_key, action, target, service=action.partition(":")[0])
            finally:
                drop_session(session)
        except AwsError as error:
            raise failed("States.Runtime", error.message) from error
        return run_distributed(state, raw_input, effective, iterator, execution, context)

    stepfunctions._run_distributed_map = run_with_role


def _own_machine(execution: dict) -> str:
    """The ARN of an execution's machine; a child of a Distributed Map has its machine's, with the map's label behind it."""
    return str(execution["stateMachineArn"]).partition("/")[0]


def permissions(resource: str, params: dict) -> list[tuple[str, str]]:
    """The IAM actions and resources that a task's role must allow."""
    if resource.startswith("arn:aws:lambda:"):
        return [("lambda:InvokeFunction", resource)]
    integration, _, pattern = resource.removeprefix("arn:aws:states:::").partition(".")
    service, _, name = integration.removeprefix("aws-sdk:").partition(":")
    if not name:
        return []
    operation = name[0].upper() + name[1:]
    if pattern.startswith("sync"):
        return [*permissions(resource.partition(".")[0], params), *_sync_permissions(service, operation, params)]
    if (service, operation) == ("lambda", "Invoke"):
        function = params.get("FunctionName", "*")
        return [
            (
                "lambda:InvokeFunction",
                function if function.startswith("arn:") else _arn("lambda", f"function:{function}"),
            )
        ]
    if service == "sagemaker":  # iam:PassRole is checked by the operation itself
        return [(f"sagemaker:{operation}", resource_arn(operation, params))]
    if service == "s3":
        bucket = f"arn:aws:s3:::{params.get('Bucket', '*')}"
        actions = S3_ACTIONS.get(operation, [operation])
        return [(f"s3:{a}", bucket if a == "ListBucket" else f"{bucket}/{params.get('Key', '*')}") for a in actions]
    return [(f"{SDK_NAMESPACES.get(service, service)}:{operation}", _target(service, params))]


def _sync_permissions(service: str, operation: str, params: dict) -> list[tuple[str, str]]:
    """What `.sync` needs besides: to watch and stop the job, and the managed rule that tells of its end."""
    watched = {
        "CreateTrainingJob": "SageMakerTrainingJobs",
        "CreateTransformJob": "SageMakerTransformJobs",
        "StartExecution": "StepFunctionsExecution",
    }.get(operation)
    if watched is None:
        return []
    rule = _arn("events", f"rule/StepFunctionsGetEventsFor{watched}Rule")
    rules = [(f"events:{action}", rule) for action in ("PutTargets", "PutRule", "DescribeRule")]
    if service == "states":
        started = (
            params.get("StateMachineArn", "*").replace(":stateMachine:", ":execution:") + f":{params.get('Name', '*')}"
        )
        return [*((f"states:{verb}Execution", started) for verb in ("Describe", "Stop")), *rules]
    if service != "sagemaker":
        return rules
    job = operation.removeprefix("Create")
    own = [(f"sagemaker:{verb}{job}", resource_arn(f"{verb}{job}", params)) for verb in ("Describe", "Stop")]
    return [*own, *rules]


def _target(service: str, params: dict) -> str:
    if service == "dynamodb":
        table = params.get("TableName", "*")
        return table if table.startswith("arn:") else _arn("dynamodb", f"table/{table}")
    if service == "sqs":
        return _arn("sqs", params.get("QueueUrl", "*").rsplit("/", 1)[-1])
    if service in ("events", "eventbridge"):
        entries = params.get("Entries") or [{}]
        bus = entries[0].get("EventBusName", "default")
        return bus if bus.startswith("arn:") else _arn("events", f"event-bus/{bus}")
    for member in ("TopicArn", "StateMachineArn", "ExecutionArn"):
        if member in params:
            return params[member]
    return "*"


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def denial_name(resource: str) -> str:
    """The error name under which Step Functions reports a refusal by IAM."""
    if resource.startswith(SDK):
        service = resource.removeprefix(SDK).split(":")[0]
        names = {"dynamodb": "DynamoDb", "sagemaker": "SageMaker", "eventbridge": "EventBridge"}
        return f"{names.get(service, service.capitalize())}.AccessDeniedException"
    service = resource.removeprefix("arn:aws:states:::").split(":")[0]
    return {
        "lambda": "Lambda.AWSLambdaException",
        "sagemaker": "SageMaker.AmazonSageMakerException",
        "states": "StepFunctions.AccessDeniedException",
        "dynamodb": "DynamoDB.AccessDeniedException",
        "sqs": "SQS.AmazonSQSException",
        "sns": "SNS.AmazonSNSException",
        "events": "EventBridge.AccessDeniedException",
    }.get(service, "Lambda.AWSLambdaException")


def sagemaker_call(api: SageMakerApi, failed: Callable[[str, str], Exception], resource: str, params: Any) -> dict:
    """Run one SageMaker integration; `failed(name, cause)` makes MiniStack's error of a task."""
    task = _task.get()
    if task is None:
        raise failed("States.Runtime", "SageMaker tasks run inside an execution only.")
    name, _, pattern = resource.rsplit(":", 1)[-1].partition(".")
    operation = name[0].upper() + name[1:]
    sdk = resource.startswith(SDK)
    caller = task.session.access_key
    try:
        answer = api.call(operation, _numbers_read(operation, params or {}), caller)
        if pattern != "sync":
            return _times(operation, answer, sdk)
        if operation not in SYNC_JOBS:
            raise failed("States.Runtime", f"{resource} is not supported by the local cloud.")
        return _wait(api, failed, task, operation, params)
    except AwsError as error:
        # The optimised integration knows one name for everything but conflicts and limits; the SDK's names the code.
        code = error.code.removesuffix("Exception") + "Exception" if sdk else "AmazonSageMakerException"
        if sdk and error.code == "ValidationException":
            code = "SageMakerException"
        raise failed(
            f"SageMaker.{code}",
            f"{error.message} (Service: SageMaker, Status Code: {error.status}, Error Code: {error.code})",
        ) from error


def _wait(
    api: SageMakerApi, failed: Callable[[str, str], Exception], task: TaskRun, operation: str, params: dict
) -> dict:
    """Wait for a job to end; it is stopped when its execution or its task's time ends first."""
    member = SYNC_JOBS[operation][1]
    name = {f"{member}Name": params[f"{member}Name"]}

    def ended() -> dict | None:
        job = api.call(f"Describe{member}", name, task.session.access_key)
        status = job[f"{member}Status"]
        if status in ("Completed", "Failed", "Stopped"):
            return job
        if status == "InProgress" and (task.execution["status"] != "RUNNING" or time.monotonic() > task.deadline):
            api.call(f"Stop{member}", name, task.session.access_key)
        return None

    job = wait_until(ended, None, TimeoutError)
    answer = _times(f"Describe{member}", job, sdk=False)
    if job[f"{member}Status"] != "Completed":
        raise failed("States.TaskFailed", json.dumps(answer))
    return answer


def _numbers_read(operation: str, params: dict) -> dict:
    """Numbers and truth values that intrinsic functions made strings of, read as the operation's model asks."""

    def read(value: Any, shape: Any) -> Any:
        if shape.type_name == "structure" and isinstance(value, dict):
            return {k: read(v, shape.members[k]) if k in shape.members else v for k, v in value.items()}
        if shape.type_name == "list" and isinstance(value, list):
            return [read(v, shape.member) for v in value]
        if shape.type_name in ("integer", "long") and isinstance(value, float) and value.is_integer():
            return int(value)
        if shape.type_name in ("integer", "long") and isinstance(value, str) and re.fullmatch(r"-?\d+", value):
            return int(value)
        return value

    return read(params, operation_model("sagemaker", operation).input_shape)


def _times(operation: str, answer: dict, sdk: bool) -> dict:
    """Timestamps as Step Functions writes them: milliseconds for `sagemaker:`, ISO 8601 for `aws-sdk:sagemaker:`."""

    def write(seconds: float) -> str | int:
        iso = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return iso if sdk else int(seconds * 1000)

    shape = operation_model("sagemaker", operation).output_shape
    return with_times(answer, shape, write) if shape is not None else answer
