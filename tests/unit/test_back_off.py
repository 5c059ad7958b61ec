"""A message that failed comes again soon, and less and less often."""

import boto3
import pytest

from firnline.observability import LONGEST_WAIT_SECONDS, QueueProcessor, wait_before_receive
from tests.support.review_world import Context, sqs_event


def test_waits_double_up_to_a_bound():
    waits = [wait_before_receive(received) for received in range(1, 10)]
    assert waits[:5] == [30, 60, 120, 240, 480]
    assert set(waits[5:]) == {LONGEST_WAIT_SECONDS}


@pytest.fixture
def queue(world, monkeypatch):
    url = world.sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "900"})["QueueUrl"]
    monkeypatch.setenv("QUEUE_URL", url)
    return world.sqs, url


def process(receipt, received):
    from aws_lambda_powertools.utilities.batch import process_partial_response

    def fail(_record):
        raise TimeoutError("throttled")

    event = sqs_event({"detail": {"frame_id": "c/s/f"}})
    event["Records"][0] |= {"receiptHandle": receipt, "attributes": {"ApproximateReceiveCount": str(received)}}
    return process_partial_response(event, fail, QueueProcessor(), Context())


def test_a_failed_message_is_visible_again_after_its_wait_and_not_after_the_whole_timeout(queue, monkeypatch):
    sqs, url = queue
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    asked = []
    watch = boto3.client("sqs")
    watch.meta.events.register(
        "provide-client-params.sqs.ChangeMessageVisibility", lambda params, **_: asked.append(params)
    )
    monkeypatch.setattr(QueueProcessor, "_sqs", watch)
    failures = process(message["ReceiptHandle"], 3)
    assert failures == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    [call] = asked
    assert (call["QueueUrl"], call["VisibilityTimeout"]) == (url, 120)


def test_a_message_whose_visibility_cannot_be_changed_still_counts_as_failed(queue, caplog):
    failures = process("no-such-receipt", 1)
    assert failures == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert "the message waits for its visibility timeout" in caplog.messages
