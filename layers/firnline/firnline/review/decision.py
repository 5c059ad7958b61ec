"""What the answers of one or of several people to one task amount to."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from firnline.documents.layer_lines import as_layers
from firnline.documents.layers import Layer, LayersDocument, Source, order_by_depth
from firnline.errors import Refused, legible
from firnline.geometry import dense_rows
from firnline.review.agreement import Lines, agreement, consensus, mean_agreement
from firnline.review.answer import Drawing, as_document, read_answer
from firnline.review.effort import read_effort
from firnline.review.human_loop import HumanAnswer
from firnline.review.verdict import PolarityWrong, Unusable, read_verdict
from firnline.store.rows import Work

NAMELESS = "reviewer"
"""Stands for a person whom an answer does not name."""


@dataclass(frozen=True)
class Given:
    """One answer that can be used: a drawing, or a verdict in its place."""

    by: str
    arbiter: bool
    submitted: datetime
    seconds: float | None
    content: dict[str, Any]
    drawing: Drawing | None
    verdict: PolarityWrong | Unusable | None

    def work(self, agreed: float | None) -> Work:
        effort = read_effort(self.content)
        told: dict[str, Any] = {"by": self.by, "agreement": agreed}
        if effort is None:
            return Work(**_given(told | {"seconds": self.seconds}))
        told |= {
            "seconds": effort.seconds,
            "operations": effort.operations,
            "vertices_moved": effort.vertices_moved,
            "proposal_kept": effort.proposal_kept,
        }
        return Work(**_given(told))


@dataclass(frozen=True)
class Beside:
    """What there was beside what counts."""

    answers: int
    refused: int
    differ: bool
    work: tuple[Work, ...]
    agreement: float | None
    """Of all pairs of those who drew, on average; None of one."""


@dataclass(frozen=True)
class Drawn:
    """The correction. `seconds` are those of the last one who drew it, or of the arbiter."""

    document: LayersDocument
    seconds: float | None
    dropped: int
    beside: Beside
    arbitrated: bool = False


@dataclass(frozen=True)
class Judged:
    """No correction, but a verdict; `by` is who said so last."""

    verdict: PolarityWrong | Unusable
    by: str
    beside: Beside


@dataclass(frozen=True)
class Disputed:
    """People disagree. `proposal` has what they agree on and the disputed lines of the first who drew some, as far as they
    do not cross; `answers` is what each of them gave, in the order of submission. `agreed` is the partial correction of what
    is agreed on, None where that is nothing.
    """

    sentence: str
    proposal: list[Layer]
    answers: list[Given] = field(default_factory=list)
    agreed: Drawn | None = None


@dataclass(frozen=True)
class _Case:
    """The answers that can be used, of how many there were, and the frame that they are about."""

    given: list[Given]
    answers: int
    frame_id: str
    width: int
    height: int
    source: dict[str, Any]

    def document(self, drawing: Drawing, submitted: datetime) -> LayersDocument:
        made = Source(kind="human", created=submitted, **self.source)
        return as_document(drawing, self.frame_id, self.width, self.height, made)

    def beside(self, truth: Lines | None = None) -> Beside:
        """With `truth`, an arbiter's, everybody is compared with that; else with each other."""
        people = [one for one in self.given if not one.arbiter]
        drawings = {
            number: lines_of(one.drawing.layers, self.width) for number, one in enumerate(people) if one.drawing
        }

        def agreed(number: int) -> float | None:
            if number not in drawings:
                return None
            if truth is not None:
                return agreement(drawings[number], truth)
            others = [agreement(drawings[number], lines) for other, lines in drawings.items() if other != number]
            return sum(others) / len(others) if others else None

        work = [one.work(agreed(number)) for number, one in enumerate(people)]
        work += [one.work(None) for one in self.given if one.arbiter]
        differ = any(not _same(one, self.given[-1]) for one in self.given)
        refused = self.answers - len(self.given)
        return Beside(self.answers, refused, differ, tuple(work), mean_agreement(list(drawings.values())))


def decide(
    answers: list[Any], frame_id: str, width: int, height: int, source: dict[str, Any]
) -> Drawn | Judged | Disputed:
    """What `answers`, output.json's humanAnswers, come to.

    An arbiter's answer decides. One person's counts as it is; several people's are the median of what most of them drew
    alike, and a verdict is what most of them say. `source` has the fields of the document's source beside kind and time.
    Raises `Refused` with the last answer's reason if none can be used.
    """
    given, reason = _usable(answers, width, height)
    if not given:
        raise reason
    case = _Case(given, len(answers), frame_id, width, height, source)
    arbiters = [one for one in given if one.arbiter]
    if not arbiters and any(isinstance(raw, dict) and raw.get("arbiter") is True for raw in answers):
        raise reason  # the arbiter's own answer is the one that cannot be used
    if arbiters:
        return _by_one(arbiters[-1], case, arbitrated=True)
    verdicts = Counter(one.verdict.kind for one in given if one.verdict)
    kind, votes = verdicts.most_common(1)[0] if verdicts else ("", 0)
    if 2 * votes > len(given):
        last = [one for one in given if one.verdict and one.verdict.kind == kind][-1]
        return _by_one(last, case)
    drawn = [one for one in given if one.drawing]
    if 2 * len(drawn) <= len(given):
        return _disputed("They disagree whether the frame can be drawn at all.", drawn, given, width)
    if len(drawn) == 1 or all(_same(one, drawn[0]) for one in drawn):
        return _by_one(drawn[-1], case)
    return _by_all(drawn, case)


