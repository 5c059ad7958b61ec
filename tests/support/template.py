"""template.yaml as tests ask it: which functions an event reaches, and what a function's environment holds."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from moto.events.models import EventPattern
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parents[2]
NAMES = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "000000000000",
    "AWS::StackName": "firnline",
    "FramesBucket": "firnline-frames",
    "WorkspaceBucket": "workspace",
    "FirnlineTable": "firnline",
}
"""What references become, so that they say what `tests.support.review_world` says."""


@cache
def template() -> dict[str, Any]:
    return yaml_parse((ROOT / "template.yaml").read_text())


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Properties of every resource of a type, by its logical name."""
    return {name: found["Properties"] for name, found in template()["Resources"].items() if found["Type"] == kind}


def functions() -> dict[str, dict[str, Any]]:
    """Properties of every Lambda function by the name of its package, such as `ingest_frame`."""
    return {found["Handler"].split(".")[0]: found for found in of_type("AWS::Serverless::Function").values()}


def environment(function: str) -> dict[str, Any]:
    """The variables that a function gets, with values as the template writes them."""
    everywhere = template()["Globals"]["Function"]["Environment"]["Variables"]
    return everywhere | functions()[function].get("Environment", {}).get("Variables", {})


def functions_that_take(event: dict[str, Any]) -> set[str]:
    """The functions that an EventBridge event comes to: through its bus, rules that match it, their queues and what reads those.

    What functions send is on the bus that they are told of; AWS's services send to the default bus.
    """
    ours = event["source"].startswith("firnline")
    bus = template()["Globals"]["Function"]["Environment"]["Variables"]["EVENT_BUS"] if ours else None
    return {
        function
        for rule in of_type("AWS::Events::Rule").values()
        if "EventPattern" in rule
        and rule.get("EventBusName") == bus
        and EventPattern("", _resolved(rule["EventPattern"])).matches_event(event)
        for target in rule["Targets"]
        for function in _readers(target["Arn"]["Fn::GetAtt"][0])
    }


def _readers(queue: str) -> set[str]:
    logical = {name: found["Handler"].split(".")[0] for name, found in of_type("AWS::Serverless::Function").items()}
    return {
        logical[mapping["FunctionName"]["Ref"]]
        for mapping in of_type("AWS::Lambda::EventSourceMapping").values()
        if mapping["EventSourceArn"]["Fn::GetAtt"][0] == queue
    }


def _resolved(value: Any) -> Any:
    """A pattern with its references replaced by `NAMES`; one to a resource that is not there stays as its name."""
    if isinstance(value, list):
        return [_resolved(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return NAMES.get(value["Ref"], value["Ref"])
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([^}]+)\}", lambda match: NAMES[match[1]], value["Fn::Sub"])
    return {name: _resolved(part) for name, part in value.items()}
