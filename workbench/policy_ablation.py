"""Which rights of a stack's policies are needed: each is taken away in turn from decisions that the local cloud wrote down.

A decision is a request with the policies that it was decided by (`local_cloud.access_record`). A right is an action of a
statement. It is needed if without it some recorded request were answered otherwise: an Allow whose absence denies, or a
Deny whose absence allows. The evaluator is the one that decided: MiniStack's.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firnline.store import keys
from workbench.local_cloud.access import role_of

Statement = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """`holder` has the policy: the role, the user's managed policy or the resource; `policies` are lists of statements."""

    kind: str
    holder: str
    request: dict[str, Any]
    service: str | None
    policies: tuple[tuple[str, tuple[Statement, ...]], ...]


@dataclass(frozen=True, order=True)
class Right:
    """An action of a statement: of whom, which statement by its number in the policy, what it is about."""

    holder: str
    statement: int
    effect: str
    action: str

    def __str__(self) -> str:
        return f"{self.holder}[{self.statement}] {self.effect} {self.action}"


def read_decisions(path: Path, stack: str) -> list[Decision]:
    """The decisions on a stack's roles and resources, and on people who have its managed policies."""
    policies: dict[str, tuple[Statement, ...]] = {}
    found = []
    with path.open() as lines:
        for line in lines:
            entry = json.loads(line)
            if "policy" in entry:
                policies[entry["policy"]] = tuple(entry["statements"])
                continue
            request = entry["request"]
            holder = holder_of(
                request["principal_arn"] if entry["kind"] == "principal" else request["resource_arn"], stack
            )
            if holder:
                held = tuple((digest, policies[digest]) for digest in entry["policies"])
                found.append(Decision(entry["kind"], holder, request, entry["service"], held))
    return found


def holder_of(arn: str, stack: str) -> str | None:
    """The logical name that a role, a queue or another resource has in the template; None of what is not the stack's.

    CloudFormation names a resource `<stack>-<logical name>-<random>`. A person who was given a policy for a test is called
    `person-<policy>-<number>`.
    """
    parts = role_of(arn).split(":", 5)
    if len(parts) < 6:
        return None
    if parts[5] == f"event-bus/{stack}":
        return "bus"
    name = re.split(r"[:/]", parts[5].removeprefix("role/").removeprefix("user/"))[0]
    if person := re.fullmatch(r"person-(.+)-\d+", name):
        return person[1]
    made = re.fullmatch(rf"{re.escape(stack)}-([A-Za-z0-9]+)-[A-Za-z0-9]+", name)
    return made[1] if made else None


def in_the_clear(decision: Decision) -> Decision:
    """The same asked without TLS, which the local cloud knows no way to do."""
    return replace(decision, request={**decision.request, "secure_transport": False})


def if_missing(decision: Decision) -> Decision:
    """What S3 would ask besides if the object that was read were not there: may the reader list the bucket?"""
    bucket = decision.request["resource_arn"].partition("/")[0]
    return replace(decision, request={**decision.request, "action": "s3:ListBucket", "resource_arn": bucket})


def of_model_in_the_box(decision: Decision, action: str) -> Decision:
    """The same bucket, and an action on the object that no training may replace."""
    bucket = decision.request["resource_arn"].partition("/")[0]
    arn = f"{bucket}/{keys.FIRST_MODEL}"
    return replace(decision, request={**decision.request, "action": action, "resource_arn": arn})


def rights(decisions: Iterable[Decision]) -> set[Right]:
    """All rights of the policies of those on whom there is a decision."""
    return {right for decision in decisions for right, _ in _rights_of(decision)}


def needed(decisions: Iterable[Decision]) -> set[Right]:
    """The rights without one of which some decision were another."""
    found: set[Right] = set()
    for decision in decisions:
        for right, without in _rights_of(decision):
            if right not in found and _names(decision, right) and _passes(decision) != _passes(without):
                found.add(right)
    return found


def refused(decisions: Iterable[Decision]) -> set[str]:
    """What the holders were refused, by holder and action: where a right is missing from the template, it is here.

    A role without any policy is one that was deleted with its stack while something still ran as it.
    """
    return {
        f"{decision.holder} {decision.request['action']}"
        for decision in decisions
        if decision.policies and not _passes(decision)
    }


def _rights_of(decision: Decision) -> Iterator[tuple[Right, Decision]]:
    """Each right, and the decision without it."""
    for place, (digest, statements) in enumerate(decision.policies):
        for number, statement in enumerate(statements):
            actions = _actions(statement)
            for action in actions:
                rest = [other for other in actions if other != action]
                kept = [{**statement, _key(statement): rest}] if rest else []
                policy = (*statements[:number], *kept, *statements[number + 1 :])
                policies = (*decision.policies[:place], (digest, policy), *decision.policies[place + 1 :])
                effect = statement.get("Effect") or statement["effect"]
                yield (
                    Right(decision.holder, number, effect, action),
                    Decision(decision.kind, decision.holder, decision.request, decision.service, policies),
                )


def _key(statement: Statement) -> str:
    return "actions" if "actions" in statement else "Action"


def _actions(statement: Statement) -> list[str]:
    named = statement[_key(statement)]
    return [named] if isinstance(named, str) else list(named)


def _names(decision: Decision, right: Right) -> bool:
    from ministack.core import iam_evaluator

    return iam_evaluator.fnmatch_iam(decision.request["action"], right.action)


def _passes(decision: Decision) -> bool:
    """Whether these policies let the request pass. A resource's own need not allow what the principal's does, but may deny
    it; a service has no other policies than the resource's.
    """
    from ministack.core import iam_evaluator

    request = {**decision.request, "principal_arn": role_of(decision.request["principal_arn"])}
    context = iam_evaluator.EvalContext(**request)
    if decision.kind == "resource":
        document = {"Statement": [statement for _, policy in decision.policies for statement in policy]}
        said: str = iam_evaluator.evaluate_resource_policy(document, context, decision.service).decision
        return said == "Allow" if decision.service else said != "Deny"
    policies = [[iam_evaluator.ParsedStatement(**one) for one in policy] for _, policy in decision.policies]
    return bool(iam_evaluator.evaluate(context, policies).decision == "Allow")
