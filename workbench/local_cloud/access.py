"""What MiniStack's IAM lacks: policies of event buses, the condition keys of EventBridge and DynamoDB, S3's silence about
what is not there, the resource of a map run, and what tags and the moving of messages ask besides.
"""

import json
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

_PARTITION_KEY = "pk"
_INDEX_KEYS = {"by_status": "status_pk", "by_segment": "segment_pk", "by_campaign": "campaign_pk"}


def install() -> None:
    """Put it in, before MiniStack starts."""
    from ministack import app
    from ministack.core import iam_actions, iam_evaluator
    from ministack.services import eventbridge
    from ministack.services.cloudformation import provisioners

    tag_context = iam_actions.request_tag_context

    def context_of(service: str, action: str, body: bytes, query: dict) -> dict:
        context = tag_context(service, action, body, query)
        if action == "events:PutEvents":
            context = {**context, **event_context(body)}
        if service == "dynamodb":
            context = {**context, **leading_keys(action, body)}
        return context

    def policy_of_bus(arn: str) -> tuple[Any, str] | None:
        kind, _, bus = arn.split(":", 5)[5].partition("/")
        policy = eventbridge._event_bus_policies.get(bus) if kind == "event-bus" else None
        return (policy, arn.split(":")[4]) if policy else None

    resolve = iam_evaluator._resolve_condition_key

    def resolved(key: str, context: Any) -> Any:
        found = resolve(key, context)
        return role_of(found) if key.lower() == "aws:principalarn" else found

    s3_checks = iam_actions.s3_additional_checks

    def checks_of(method: str, path: str, headers: dict, body: bytes, query: dict) -> list[tuple[str, str]]:
        return [*s3_checks(method, path, headers, body, query), *tagging_checks(method, path, headers)]

    extract = iam_actions.extract_resource_arn

    def resource_of(service: str, method: str, path: str, headers: dict, body: bytes, *rest: Any) -> str:
        """MiniStack does not know that requests about a map run name one."""
        found: str = extract(service, method, path, headers, body, *rest)
        return iam_actions._safe_json_field(body, "mapRunArn") or found if service == "states" else found

    iam_actions.extract_resource_arn = resource_of
    iam_actions.s3_additional_checks = checks_of
    app.SERVICE_HANDLERS["sqs"] = asking_for_moves(app.SERVICE_HANDLERS["sqs"])
    app.SERVICE_HANDLERS["s3"] = hiding_absence(app.SERVICE_HANDLERS["s3"])
    iam_evaluator._resolve_condition_key = resolved
    iam_actions.request_tag_context = context_of
    eventbridge.bus_policy_for_arn = policy_of_bus
    iam_evaluator._RESOURCE_POLICY_LOOKUPS["events"] = ("eventbridge", "bus_policy_for_arn")
    provisioners._RESOURCE_HANDLERS["AWS::Events::EventBusPolicy"] = {
        "create": _create_bus_policy,
        "update": lambda _id, _old, new, stack: _create_bus_policy("", new, stack),
        "delete": _delete_bus_policy,
    }


