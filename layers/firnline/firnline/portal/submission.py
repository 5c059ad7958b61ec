"""An answer on its way from the page into the store."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firnline.errors import Refused
from firnline.portal.identity import Reviewer
from firnline.portal.problems import TOO_LARGE, Problem
from firnline.portal.store import NotGiven, Store, Task, TooLarge, UnknownTask
from firnline.review.answer import first_problem, read_answer
from firnline.review.verdict import read_verdict

NO_POLARITY = (
    "This frame was read from numbers, where large means strong: it has no polarity that could be wrong. Call it unusable "
    "if nobody can draw on it."
)


class Submission(BaseModel):
    """The body of a submission; `answerContent` is A2I's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answerContent: dict[str, Any]
    token: str
    seconds: Annotated[float, Field(ge=0, le=1e7)] = 0.0


def read_submission(body: bytes) -> Submission:
    try:
        return Submission.model_validate_json(body)
    except ValidationError as error:
        raise Problem(400, f"The answer cannot be read: {first_problem(error)}.") from error


def accept(store: Store, task: Task, submission: Submission, reviewer: Reviewer) -> None:
    """Store the answer of a reviewer that can be read as layers of the task's picture, or as a verdict on it; raises
    Problem for any other.
    """
    try:
        verdict = read_verdict(submission.answerContent)
        if verdict is None and (size := task.input_content.get("image")):
            read_answer(submission.answerContent, size["width"], size["height"])
    except Refused as refused:
        raise Problem(422, str(refused)) from refused
    if verdict and verdict.kind == "polarity_wrong" and not task.input_content.get("polarity"):
        raise Problem(422, NO_POLARITY)
    try:
        store.submit(task.name, submission.answerContent, reviewer.name, submission.seconds, reviewer.is_arbiter)
    except TooLarge as error:
        raise Problem(413, TOO_LARGE) from error
    except UnknownTask as error:
        raise Problem(404, "There is no such task any more.") from error
    except NotGiven as error:
        raise Problem(409, f"{error} Go on with the next task.") from error
