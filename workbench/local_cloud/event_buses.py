"""What MiniStack's EventBridge lacks of AWS's: queues whose policy lets no event in, and whole policies of buses."""

import json
import logging
from typing import Any

from .identity import over_tls

LOST = "EventBridge may not send to %s as the rule %s: the queue's policy does not allow it. The event is lost."
PRINCIPAL = "events.amazonaws.com"

logger = logging.getLogger("firnline.events")


def install() -> None:
    """Put it in, before MiniStack starts."""
    from ministack.services import eventbridge, sqs

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
        over_tls()
        if arn.split(":")[2:3] == ["sqs"] and not sqs.queue_policy_allows(arn, PRINCIPAL, source, account):
            logger.error(LOST, arn, source)
            return
        invoke(target, event, rule, view)

    eventbridge._put_permission, eventbridge._invoke_target = put_permission, invoke_if_allowed
