"""What the state machine `export` asks for, step by step."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from firnline.exports.request import EXPORT_ID

_SEGMENT = r"^[A-Za-z0-9][A-Za-z0-9._=-]{0,99}/[A-Za-z0-9][A-Za-z0-9._=-]{0,99}$"
"""As uploads name it: `<campaign>/<segment>`."""
_LONGEST_CAUSE = 40_000
"""Step Functions' own limit of a cause is 32,768 characters."""


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    export: str = Field(pattern=EXPORT_ID)


class ListSegments(_Step):
    step: Literal["list_segments"]


class WriteSegment(_Step):
    step: Literal["write_segment"]
    segment: str = Field(pattern=_SEGMENT)


class NoteFailure(_Step):
    step: Literal["note_failure"]
    segment: str = Field(pattern=_SEGMENT)
    error: str = Field(max_length=_LONGEST_CAUSE)
    cause: str = Field(max_length=_LONGEST_CAUSE)


class AccountFor(_Step):
    step: Literal["account"]


Step = Annotated[ListSegments | WriteSegment | NoteFailure | AccountFor, Field(discriminator="step")]
STEP: TypeAdapter[Step] = TypeAdapter(Step)
