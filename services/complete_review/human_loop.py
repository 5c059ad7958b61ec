"""What Amazon A2I sends when a human loop ends; the portal sends the same."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from firnline.events import Event
from firnline.frames import LOOP_NAME_PATTERN

A2I_SOURCE = "aws.sagemaker"
PORTAL_SOURCE = "firnline.review"

LoopName = Annotated[str, Field(pattern=LOOP_NAME_PATTERN, max_length=63)]


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
    answerContent: dict[str, Any]
    submissionTime: datetime | None = None
    timeSpentInSeconds: float | None = None


class LoopOutput(_Lenient):
    """output.json. Answers stay as they came: one that cannot be read must not hide another that can."""

    humanLoopName: LoopName
    inputContent: dict[str, Any] = {}
    humanAnswers: list[Any]
