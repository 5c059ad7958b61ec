"""Texts that sort as what they stand for: the keys of the table are compared as text."""

from datetime import UTC, datetime

_SEQUENCER_DIGITS = 32
"""More than any sequencer of S3 has; two are compared after filling up to one length."""


def timestamp() -> str:
    """This moment in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def comparable(sequencer: str) -> str:
    """S3's sequencer, hexadecimal, so that two of one key compare as text: padded with zeros on the right."""
    return sequencer.ljust(_SEQUENCER_DIGITS, "0").upper()


def following(sequencer: str) -> str:
    """The next after a comparable sequencer, long before any that S3 gives later."""
    return f"{int(sequencer, 16) + 1:0{_SEQUENCER_DIGITS}X}"
