"""The template and the state machines are code: what must hold for every queue, function, role, bucket and step."""

import datetime
import json
import re
from pathlib import Path

import pytest
import yaml
from samcli.yamlhelper import yaml_parse

from firnline.documents.tiles import tiles
from firnline.learning.shards import JUDGED
from firnline.limits import MAX_PICTURE_PIXELS, MAX_PICTURE_ROWS
from firnline.observability import LONGEST_WAIT_SECONDS, wait_before_receive
from firnline.settings import load_settings
from firnline.store import keys
from predict_layers.app import predictor
from workbench import image_accounts, lint_template

ROOT = Path(__file__).parents[2]
TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())
RESOURCES = TEMPLATE["Resources"]
MACHINES = {path.name.split(".")[0]: yaml.safe_load(path.read_text()) for path in ROOT.glob("statemachines/*.asl.yaml")}
WITHOUT_TLS = {"Bool": {"aws:SecureTransport": False}}
DAY = 86400
ALARM_ONLY = {"EndpointFailures"}
"""Queues that nobody reads: their alarm counts what comes."""
OF_THIS_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
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
    return lint_template.transformed((ROOT / "template.yaml").read_text())


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


def test_the_transformed_template_and_its_state_machines_pass_cfn_lint(transformed):
    """In one region here; `make lint-template` takes all of them, and checkov."""
    inside = lint_template.with_machines_inside(transformed)
    assert lint_template.cfn_lint(json.dumps(inside), ["eu-central-1"]) == []


