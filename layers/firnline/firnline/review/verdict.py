"""What a reviewer says of a frame in place of drawing it."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from firnline.errors import Refused, legible
from firnline.review.answer import first_problem

LONGEST_REASON = 200
POLARITY_IS_WRONG = "A reviewer said that the polarity is wrong."


class PolarityWrong(BaseModel):
    """Strong echoes are drawn the other way round than the picture was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["polarity_wrong"]

    @property
    def sentence(self) -> str:
        return POLARITY_IS_WRONG


class Unusable(BaseModel):
    """Nobody can draw layers here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["unusable"]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_REASON, strip_whitespace=True)]

    @property
    def sentence(self) -> str:
        return f"A reviewer called the frame unusable: {legible(self.reason).rstrip('.')}."


Verdict = Annotated[PolarityWrong | Unusable, Field(discriminator="kind")]
_VERDICT: TypeAdapter[PolarityWrong | Unusable] = TypeAdapter(Verdict)


def read_verdict(content: Any) -> PolarityWrong | Unusable | None:
    """The verdict of an answer's content, given as an object or as JSON text; None if there is none: it was drawn.

    An empty text is none, as a form's hidden field has it. Raises `Refused`.
    """
    told = content.get("verdict") if isinstance(content, dict) else None
    if told is None or (isinstance(told, str) and not told.strip()):
        return None
    try:
        return _VERDICT.validate_python(json.loads(told) if isinstance(told, str) else told)
    except ValidationError as error:
        raise Refused(f"The verdict cannot be read: {first_problem(error)}.") from error
    except (ValueError, RecursionError) as error:
        raise Refused("The verdict cannot be read: it is no JSON.") from error
