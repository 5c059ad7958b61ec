"""The condition keys that the local cloud adds: they say of a request what IAM would be told of it."""

import json

import pytest

from workbench.local_cloud.access import event_context, leading_keys, moving_rights, role_of, tagging_checks


@pytest.mark.parametrize(
    ("action", "request_", "key"),
    [
        ("GetItem", {"Key": {"pk": {"S": "LOOP#a"}, "sk": {"S": "LOOP"}}}, "LOOP#a"),
        ("UpdateItem", {"Key": {"pk": {"S": "MODEL"}, "sk": {"S": "CHAMPION"}}}, "MODEL"),
        ("PutItem", {"Item": {"pk": {"S": "FRAME#a"}}}, "FRAME#a"),
        ("Query", {"IndexName": "by_status", "KeyConditionExpression": "#n0 = :v0",
                   "ExpressionAttributeNames": {"#n0": "status_pk"},
                   "ExpressionAttributeValues": {":v0": {"S": "LOOPS#OPEN"}}}, "LOOPS#OPEN"),
        ("Query", {"KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
                   "ExpressionAttributeValues": {":pk": {"S": "MODEL"}, ":sk": {"S": "V"}}}, "MODEL"),
        ("Query", {"KeyConditionExpression": "nothing"}, "\0"),
        ("GetItem", {"Key": {}}, "\0"),
    ],
)  # fmt: skip
def test_leading_keys_are_the_partition_keys_that_a_request_names(action, request_, key):
    told = leading_keys(f"dynamodb:{action}", json.dumps(request_).encode())
    assert told == {"dynamodb:leadingkeys": [key]}


def test_a_transaction_names_the_keys_of_all_its_writes():
    puts = {"TransactItems": [{"Put": {"Item": {"pk": {"S": "LOOP#a"}}}}, {"Update": {"Key": {"pk": {"S": "QUEUE"}}}}]}
    told = leading_keys("dynamodb:TransactWriteItems", json.dumps(puts).encode())
    assert told == {"dynamodb:leadingkeys": ["LOOP#a", "QUEUE"]}


def test_a_session_is_its_role():
    session = "arn:aws:sts::000000000000:assumed-role/firnline-IngestRole-1/session"
    assert role_of(session) == "arn:aws:iam::000000000000:role/firnline-IngestRole-1"
    assert role_of("arn:aws:iam::000000000000:user/anna") == "arn:aws:iam::000000000000:user/anna"


def test_entries_that_differ_match_no_single_value():
    def entries(*pairs):
        return json.dumps({"Entries": [{"Source": source, "DetailType": kind} for source, kind in pairs]}).encode()

    assert event_context(entries(("firnline", "A"), ("firnline", "B"))) == {"events:source": "firnline"}
    assert event_context(b"[]") == {}


def test_who_writes_an_object_with_tags_must_be_allowed_to_tag_it():
    tagged = {"x-amz-tagging": "a=b"}
    assert tagging_checks("PUT", "/b/k/l", tagged) == [("s3:PutObjectTagging", "arn:aws:s3:::b/k/l")]
    assert tagging_checks("PUT", "/b/k/l", {}) == tagging_checks("PUT", "/b", tagged) == []


def test_who_has_messages_moved_must_be_allowed_to_move_them():
    assert ("sqs:DeleteMessage", "letters") in moving_rights("letters", "queue")
    assert ("sqs:SendMessage", "queue") in moving_rights("letters", "queue")
