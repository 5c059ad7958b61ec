"""What Amazon A2I sends when a human loop ends; the portal sends the same."""

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler, field_validator

from firnline.events import Event

LOOP_NAME_PATTERN = r"^[a-z0-9](-*[a-z0-9])*$"
"""Amazon A2I's rule for the name of a human loop, of at most 63 characters."""

A2I_SOURCE = "aws.sagemaker"
PORTAL_SOURCE = "firnline.review"

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_LONGEST_SECONDS = 1e7
_LONGEST_NAME = 256
_LONGEST_INTEGER = 300
_MOST_ANSWERS = 100
"""A2I asks up to three people."""
_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?\Z")

LoopName = Annotated[str, Field(pattern=LOOP_NAME_PATTERN, max_length=63)]


def loop_name(workspace: str, frame_id: str, revision: str, model_version: str, again: int = 0) -> str:
    """A human loop's name (`^[a-z0-9](-*[a-z0-9])*$`, at most 63): the same prediction always gives the same name, and others
    where it is asked about `again`, for the first time or a later one.

    Names are the account's. `workspace`, the bucket that the prediction lies in, tells stacks apart, and a stack from an
    earlier one of its name, whose loops A2I still knows.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", frame_id.lower()).strip("-")[-40:].strip("-")
    about = [workspace, frame_id, revision, model_version, *([str(again)] if again else [])]
    digest = hashlib.sha256("\n".join(about).encode()).hexdigest()[:8]
    return f"{slug}-{digest}"


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class HumanLoopOutput(_Lenient):
    outputS3Uri: str


class HumanLoopStatusChange(Event):
    """The event's detail, in A2I's own names."""

    detail_type = "SageMaker A2I HumanLoop Status Change"

    humanLoopName: LoopName
    humanLoopStatus: Literal["Completed", "Failed", "Stopped"]
    flowDefinitionArn: str
    humanLoopArn: str | None = None
    creationTime: str | None = None
    failureCode: str | None = None
    failureReason: str | None = None
    humanLoopOutput: HumanLoopOutput | None = None


class LoopEvent(_Lenient):
    """The EventBridge event around it."""

    source: Literal["aws.sagemaker", "firnline.review"]
    detail: HumanLoopStatusChange


class HumanAnswer(_Lenient):
    """Faulty details beside a drawing do not cost the drawing: an impossible time counts as none."""

    answerContent: dict[str, Any]
    submissionTime: Annotated[datetime, Field(ge=_EARLIEST, le=_LATEST)] | None = None
    timeSpentInSeconds: Annotated[float, Field(ge=0, le=_LONGEST_SECONDS)] | None = None
    workerId: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)] | None = None
    arbiter: bool = False
    """The portal's: this answer decides between the others."""

    @field_validator("submissionTime", mode="before")
    @classmethod
    def _in_utc(cls, value: Any) -> Any:
        return f"{value}Z" if isinstance(value, str) and _NO_ZONE.match(value) else value

    @field_validator("submissionTime", "timeSpentInSeconds", "workerId", mode="wrap")
    @classmethod
    def _or_none(cls, value: Any, check: ValidatorFunctionWrapHandler) -> Any:
        try:
            return check(value)
        except ValueError:  # Pydantic's ValidationError too
            return None


class LoopOutput(_Lenient):
    """output.json. Answers stay as they came, so that one that cannot be read does not hide another that can."""

    humanLoopName: LoopName
    inputContent: Any = None
    humanAnswers: Annotated[list[Any], Field(max_length=_MOST_ANSWERS)]

    @classmethod
    def of(cls, content: bytes) -> "LoopOutput":
        """Read output.json; `ValueError` if it is none.

        JSON allows lone surrogates and numbers of any length. Pydantic's own reader refuses a whole text for one of
        them, wherever it stands.
        """
        try:
            return cls.model_validate(json.loads(content, parse_int=_integer))
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)
