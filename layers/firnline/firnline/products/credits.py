"""Whose work a product is, and what others may do with it: ACDD's attributes that no file can know by itself."""

import re
from dataclasses import dataclass

from firnline.errors import Refused, legible

_NAME_AND_MAIL = re.compile(r"\s*(?P<name>[^<>]+?)\s*(?:<(?P<mail>[^<>\s]+@[^<>\s]+)>)?\s*")
_LONGEST = 300


@dataclass(frozen=True)
class Credits:
    """What is not given stays empty, and is not written.

    creator_url : a page or an ORCID of the creator
    licence : as SPDX names it, a link, or a sentence
    """

    creator: str = ""
    creator_email: str = ""
    creator_url: str = ""
    institution: str = ""
    licence: str = ""

    @classmethod
    def of(
        cls, creator: str | None, creator_url: str | None, institution: str | None, licence: str | None
    ) -> "Credits":
        """Of a command line, where a creator may be given as "Name <address>"; `Refused` where one makes no sense."""
        told = _NAME_AND_MAIL.fullmatch(creator or "-")
        if told is None:
            raise Refused(
                f"'{creator}' is no creator: give a name, or a name and an address, as 'Ada Lovelace <ada@example.org>'."
            )
        for name, given in (
            ("creator", creator),
            ("creator-url", creator_url),
            ("institution", institution),
            ("licence", licence),
        ):
            if given is not None and (len(given) > _LONGEST or given != legible(given)):
                raise Refused(f"--{name} takes one line of at most {_LONGEST} characters.")
        if creator_url and not re.fullmatch(r"https?://\S+", creator_url):
            raise Refused(
                f"'{creator_url}' is no address: give --creator-url as https://orcid.org/0000-0000-0000-0000."
            )
        return cls(
            told["name"] if creator else "", told["mail"] or "", creator_url or "", institution or "", licence or ""
        )

    @property
    def attributes(self) -> dict[str, str]:
        """As ACDD-1.3 calls them."""
        found = {
            "creator_name": self.creator, "creator_email": self.creator_email, "creator_url": self.creator_url,
            "institution": self.institution, "license": self.licence,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value}
