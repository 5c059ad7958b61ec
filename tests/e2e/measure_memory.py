"""How the local cloud's memory goes with the number of frames: a measurement for a person, and no test.

`python tests/e2e/measure_memory.py --frames 10000` starts a stack of its own and sends frames through the path that the
application's have: a file into a versioned bucket, its event, a queue, a function that writes documents, a table's item
and an event, a second queue with a function of its own. It prints the resident memory of the local cloud's process
twenty times on the way, and how many megabytes a thousand frames added over the second half.
"""

import io
import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.local_cloud.process import running_pid
from workbench.local_cloud.testing import TestStack, temporary_stack, wait_for

BUCKET = "frames"
HANDLER = """
import json, os
import boto3
s3, table, events = (boto3.client(name) for name in ("s3", "dynamodb", "events"))
LINE = json.dumps({"message": "a line of a log", "context": "x" * 400})
def ingest(event, context):
    for record in event["Records"]:
        key = json.loads(record["body"])["detail"]["object"]["key"]
        body = s3.get_object(Bucket="frames", Key=key)["Body"].read()
        for name in ("frame.json", "picture.png"):
            s3.put_object(Bucket="documents", Key=key + "/" + name, Body=body[:20000])
        put("INGESTED", key)
        events.put_events(Entries=[{"Source": "measured", "DetailType": "FrameReady",
                                    "Detail": json.dumps({"key": key, "more": "x" * 500})}])
        for _ in range(8):
            print(LINE)
def predict(event, context):
    for record in event["Records"]:
        key = json.loads(record["body"])["detail"]["key"]
        s3.put_object(Bucket="documents", Key=key + "/layers.json", Body=b"x" * 20000)
        put("PREDICTED", key)
        for _ in range(8):
            print(LINE)
def put(status, key):
    table.update_item(TableName="frames", Key={"pk": {"S": key}}, UpdateExpression="SET #s = :s, more = :m",
                      ExpressionAttributeNames={"#s": "status"},
                      ExpressionAttributeValues={":s": {"S": status}, ":m": {"S": "x" * 1000}})
"""


def measure(
    frames: Annotated[int, typer.Option(help="how many frames to send")] = 10_000,
    kilobytes: Annotated[int, typer.Option(help="the size of a frame")] = 200,
) -> None:
    """Send the frames and print the memory on the way."""
    with tempfile.TemporaryDirectory(prefix="firnline-memory-") as folder, temporary_stack(Path(folder)) as stack:
        deploy(stack)
        s3, step, resident = stack.client("s3"), max(1, frames // 20), {}
        for number in range(frames):
            s3.put_object(Bucket=BUCKET, Key=f"{number:06d}.nc", Body=number.to_bytes(4, "big") * 256 * kilobytes)
            if number % 20 == 19:
                wait_for(lambda: waiting(stack) < 20, 300)
            if (number + 1) % step == 0:
                wait_for(lambda: waiting(stack) == 0, 300)
                resident[number + 1] = resident_megabytes(stack)
                typer.echo(f"{number + 1:6d} frames {resident[number + 1]:7.1f} MB")
        half = frames // 2 // step * step
        added = (resident[max(resident)] - resident[half]) / (max(resident) - half) * 1000
        typer.echo(f"over the second half: {added:+.1f} MB a thousand frames")


def resident_megabytes(stack: TestStack) -> float:
    status = (Path("/proc") / str(running_pid(stack.folder)) / "status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1000 if found else float("nan")


def waiting(stack: TestStack) -> int:
    """Messages that are in the two queues, in flight or not."""
    sqs, total = stack.client("sqs"), 0
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    for queue in ("ingest", "predict"):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
        total += sum(int(found[name]) for name in names)
    return total


def deploy(stack: TestStack) -> None:
    s3, dynamodb = stack.client("s3"), stack.client("dynamodb")
    for bucket in (BUCKET, "documents"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    dynamodb.create_table(
        TableName="frames",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    role = make_role(stack)
    connect(stack, role, "ingest", {"source": ["aws.s3"], "detail": {"bucket": {"name": [BUCKET]}}})
    connect(stack, role, "predict", {"source": ["measured"]})


def make_role(stack: TestStack) -> str:
    iam: Any = stack.client("iam")
    trusted = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": ["s3:*", "dynamodb:*", "events:*", "sqs:*", "logs:*"], "Resource": "*"}
    trust, policy = ({"Version": "2012-10-17", "Statement": [one]} for one in (trusted, allowed))
    arn = iam.create_role(RoleName="measured", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="measured", PolicyName="own", PolicyDocument=json.dumps(policy))
    return arn


def connect(stack: TestStack, role: str, name: str, pattern: dict) -> None:
    """A queue for the events of a pattern, and the function of that name that takes its messages."""
    sqs, events, functions = stack.client("sqs"), stack.client("events"), stack.client("lambda")
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "120"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", HANDLER)
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler=f"app.{name}",
        Timeout=30,
        Code={"ZipFile": buffer.getvalue()},
    )
    wait_for(lambda: functions.get_function(FunctionName=name)["Configuration"]["State"] == "Active", 20)
    functions.create_event_source_mapping(FunctionName=name, EventSourceArn=arn, BatchSize=1)


if __name__ == "__main__":
    typer.run(measure)
