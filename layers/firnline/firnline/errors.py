"""Two kinds of failure: permanent ones, which trying again cannot mend, and all others.

Anything that is not a `Refused` is transient for a handler: it is raised, and the queue delivers the message again.
"""

import unicodedata

from firnline.limits import MAX_SENTENCE_CHARACTERS

_UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of control and format characters, lone surrogates, unassigned and private characters, and line ends."""


class Refused(Exception):
    """The input can never be used as it is. The message is a sentence for the person who sent it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(legible(sentence))


def legible(text: str, limit: int = MAX_SENTENCE_CHARACTERS) -> str:
    """A text, parts of which may be untrusted, as one line that a table, an event and a terminal can take.

    Characters that cannot be printed become spaces. A text of more than `limit` characters is cut in its middle, since a
    sentence says at its end what to do.
    """
    if len(text) > limit:
        half = (limit - 3) // 2
        text = f"{text[:half]} … {text[-half:]}"
    printable = (
        "�" if _is(character, "Cs") else " " if _is(character, *_UNPRINTABLE) else character for character in text
    )
    return " ".join("".join(printable).split())


def _is(character: str, *categories: str) -> bool:
    return unicodedata.category(character) in categories
