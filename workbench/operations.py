"""What an operator sees and does of retraining: executions, models, and the way back to an earlier one."""

import json
from collections.abc import Iterable

from rich.table import Table as Listing

from firnline.store.rows import ChampionRow, ModelRow
from workbench.connection import Connection

MACHINES = ("RetrainStateMachineArn", "DeployStateMachineArn", "ExportStateMachineArn")
EXECUTIONS_SHOWN = 20
IN_MOTION = ("Creating", "Updating", "SystemUpdating", "RollingBack")
MOMENT = "%Y-%m-%d %H:%M:%S"


class CannotRollBack(Exception):
    """The model asked for cannot be deployed again; the message says why."""


def execution_listing(connection: Connection) -> Listing:
    """The latest executions of the state machines, and how they ended."""
    machines = connection.client("stepfunctions")
    table = Listing("execution", "status", "started", "stopped", "outcome", box=None)
    for arn in (connection.outputs[name] for name in MACHINES if name in connection.outputs):
        for item in machines.list_executions(stateMachineArn=arn, maxResults=EXECUTIONS_SHOWN)["executions"]:
            stopped = f"{item['stopDate']:{MOMENT}}" if "stopDate" in item else ""
            ended = machines.describe_execution(executionArn=item["executionArn"]) if stopped else {}
            table.add_row(item["name"], item["status"], f"{item['startDate']:{MOMENT}}", stopped, _outcome(ended))
    return table


def _outcome(ended: dict) -> str:
    told = json.loads(ended.get("output") or "{}")
    return ": ".join(told[word] for word in ("outcome", "reason", "summary") if told.get(word)) or ended.get(
        "cause", ""
    )


def model_listing(versions: Iterable[ModelRow], champion: ChampionRow | None) -> Listing:
    """Every model that was trained, and what was decided about it."""
    table = Listing("model", "decision", "reason", box=None)
    for model in versions:
        serves = champion is not None and champion.model_version == model.model_version
        marked = model.model_version + ("  [green]← serves[/green]" if serves else "")
        table.add_row(marked, model.decision or "", model.reason)
    return table


def roll_back(connection: Connection, model_version: str) -> str:
    """Start the deployment of an earlier model; returns the execution's name. Raises CannotRollBack.

    The champion counts as one where the endpoint serves something else: a deployment was stopped between bringing its model
    to the endpoint and making it champion.
    """
    champion, version = connection.models.champion(), connection.models.version(model_version)
    if champion is None or version is None or version.model_data is None:
        raise CannotRollBack(
            f"There is no model '{model_version}' to go back to: `firnline models` lists those there are."
        )
    if champion.model_version == model_version:
        _refuse_what_serves(connection, champion)
    request = {"model_version": model_version, "model_data": version.model_data,
               "expected_champion": champion.model_version, "reason": "rolled back by an operator"}  # fmt: skip
    answer = connection.client("stepfunctions").start_execution(
        stateMachineArn=connection.outputs["DeployStateMachineArn"], input=json.dumps(request)
    )
    return answer["executionArn"].rsplit(":", 1)[1]


def _refuse_what_serves(connection: Connection, champion: ChampionRow) -> None:
    endpoint = connection.client("sagemaker").describe_endpoint(EndpointName=connection.outputs["EndpointName"])
    if endpoint["EndpointStatus"] in IN_MOTION:
        raise CannotRollBack(
            f"The endpoint is changing ({endpoint['EndpointStatus']}), so nobody can tell yet whether {champion.model_version} "
            "serves: ask again in a few minutes."
        )
    if endpoint["EndpointConfigName"] == champion.endpoint_config:
        raise CannotRollBack(f"{champion.model_version} serves already.")