def test_every_exception_of_checkov_has_its_reason():
    lines = (ROOT / ".checkov.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if "- CKV" in line:
            assert "#" in line or lines[number - 1].lstrip().startswith("#"), line


def alarmed(metric):
    return {
        alarm["Properties"]["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["MetricName"] == metric
    }


def test_every_queue_has_dead_letters_encryption_and_an_alarm():
    queues = of_type("AWS::SQS::Queue")
    dead_letters = {dead_letter_queue(name) for name in queues_with_work()}
    assert len(queues_with_work()) == 5
    assert dead_letters | set(queues_with_work()) | ALARM_ONLY == set(queues)
    assert alarmed("ApproximateNumberOfMessagesVisible") == dead_letters | ALARM_ONLY
    for name in queues:
        assert properties(name)["SqsManagedSseEnabled"] is True, name


def test_dead_letters_outlive_what_waits_and_long_waiting_is_told():
    """A dead letter keeps the age that it had: with one retention for both it would be gone as soon as it is dead."""
    for name in queues_with_work():
        kept = properties(name)["MessageRetentionPeriod"]
        assert 4 * DAY <= kept <= 7 * DAY, name
        assert properties(dead_letter_queue(name))["MessageRetentionPeriod"] == 14 * DAY, name
    assert alarmed("ApproximateAgeOfOldestMessage") == set(queues_with_work())
    for alarm in of_type("AWS::CloudWatch::Alarm").values():
        if alarm["Properties"]["MetricName"] == "ApproximateAgeOfOldestMessage":
            assert alarm["Properties"]["Threshold"] <= DAY


def test_tries_span_more_than_an_hour_and_no_wait_is_longer_than_the_visibility_timeout():
    for name in queues_with_work():
        tries = properties(name)["RedrivePolicy"]["maxReceiveCount"]
        assert sum(wait_before_receive(received) for received in range(1, tries)) > 3600, name
    assert LONGEST_WAIT_SECONDS <= 43_200


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


def test_prediction_has_time_for_every_request_of_the_largest_picture(monkeypatch):
    for name in ("TABLE_NAME", "WORKSPACE_BUCKET", "EVENT_BUS", "STACK_NAME", "ENDPOINT_NAME"):
        monkeypatch.setenv(name, "firnline")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    predictor.cache_clear()
    load_settings.cache_clear()
    patience = predictor().endpoint._client.meta.config.read_timeout
    predictor.cache_clear()
    load_settings.cache_clear()
    requests = max(len(tiles(rows, MAX_PICTURE_PIXELS // rows)) for rows in range(256, MAX_PICTURE_ROWS + 1, 8))
    assert properties("PredictLayersFunction")["Timeout"] >= requests * patience + 30


def test_only_the_rules_that_feed_a_queue_may_send_to_it():
    fed_by = {name: set() for name in of_type("AWS::SQS::Queue")}
    for name in of_type("AWS::Events::Rule"):
        [target] = properties(name)["Targets"]
        fed_by[target["Arn"]["Fn::GetAtt"][0]].add(name)
        if target["Arn"]["Fn::GetAtt"][0] not in ALARM_ONLY:
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
        assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate", name
        assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain", name
        [tls] = statements(policies[name]["Properties"]["PolicyDocument"])
        assert (tls["Effect"], tls["Condition"]) == ("Deny", WITHOUT_TLS), name


def test_the_table_can_be_restored_and_outlives_the_stack():
    [(name, table)] = of_type("AWS::DynamoDB::Table").items()
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert properties(name)["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    # Encrypted with DynamoDB's own key all the same: `SSEEnabled: true` asks for KMS's, which is billed by the request.
    assert "SSESpecification" not in properties(name)
    assert {index["IndexName"] for index in properties(name)["GlobalSecondaryIndexes"]} == {
        "by_status",
        "by_segment",
        "by_campaign",
    }


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


def test_no_budget_for_reviews_is_not_a_budget_without_end():
    """The function takes 0 for no bound, which nobody who types it means."""
    budget = TEMPLATE["Parameters"]["ReviewBudget"]
    assert budget["MinValue"] == 1
    assert "ReviewConfidence 0" in budget["Description"]


def test_without_a_work_team_reviews_go_to_the_portal():
    provider = {"Fn::If": ["ReviewsThroughA2I", "a2i", "portal"]}
    assert properties("StartReviewFunction")["Environment"]["Variables"]["REVIEW_PROVIDER"] == provider
    assert TEMPLATE["Outputs"]["ReviewProvider"]["Value"] == provider
    conditions = TEMPLATE["Conditions"]["ReviewsThroughA2I"]["Fn::And"]
    assert {"Fn::Not": [{"Fn::Equals": [{"Ref": "WorkteamArn"}, ""]}]} in conditions


def test_cloudformation_waits_longer_than_provisioning_may_take():
    assert properties("ProvisionFunction")["Timeout"] < properties("Provision")["ServiceTimeout"] <= 3600


def test_a_release_that_changes_only_a_layer_is_provisioned():
    """SAM's version of a function is named after its code, environment and memory, and not after its layers."""
    layers = [*TEMPLATE["Globals"]["Function"]["Layers"], *properties("ProvisionFunction")["Layers"]]
    told = list(properties("Provision").values())
    assert {layer["Ref"] for layer in layers} == of_type("AWS::Serverless::LayerVersion").keys()
    for layer in layers:
        assert layer in told, layer


def test_only_cloudformation_repeats_a_request_to_provision():
    """The custom resource names the function itself, which is $LATEST, and not its alias."""
    [(name, once)] = of_type("AWS::Lambda::EventInvokeConfig").items()
    function = {"Ref": "ProvisionFunction"}
    assert once["Properties"] == {"FunctionName": function, "Qualifier": "$LATEST", "MaximumRetryAttempts": 0}
    assert RESOURCES["Provision"]["DependsOn"] == name
    assert properties("Provision")["ServiceToken"] == {"Fn::GetAtt": ["ProvisionFunction", "Arn"]}


def test_an_unchanged_stack_can_be_provisioned_again():
    """CloudFormation updates no resource of which nothing changed, however often one deploys."""
    assert {"Ref": "ProvisionAgain"} in properties("Provision").values()
    told = properties("EndpointFailedAlarm")["AlarmDescription"]["Fn::Sub"]
    assert "ProvisionAgain" in told
    assert len(told) <= 1024


def test_every_function_and_machine_has_a_role_of_its_own(transformed):
    resources = transformed["Resources"]
    users = [
        resource["Properties"][key]["Fn::GetAtt"][0]
        for kind, key in (("AWS::Lambda::Function", "Role"), ("AWS::StepFunctions::StateMachine", "RoleArn"))
        for resource in of_type(kind, resources).values()
    ]
    assert len(users) == len(set(users)) == 15


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


def test_no_role_has_policies_of_somebody_else(transformed):
    """AWSLambdaBasicExecutionRole may create log groups: a late line brings a deleted one back, and the next deployment
    of the stack's name fails."""
    for name, role in of_type("AWS::IAM::Role", transformed["Resources"]).items():
        assert not role["Properties"].get("ManagedPolicyArns"), name


@pytest.mark.parametrize("name", functions())
def test_a_function_writes_to_its_own_log_group_and_makes_none(name):
    [policy] = properties(f"{name}Role")["Policies"]
    logs = [s for s in statements(policy["PolicyDocument"]) if any(a.startswith("logs:") for a in as_list(s["Action"]))]
    assert [(s["Action"], s["Resource"]) for s in logs] == [
        (
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            {"Fn::GetAtt": [properties(name)["LoggingConfig"]["LogGroup"]["Ref"], "Arn"]},
        )
    ]


def test_services_that_say_for_whom_they_act_act_for_this_account_only():
    """Step Functions and SageMaker document the key for these roles; Lambda does not, nor does SageMaker for A2I."""
    trusting = {
        name: statements(role["Properties"]["AssumeRolePolicyDocument"])[0]
        for name, role in of_type("AWS::IAM::Role").items()
    }
    bounded = {name for name, statement in trusting.items() if statement.get("Condition") == OF_THIS_ACCOUNT}
    assert bounded == {"RetrainRole", "DeployModelRole", "ExportRole", "TrainingRole", "ServingRole"}
    others = {statement["Principal"]["Service"] for name, statement in trusting.items() if name not in bounded}
    assert others == {"lambda.amazonaws.com", "sagemaker.amazonaws.com"}


def test_what_serves_reads_models_and_pictures_and_writes_answers_only(transformed):
    allowed = {}
    for statement in dict(role_documents(transformed["Resources"]))["ServingRole"]["Statement"]:
        for action in as_list(statement["Action"]):
            allowed[action] = [json.dumps(arn) for arn in as_list(statement["Resource"])]
    assert {a for a in allowed if a.startswith("s3:")} == {
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:ListBucket",
        "s3:GetBucketLocation",
    }
    assert all("/answers/*" in arn for arn in allowed["s3:PutObject"])
    assert all("/models/*" in arn or "/holdout-images/*" in arn for arn in allowed["s3:GetObject"])


def test_training_cannot_replace_the_model_in_the_box(transformed):
    statements_of = dict(role_documents(transformed["Resources"]))["TrainingRole"]["Statement"]
    [denied] = [s for s in statements_of if s["Effect"] == "Deny"]
    assert "s3:PutObject" in denied["Action"]
    assert "/models/first/*" in denied["Resource"]["Fn::Sub"]
    written = [
        arn["Fn::Sub"].partition("}/")[2]
        for s in statements_of
        if s["Effect"] == "Allow" and "s3:PutObject" in s["Action"]
        for arn in as_list(s["Resource"])
    ]
    assert written == ["models/*", "checkpoints/*"]


# One stack does not know of another


def test_what_the_stack_says_to_itself_goes_over_its_own_bus():
    own, shared = [], []
    for name in of_type("AWS::Events::Rule"):
        pattern = properties(name).get("EventPattern")
        if pattern:
            (own if pattern["source"][0].startswith("firnline") else shared).append(name)
    assert len(own) == 5
    for name in own:
        assert properties(name)["EventBusName"] == {"Ref": "FirnlineBus"}, name
    assert TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["EVENT_BUS"] == {"Ref": "FirnlineBus"}
    told_apart = {
        "UploadRule": ("bucket", {"name": [{"Ref": "FramesBucket"}]}),
        "RetrainingEndedRule": ("stateMachineArn", [{"Ref": "RetrainStateMachine"}]),
        "EndpointFailedRule": ("EndpointName", [{"Ref": "AWS::StackName"}]),
        "ReviewEndedRule": ("flowDefinitionArn", [
            {"prefix": {"Fn::Sub": "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:"
                                   "flow-definition/${AWS::StackName}-review-"}}]),
    }  # fmt: skip
    assert set(shared) == told_apart.keys()
    for name, (member, value) in told_apart.items():
        assert "EventBusName" not in properties(name), name
        assert properties(name)["EventPattern"]["detail"][member] == value, name


def test_who_may_send_what_over_the_bus():
    denied = {
        policy["Properties"]["StatementId"]: policy["Properties"]["Statement"]
        for policy in of_type("AWS::Events::EventBusPolicy").values()
    }
    assert denied.keys() == {"OwnSourcesOnly", "FramesFromFunctionsOnly"}
    assert all((s["Effect"], s["Principal"]) == ("Deny", "*") for s in denied.values())
    senders = {"IngestFrame", "PredictLayers", "CompleteReview", "Portal"}
    for name in of_type("AWS::IAM::Role"):
        for policy in properties(name).get("Policies", []):
            for statement in statements(policy["PolicyDocument"]):
                if "events:PutEvents" in as_list(statement["Action"]):
                    assert statement["Resource"] == {"Fn::GetAtt": ["FirnlineBus", "Arn"]}
                    assert statement["Condition"]["StringEquals"].keys() == {"events:source", "events:detail-type"}
                    senders.remove(name.removesuffix("FunctionRole"))
    assert not senders


def test_rights_that_no_code_uses_are_not_given():
    def allowed(function, action):
        [policy] = properties(f"{function}FunctionRole")["Policies"]
        return [s for s in statements(policy["PolicyDocument"]) if action in as_list(s["Action"])]

    [sends] = allowed("PredictLayers", "events:PutEvents")
    assert sends["Condition"]["StringEquals"]["events:detail-type"] == ["FrameRejected", "LayersPredicted"]
    assert not allowed("CompareModels", "dynamodb:Query")
    assert not [s for s in allowed("IngestFrame", "s3:GetObject") if "rejected" in json.dumps(s)]
    assert [s for s in allowed("IngestFrame", "s3:PutObject") if "rejected" in json.dumps(s)]


def test_an_export_may_read_all_answers_to_a_correction_wherever_they_were_given():
    """`exports.reading.reviewer_rows` reads the outputs that complete_review has read, and nothing beside them."""

    def readable(function):
        [policy] = properties(f"{function}FunctionRole")["Policies"]
        arns = [
            arn
            for statement in statements(policy["PolicyDocument"])
            if "s3:GetObject" in as_list(statement["Action"])
            for arn in as_list(statement["Resource"])
        ]
        return {arn["Fn::Sub"].removeprefix("${WorkspaceBucket.Arn}/") for arn in arns}

    answered = {"a2i/*", "reviews/*"}
    assert answered <= readable("CompleteReview")
    outputs = {pattern for pattern in readable("ExportSegment") if pattern.endswith("output.json")}
    assert outputs == {f"{prefix}/output.json" for prefix in answered}


def test_names_that_are_the_accounts_begin_with_the_stacks():
    text = json.dumps(RESOURCES)
    for kind in ("training-job", "transform-job", "model", "endpoint-config", "endpoint", "model-package-group", "flow-definition",
                 "human-task-ui"):  # fmt: skip
        named = re.findall(rf":{kind}/([^\"]*)", text)
        assert named, kind
        assert all(name.startswith("${AWS::StackName}") for name in named), (kind, named)


# Images, instances, concurrency


def test_images_come_from_the_account_that_keeps_them_in_each_region():
    """The SageMaker SDK's own list; `make images` writes it into the template."""
    assert image_accounts.write((ROOT / "template.yaml").read_text(), made_on()) == (ROOT / "template.yaml").read_text()
    accounts = TEMPLATE["Mappings"]["MXNetImages"]
    assert accounts["eu-south-1"]["Account"] == "692866216735"
    assert accounts["cn-north-1"]["Account"] == "727897471807"
    [assertion] = TEMPLATE["Rules"]["ImagesOfThisRegion"]["Assertions"]
    known = assertion["Assert"]["Fn::Or"][0]["Fn::Contains"][0]
    assert set(known) == {region for region, entry in accounts.items() if entry["Account"]}
    assert "TrainingImageUri" in assertion["AssertDescription"]


def made_on():
    found = re.search(r"lists them, (\d{4}-\d{2}-\d{2});", (ROOT / "template.yaml").read_text())
    return datetime.date.fromisoformat(found[1])


@pytest.mark.parametrize(
    ("region", "images", "refused"),
    [
        ("eu-south-1", {}, False),
        ("mx-central-1", {}, True),
        ("mx-central-1", {"TrainingImageUri": "t:1"}, True),
        ("mx-central-1", {"TrainingImageUri": "t:1", "InferenceImageUri": "i:1"}, False),
    ],
)
def test_a_region_without_images_is_refused_unless_both_are_given(region, images, refused):
    rule = TEMPLATE["Rules"]["ImagesOfThisRegion"]["Assertions"][0]["Assert"]
    values = {"AWS::Region": region, "TrainingImageUri": "", "InferenceImageUri": ""} | images
    assert evaluate(rule, values) is not refused


def evaluate(node, values):
    """A rule's functions, as far as ours goes."""
    if isinstance(node, list):
        return [evaluate(item, values) for item in node]
    if not isinstance(node, dict):
        return node
    [(function, arguments)] = node.items()
    if function == "Ref":
        return values[arguments]
    given = evaluate(arguments, values)
    return {
        "Fn::Or": lambda: any(given),
        "Fn::Not": lambda: not given[0],
        "Fn::Equals": lambda: given[0] == given[1],
        "Fn::Contains": lambda: given[1] in given[0],
    }[function]()


@pytest.mark.parametrize("machine", MACHINES)
def test_state_machines_name_the_partition_that_they_are_in(machine):
    text = (ROOT / f"statemachines/{machine}.asl.yaml").read_text()
    assert "arn:aws:" not in text
    assert "arn:${Partition}:states:::" in text


def test_no_worker_is_started_that_the_instance_has_no_memory_for():
    """An answer on a picture of 16 million pixels takes 2.2 GB; 1 GB is left for the server and the system."""
    sizes = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}
    mapping = TEMPLATE["Mappings"]["ServingInstances"]
    for kind, entry in mapping.items():
        _, family, size = kind.split(".")
        memory_gb = sizes[size] * (2 if family.startswith("c") else 4)
        workers = int(entry["Workers"])
        assert 1 <= workers <= sizes[size], kind
        assert workers * 2.2 + 1 <= memory_gb, kind
    for parameter in ("EndpointInstanceType", "TransformInstanceType"):
        assert set(TEMPLATE["Parameters"][parameter]["AllowedValues"]) <= mapping.keys()
        assert TEMPLATE["Parameters"][parameter]["Default"] in mapping


def test_a_new_accounts_concurrency_is_not_exceeded_unless_asked_for():
    mapping = TEMPLATE["Mappings"]["Concurrency"]
    assert TEMPLATE["Parameters"]["LambdaConcurrency"]["Default"] == "small"
    assert sum(mapping["small"].values()) <= 10
    for row in mapping.values():
        assert min(row.values()) >= 2, "Lambda takes no less"
    for name, mapped in of_type("AWS::Lambda::EventSourceMapping").items():
        wanted = mapped["Properties"]["ScalingConfig"]["MaximumConcurrency"]["Fn::FindInMap"]
        assert wanted == ["Concurrency", {"Ref": "LambdaConcurrency"}, name.removesuffix("Messages")]


# What expires


def test_snapshots_answers_and_checkpoints_expire_and_what_lineage_needs_does_not():
    rules = {rule["Id"]: rule for rule in properties("WorkspaceBucket")["LifecycleConfiguration"]["Rules"]}
    expiring = {rule["Prefix"]: rule for rule in rules.values() if "ExpirationInDays" in rule}
    assert expiring.keys() == {"checkpoints/", "answers/", "datasets/"}
    [tag] = expiring["datasets/"]["TagFilters"]
    assert f"{tag['Key']}={tag['Value']}" == JUDGED
    whole = [rule for rule in rules.values() if "ExpirationInDays" in rule and "TagFilters" not in rule]
    for prefix in (keys.comparison_prefix("x"), keys.FIRST_MODEL, "models/x/", "corrections/", "frames/", "reviews/"):
        assert not any(prefix.startswith(rule["Prefix"]) for rule in whole), prefix
    assert keys.answers_prefix("x").startswith("answers/")
    assert keys.checkpoints_prefix("x", "y").startswith("checkpoints/")


def test_products_stay_until_somebody_deletes_them_and_what_is_left_of_them_goes():
    rules = properties("WorkspaceBucket")["LifecycleConfiguration"]["Rules"]
    [own] = [rule for rule in rules if rule.get("Prefix") == "products/"]
    assert keys.export_segment_prefix("x", "c/s").startswith(own["Prefix"])
    assert "ExpirationInDays" not in own
    assert own["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    [unfinished] = [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]
    assert "Prefix" not in unfinished, "of everything in the bucket"


def test_what_grows_with_the_years_is_tiered():
    tiered = {
        (bucket, rule.get("Prefix"))
        for bucket in of_type("AWS::S3::Bucket")
        for rule in properties(bucket)["LifecycleConfiguration"]["Rules"]
        for transition in rule.get("Transitions", [])
        if transition["StorageClass"] == "INTELLIGENT_TIERING"
    }
    kept = {"frames/", "predictions/", "products/"}
    assert tiered == {("FramesBucket", None), *(("WorkspaceBucket", prefix) for prefix in kept)}
    assert keys.frame("c/s/f", "1").startswith("frames/")
    assert keys.prediction("c/s/f", "1", "first").startswith("predictions/")


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
        # No machine has a TimeoutSeconds of its own: a step that takes too long is caught, and ends in an execution that failed.
        assert "TimeoutSeconds" not in MACHINES[Path(machine["Properties"]["DefinitionUri"]).name.split(".")[0]]
        assert metrics == {"ExecutionsFailed", "ExecutionsAborted"}


def test_whoever_hears_of_a_stopped_deployment_hears_what_brings_the_champion_back():
    for name in ("DeployModelStoppedAlarm", "RetrainStoppedAlarm"):
        assert "`firnline rollback <champion>`" in properties(name)["AlarmDescription"]["Fn::Sub"]


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
def test_a_step_outlasts_its_function(machine):
    """Else a run that the function ends by itself, or that starts cold, is a step that timed out, and goes on unseen."""
    invoked = [task for _, task, _ in tasks(MACHINES[machine]) if task["Resource"].endswith(":lambda:invoke")]
    assert invoked
    for task in invoked:
        name = (task.get("Arguments") or task["Parameters"])["FunctionName"].removeprefix("${").removesuffix("Arn}")
        assert task["TimeoutSeconds"] >= properties(name)["Timeout"] + 30, name


@pytest.mark.parametrize("machine", MACHINES)
def test_a_throttled_function_is_waited_for_longer_than_a_broken_one(machine):
    """A promotion must not be undone because an upload keeps the account's functions busy for some minutes."""
    for name, task, _ in tasks(MACHINES[machine]):
        if task["Resource"].endswith(":lambda:invoke"):
            busy, others = task["Retry"][0], task["Retry"][1:]
            assert busy == {"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 5, "MaxAttempts": 10,
                            "BackoffRate": 2, "MaxDelaySeconds": 60, "JitterStrategy": "FULL"}, name  # fmt: skip
            assert others, name
            assert not [retrier for retrier in others if "TooMany" in str(retrier)], name


@pytest.mark.parametrize("machine", MACHINES)
def test_every_transition_leads_to_a_state(machine):
    def check(states):
        for state in states["States"].values():
            targets = [state.get("Next"), state.get("Default")]
            targets += [entry["Next"] for entry in [*state.get("Catch", []), *state.get("Choices", [])]]
            assert {target for target in targets if target} <= states["States"].keys()
            for branch in [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]:
                check(branch)

    check(MACHINES[machine])


def test_the_retraining_queue_hears_of_ended_executions_and_of_the_clock():
    patterns = [
        properties(name)
        for name in of_type("AWS::Events::Rule")
        if properties(name)["Targets"][0]["Arn"] == {"Fn::GetAtt": ["RetrainingQueue", "Arn"]}
    ]
    assert [rule for rule in patterns if rule.get("ScheduleExpression") == "rate(5 minutes)"]
    kinds = {kind for rule in patterns for kind in rule.get("EventPattern", {}).get("detail-type", [])}
    assert kinds == {"CorrectionBatchClaimed", "Step Functions Execution Status Change"}


def test_the_layer_brings_the_versions_that_lambda_can_load():
    """Of this NumPy there are wheels for manylinux2014, for Python 3.11 and 3.13."""
    lock = (ROOT / "layers/firnline/requirements.txt").read_text()
    versions = dict(re.findall(r"^([a-z0-9-]+)==([0-9.]+)", lock, re.MULTILINE))
    assert versions["numpy"].startswith("2.2.")
    assert not {"boto3", "botocore", "urllib3"} & versions.keys()
    assert lock.count("--hash=sha256:") >= len(versions)
