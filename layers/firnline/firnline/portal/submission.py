"""An answer on its way from the page into the store."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firnline.errors import Refused
from firnline.portal.problems import Problem
from firnline.portal.store import AlreadyAnswered, Store, Task, UnknownTask
from firnline.review.answer import first_problem, read_answer


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


def accept(store: Store, task: Task, submission: Submission, reviewer: str) -> None:
    """Store the answer of a reviewer (by name) that can be read as layers of the task's picture; raises Problem for any other."""
    if size := task.input_content.get("image"):
        try:
            read_answer(submission.answerContent, size["width"], size["height"])
        except Refused as refused:
            raise Problem(422, str(refused)) from refused
    try:
        store.submit(task.name, submission.answerContent, reviewer, submission.seconds)
    except UnknownTask as error:
        raise Problem(404, "There is no such task any more.") from error
    except AlreadyAnswered as error:
        raise Problem(
            409, "This task has been answered already; that answer counts. Go on with the next task."
        ) from error
