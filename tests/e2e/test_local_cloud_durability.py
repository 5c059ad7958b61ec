"""kill -9 loses nothing that was accepted, and what was deployed works on."""

import getpass
import io
import json
import os
import re
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from workbench.local_cloud.process import running_pid
from workbench.local_cloud.testing import temporary_stack, wait_for

BUCKET = "frames"
WORKTEAM = "arn:aws:sagemaker:us-east-1:000000000000:workteam/private-crowd/x"
HANDLER = """
import boto3, json, time
table = boto3.client("dynamodb")
def handler(event, context):
    for record in event["Records"]:
        event = json.loads(record["body"])
        detail = event["detail"]
        name = detail.get("humanLoopName") or detail["object"]["key"]
        if event["detail-type"] == "Object Deleted":
            name = "deleted " + name
        table.put_item(TableName="seen", Item={"name": {"S": name}})
def count(event, context):
    for record in event["Records"]:
        detail = json.loads(record["body"])["detail"]
        table.update_item(
            TableName="seen",
            Key={"name": {"S": "flood " + detail["object"]["key"]}},
            UpdateExpression="ADD deliveries :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        time.sleep(0.2)
class UnreadableFrame(Exception): pass
def fail(event, context):
    try:
        int("x")
    except ValueError as error:
        raise UnreadableFrame("two\\nlines") from error
"""


def zipped(source):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", source)
    return buffer.getvalue()


def trust(*services):
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": list(services)}, "Action": "sts:AssumeRole"}],
        }
    )


def allow(*actions):
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    )


def make_role(stack, name, service, *actions):
    arn = stack.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))["Role"]["Arn"]
    if actions:
        stack.client("iam").put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=allow(*actions))
    return arn


def let_events_in(queue_arn):
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def deploy(stack):
    """Uploads, deletions and finished reviews go to a queue, whose Lambda writes their names to a table."""
    s3, sqs, events, functions = (stack.client(n) for n in ("s3", "sqs", "events", "lambda"))
    stack.client("dynamodb").create_table(
        TableName="seen",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
    )
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    url = sqs.create_queue(QueueName="arrivals", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": let_events_in(arn)})
    events.put_rule(
        Name="arrivals",
        EventPattern=json.dumps(
            {
                "source": ["aws.s3", "aws.sagemaker"],
                "detail-type": ["Object Created", "Object Deleted", "SageMaker A2I HumanLoop Status Change"],
            }
        ),
    )
    events.put_targets(Rule="arrivals", Targets=[{"Id": "queue", "Arn": arn}])
    role = make_role(stack, "writer", "lambda.amazonaws.com", "dynamodb:PutItem", "sqs:*", "logs:*")
    for name, handler in (("writer", "app.handler"), ("failing", "app.fail")):
        functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=role,
            Handler=handler,
            Timeout=10,
            Code={"ZipFile": zipped(HANDLER)},
        )
    wait_for(lambda: functions.get_function(FunctionName="writer")["Configuration"]["State"] == "Active", 10)
    functions.create_event_source_mapping(FunctionName="writer", EventSourceArn=arn, BatchSize=1)
    sagemaker = stack.client("sagemaker")
    ui = sagemaker.create_human_task_ui(HumanTaskUiName="ui", UiTemplate={"Content": "<crowd-form></crowd-form>"})
    arn = sagemaker.create_flow_definition(
        FlowDefinitionName="layers",
        OutputConfig={"S3OutputPath": f"s3://{BUCKET}/a2i"},
        RoleArn=make_role(stack, "flow", "sagemaker.amazonaws.com", "s3:GetObject", "s3:PutObject"),
        HumanLoopConfig={
            "HumanTaskUiArn": ui["HumanTaskUiArn"],
            "TaskTitle": "t",
            "TaskDescription": "d",
            "TaskCount": 1,
            "WorkteamArn": WORKTEAM,
        },
    )["FlowDefinitionArn"]
    wait_for(
        lambda: sagemaker.describe_flow_definition(FlowDefinitionName="layers")["FlowDefinitionStatus"] == "Active", 20
    )
    return arn


