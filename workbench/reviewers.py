"""Who may sign in to the review page of a stack: people of its Cognito user pool, each in one group or both."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from firnline.portal.identity import ARBITER, NAME_PATTERN, REVIEWER
from workbench.connection import Connection

HOW_TO_OPEN = "sam deploy --parameter-overrides ReviewPage=account"
OUT_MINUTES = 15
"""After which a token that a browser holds has ended, and is not renewed any more."""


class CannotChange(Exception):
    """Nobody is let in or out; the message says why, and what to do."""


@dataclass(frozen=True)
class Person:
    """`state` is Cognito's word: FORCE_CHANGE_PASSWORD has not signed in yet."""

    name: str
    email: str
    groups: tuple[str, ...]
    state: str


class Reviewers:
    """Raises CannotChange where the stack has no page for people who sign in."""

    def __init__(self, connection: Connection) -> None:
        pool = connection.outputs.get("ReviewUserPoolId")
        if pool is None:
            raise CannotChange(
                "This stack has no review page that people sign in to: each reviewer runs `firnline review`. "
                f"To open one, deploy with ReviewPage=account (`{HOW_TO_OPEN}`)."
            )
        self.address = connection.outputs["ReviewPageAddress"]
        self._pool: str = pool
        self._cognito = connection.client("cognito-idp")

    def people(self) -> Iterator[Person]:
        for page in self._cognito.get_paginator("list_users").paginate(UserPoolId=self._pool):
            for user in page["Users"]:
                details = {one["Name"]: one["Value"] for one in user["Attributes"]}
                name = user["Username"]
                yield Person(name, details.get("email", ""), self._groups(name), user["UserStatus"])

    def add(self, name: str, email: str, arbiter: bool, again: bool = False) -> bool:
        """Put a person in the group of reviewers, and of arbiters; False if there was an account of the name already.

        A new one is invited by e-mail. `again` repeats the invitation of somebody who has not signed in yet.
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise CannotChange(f"'{name[:100]}' is no name that answers can be stored under: A-Z a-z 0-9 . _ @ - only.")
        new = self._create(name, email, **({"MessageAction": "RESEND"} if again else {}))
        for group in (REVIEWER, ARBITER) if arbiter else (REVIEWER,):
            self._cognito.admin_add_user_to_group(UserPoolId=self._pool, Username=name, GroupName=group)
        return new

    def remove(self, name: str) -> None:
        try:
            self._cognito.admin_delete_user(UserPoolId=self._pool, Username=name)
        except ClientError as error:
            if _code(error) == "UserNotFoundException":
                raise CannotChange(f"There is nobody called {name}: `firnline reviewers` lists all.") from error
            raise

    def _create(self, name: str, email: str, **more: Any) -> bool:
        details = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        try:
            self._cognito.admin_create_user(
                UserPoolId=self._pool, Username=name, UserAttributes=details, DesiredDeliveryMediums=["EMAIL"], **more
            )
        except ClientError as error:
            if _code(error) == "UsernameExistsException":
                return False
            if _code(error) in ("InvalidParameterException", "UnsupportedUserStateException", "UserNotFoundException"):
                raise CannotChange(f"{name} was not invited: {error.response['Error']['Message']}") from error
            raise
        return "MessageAction" not in more

    def _groups(self, name: str) -> tuple[str, ...]:
        pages = self._cognito.get_paginator("admin_list_groups_for_user").paginate(UserPoolId=self._pool, Username=name)
        return tuple(sorted(group["GroupName"] for page in pages for group in page["Groups"]))


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
