"""Taking rights away from recorded decisions."""

import json
from pathlib import Path

import pytest
from ministack.core import iam_evaluator

from workbench import policy_ablation
from workbench.local_cloud.access_record import AccessRecord
from workbench.policy_ablation import Decision, Right

ROLE = "arn:aws:sts::000000000000:assumed-role/firnline-WorkerRole-AB12/session"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:firnline-WorkQueue-CD34"


def statement(effect: str, actions: list[str], resource: str, **conditions: dict) -> dict:
    return {"sid": "", "effect": effect, "actions": actions, "not_actions": [], "resources": [resource],
            "not_resources": [], "conditions": conditions}  # fmt: skip


def context(action: str, resource: str, principal: str = ROLE, **more: object) -> iam_evaluator.EvalContext:
    return iam_evaluator.EvalContext(
        principal_arn=principal, principal_type="AssumedRole", principal_account="000000000000", action=action,
        resource_arn=resource, region="us-east-1", secure_transport=True, **more,
    )  # fmt: skip


@pytest.fixture
def record(tmp_path: Path) -> AccessRecord:
    return AccessRecord(tmp_path / "access.jsonl")


def decisions(record: AccessRecord) -> list[Decision]:
    return policy_ablation.read_decisions(record._path, "firnline")


def test_a_right_that_was_used_is_needed_and_another_is_not(record: AccessRecord) -> None:
    policy = [statement("Allow", ["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::b/*")]
    record.note("principal", context("s3:GetObject", "arn:aws:s3:::b/k"), [policy], "Allow")
    read, write = (Right("WorkerRole", 0, "Allow", f"s3:{verb}Object") for verb in ("Get", "Put"))
    assert policy_ablation.rights(decisions(record)) == {read, write}
    assert policy_ablation.needed(decisions(record)) == {read}


def test_of_two_statements_that_allow_the_same_neither_is_needed(record: AccessRecord) -> None:
    policy = [
        statement("Allow", ["s3:GetObject"], "arn:aws:s3:::b/*"),
        statement("Allow", ["s3:*"], "arn:aws:s3:::b/k"),
    ]
    record.note("principal", context("s3:GetObject", "arn:aws:s3:::b/k"), [policy], "Allow")
    assert policy_ablation.needed(decisions(record)) == set()


def test_a_denial_is_needed_where_something_else_allows(record: AccessRecord) -> None:
    policy = [statement("Allow", ["s3:PutObject"], "*"), statement("Deny", ["s3:PutObject"], "arn:aws:s3:::b/first/*")]
    record.note("principal", context("s3:PutObject", "arn:aws:s3:::b/first/m"), [policy], "Deny")
    assert policy_ablation.needed(decisions(record)) == {Right("WorkerRole", 1, "Deny", "s3:PutObject")}


def test_a_queues_policy_lets_a_rule_in_and_keeps_out_what_comes_in_the_clear(record: AccessRecord) -> None:
    rule = "arn:aws:events:us-east-1:000000000000:rule/r"
    policy = [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
         "Resource": QUEUE, "Condition": {"ArnEquals": {"aws:SourceArn": [rule]}}},
        {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": QUEUE,
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    ]  # fmt: skip
    sent = context("sqs:SendMessage", QUEUE, "*", service_context={"aws:sourcearn": rule})
    record.note("resource", sent, [policy], "Allow", "events.amazonaws.com")
    found = decisions(record)
    allow, deny = Right("WorkQueue", 0, "Allow", "sqs:SendMessage"), Right("WorkQueue", 1, "Deny", "sqs:*")
    assert policy_ablation.needed(found) == {allow}
    assert policy_ablation.needed(map(policy_ablation.in_the_clear, found)) == {deny}


def test_who_reads_what_may_be_missing_needs_to_list(record: AccessRecord) -> None:
    policy = [
        statement("Allow", ["s3:GetObject"], "arn:aws:s3:::b/*"),
        statement("Allow", ["s3:ListBucket"], "arn:aws:s3:::b"),
    ]
    record.note("principal", context("s3:GetObject", "arn:aws:s3:::b/k/l"), [policy], "Allow")
    missing = map(policy_ablation.if_missing, decisions(record))
    assert policy_ablation.needed(missing) == {Right("WorkerRole", 1, "Allow", "s3:ListBucket")}


def test_what_was_refused_is_told_by_holder_and_action(record: AccessRecord) -> None:
    policy = [statement("Allow", ["s3:GetObject"], "arn:aws:s3:::b/*")]
    record.note("principal", context("s3:GetObject", "arn:aws:s3:::b/k"), [policy], "Allow")
    record.note("principal", context("s3:PutObject", "arn:aws:s3:::b/k"), [policy], "ImplicitDeny")
    assert policy_ablation.refused(decisions(record)) == {"WorkerRole s3:PutObject"}


def test_what_is_recorded_twice_is_written_once(record: AccessRecord) -> None:
    policy = [statement("Allow", ["s3:GetObject"], "*")]
    for _ in range(3):
        record.note("principal", context("s3:GetObject", "arn:aws:s3:::b/k"), [policy], "Allow")
    kinds = [
        next(iter({"policy", "request"} & set(json.loads(line)))) for line in record._path.read_text().splitlines()
    ]
    assert kinds == ["policy", "request"]


@pytest.mark.parametrize(
    ("arn", "holder"),
    [
        (ROLE, "WorkerRole"),
        ("arn:aws:iam::000000000000:user/person-operatorpolicyarn-17", "operatorpolicyarn"),
        (QUEUE, "WorkQueue"),
        ("arn:aws:s3:::firnline-framesbucket-x1/c/s/f.nc", "framesbucket"),
        ("arn:aws:events:us-east-1:000000000000:event-bus/firnline", "bus"),
        ("arn:aws:sts::000000000000:assumed-role/firnline-b-WorkerRole-AB12/session", None),
        ("arn:aws:events:us-east-1:000000000000:event-bus/default", None),
        ("*", None),
    ],
)
def test_who_holds_a_policy(arn: str, holder: str | None) -> None:
    assert policy_ablation.holder_of(arn, "firnline") == holder
