"""The register of frames: which revision counts, how far it has come, and its reviews.

A frame's status moves as the `_Move`s below say: READY → PREDICTED → ACCEPTED, or IN_REVIEW → CORRECTED; back to PREDICTED
where a review failed; and to REJECTED. A new revision starts again at READY (or REJECTED). Every move is conditional on
the revision and on the status it comes from, so that an event that comes twice, late or out of order moves nothing.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

from firnline.documents.polarity import Polarity
from firnline.errors import legible
from firnline.store.rows import (
    Coverage,
    FrameRow,
    FrameStatus,
    Look,
    LoopFrameRow,
    PredictionRow,
    ProviderName,
    ReviewBudgetRow,
    ReviewRow,
    ReviewState,
)
from firnline.store.sortable import comparable, timestamp
from firnline.store.table import Item, Table

MOST_LOOKS = 1000
"""Looks that are kept of a segment, the latest: an item holds 400 KB, a look takes at most 300 bytes."""


class Registered(Enum):
    NEW = "a revision not seen before: it counts from now on"
    SAME = "the revision that counts already"
    STALE = "older than the revision that counts, or from another file of the same name"


class PictureDetails(TypedDict, total=False):
    """What a frame's row says of its file and of the picture that was made of it."""

    width: int
    height: int
    format: str
    polarity: Polarity
    polarity_confidence: float | None
    polarity_by: str
    picks_reason: str


class _Move(NamedTuple):
    """Where a status may come from, and where it goes to."""

    come_from: tuple[FrameStatus, ...]
    to: FrameStatus


_PREDICTED = _Move(("READY",), "PREDICTED")
_REJECTED_BY_NETWORK = _Move(("READY",), "REJECTED")
_IN_REVIEW = _Move(("PREDICTED",), "IN_REVIEW")
_ACCEPTED = _Move(("PREDICTED",), "ACCEPTED")
_CORRECTED = _Move(("PREDICTED", "IN_REVIEW", "ACCEPTED"), "CORRECTED")
_UNUSABLE = _Move(("PREDICTED", "IN_REVIEW", "ACCEPTED"), "REJECTED")
_REVIEW_FAILED = _Move(("PREDICTED", "IN_REVIEW"), "PREDICTED")


