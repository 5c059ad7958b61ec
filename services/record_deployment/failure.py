"""From the error of a failed step in Step Functions to a sentence for the operator."""

import json
from typing import Any

MAX_CHARACTERS = 1_000


def explain(failure: str | dict[str, Any]) -> str:
    """A sentence from `{"Error": ..., "Cause": ...}`, as a Catch gives it; text stays text.

    The cause is JSON where the step was a Lambda (`errorMessage`), a SageMaker job (`FailureReason`) or another
    execution (`Cause`, again of this kind).
    """
    if isinstance(failure, str):
        return failure[:MAX_CHARACTERS]
    error, cause = failure.get("Error") or "The step failed", failure.get("Cause") or ""
    try:
        details = json.loads(cause)
    except ValueError:
        details = None
    if isinstance(details, dict):
        if details.get("errorMessage"):
            return f"{details.get('errorType', error)}: {details['errorMessage']}"[:MAX_CHARACTERS]
        if details.get("FailureReason"):
            return f"{error}: {details['FailureReason']}"[:MAX_CHARACTERS]
        if details.get("Cause"):
            return explain({"Error": details.get("Error", error), "Cause": details["Cause"]})
    return (f"{error}: {cause}" if cause else f"{error}.")[:MAX_CHARACTERS]
