"""What the template opens to the world with ReviewPage=account, and that without it nothing of it is there."""

import json
import re
from pathlib import Path

import pytest

from firnline.portal import identity
from portal import session
from tests.support.template import ROOT, template
from tests.unit.test_template import evaluate

RESOURCES = template()["Resources"]
OF_THE_PAGE = {
    "ReviewUserPool", "ReviewUserPoolDomain", "ReviewUserPoolClient", "ReviewerGroup", "ArbiterGroup", "ReviewApi",
    "ReviewApiIntegration", "ReviewApiRoute", "ReviewApiStage", "ReviewApiLogs", "PortalFunction", "PortalFunctionRole",
    "PortalInvocations", "PortalLogs", "ReviewPageFailsAlarm", "ReviewAdminPolicy",
}  # fmt: skip


def properties(name: str) -> dict:
    return RESOURCES[name]["Properties"]


def test_a_stack_has_nothing_of_the_page_unless_it_is_asked_for():
    conditional = {name for name, resource in RESOURCES.items() if resource.get("Condition") == "HasReviewPage"}
    assert conditional == OF_THE_PAGE
    assert template()["Parameters"]["ReviewPage"]["Default"] == "none"
    assert {"Fn::Equals": [{"Ref": "ReviewPage"}, "account"]} in template()["Conditions"]["HasReviewPage"]["Fn::And"]
    open_to_the_world = {
        name
        for name, resource in RESOURCES.items()
        if resource["Type"].startswith(("AWS::ApiGatewayV2", "AWS::Cognito"))
    }
    assert open_to_the_world < conditional
    outputs = {name for name, output in template()["Outputs"].items() if "Condition" in output}
    assert outputs == {"ReviewPageAddress", "ReviewUserPoolId", "ReviewAdminPolicyArn"}


@pytest.mark.parametrize(
    ("provider", "team", "region", "refused"),
    [
        ("a2i", "", "eu-west-1", [False, False]),
        ("portal", "arn:team", "eu-west-1", [False, False]),
        ("a2i", "arn:team", "eu-west-1", [True, False]),
        ("portal", "", "cn-north-1", [False, True]),
    ],
)
def test_a_page_that_would_stay_empty_or_that_nobody_could_sign_in_to_is_refused_in_a_sentence(
    provider, team, region, refused
):
    rule = template()["Rules"]["OwnPageShowsOwnTasks"]
    values = {"ReviewPage": "account", "ReviewProvider": provider, "WorkteamArn": team, "AWS::Region": region}
    assert evaluate(rule["RuleCondition"], values)
    assert [not evaluate(assertion["Assert"], values) for assertion in rule["Assertions"]] == refused
    assert all("ReviewPage=none" in assertion["AssertDescription"] for assertion in rule["Assertions"])


def test_nobody_signs_up_and_an_invitation_says_where_to_go():
    pool = properties("ReviewUserPool")
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True
    said = pool["AdminCreateUserConfig"]["InviteMessageTemplate"]["EmailMessage"]["Fn::Sub"]
    assert all(part in said for part in ("${ReviewApi.ApiEndpoint}/review/", "{username}", "{####}", "7 days"))
    assert pool["Policies"]["PasswordPolicy"]["TemporaryPasswordValidityDays"] == 7
    assert pool["Policies"]["PasswordPolicy"]["MinimumLength"] >= 12


def test_the_client_has_no_secret_takes_codes_only_and_comes_back_to_the_page():
    client = properties("ReviewUserPoolClient")
    assert client["GenerateSecret"] is False
    assert (client["AllowedOAuthFlows"], client["AllowedOAuthScopes"]) == (["code"], ["openid"])
    assert client["CallbackURLs"] == [{"Fn::Sub": "${ReviewApi.ApiEndpoint}" + session.BACK}]
    assert client["LogoutURLs"] == [{"Fn::Sub": "${ReviewApi.ApiEndpoint}" + session.SIGNED_OUT}]
    assert not [flow for flow in client["ExplicitAuthFlows"] if "PASSWORD" in flow]
    assert (client["PreventUserExistenceErrors"], client["EnableTokenRevocation"]) == ("ENABLED", True)


