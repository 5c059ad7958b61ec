"""Which predictions a person should look at."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple


class Reason(NamedTuple):
    """Why a person should look at a prediction, as a sentence for the reviewer. What was `drawn` for audit is looked at
    whatever its neighbours are: a sample that leaves some out would say too little of them.
    """

    sentence: str
    drawn: bool = False


@dataclass(frozen=True)
class Policy:
    """Frames below `confidence` are reviewed, and of the others the share `audit_rate`, drawn by a hash."""

    confidence: float
    audit_rate: float

    def reason_to_review(self, frame_id: str, revision: str, confidence: float | None) -> Reason | None:
        """Why a person should look at this prediction; None: nobody needs to."""
        if confidence is None:
            return Reason("The model did not say how sure it is.")
        if confidence < self.confidence:
            return Reason(f"The model's confidence is {confidence:.0%}, below {self.confidence:.0%}.")
        if drawn_for_audit(frame_id, revision, self.audit_rate):
            return Reason(f"Drawn for audit, although the model's confidence is {confidence:.0%}.", drawn=True)
        return None


def drawn_for_audit(frame_id: str, revision: str, rate: float) -> bool:
    """Draw a share `rate` of all frame revisions; the same revision is always drawn or always not."""
    digest = hashlib.sha256(f"audit\n{frame_id}\n{revision}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < rate * 2**64