def deploy_counting(stack):
    """Uploads to the bucket `flood` go to a queue whose Lambda counts how often each one reaches it."""
    s3, sqs, events, functions = (stack.client(n) for n in ("s3", "sqs", "events", "lambda"))
    s3.create_bucket(Bucket="flood")
    s3.put_bucket_notification_configuration(Bucket="flood", NotificationConfiguration={"EventBridgeConfiguration": {}})
    arns = {}
    for name in ("flood-dead", "flood"):
        redrive = {"deadLetterTargetArn": arns.get("flood-dead"), "maxReceiveCount": 2}
        attributes = {"VisibilityTimeout": "60"}
        attributes |= {"RedrivePolicy": json.dumps(redrive)} if arns else {}
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arns[name] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": let_events_in(arns[name])})
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["flood"]}}}
    events.put_rule(Name="flood", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="flood", Targets=[{"Id": "queue", "Arn": arns["flood"]}])
    actions = ("dynamodb:UpdateItem", "sqs:*", "logs:*")
    functions.create_function(
        FunctionName="count",
        Runtime="python3.11",
        Role=make_role(stack, "count", "lambda.amazonaws.com", *actions),
        Handler="app.count",
        Timeout=10,
        Code={"ZipFile": zipped(HANDLER)},
    )
    wait_for(lambda: functions.get_function(FunctionName="count")["Configuration"]["State"] == "Active", 10)
    functions.create_event_source_mapping(FunctionName="count", EventSourceArn=arns["flood"], BatchSize=1)


def waiting(stack, queue):
    """How many messages a queue holds, in flight or not."""
    counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    url = stack.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(counts))
    return sum(int(answer["Attributes"][name]) for name in counts)


def seen(stack):
    return {item["name"]["S"] for item in stack.client("dynamodb").scan(TableName="seen")["Items"]}