class FrameRegister:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, frame_id: str) -> FrameRow | None:
        return FrameRow.get(self._table, frame_id=frame_id)

    def of_status(self, status: FrameStatus) -> Iterator[FrameRow]:
        """Frames of a status, longest unchanged first."""
        return map(FrameRow.of, self._table.query_index("by_status", f"STATUS#{status}"))

    def of_segment(self, campaign: str, segment: str) -> Iterator[FrameRow]:
        return map(FrameRow.of, self._table.query_index("by_segment", f"SEGMENT#{campaign}/{segment}"))

    def in_segment(self, frame_id: str) -> FrameRow | None:
        """The frame as its segment's index has it, which lags behind the table, for those who may read that index only."""
        segment, _, stem = frame_id.rpartition("/")
        found = self._table.read_index("by_segment", f"SEGMENT#{segment}", 1, prefix=stem)
        rows = [FrameRow.of(item) for item in found]
        return next((row for row in rows if row.stem == stem), None)

    def register(
        self,
        frame_id: str,
        source_key: str,
        sequencer: str,
        revision: str,
        status: Literal["READY", "REJECTED"],
        reason: str = "",
        **details: Unpack[PictureDetails],
    ) -> Registered:
        """Make `revision` the one that counts, unless a later upload has done so already.

        `sequencer` is S3's; `reason` says why a frame is REJECTED. A frame of another file of the same name is in the
        way only if that file could be read. What could not be read counts anew when it is uploaded once more.
        """
        given: dict[str, Any] = dict(details)
        if reason:
            given["reason"] = reason
        row = FrameRow(
            frame_id=frame_id,
            status=status,
            revision=revision,
            source_key=source_key,
            sequencer=comparable(sequencer),
            updated=timestamp(),
            **_legible(given),
        )
        fresh = (
            "attribute_not_exists(pk) OR (source_key = :key AND sequencer < :sequencer AND (revision <> :revision "
            "OR (#status = :rejected AND attribute_not_exists(review)))) OR (source_key <> :key AND #status = :rejected)"
        )
        values = {":key": source_key, ":sequencer": row.sequencer, ":revision": revision, ":rejected": "REJECTED"}
        if self._table.put(row.item(), fresh, values):
            return Registered.NEW
        known = self.get(frame_id)
        if known is None or known.source_key != source_key or known.revision != revision:
            return Registered.STALE
        self._write(frame_id, {"sequencer": row.sequencer}, "revision = :revision AND sequencer < :sequencer", revision)
        return Registered.SAME

    def predicted(self, frame_id: str, revision: str, model_version: str, confidence: float) -> bool:
        """READY → PREDICTED. Like every move, False if another revision counts by now or the status is another."""
        return self._move(frame_id, revision, _PREDICTED, confidence=confidence, model_version=model_version)

    def rejected_by_network(self, frame_id: str, revision: str, reason: str) -> bool:
        """READY → REJECTED: the endpoint will never take the frame's picture."""
        return self._move(frame_id, revision, _REJECTED_BY_NETWORK, reason=reason)

    def in_review(self, frame_id: str, revision: str, loop_name: str) -> bool:
        """PREDICTED → IN_REVIEW: the human loop has been started."""
        return self._move(frame_id, revision, _IN_REVIEW, review=loop_name, review_reason="")

    def accepted(self, frame_id: str, revision: str, note: str) -> bool:
        """PREDICTED → ACCEPTED: nobody needs to look at it, or, as `note` then says, nobody has the time."""
        return self._move(frame_id, revision, _ACCEPTED, review_reason=note)

    def corrected(self, frame_id: str, revision: str, loop_name: str) -> bool:
        """PREDICTED, IN_REVIEW or ACCEPTED → CORRECTED: an answer may come before or after all that start_review does."""
        return self._move(frame_id, revision, _CORRECTED, review=loop_name, review_reason="")

    def review_failed(self, frame_id: str, revision: str, reason: str) -> bool:
        """PREDICTED or IN_REVIEW → PREDICTED, with the reason for whoever asks for the frame's status."""
        return self._move(frame_id, revision, _REVIEW_FAILED, review_reason=reason)

    def unusable(self, frame_id: str, revision: str, loop_name: str, reason: str) -> bool:
        """PREDICTED, IN_REVIEW or ACCEPTED → REJECTED: a reviewer says that nobody can draw it. Nothing is learned of it."""
        return self._move(frame_id, revision, _UNUSABLE, review=loop_name, review_reason="", reason=reason)

    def note_review(self, frame_id: str, revision: str, reason: str) -> bool:
        """Say what becomes of a frame in review; False if another revision counts by now."""
        return self._write(frame_id, {"review_reason": legible(reason)}, "revision = :revision", revision)

    def mark_annotated(self, frame_id: str, revision: str, coverage: Coverage | Literal[""], reason: str = "") -> bool:
        """Say that the frame's `partial.json` counts in the next snapshot; False if another revision counts by now.

        `coverage` is the document's, or empty if no document counts. `reason` says why the annotation beside
        the frame was refused. A new revision begins without a mark.
        """
        marks = {"annotated": coverage, "annotation_reason": legible(reason)}
        return self._write(frame_id, marks, "revision = :revision", revision)

    def mark_organised(self, frame_id: str, revision: str, etag: str) -> bool:
        """Say by which organiser the layers of the frame's layer file were named; False if another revision counts."""
        return self._write(frame_id, {"organiser": etag}, "revision = :revision", revision)

    def record_prediction(
        self,
        frame_id: str,
        revision: str,
        model_version: str,
        *,
        confidence: float,
        layers: int,
        layers_key: str,
        overlay_key: str,
    ) -> None:
        row = PredictionRow(
            frame_id=frame_id, revision=revision, model_version=model_version, created=timestamp(),
            confidence=confidence, layers=layers, layers_key=layers_key, overlay_key=overlay_key,
        )  # fmt: skip
        self._table.put(row.item())

    def prediction(self, frame_id: str, revision: str, model_version: str) -> PredictionRow | None:
        return PredictionRow.get(self._table, frame_id=frame_id, revision=revision, model_version=model_version)

    def open_review(
        self,
        frame_id: str,
        loop_name: str,
        revision: str,
        budget: int = 0,
        *,
        provider: ProviderName,
        model_version: str,
        asked_because: str,
        look: Look | None = None,
        seen: ReviewBudgetRow | None = None,
    ) -> bool:
        """Note a review before it is started, so that every answer finds its frame.

        At most `budget` reviews are opened in a flight segment (0: no limit). False if the review is noted already, or
        if the budget is used up: `review` tells which. With a `look` it is noted along with the review, and only if no
        other review was opened in the segment since `seen`.
        """
        review = ReviewRow(
            frame_id=frame_id, loop_name=loop_name, revision=revision, state="STARTED", created=timestamp(),
            provider=provider, model_version=model_version, asked_because=asked_because,
        )  # fmt: skip
        segment = frame_id.rpartition("/")[0]
        if look is None:
            counted = _counted(segment, budget)
        else:
            counted = _counted_with_look(seen or ReviewBudgetRow(segment=segment, opened=0), look)
        return self._table.transact(
            {"put": review.item(), "condition": "attribute_not_exists(pk)"},
            {"put": LoopFrameRow(loop_name=loop_name, frame_id=frame_id).item()},
            counted,
        )

    def reviews_of_segment(self, segment: str) -> ReviewBudgetRow:
        """How many reviews were opened in `<campaign>/<segment>`, and what the frames look like."""
        return ReviewBudgetRow.get(self._table, segment=segment) or ReviewBudgetRow(segment=segment, opened=0)

    def frame_of_review(self, loop_name: str) -> str | None:
        """The frame_id that a review was noted under, or None if no such review was ever opened."""
        row = LoopFrameRow.get(self._table, loop_name=loop_name)
        return None if row is None else row.frame_id

    def review(self, frame_id: str, loop_name: str) -> ReviewRow | None:
        return ReviewRow.get(self._table, frame_id=frame_id, loop_name=loop_name)

    def complete_review(self, frame_id: str, loop_name: str, verdict: str = "") -> bool:
        """STARTED, FAILED or WITHDRAWN → COMPLETED: a good answer counts after a failure, too. False if it is completed
        already. `verdict` is what was said in place of a drawing.
        """
        values = {":state": "COMPLETED", ":closed": timestamp(), ":started": "STARTED", ":failed": "FAILED",
                  ":withdrawn": "WITHDRAWN"}  # fmt: skip
        return self._table.update(
            *ReviewRow.key(frame_id=frame_id, loop_name=loop_name),
            "SET #state = :state, closed = :closed" + (", verdict = :verdict" if verdict else ""),
            values | ({":verdict": legible(verdict)} if verdict else {}),
            "#state IN (:started, :failed, :withdrawn)",
        )

    def superseded_reviews(self, frame_id: str, revision: str) -> list[ReviewRow]:
        """The reviews of a frame that wait for an answer to another revision than this one."""
        pk, prefix = ReviewRow.key(frame_id=frame_id, loop_name="")
        rows = map(ReviewRow.of, self._table.query(pk, prefix))
        return [row for row in rows if row.state == "STARTED" and row.revision != revision]

    def withdraw_review(self, frame_id: str, loop_name: str, reason: str) -> bool:
        """STARTED → WITHDRAWN: the frame was uploaded anew. False if it is closed already."""
        return self._close(frame_id, loop_name, "WITHDRAWN", reason)

    def reopen_review(self, frame_id: str, loop_name: str) -> bool:
        """WITHDRAWN → STARTED: its revision counts again. False if it is not withdrawn."""
        return self._table.update(
            *ReviewRow.key(frame_id=frame_id, loop_name=loop_name),
            "SET #state = :started, reason = :none",
            {":started": "STARTED", ":withdrawn": "WITHDRAWN", ":none": ""},
            "#state = :withdrawn",
        )

    def fail_review(self, frame_id: str, loop_name: str, reason: str) -> bool:
        """STARTED → FAILED; False if it is closed already."""
        return self._close(frame_id, loop_name, "FAILED", reason)

    def _close(self, frame_id: str, loop_name: str, state: ReviewState, reason: str) -> bool:
        return self._table.update(
            *ReviewRow.key(frame_id=frame_id, loop_name=loop_name),
            "SET #state = :state, closed = :closed, reason = :reason",
            {":state": state, ":closed": timestamp(), ":started": "STARTED", ":reason": legible(reason)},
            "#state = :started",
        )

    def _move(self, frame_id: str, revision: str, move: _Move, **details: str | float) -> bool:
        updated = timestamp()
        allowed = {f":come{number}": status for number, status in enumerate(move.come_from)}
        return self._write(
            frame_id,
            {
                "status": move.to,
                "updated": updated,
                **FrameRow.index_keys("status_pk", "status_sk", status=move.to, updated=updated, frame_id=frame_id),
                **_legible(details),
            },
            f"revision = :revision AND #status IN ({', '.join(allowed)})",
            revision,
            allowed,
        )

    def _write(
        self, frame_id: str, attributes: Item, condition: str, revision: str, values: Item | None = None
    ) -> bool:
        """Write attributes on a frame; `:revision` is of the condition, and every attribute's value has its name."""
        sets = ", ".join(f"#{name} = :{name}" for name in attributes)
        given = {f":{name}": value for name, value in attributes.items()}
        return self._table.update(
            *FrameRow.key(frame_id=frame_id), f"SET {sets}", given | (values or {}) | {":revision": revision}, condition
        )