def hiding_absence(handle: Callable[..., Awaitable[tuple]]) -> Callable[..., Awaitable[tuple]]:
    """S3's handler, which tells only those that may list a bucket that an object is not in it; others are denied it.

    "If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403 Access Denied error"
    (GetObject and HeadObject in S3's API reference).
    """
    from ministack import app
    from ministack.services import s3

    async def handled(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        answer = await handle(method, path, headers, body, query)
        bucket, _, key = path.lstrip("/").partition("/")
        if answer[0] != HTTPStatus.NOT_FOUND or method not in ("GET", "HEAD") or not key or bucket not in s3._buckets:
            return answer
        arn = f"arn:aws:s3:::{bucket}"
        return app._enforce_data_plane("s3", "s3:ListBucket", headers, query, "", resource_arn=arn) or answer

    return handled


def tagging_checks(method: str, path: str, headers: dict) -> list[tuple[str, str]]:
    """Who writes an object with tags must be allowed to tag it ("s3:PutObjectTagging" in S3's reference of PutObject)."""
    bucket, _, key = path.lstrip("/").partition("/")
    tagged = key and method in ("PUT", "POST") and headers.get("x-amz-tagging")
    return [("s3:PutObjectTagging", f"arn:aws:s3:::{bucket}/{key}")] if tagged else []


def asking_for_moves(handle: Callable[..., Awaitable[tuple]]) -> Callable[..., Awaitable[tuple]]:
    """SQS's handler, which starts moving messages only for those who could do it message by message ("Configuring queue
    permissions for dead-letter queue redrive" in SQS's guide).
    """
    from ministack import app

    async def handled(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        if headers.get("x-amz-target", "").endswith(".StartMessageMoveTask"):
            asked = json.loads(body)
            for action, arn in moving_rights(asked["SourceArn"], asked.get("DestinationArn", "*")):
                if denied := app._enforce_data_plane("sqs", action, headers, query, "", resource_arn=arn):
                    return denied
        return await handle(method, path, headers, body, query)

    return handled


def moving_rights(source: str, destination: str) -> list[tuple[str, str]]:
    """The actions and queues that moving messages needs besides `sqs:StartMessageMoveTask`."""
    taken = [(f"sqs:{verb}", source) for verb in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")]
    return [*taken, ("sqs:SendMessage", destination)]


def _create_bus_policy(_logical_id: str, properties: dict, _stack_name: str) -> tuple[str, dict]:
    """One statement of a bus's policy, as AWS::Events::EventBusPolicy has it; the statement is given whole."""
    from ministack.services import eventbridge

    bus, statement_id = properties["EventBusName"], properties["StatementId"]
    _delete_bus_policy(f"{bus}|{statement_id}", properties)
    policy = eventbridge._event_bus_policies.setdefault(bus, {"Version": "2012-10-17", "Statement": []})
    policy["Statement"].append({**properties["Statement"], "Sid": statement_id})
    return f"{bus}|{statement_id}", {}


def _delete_bus_policy(physical_id: str, _properties: dict) -> None:
    from ministack.services import eventbridge

    bus, _, statement_id = physical_id.partition("|")
    if bus in eventbridge._event_bus_policies:
        eventbridge._remove_permission({"EventBusName": bus, "StatementId": statement_id})


def role_of(principal: str) -> str:
    """What `aws:PrincipalArn` is: of a session its role's ARN, where MiniStack has the session's."""
    session = re.fullmatch(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/(.+)/[^/]+", principal)
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else principal


def event_context(body: bytes) -> dict[str, str]:
    """The condition keys of PutEvents; entries that differ match no single value."""
    try:
        entries = json.loads(body)["Entries"]
        members = {"events:source": "Source", "events:detail-type": "DetailType"}
        values = {key: {str(entry[member]) for entry in entries} for key, member in members.items()}
    except (ValueError, KeyError, TypeError):
        return {}
    return {key: found.pop() for key, found in values.items() if len(found) == 1}


def leading_keys(action: str, body: bytes) -> dict[str, list[str]]:
    """`dynamodb:LeadingKeys`: the partition keys that a request names, of the table or of the index that it asks.

    A request that can't be read has a key that no policy names.
    """
    try:
        request = json.loads(body)
        if "TransactItems" in request:
            writes = [write for item in request["TransactItems"] for write in item.values()]
            return {
                "dynamodb:leadingkeys": [(write.get("Key") or write["Item"])[_PARTITION_KEY]["S"] for write in writes]
            }
        if action == "dynamodb:Query":
            return {"dynamodb:leadingkeys": [_queried(request)]}
        if action in ("dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"):
            return {"dynamodb:leadingkeys": [request["Key"][_PARTITION_KEY]["S"]]}
        if action == "dynamodb:PutItem":
            return {"dynamodb:leadingkeys": [request["Item"][_PARTITION_KEY]["S"]]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"dynamodb:leadingkeys": ["\0"]}
    return {}


def _queried(request: dict) -> str:
    key = _INDEX_KEYS[request["IndexName"]] if "IndexName" in request else _PARTITION_KEY
    names = request.get("ExpressionAttributeNames", {})
    for name, value in re.findall(r"([#\w]+)\s*=\s*(:\w+)", request["KeyConditionExpression"]):
        if names.get(name, name) == key:
            return request["ExpressionAttributeValues"][value]["S"]
    raise KeyError(key)
