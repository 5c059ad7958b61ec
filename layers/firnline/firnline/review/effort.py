"""What an answer cost its reviewer, as the page counts it."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

_MOST_KINDS = 50
_MOST = 10_000_000

Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Number = Annotated[int, Field(ge=0, le=_MOST)]


class Effort(BaseModel):
    """`operations` are clicks, keys and strokes by kind; `proposal_kept` is the share of the proposal's traces whose line
    was left within half a pixel.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    seconds: Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
    operations: Annotated[dict[Kind, Number], Field(max_length=_MOST_KINDS)] = {}
    vertices_moved: Number = 0
    proposal_kept: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None


def read_effort(content: Any) -> Effort | None:
    """The effort that an answer's content tells, as an object or as JSON text.

    None where it tells none, or a faulty one: that never costs the drawing.
    """
    told = content.get("effort") if isinstance(content, dict) else None
    try:
        return Effort.model_validate(json.loads(told) if isinstance(told, str) else told)
    except (ValidationError, ValueError, RecursionError):
        return None