def submit(stack, name, label):
    """Answer a task as its page does."""
    page = urllib.request.urlopen(f"{stack.endpoint}/review/tasks/{name}", timeout=10).read().decode()  # noqa: S310
    token = re.search(r"[0-9a-f]{64}", page)
    answer = {
        "annotatedResult": {
            "inputImageProperties": {"width": 20, "height": 10},
            "polylines": [{"label": label, "vertices": [{"x": 0, "y": 3}, {"x": 19, "y": 4}]}],
        }
    }
    request = urllib.request.Request(  # noqa: S310
        f"{stack.endpoint}/review/tasks/{name}/submit",
        method="POST",
        headers={"Content-Type": "application/json"},
        data=json.dumps({"answerContent": answer, "token": token[0], "seconds": 4.5}).encode(),
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        assert response.status == 200


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with temporary_stack(tmp_path_factory.mktemp("durable")) as running:
        yield running


def test_nothing_accepted_is_lost_by_kill_9(stack):
    flow = deploy(stack)
    s3, a2i = stack.client("s3"), stack.client("sagemaker-a2i-runtime")
    for number in range(3):
        a2i.start_human_loop(
            HumanLoopName=f"loop-{number}",
            FlowDefinitionArn=flow,
            HumanLoopInput={"InputContent": json.dumps({"frame_id": "a/b/c"})},
        )
    s3.put_object(Bucket=BUCKET, Key="first.nc", Body=b"1")
    wait_for(lambda: "first.nc" in seen(stack), 20)
    wait_for(lambda: (stack.folder / "state" / "lambda.json").read_text().count("writer"), 20)

    for number in range(20):
        s3.put_object(Bucket=BUCKET, Key=f"{number}.nc", Body=b"2")
    for number in range(50):
        stack.client("dynamodb").put_item(TableName="seen", Item={"name": {"S": f"row-{number}"}})
    s3.delete_object(Bucket=BUCKET, Key="first.nc")
    submit(stack, "loop-0", "surface")
    stack.kill()
    stack.start()

    expected = {"loop-0", "deleted first.nc", *(f"{n}.nc" for n in range(20)), *(f"row-{n}" for n in range(50))}
    wait_for(lambda: expected <= seen(stack), 40)
    described = stack.client("sagemaker-a2i-runtime").describe_human_loop(HumanLoopName="loop-0")
    assert described["HumanLoopStatus"] == "Completed"
    key = described["HumanLoopOutput"]["OutputS3Uri"].removeprefix(f"s3://{BUCKET}/")
    assert re.fullmatch(r"a2i/layers/\d{4}/\d\d/\d\d/\d\d/\d\d/\d\d/loop-0/output\.json", key)
    output = json.loads(stack.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    [answer] = output["humanAnswers"]
    assert answer["answerContent"]["annotatedResult"]["polylines"][0]["label"] == "surface"
    assert (answer["workerId"], answer["timeSpentInSeconds"], output["inputContent"]) == (
        getpass.getuser(),
        4.5,
        {"frame_id": "a/b/c"},
    )


@pytest.mark.slow  # a minute
def test_ten_kills_during_uploads_flood_no_queue(stack):
    """What is announced again is what a function held at a kill, and no kill counts as a receive."""
    deploy_counting(stack)
    wait_for(lambda: (stack.folder / "state" / "lambda.json").read_text().count("app.count"), 20)
    kills, uploads = 10, 60
    put = []
    for number in range(uploads):
        key = f"{number:02d}.nc"
        stack.client("s3").put_object(Bucket="flood", Key=key, Body=b"1")
        put.append(f"flood {key}")
        if number % (uploads // kills) == uploads // kills - 1:
            stack.kill()
            stack.start()
    wait_for(lambda: waiting(stack, "flood") == 0, 120)
    items = stack.client("dynamodb").scan(TableName="seen")["Items"]
    deliveries = {item["name"]["S"]: int(item["deliveries"]["N"]) for item in items if "deliveries" in item}
    assert sorted(deliveries) == put
    at_once = os.cpu_count() or 1  # what a queue's functions may hold
    print(f"{sum(deliveries.values())} deliveries of {uploads} uploads over {kills} kills")
    assert sum(deliveries.values()) <= uploads + kills * at_once
    assert waiting(stack, "flood-dead") == 0


def test_dead_letters_that_were_moved_back_are_not_dead_again_after_a_kill(stack):
    sqs, arns, urls = stack.client("sqs"), {}, {}
    for name in ("moved-dead", "moved"):
        redrive = {"deadLetterTargetArn": arns.get("moved-dead"), "maxReceiveCount": 3}
        attributes = {"RedrivePolicy": json.dumps(redrive)} if arns else {}
        urls[name] = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=["QueueArn"])["Attributes"]
        arns[name] = found["QueueArn"]
    sqs.send_message(QueueUrl=urls["moved-dead"], MessageBody="once more")
    snapshot = stack.folder / "state" / "sqs.json"
    wait_for(lambda: "once more" in snapshot.read_text(), 20)
    sqs.start_message_move_task(SourceArn=arns["moved-dead"], DestinationArn=arns["moved"])
    stack.kill()
    stack.start()
    assert [waiting(stack, name) for name in ("moved-dead", "moved")] == [0, 1]


def test_what_was_deployed_works_after_the_restart(stack):
    stack.client("s3").put_object(Bucket=BUCKET, Key="after.nc", Body=b"3")
    submit(stack, "loop-1", "bed")
    wait_for(lambda: {"after.nc", "loop-1"} <= seen(stack), 30)


def test_a_second_answer_is_refused(stack):
    page = urllib.request.urlopen(f"{stack.endpoint}/review/", timeout=10).read().decode()  # noqa: S310
    assert "loop-2" in page
    submit(stack, "loop-2", "bed")
    with pytest.raises(urllib.error.HTTPError, match=r"410|409"):
        submit(stack, "loop-2", "bed")


def test_a_clean_restart_keeps_tables_and_functions(stack):
    before = seen(stack)
    stack.stop()
    stack.start()
    assert before <= seen(stack)
    answer = stack.client("lambda").invoke(FunctionName="failing", Payload=b"{}")
    assert json.loads(answer["Payload"].read())["errorType"] == "UnreadableFrame"


def test_a_state_machine_catches_a_lambda_by_the_class_of_its_error(stack):
    iam = stack.client("iam")
    role = make_role(stack, "caller", "states.amazonaws.com", "lambda:InvokeFunction")
    states_client = stack.client("stepfunctions")
    machine = states_client.create_state_machine(
        name="catching",
        roleArn=role,
        definition=json.dumps(
            {
                "StartAt": "Call",
                "States": {
                    "Call": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::lambda:invoke",
                        "TimeoutSeconds": 30,
                        "Parameters": {"FunctionName": "failing", "Payload": {}},
                        "Next": "Never",
                        "Retry": [{"ErrorEquals": ["UnreadableFrame"], "MaxAttempts": 1, "IntervalSeconds": 1}],
                        "Catch": [{"ErrorEquals": ["UnreadableFrame"], "Next": "Caught", "ResultPath": "$.error"}],
                    },
                    "Never": {"Type": "Fail"},
                    "Caught": {"Type": "Succeed"},
                },
            }
        ),
    )["stateMachineArn"]

    def run(name):
        arn = states_client.start_execution(stateMachineArn=machine, name=name)["executionArn"]
        return wait_for(
            lambda: (e := states_client.describe_execution(executionArn=arn))["status"] != "RUNNING" and e, 30
        )

    assert run("caught")["status"] == "SUCCEEDED"
    iam.delete_role_policy(RoleName="caller", PolicyName="own")
    denied = run("denied")
    assert (denied["status"], denied["error"]) == ("FAILED", "Lambda.AWSLambdaException")
    assert "lambda:InvokeFunction" in denied["cause"]


def test_an_execution_running_at_the_kill_is_reported_as_failed(stack):
    states_client = stack.client("stepfunctions")
    machine = states_client.create_state_machine(
        name="waiting",
        roleArn=make_role(stack, "waiter", "states.amazonaws.com"),
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}),
    )["stateMachineArn"]
    wait_for(lambda: "waiting" in (stack.folder / "state" / "stepfunctions.json").read_text(), 20)
    arn = states_client.start_execution(stateMachineArn=machine, name="long")["executionArn"]
    stack.kill()
    stack.start()
    done = stack.client("stepfunctions").describe_execution(executionArn=arn)
    assert (done["status"], done["error"]) == ("FAILED", "States.ServiceRestart")


