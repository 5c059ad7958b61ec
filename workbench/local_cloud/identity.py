"""Who calls: the developer's key, sessions of service roles, and checks against a role's own policies."""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import AccessDenied, ValidationException


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str
    token: str | None = None

    def environment(self) -> dict[str, str]:
        values = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return {**values, "AWS_SESSION_TOKEN": self.token} if self.token else values


def admin_credentials(path: Path) -> Credentials:
    """The key of the developer who deploys: MiniStack's root key, made once with a random secret.

    MiniStack takes the key in its own environment for the account's root; the secret is what keeps a web page that
    knows the port from signing requests.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
        made = {
            "access_key": "AKIA" + "".join(secrets.choice(alphabet) for _ in range(16)),
            "secret_key": secrets.token_urlsafe(30),
        }
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(made))
        with suppress(FileExistsError):
            os.link(temporary, path)  # two starters at once agree on the first one's key
        temporary.unlink()
    return Credentials(**json.loads(path.read_text()))


def assume_role(role_arn: str, service: str, session_name: str) -> Credentials:
    """A session of `role_arn` for an AWS service, if the role's trust policy names that service.

    Raises ValidationException as SageMaker does if the role is missing or does not trust the service.
    """
    from ministack.services import iam, sts

    account, role_name = _role_name(role_arn)
    role = iam._roles.get_scoped(account, None, role_name)
    if role is None or not _trusts(role.get("AssumeRolePolicyDocument", "{}"), service, account):
        raise ValidationException(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            f"'{service}' to assume the role."
        )
    credentials = Credentials("ASIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30), secrets.token_hex(32))
    session = "".join(c for c in session_name if c.isalnum() or c in "+=,.@-_")[:64]
    sts.register_session(
        credentials.access_key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{session}",
            "UserId": f"{role.get('RoleId', role_name)}:{session}",
            "SecretAccessKey": credentials.secret_key,
            "SessionToken": credentials.token,
            "AccountId": account,
            "PrincipalType": "AssumedRole",
        },
    )
    return credentials


def drop_session(credentials: Credentials) -> None:
    from ministack.services import sts

    sts._sessions.pop(credentials.access_key, None)


def require(
    credentials_key: str, action: str, resource_arn: str, service: str = "sagemaker", context: dict | None = None
) -> None:
    """Raise AccessDenied unless the policies of the key's owner allow `action` on `resource_arn`."""
    from ministack.core import iam_actions, iam_evaluator, responses

    over_tls()
    # The key asks, whoever made the request that led here: somebody who signs nothing may call a function over an HTTP API.
    anonymous = iam_evaluator._anonymous.set(False)
    try:
        denied = iam_evaluator.enforce(
            credentials_key, action, service, responses.get_region(), resource_arn=resource_arn, service_context=context
        )
    finally:
        iam_evaluator._anonymous.reset(anonymous)
    if denied is None:
        return
    if isinstance(denied, iam_evaluator.AuthError):
        raise AccessDenied(denied.message)
    raise AccessDenied(
        iam_actions.identity_denial_message(action, denied.principal_arn, resource_arn, denied.decision == "Deny")
    )


def refusal(role_arn: str, principal: str, service: str, actions: list[str], resource_arn: str) -> str | None:
    """Why a role may not do all of `actions` to a resource for the service `principal`; None if it may."""
    try:
        session = assume_role(role_arn, principal, service)
    except ValidationException as error:
        return error.message
    try:
        for action in actions:
            require(session.access_key, action, resource_arn, service)
    except AccessDenied as error:
        return error.message
    finally:
        drop_session(session)
    return None


def over_tls() -> None:
    """What this thread asks for comes over TLS, as requests of AWS's services do: policies refuse what does not."""
    from ministack.core import iam_evaluator

    iam_evaluator.pin_request_origin("127.0.0.1", True)


def require_pass_role(credentials_key: str, role_arn: str, service: str) -> None:
    require(credentials_key, "iam:PassRole", role_arn, context={"iam:passedtoservice": service})


def _role_name(role_arn: str) -> tuple[str, str]:
    parts = role_arn.split(":")
    if len(parts) != 6 or parts[2] != "iam" or not parts[5].startswith("role/"):
        raise ValidationException(f"'{role_arn}' is not the ARN of an IAM role.")
    return parts[4], parts[5].rsplit("/", 1)[-1]


def _trusts(trust_policy: str | dict, service: str, account: str) -> bool:
    from ministack.core import iam_evaluator, responses

    document = json.loads(trust_policy) if isinstance(trust_policy, str) else trust_policy
    statements = document.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    # MiniStack's evaluator knows no service callers: keep the statements that name this service, and let it judge
    # their actions and conditions.
    naming = [
        {**s, "Principal": "*"}
        for s in statements
        if iam_evaluator._service_principal_matches(s.get("Principal"), service) or s.get("Principal") == "*"
    ]
    context = iam_evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=account,
        action="sts:AssumeRole",
        resource_arn="*",
        region=responses.get_region(),
        service_context={"aws:sourceaccount": account},
    )
    return iam_evaluator.evaluate_trust_policy({"Statement": naming}, service, context)