def test_cookies_last_as_long_as_a_session_and_a_token_for_minutes():
    client = properties("ReviewUserPoolClient")
    assert client["TokenValidityUnits"] == {"IdToken": "minutes", "AccessToken": "minutes", "RefreshToken": "hours"}
    assert client["RefreshTokenValidity"] * 3600 == session.SESSION_SECONDS
    assert client["IdTokenValidity"] <= 15


def test_the_pools_groups_are_those_that_the_page_knows():
    named = {properties(name)["GroupName"] for name in ("ReviewerGroup", "ArbiterGroup")}
    assert named == identity.GROUPS


def test_requests_are_bounded_and_logged_without_secrets():
    stage = properties("ReviewApiStage")
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "ReviewPageRate"},
        "ThrottlingBurstLimit": {"Ref": "ReviewPageBurst"},
    }
    logged = set(re.findall(r"\$context\.([A-Za-z.]+)", stage["AccessLogSettings"]["Format"]))
    assert logged == {"requestId", "requestTime", "httpMethod", "path", "status", "responseLatency", "identity.sourceIp",
                      "integrationErrorMessage"}  # fmt: skip
    assert json.loads(stage["AccessLogSettings"]["Format"]).keys() >= {"status", "path"}
    assert properties("ReviewApiLogs")["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_page_may_do_in_an_account_what_it_may_on_a_reviewers_own_machine():
    own = properties("ReviewerPolicy")["PolicyDocument"]["Statement"]
    [policy] = properties("PortalFunctionRole")["Policies"]
    in_the_account = policy["PolicyDocument"]["Statement"]
    own_alone = [statement for statement in own if statement not in in_the_account]
    account_alone = [statement for statement in in_the_account if statement not in own]
    only_on_the_command_line = [  # finding the stack, `firnline review --stats`, and `firnline layers`
        "cloudformation:DescribeStacks",
        "dynamodb:Query",
        ["dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"],
        "dynamodb:GetItem",
    ]
    assert [statement["Action"] for statement in own_alone] == only_on_the_command_line
    assert [statement["Action"][0].partition(":")[0] for statement in account_alone] == ["logs", "xray"]


def test_what_people_say_of_layers_is_written_by_who_reviews_on_a_command_line_and_by_no_function():
    told = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["JOINS#*"]}}
    [said] = [s for s in properties("ReviewerPolicy")["PolicyDocument"]["Statement"] if s.get("Condition") == told]
    assert said["Action"] == ["dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"]
    assert said["Resource"] == {"Fn::GetAtt": ["FirnlineTable", "Arn"]}
    assert "JOINS" not in json.dumps(properties("PortalFunctionRole"))


def test_only_the_pages_own_api_calls_its_function():
    permission = properties("PortalInvocations")
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${ReviewApi}/*/$default")
    assert properties("ReviewApiRoute")["RouteKey"] == "$default"


def test_who_lets_people_in_can_do_that_and_nothing_else():
    describe, admit = properties("ReviewAdminPolicy")["PolicyDocument"]["Statement"]
    assert describe["Action"] == "cloudformation:DescribeStacks"
    assert admit["Resource"] == {"Fn::GetAtt": ["ReviewUserPool", "Arn"]}
    assert not [action for action in admit["Action"] if "*" in action or "Password" in action]


def pinned(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_the_functions_packages_are_pinned_with_hashes_as_the_tests_run_them():
    locked = ROOT / "services" / "portal" / "requirements.txt"
    own, tested = pinned(locked), pinned(ROOT / "requirements" / "app.txt")
    assert {"mangum", "pyjwt", "starlette", "python-liquid", "cryptography"} <= own.keys()
    assert {name: tested[name] for name in own} == own
    assert all(
        "--hash=sha256:" in entry for entry in re.split(r"^(?=[a-z0-9-]+==)", locked.read_text(), flags=re.M)[1:]
    )