def resident_megabytes(stack):
    status = (Path("/proc") / str(running_pid(stack.folder)) / "status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


@pytest.mark.slow
def test_versions_lie_on_disk_and_not_in_memory(stack):
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="versions", Key="first", Body=bytes(1_000_000))
    before = resident_megabytes(stack)
    written = {}
    for number in range(60):
        body = number.to_bytes(1, "big") * 1_000_000
        written[s3.put_object(Bucket="versions", Key=f"f{number % 20}", Body=body)["VersionId"]] = number
    assert resident_megabytes(stack) - before < 20
    marker = s3.delete_object(Bucket="versions", Key="f7")["VersionId"]

    def assert_all_there():
        for version, number in written.items():
            answer = stack.client("s3").get_object(Bucket="versions", Key=f"f{number % 20}", VersionId=version)
            assert answer["Body"].read() == number.to_bytes(1, "big") * 1_000_000

    assert_all_there()
    stack.stop()
    stack.start()
    assert_all_there()
    s3 = stack.client("s3")
    s3.delete_object(Bucket="versions", Key="f7", VersionId=marker)
    assert s3.get_object(Bucket="versions", Key="f7")["Body"].read(1) == b"\x2f"  # 47, the last one written there


def template(*wait_conditions):
    """A topic, and conditions that nobody fulfils."""
    resources = {"Topic": {"Type": "AWS::SNS::Topic"}}
    for name in wait_conditions:
        handle = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
        waits = {
            "Type": "AWS::CloudFormation::WaitCondition",
            "Properties": {"Handle": {"Ref": f"{name}Handle"}, "Timeout": "3600", "Count": 1},
        }
        resources |= {f"{name}Handle": handle, name: waits}
    return json.dumps({"Resources": resources})


def stack_status(stack, name):
    return stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


def kill_while(stack, name, status):
    """kill -9 as soon as the snapshot holds that status, and start again."""
    snapshot = stack.folder / "state" / "cloudformation.json"
    wait_for(lambda: snapshot.exists() and status in snapshot.read_text(), 20)
    assert stack_status(stack, name) == status
    stack.kill()
    stack.start()


def test_a_stack_that_was_being_made_at_the_kill_has_failed_and_can_be_made_again(stack):
    stack.client("cloudformation").create_stack(StackName="halfmade", TemplateBody=template("Never"))
    kill_while(stack, "halfmade", "CREATE_IN_PROGRESS")
    assert stack_status(stack, "halfmade") == "CREATE_FAILED"
    cloudformation = stack.client("cloudformation")
    cloudformation.delete_stack(StackName="halfmade")
    wait_for(lambda: "halfmade" not in {s["StackName"] for s in cloudformation.describe_stacks()["Stacks"]}, 20)
    cloudformation.create_stack(StackName="halfmade", TemplateBody=template())
    wait_for(lambda: stack_status(stack, "halfmade") == "CREATE_COMPLETE", 20)


def test_a_stack_that_was_being_changed_at_the_kill_can_be_changed_again(stack):
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(StackName="changed", TemplateBody=template())
    wait_for(lambda: stack_status(stack, "changed") == "CREATE_COMPLETE", 20)
    cloudformation.update_stack(StackName="changed", TemplateBody=template("Never"))
    kill_while(stack, "changed", "UPDATE_IN_PROGRESS")
    assert stack_status(stack, "changed") == "UPDATE_ROLLBACK_COMPLETE"
    cloudformation = stack.client("cloudformation")
    other = json.loads(template())
    other["Resources"]["Other"] = {"Type": "AWS::SNS::Topic"}
    cloudformation.update_stack(StackName="changed", TemplateBody=json.dumps(other))
    wait_for(lambda: stack_status(stack, "changed") == "UPDATE_COMPLETE", 20)
    resources = cloudformation.describe_stack_resources(StackName="changed")["StackResources"]
    assert {resource["LogicalResourceId"] for resource in resources} >= {"Topic", "Other"}
