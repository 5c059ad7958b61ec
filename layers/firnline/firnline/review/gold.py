"""Gold tasks: frames whose layers are known, given to reviewers once more to learn how well their drawings agree."""

import hashlib
from collections.abc import Sequence

from firnline.store.rows import CorrectionRow

NEWEST = 200
"""Corrections among which a truth is looked for."""
SURE_AGREEMENT = 0.9
"""Of several reviewers, from which on their correction is a truth; an arbiter's always is."""


def is_truth(correction: CorrectionRow) -> bool:
    return correction.arbitrated or (correction.agreement or 0.0) >= SURE_AGREEMENT


def truths_for(trigger: str, frame_id: str, share: float, corrections: Sequence[CorrectionRow]) -> list[CorrectionRow]:
    """The corrections that a gold task can be made of after the correction `trigger` (its loop's name) of a frame, the one
    to take first; none after most.

    The share of corrections after which there is one, and the order, follow from hashes: the same event delivered twice
    asks for the same task.
    """
    digest = hashlib.sha256(f"gold\n{trigger}".encode()).digest()
    if int.from_bytes(digest[:8], "big") >= share * 2**64:
        return []
    truths = sorted(
        (row for row in corrections if is_truth(row) and row.frame_id != frame_id), key=lambda row: row.loop_name
    )
    first = int.from_bytes(digest[8:16], "big") % len(truths) if truths else 0
    return truths[first:] + truths[:first]
