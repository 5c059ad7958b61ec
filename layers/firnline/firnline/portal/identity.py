"""Who reviews: the name that is stored with an answer, and what its bearer may do."""

import getpass
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from firnline.portal.problems import Problem

REVIEWER = "reviewer"
"""The group of those who may see and answer tasks."""
ARBITER = "arbiter"
"""The group of those who decide where reviewers disagree."""
GROUPS = frozenset({REVIEWER, ARBITER})
NAME_PATTERN = r"[A-Za-z0-9._@-]{1,100}"
NAMELESS = "reviewer"
"""Stands for a person of whom the machine knows no name that can be stored."""


@dataclass(frozen=True)
class Reviewer:
    """`key` signs the forms of this reviewer's pages: only the page and this reviewer's browser can know it.

    `sign_out` is the address at which they sign out, on this machine none.
    """

    name: str
    groups: frozenset[str]
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False, compare=False)
    sign_out: str = field(default="", compare=False)

    @property
    def is_arbiter(self) -> bool:
        return ARBITER in self.groups

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME_PATTERN, self.name):
            raise ValueError(f"'{self.name[:100]}' is no reviewer's name: 1 to 100 of A-Z a-z 0-9 . _ @ -")


Identify = Callable[[Request], Reviewer]
"""Who sends a request; raises Problem where nobody is known. It may wait for the network."""


def this_machine(name: str | None = None) -> Identify:
    """Whoever sits at this machine, in all groups; without a name, as the operating system calls them.

    Raises ValueError for a name that cannot be stored.
    """
    reviewer = Reviewer(name if name is not None else _name_of_user(), GROUPS)
    return lambda _request: reviewer


def of_claims(claims: Mapping[str, Any], key: bytes, sign_out: str) -> Reviewer:
    """The person whom the claims of a verified token of a Cognito user pool name. Raises Problem for claims that name none."""
    groups = claims.get("cognito:groups", [])
    try:
        return Reviewer(str(claims["cognito:username"]), GROUPS.intersection(map(str, groups)), key, sign_out)
    except (KeyError, TypeError, ValueError) as error:
        raise Problem(403, "Your account has no name that an answer could be stored under. Ask for another.") from error


def check_group(reviewer: Reviewer, group: str) -> None:
    """Raise Problem unless the reviewer is in `group`."""
    if group not in reviewer.groups:
        raise Problem(
            403,
            f"You are signed in as {reviewer.name}, who is not in the group {group}. Ask whoever runs this stack to add "
            "you to it, and reload this page a quarter of an hour later."
            + (f" To sign in as somebody else, open {reviewer.sign_out}." if reviewer.sign_out else ""),
        )


def _name_of_user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no entry; Python 3.13 raises the other
        return NAMELESS
    return name if re.fullmatch(NAME_PATTERN, name) else NAMELESS