def _usable(answers: list[Any], width: int, height: int) -> tuple[list[Given], Refused]:
    """The answers that can be used, in the order of submission, and why the last of the others cannot."""
    given: list[Given] = []
    reason = Refused("The review ended without an answer.")
    for answer in sorted(map(_answer, answers), key=_submitted):
        content = answer.answerContent
        try:
            verdict = read_verdict(content)
            drawing = None if verdict else read_answer(content, width, height)
        except Refused as refused:
            reason = refused
            continue
        given.append(
            Given(
                legible(answer.workerId or "") or NAMELESS, answer.arbiter, _submitted(answer), answer.timeSpentInSeconds, content,
                drawing, verdict,
            )
        )  # fmt: skip
    return given, reason


def _by_one(decides: Given, case: _Case, *, arbitrated: bool = False) -> Drawn | Judged:
    """One answer as it is."""
    truth = lines_of(decides.drawing.layers, case.width) if decides.drawing and arbitrated else None
    beside = case.beside(truth)
    if decides.drawing is None:
        assert decides.verdict is not None  # noqa: S101 - `_usable` gives each one of the two
        return Judged(decides.verdict, decides.by, beside)
    document = case.document(decides.drawing, decides.submitted)
    return Drawn(document, decides.seconds, decides.drawing.dropped, beside, arbitrated)


def _by_all(drawn: list[Given], case: _Case) -> Drawn | Disputed:
    """The median of what most people drew alike."""
    drawings = [lines_of(one.drawing.layers, case.width) for one in drawn if one.drawing]
    found = consensus(drawings)
    layers = order_by_depth(_layers(found.agreed), case.width)
    complete = Counter(one.drawing.coverage for one in drawn if one.drawing)["complete"]
    undecided = 2 * complete == len(drawn)
    coverage = "complete" if 2 * complete > len(drawn) and not found.disputed else "partial"
    dropped = sum(one.drawing.dropped for one in drawn if one.drawing)
    beside = case.beside()
    try:
        document = case.document(Drawing(layers, coverage, dropped), drawn[-1].submitted)  # type: ignore[arg-type]
    except Refused:
        return _disputed("The medians of what they drew cross.", drawn, case.given, case.width)
    seconds = drawn[-1].seconds
    if not found.disputed and not undecided and (layers or coverage == "complete"):
        return Drawn(document, seconds, dropped, beside)
    sentence = (
        f"They disagree on {len(found.disputed)} {'line' if len(found.disputed) == 1 else 'lines'}."
        if found.disputed
        else "They disagree whether every visible layer has a line."
    )
    agreed = Drawn(document.model_copy(update={"coverage": "partial"}), seconds, dropped, beside) if layers else None
    return _disputed(sentence, drawn, case.given, case.width, layers, found.disputed, agreed)


def _disputed(
    sentence: str,
    drawn: list[Given],
    given: list[Given],
    width: int,
    layers: list[Layer] | None = None,
    disputed: tuple[tuple[int, int], ...] = (),
    agreed: Drawn | None = None,
) -> Disputed:
    names = " and ".join(dict.fromkeys(one.by for one in drawn)) or "The reviewers"
    own = [one.drawing.layers for one in drawn if one.drawing]
    first = disputed[0][0] if disputed else 0
    if layers is None:
        proposal = own[0] if own else []
    else:
        proposal = order_by_depth(
            [*layers, *(own[number][line] for number, line in disputed if number == first)], width
        )
    return Disputed(f"{names} drew this frame. {sentence} Decide between them.", proposal, given, agreed)


def lines_of(layers: list[Layer], width: int) -> Lines:
    rows = dense_rows([[(vertex.x, vertex.y) for vertex in layer.vertices] for layer in layers], width)
    return Lines(rows, tuple(layer.label for layer in layers))


def _layers(lines: Lines) -> list[Layer]:
    found: list[Layer] = []
    for row, label in zip(lines.rows, lines.labels, strict=True):
        like = Layer.model_construct(label=label, confidence=None, vertices=[])
        found += as_layers(row, like)
    return found


def _same(one: Given, other: Given) -> bool:
    return (one.drawing and (one.drawing.layers, one.drawing.coverage), one.verdict) == (
        other.drawing and (other.drawing.layers, other.drawing.coverage),
        other.verdict,
    )


def _given(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


def _answer(raw: Any) -> HumanAnswer:
    try:
        return HumanAnswer.model_validate(raw)
    except ValidationError:
        # `read_answer` then refuses it as an answer without a drawing, and another person's may still count.
        return HumanAnswer(answerContent={})


def _submitted(answer: HumanAnswer) -> datetime:
    return answer.submissionTime or datetime.fromtimestamp(0, UTC)
