"""The template and the state machines are code: what must hold for every queue, function, role, bucket and step."""

import json
import re
from pathlib import Path

import boto3
import cfnlint.api
import cfnlint.config
import pytest
import yaml
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parents[2]
TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())
RESOURCES = TEMPLATE["Resources"]
MACHINES = {path.name.split(".")[0]: yaml.safe_load(path.read_text()) for path in ROOT.glob("statemachines/*.asl.yaml")}
MANAGED_POLICIES = {
    "AWSLambdaBasicExecutionRole": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "AWSXrayWriteOnlyAccess": "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
    "AWSXRayDaemonWriteAccess": "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",
}
WITHOUT_TLS = {"Bool": {"aws:SecureTransport": False}, "NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
ACTIONS_WITHOUT_RESOURCES = (
    "logs:",  # delivery of a state machine's log is arranged for the account
    "xray:",
    "cloudwatch:PutMetricData",  # bounded by namespace
    "ecr:GetAuthorizationToken",
    "sagemaker:ListFlowDefinitions",
    "sagemaker:ListHumanTaskUis",
)


def of_type(kind, resources=RESOURCES):
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def properties(name):
    return RESOURCES[name]["Properties"]


@pytest.fixture(scope="module")
def transformed():
    """The template as CloudFormation sees it, after the SAM transform."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    session = boto3.Session(region_name="eu-central-1")
    validator = SamTemplateValidator(template, None, region="eu-central-1")
    validator.boto3_session = session
    validator.managed_policy_loader = type("Loader", (), {"load": staticmethod(lambda: MANAGED_POLICIES)})()
    text = validator.get_translated_template_if_valid()
    return yaml_parse(text)


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(document):
    return as_list(document["Statement"])


def role_documents(resources):
    for name, role in of_type("AWS::IAM::Role", resources).items():
        for policy in role["Properties"].get("Policies", []):
            yield name, policy["PolicyDocument"]


def queues_with_work():
    return [name for name in of_type("AWS::SQS::Queue") if "RedrivePolicy" in properties(name)]


def dead_letter_queue(name):
    return properties(name)["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]


def functions():
    return of_type("AWS::Serverless::Function")


def test_the_transformed_template_passes_cfn_lint(transformed):
    config = cfnlint.config.ManualArgs(regions=["eu-central-1"])
    matches = cfnlint.api.lint(json.dumps(transformed), config=config)
    assert [str(match) for match in matches] == []


def test_every_queue_has_dead_letters_encryption_and_an_alarm():
    queues = of_type("AWS::SQS::Queue")
    alarmed = {
        alarm["Properties"]["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["Namespace"] == "AWS/SQS"
    }
    dead_letters = {dead_letter_queue(name) for name in queues_with_work()}
    assert len(queues_with_work()) == 5
    assert dead_letters | set(queues_with_work()) == set(queues)
    assert alarmed == dead_letters
    for name in queues:
        assert properties(name)["SqsManagedSseEnabled"] is True, name
        assert properties(name)["MessageRetentionPeriod"] == 14 * 86400, name
    for name in queues_with_work():
        assert properties(name)["RedrivePolicy"]["maxReceiveCount"] >= 3, name


def test_every_alarm_tells_somebody():
    for name in of_type("AWS::CloudWatch::Alarm"):
        assert properties(name)["AlarmActions"] == [{"Ref": "AlarmTopic"}], name


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_take():
    mappings = of_type("AWS::Lambda::EventSourceMapping")
    assert len(mappings) == 5
    for name, mapping in mappings.items():
        queue = mapping["Properties"]["EventSourceArn"]["Fn::GetAtt"][0]
        function = mapping["Properties"]["FunctionName"]["Ref"]
        assert properties(queue)["VisibilityTimeout"] >= 6 * properties(function)["Timeout"], name
        assert mapping["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name


def test_only_the_rules_that_feed_a_queue_may_send_to_it():
    fed_by = {name: set() for name in of_type("AWS::SQS::Queue")}
    for name in of_type("AWS::Events::Rule"):
        [target] = properties(name)["Targets"]
        fed_by[target["Arn"]["Fn::GetAtt"][0]].add(name)
        fed_by[target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]].add(name)
    policies = {p["Properties"]["Queues"][0]["Ref"]: p for p in of_type("AWS::SQS::QueuePolicy").values()}
    assert policies.keys() == fed_by.keys()
    for queue, policy in policies.items():
        send, tls = statements(policy["Properties"]["PolicyDocument"])
        allowed = {arn["Fn::GetAtt"][0] for arn in send["Condition"]["ArnEquals"]["aws:SourceArn"]}
        assert allowed == fed_by[queue], queue
        assert (tls["Effect"], tls["Condition"]) == ("Deny", WITHOUT_TLS), queue


def test_buckets_are_closed_encrypted_versioned_and_for_tls_only():
    policies = {p["Properties"]["Bucket"]["Ref"]: p for p in of_type("AWS::S3::BucketPolicy").values()}
    assert policies.keys() == of_type("AWS::S3::Bucket").keys()
    for name in of_type("AWS::S3::Bucket"):
        bucket = properties(name)
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4, name
        assert "BucketEncryption" in bucket, name
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}, name
        assert RESOURCES[name]["DeletionPolicy"] == "Retain", name
        [tls] = statements(policies[name]["Properties"]["PolicyDocument"])
        assert (tls["Effect"], tls["Condition"]) == ("Deny", WITHOUT_TLS), name


def test_the_table_can_be_restored_and_outlives_the_stack():
    [(name, table)] = of_type("AWS::DynamoDB::Table").items()
    assert table["DeletionPolicy"] == "Retain"
    assert properties(name)["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties(name)["SSESpecification"] == {"SSEEnabled": True}
    assert {index["IndexName"] for index in properties(name)["GlobalSecondaryIndexes"]} == {"by_status", "by_segment"}


@pytest.mark.parametrize("name", functions())
def test_every_function_is_described_sized_and_logged(name):
    function = properties(name)
    package = function["Handler"].split(".")[0]
    assert function["Handler"] == f"{package}.app.handler"
    assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == package
    assert "Description" in function
    assert 256 <= function["MemorySize"] <= 3008
    assert 30 <= function["Timeout"] <= 900
    group = properties(function["LoggingConfig"]["LogGroup"]["Ref"])
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", functions())
def test_every_handler_exists(name):
    package = properties(name)["Handler"].split(".")[0]
    source = (ROOT / "services" / package / "app.py").read_text()
    assert re.search(r"^def handler\(", source, re.MULTILINE)


@pytest.mark.parametrize("name", functions())
def test_every_setting_that_a_handler_must_have_is_given(name):
    function = properties(name)
    package = function["Handler"].split(".")[0]
    given = function["Environment"]["Variables"] | TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    source = (ROOT / "services" / package / "app.py").read_text()
    needed = set(re.findall(r"Field\(alias=\"([A-Z_]+)\"", source))
    assert needed <= given.keys()


def test_without_a_work_team_reviews_go_to_the_portal():
    provider = {"Fn::If": ["ReviewsThroughA2I", "a2i", "portal"]}
    assert properties("StartReviewFunction")["Environment"]["Variables"]["REVIEW_PROVIDER"] == provider
    assert TEMPLATE["Outputs"]["ReviewProvider"]["Value"] == provider
    conditions = TEMPLATE["Conditions"]["ReviewsThroughA2I"]["Fn::And"]
    assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "WorkteamArn"}, ""]}]} in conditions


def test_cloudformation_waits_longer_than_provisioning_may_take():
    assert properties("ProvisionFunction")["Timeout"] < properties("Provision")["ServiceTimeout"] <= 3600


def test_every_function_and_machine_has_a_role_of_its_own(transformed):
    resources = transformed["Resources"]
    users = [
        resource["Properties"][key]["Fn::GetAtt"][0]
        for kind, key in (("AWS::Lambda::Function", "Role"), ("AWS::StepFunctions::StateMachine", "RoleArn"))
        for resource in of_type(kind, resources).values()
    ]
    assert len(users) == len(set(users)) == 12


def test_no_role_may_do_everything_or_to_everything(transformed):
    found = 0
    for role, document in role_documents(transformed["Resources"]):
        for statement in statements(document):
            found += 1
            actions = as_list(statement["Action"])
            assert not [action for action in actions if "*" in action], role
            if "*" in as_list(statement["Resource"]):
                assert all(action.startswith(ACTIONS_WITHOUT_RESOURCES) for action in actions), (role, actions)
    assert found > 40


def test_roles_have_no_managed_policies_but_logging_and_tracing(transformed):
    allowed = ("service-role/AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess", "AWSXRayDaemonWriteAccess")
    for name, role in of_type("AWS::IAM::Role", transformed["Resources"]).items():
        for arn in role["Properties"].get("ManagedPolicyArns", []):
            assert arn.split(":policy/")[1] in allowed, name


def test_roles_are_handed_only_to_sagemaker(transformed):
    for role, document in role_documents(transformed["Resources"]):
        for statement in statements(document):
            if "iam:PassRole" in as_list(statement["Action"]):
                assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
                assert all("Fn::GetAtt" in arn for arn in as_list(statement["Resource"])), role


def machine_resources():
    return {
        Path(machine["Properties"]["DefinitionUri"]).name.split(".")[0]: machine["Properties"]
        for machine in of_type("AWS::Serverless::StateMachine").values()
    }


def test_every_substitution_is_used_and_every_placeholder_is_substituted():
    for name, machine in machine_resources().items():
        text = (ROOT / machine["DefinitionUri"]).read_text()
        assert set(re.findall(r"\$\{(\w+)\}", text)) == machine["DefinitionSubstitutions"].keys(), name


def test_machines_log_and_alarm():
    for name, machine in of_type("AWS::Serverless::StateMachine").items():
        assert machine["Properties"]["Logging"]["Level"] == "ERROR"
        assert machine["Properties"]["Tracing"] == {"Enabled": True}
        metrics = {
            alarm["Properties"]["MetricName"]
            for alarm in of_type("AWS::CloudWatch::Alarm").values()
            if alarm["Properties"]["Dimensions"][0]["Value"] == {"Ref": name}
        }
        assert metrics == {"ExecutionsFailed", "ExecutionsTimedOut"}


def tasks(machine, inside=None):
    """(name, task, whether an enclosing state catches) of every task, also inside Parallel and Map."""
    for name, state in machine["States"].items():
        if state["Type"] == "Task":
            yield name, state, bool(inside)
        nested = [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]
        for branch in nested:
            yield from tasks(branch, inside or state.get("Catch"))


@pytest.mark.parametrize("machine", MACHINES)
def test_every_task_is_retried_caught_and_bounded_in_time(machine):
    found = list(tasks(MACHINES[machine]))
    assert found
    for name, task, caught_outside in found:
        assert task.get("Retry"), name
        assert task.get("Catch") or caught_outside, name
        assert "TimeoutSeconds" in task or "TimeoutSecondsPath" in task, name


@pytest.mark.parametrize("machine", MACHINES)
def test_every_transition_leads_to_a_state(machine):
    def check(states):
        for state in states["States"].values():
            targets = [state.get("Next"), state.get("Default")]
            targets += [entry["Next"] for entry in [*state.get("Catch", []), *state.get("Choices", [])]]
            assert {target for target in targets if target} <= states["States"].keys()
            for branch in state.get("Branches", []):
                check(branch)

    check(MACHINES[machine])


def test_the_retraining_queue_hears_of_ended_executions_and_of_the_clock():
    patterns = [properties(name) for name in of_type("AWS::Events::Rule")
                if properties(name)["Targets"][0]["Arn"] == {"Fn::GetAtt": ["RetrainingQueue", "Arn"]}]  # fmt: skip
    assert [rule for rule in patterns if rule.get("ScheduleExpression") == "rate(5 minutes)"]
    kinds = {kind for rule in patterns for kind in rule.get("EventPattern", {}).get("detail-type", [])}
    assert kinds == {"CorrectionBatchClaimed", "Step Functions Execution Status Change"}


def test_the_layer_brings_the_versions_that_lambda_can_load():
    """Wheels for manylinux_2_27 and newer need a newer glibc than the python3.11 runtime has: hence this NumPy."""
    lock = (ROOT / "layers/firnline/requirements.txt").read_text()
    versions = dict(re.findall(r"^([a-z0-9-]+)==([0-9.]+)", lock, re.MULTILINE))
    assert versions["numpy"].startswith("2.2.")
    assert not {"boto3", "botocore", "urllib3"} & versions.keys()
    assert lock.count("--hash=sha256:") >= len(versions)
