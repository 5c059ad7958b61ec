"""What MiniStack's EventBridge lacks of AWS's: policies of buses and of queues, looked at when an event is sent.

It decides PutEvents by the caller's policies alone, gives whole policies to no bus, knows no AWS::Events::EventBusPolicy,
and puts events into queues whose policy lets no event in.
"""

import json
import logging
from typing import Any

MISSING_PERMISSION = "EventBridge may not send to %s as the rule %s: its queue policy allows no %s. The event is lost."
PRINCIPAL = "events.amazonaws.com"

logger = logging.getLogger("firnline.events")


def install() -> None:
    """Put it in."""
    from ministack.core import iam_evaluator
    from ministack.services import eventbridge, sqs
    from ministack.services.cloudformation import provisioners

    eventbridge.bus_policy_for_arn = _policy_of_bus
    iam_evaluator._RESOURCE_POLICY_LOOKUPS["events"] = ("eventbridge", "bus_policy_for_arn")
    permit, invoke = eventbridge._put_permission, eventbridge._invoke_target

    def put_permission(data: dict) -> tuple:
        if "Policy" not in data:
            return permit(data)
        eventbridge._event_bus_policies[data.get("EventBusName", "default")] = json.loads(data["Policy"])
        return eventbridge.json_response({})

    def invoke_if_allowed(target: dict, event: dict, rule: dict, view: Any = None) -> None:
        arn = target.get("Arn", "")
        source = eventbridge._rule_arn(rule["Name"], rule.get("EventBusName", "default"))
        account = source.split(":")[4]
        if arn.split(":")[2:3] == ["sqs"] and not sqs.queue_policy_allows(arn, PRINCIPAL, source, account):
            logger.error(MISSING_PERMISSION, arn, source, PRINCIPAL)
            return
        invoke(target, event, rule, view)

    eventbridge._put_permission, eventbridge._invoke_target = put_permission, invoke_if_allowed
    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {
        "create": lambda logical_id, properties, stack_name: _put_statement(f"{stack_name}-{logical_id}", properties),
        "update": lambda physical_id, old, new, stack_name: _put_statement(physical_id, new, old),
        "delete": _remove_statement,
    }


def _policy_of_bus(arn: str) -> tuple[dict, str] | None:
    """A bus's policy and its owner's account; None for what is no bus."""
    from ministack.services import eventbridge

    parts = arn.split(":")
    if len(parts) != 6 or not parts[5].startswith("event-bus/"):
        return None
    return eventbridge._event_bus_policies.get(parts[5].removeprefix("event-bus/")) or {}, parts[4]


def _put_statement(physical_id: str, properties: dict, old: dict | None = None) -> tuple[str, dict]:
    """CloudFormation's EventBusPolicy: one statement, by its StatementId."""
    from ministack.services import eventbridge

    bus, statement = _bus_name(properties), properties.get("Statement")
    if bus not in eventbridge._event_buses and bus != "default":
        raise ValueError(f"Event bus {bus} does not exist.")
    if old is not None:
        _remove_statement(physical_id, old)
    sid = properties["StatementId"]
    if statement is None:
        eventbridge._put_permission({**properties, "EventBusName": bus})
    else:
        statement = json.loads(statement) if isinstance(statement, str) else statement
        policy = eventbridge._event_bus_policies.get(bus) or {"Version": "2012-10-17", "Statement": []}
        others = [one for one in policy["Statement"] if one.get("Sid") != sid]
        eventbridge._event_bus_policies[bus] = {**policy, "Statement": [*others, {**statement, "Sid": sid}]}
    return physical_id, {}


def _remove_statement(physical_id: str, properties: dict) -> None:
    from ministack.services import eventbridge

    eventbridge._remove_permission({"EventBusName": _bus_name(properties), "StatementId": properties["StatementId"]})


def _bus_name(properties: dict) -> str:
    return str(properties.get("EventBusName", "default")).rpartition("/")[2]