def _counted(segment: str, budget: int) -> Item:
    """The write that counts one more review of a segment, within the budget."""
    counted: Item = {
        "key": ReviewBudgetRow.key(segment=segment),
        "update": "ADD opened :one",
        "values": {":one": 1},
    }
    if budget:
        counted |= {"condition": "attribute_not_exists(opened) OR opened < :budget",
                    "values": {":one": 1, ":budget": budget}}  # fmt: skip
    return counted


def _counted_with_look(seen: ReviewBudgetRow, look: Look) -> Item:
    """The write that counts one more review and keeps its look, if the segment's count is still the one that was seen:
    whoever decided by these looks has seen all of them.
    """
    looks = (*seen.looks, look)[-MOST_LOOKS:]
    return {
        "key": ReviewBudgetRow.key(segment=seen.segment),
        "update": "SET opened = :now, looks = :looks",
        "values": {
            ":now": seen.opened + 1,
            ":looks": [one.model_dump(mode="json") for one in looks],
            **({":seen": seen.opened} if seen.opened else {}),
        },
        "condition": "opened = :seen" if seen.opened else "attribute_not_exists(opened)",
    }


def _legible(details: dict[str, Any]) -> dict[str, Any]:
    """Details of a frame whose reasons are such that the table takes them, whatever they quote."""
    return {
        name: legible(value) if name.endswith("reason") and isinstance(value, str) else value
        for name, value in details.items()
    }
