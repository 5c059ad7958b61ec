"""`firnline reviewers`: what it asks of Cognito, and what it says where Cognito refuses."""

from collections.abc import Iterator
from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import Stubber
from typer.testing import CliRunner

from workbench.cli import app, terminal
from workbench.reviewers import CannotChange, Reviewers

POOL, PAGE = "us-east-1_Firnline1", "https://a1b2c3d4.execute-api.us-east-1.amazonaws.com/review/"
INVITATION = {
    "UserPoolId": POOL,
    "Username": "ada",
    "UserAttributes": [{"Name": "email", "Value": "ada@example.org"}, {"Name": "email_verified", "Value": "true"}],
    "DesiredDeliveryMediums": ["EMAIL"],
}


@pytest.fixture
def cognito(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Cognito's answers, in order; the command line is connected to it."""
    client = boto3.client("cognito-idp", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    outputs = {"ReviewUserPoolId": POOL, "ReviewPageAddress": PAGE}
    connection = SimpleNamespace(outputs=outputs, client=lambda _service: client)
    monkeypatch.setattr(terminal, "connect", lambda: connection)
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def put_into(cognito: Stubber, group: str) -> None:
    cognito.add_response("admin_add_user_to_group", {}, {"UserPoolId": POOL, "Username": "ada", "GroupName": group})


def firnline(*arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["reviewers", *arguments], env={"COLUMNS": "200"})
    return ran.exit_code, " ".join(ran.output.split())


def test_somebody_is_invited_and_put_into_both_groups(cognito: Stubber) -> None:
    cognito.add_response("admin_create_user", {"User": {"Username": "ada"}}, INVITATION)
    put_into(cognito, "reviewer")
    put_into(cognito, "arbiter")
    code, said = firnline("add", "ada", "ada@example.org", "--arbiter")
    assert code == 0
    assert said == f"ada is a reviewer and an arbiter; the invitation goes to ada@example.org review page {PAGE}"


def test_who_has_an_account_already_gets_the_group(cognito: Stubber) -> None:
    """As when the command died between account and group."""
    cognito.add_client_error("admin_create_user", "UsernameExistsException")
    put_into(cognito, "reviewer")
    code, said = firnline("add", "ada", "ada@example.org")
    assert (code, "there was an account of the name already" in said) == (0, True)


def test_an_invitation_is_repeated(cognito: Stubber) -> None:
    cognito.add_response("admin_create_user", {"User": {}}, INVITATION | {"MessageAction": "RESEND"})
    put_into(cognito, "reviewer")
    code, said = firnline("add", "ada", "ada@example.org", "--again")
    assert (code, "the invitation goes to ada@example.org" in said) == (0, True)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("InvalidParameterException", "Invalid email address format."),
        ("UnsupportedUserStateException", "Resend not possible. ada status is not FORCE_CHANGE_PASSWORD"),
    ],
)
def test_what_cognito_does_not_take_is_told_in_its_words(cognito: Stubber, error: str, words: str) -> None:
    cognito.add_client_error("admin_create_user", error, words)
    code, said = firnline("add", "ada", "ada@example.org")
    assert (code, said) == (1, f"ada was not invited: {words}")


def test_a_name_that_no_answer_can_be_stored_under_is_refused_here(cognito: Stubber) -> None:
    code, said = firnline("add", "two words", "ada@example.org")
    assert (code, "no name that answers can be stored under" in said) == (1, True)


def test_all_are_listed_with_their_groups(cognito: Stubber) -> None:
    users = [
        {"Username": "ada", "UserStatus": "CONFIRMED", "Attributes": [{"Name": "email", "Value": "ada@example.org"}]},
        {"Username": "new", "UserStatus": "FORCE_CHANGE_PASSWORD", "Attributes": []},
    ]
    cognito.add_response("list_users", {"Users": users}, {"UserPoolId": POOL})
    for name, groups in (("ada", ["reviewer", "arbiter"]), ("new", [])):
        found = {"Groups": [{"GroupName": group} for group in groups]}
        cognito.add_response("admin_list_groups_for_user", found, {"UserPoolId": POOL, "Username": name})
    code, said = firnline()
    assert code == 0
    assert "ada ada@example.org arbiter, reviewer CONFIRMED" in said
    assert "new none: sees nothing FORCE_CHANGE_PASSWORD" in said
    assert said.endswith(PAGE)


def test_nobody_yet_is_said(cognito: Stubber) -> None:
    cognito.add_response("list_users", {"Users": []}, {"UserPoolId": POOL})
    assert "nobody yet" in firnline()[1]


def test_somebody_is_taken_away(cognito: Stubber) -> None:
    cognito.add_response("admin_delete_user", {}, {"UserPoolId": POOL, "Username": "ada"})
    code, said = firnline("remove", "ada")
    assert (code, "out within 15 minutes" in said) == (0, True)


def test_who_is_not_there_cannot_be_taken_away(cognito: Stubber) -> None:
    cognito.add_client_error("admin_delete_user", "UserNotFoundException")
    assert firnline("remove", "ada") == (1, "There is nobody called ada: `firnline reviewers` lists all.")


def test_a_stack_without_the_page_says_how_to_open_it() -> None:
    with pytest.raises(CannotChange, match="ReviewPage=account"):
        Reviewers(SimpleNamespace(outputs={}))
