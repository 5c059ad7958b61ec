"""The human loops of Firnline's own page: an item each, OPEN → ANSWERED → COMPLETED, or OPEN ⇄ WITHDRAWN.

A task whose reviewers disagreed goes from COMPLETED back to OPEN once, for an arbiter. One whose answers came while another
upload counted goes from COMPLETED back to ANSWERED when its own counts again. Every write replaces an item of a
known version, so that of two who read the same one only one writes. What waits and what is done is counted by campaign
and segment in the same transaction.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from firnline.errors import legible
from firnline.store.rows import CampaignQueueRow, Claim, GivenAnswer, LoopRow, LoopState, SegmentQueueRow
from firnline.store.sortable import timestamp
from firnline.store.table import Item, Table

CLAIM_MINUTES = 30
"""For which a task is kept for whoever opened it; the page asks anew while somebody looks at it."""
_MOST_TRIES = 12
"""To write an item that others write at the same time."""


class NotTheirs(Exception):
    """A reviewer cannot have a task, or not answer it; the sentence says why. `row` is the task as it is."""

    def __init__(self, sentence: str, row: LoopRow) -> None:
        super().__init__(sentence)
        self.row = row


class Held(NotTheirs):
    """Others work on it."""


class Closed(NotTheirs):
    """It takes no answer any more, or none of this person."""


class Withdrawn(Closed):
    """Its frame was uploaded anew."""


class ForArbiter(NotTheirs):
    """Its reviewers disagreed, and this person is no arbiter."""


@dataclass(frozen=True)
class Place:
    """What is counted: one of a state's tasks in a campaign, a segment, or all."""

    campaign: str = ""
    segment: str = ""
    """Without its campaign; nothing means all segments."""


class Loops:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, loop_name: str) -> LoopRow | None:
        return LoopRow.get(self._table, loop_name=loop_name)

    def of_state(self, state: LoopState) -> Iterator[LoopRow]:
        """Every loop of a state, the most urgent first."""
        return map(LoopRow.of, self._table.query_index("by_status", f"LOOPS#{state}"))

    def open_by_priority(self, place: Place, limit: int, after: str = "") -> list[LoopRow]:
        """The first open tasks after the one that stood at `after` (`place` and name of its row), the most urgent first.

        No more than `limit` items are read, but of a segment, of which a review budget bounds the open tasks, all.
        """
        if place.segment:
            rows = sorted(self._along_track(place, _WHOLE_SEGMENT), key=lambda row: (row.place, row.loop_name))
            return [row for row in rows if f"{row.place}#{row.loop_name}" > after][:limit]
        if place.campaign:
            found = self._table.read_index("by_campaign", f"LOOPS#OPEN#{place.campaign}", limit, after=after)
        else:
            found = self._table.read_index("by_status", "LOOPS#OPEN", limit, after=after)
        return list(map(LoopRow.of, found))

    def open_along_track(self, place: Place, limit: int, after: str = "") -> list[LoopRow]:
        """The same in the order of campaigns, segments and frames; `after` is a row's `track_sk`."""
        return self._along_track(place, limit, after)

    def _along_track(self, place: Place, limit: int, after: str = "") -> list[LoopRow]:
        prefix = "/".join(part for part in (place.campaign, place.segment) if part)
        found = self._table.read_index(
            "by_segment", "LOOPS#OPEN", limit, prefix=f"{prefix}/" if prefix else "", after=after
        )
        return list(map(LoopRow.of, found))

    def campaigns(self) -> list[CampaignQueueRow]:
        return list(map(CampaignQueueRow.of, self._table.query("QUEUE")))

    def segments(self, campaign: str) -> list[SegmentQueueRow]:
        return list(map(SegmentQueueRow.of, self._table.query(f"QUEUE#{campaign}")))

    def open(
        self,
        loop_name: str,
        input_key: str,
        *,
        frame_id: str,
        revision: str,
        model_version: str,
        confidence: float | None,
        reason: str,
        priority: float | None = None,
        wanted: int = 1,
        gold: str = "",
    ) -> bool:
        """Put a task on the list; False if it is, or was, there already. What the task shows lies at `input_key`.

        `priority`, 1 for what is asked for first, is the model's doubt where nothing else is said. It takes `wanted`
        answers of different people.
        """
        row = LoopRow(
            loop_name=loop_name, state="OPEN", created=timestamp(), input_key=input_key, frame_id=frame_id,
            revision=revision, model_version=model_version, confidence=confidence, reason=legible(reason),
            priority=1 - (confidence or 0.0) if priority is None else priority, version=0, wanted=wanted, gold=gold,
        )  # fmt: skip
        return self._table.transact(
            {"put": row.item(), "condition": "attribute_not_exists(pk)"}, *_counted(None, row)
        )  # fmt: skip

    def claim(
        self, loop_name: str, reviewer: str, now: datetime | None = None, *, arbiter: bool = False
    ) -> LoopRow | None:
        """Keep an open task for a reviewer, who may be an arbiter, or go on keeping it; None if there is no such task.

        Raises `Held` where as many others as it takes work on it, `Withdrawn`, `Closed` or `ForArbiter` where it is not
        open to them.
        """
        moment = now or datetime.now(UTC)

        def claimed(row: LoopRow) -> LoopRow:
            others = check_claimable(row, reviewer, moment, arbiter)
            until = _text(moment + timedelta(minutes=CLAIM_MINUTES))
            return _changed(row, claims=(*others, Claim(by=reviewer, until=until)))

        return self._rewrite(loop_name, claimed)

    def release(self, loop_name: str, reviewer: str) -> None:
        """Give a claim back."""

        def released(row: LoopRow) -> LoopRow | None:
            left = tuple(claim for claim in row.claims if claim.by != reviewer)
            return None if len(left) == len(row.claims) else _changed(row, claims=left)

        self._rewrite(loop_name, released)

    def answer(self, loop_name: str, given: GivenAnswer, *, arbiter: bool = False) -> LoopRow | None:
        """Take an answer, with which the task is ANSWERED if it is the last one wanted; None if there is no such task.

        A claim is not asked for: what somebody did after theirs had expired counts if the task still takes it. Raises
        `Withdrawn`, `Closed`, or `ForArbiter` unless an arbiter gives it.
        """

        def answered(row: LoopRow) -> LoopRow:
            _check_open_to(row, given.by, arbiter)
            answers = (
                *row.answers,
                given.model_copy(update={"arbiter": row.for_arbiter}) if row.for_arbiter else given,
            )
            last = len(answers) >= row.wanted
            left = tuple(claim for claim in row.claims if claim.by != given.by)
            return _changed(row, state="ANSWERED" if last else "OPEN", answers=answers, claims=left)

        return self._rewrite(loop_name, answered)

    def complete(self, loop_name: str) -> bool:
        """ANSWERED → COMPLETED: the answer's event has been sent. False if somebody else has said so."""
        return self._turn(loop_name, "ANSWERED", "COMPLETED")

    def announce_again(self, loop_name: str) -> bool:
        """COMPLETED → ANSWERED: the page sends its event once more. False if it is not completed."""
        return self._turn(loop_name, "COMPLETED", "ANSWERED")

    def ask_arbiter(self, loop_name: str, input_key: str, reason: str) -> bool:
        """COMPLETED (or ANSWERED, while its event is under way) → OPEN for one more answer, an arbiter's.

        False if an arbiter was asked already.
        """
        asked: list[bool] = []

        def reopened(row: LoopRow) -> LoopRow | None:
            asked[:] = [row.state in ("ANSWERED", "COMPLETED") and not row.for_arbiter]
            if not asked[0]:
                return None
            return _changed(
                row, state="OPEN", for_arbiter=True, wanted=len(row.given) + 1, answers=row.given, claims=(),
                input_key=input_key, reason=legible(reason),
            )  # fmt: skip

        return self._rewrite(loop_name, reopened) is not None and asked[0]

    def withdraw(self, loop_name: str, because: str) -> bool:
        """OPEN → WITHDRAWN, with a sentence for whoever works on it; False if it is not open."""
        return self._turn(loop_name, "OPEN", "WITHDRAWN", withdrawn_because=legible(because))

    def open_again(self, loop_name: str) -> bool:
        """WITHDRAWN → OPEN: what it was withdrawn for was withdrawn itself. False if it is not withdrawn."""
        return self._turn(loop_name, "WITHDRAWN", "OPEN", withdrawn_because="")

    def _turn(self, loop_name: str, before: LoopState, after: LoopState, **attributes: object) -> bool:
        """Move a task from one state to another; False if it is in another one, or there is none."""
        done: list[bool] = []

        def turned(row: LoopRow) -> LoopRow | None:
            done[:] = [row.state == before]
            return _changed(row, state=after, **attributes) if done[0] else None

        return self._rewrite(loop_name, turned) is not None and done[0]

    def _rewrite(self, loop_name: str, change: Callable[[LoopRow], LoopRow | None]) -> LoopRow | None:
        """Write what `change` makes of an item, unless it is None; again from its start if somebody wrote in between.

        Returns the row as it is afterwards, or None if there is none.
        """
        for _ in range(_MOST_TRIES):
            row = self.get(loop_name)
            if row is None:
                return None
            after = change(row)
            if after is None:
                return row
            unchanged = (
                "#state = :before AND (version = :version OR (attribute_not_exists(version) AND :version = :none))"
            )
            if self._table.transact(
                {"put": after.item(), "condition": unchanged,
                 "values": {":before": row.state, ":version": row.version, ":none": 0}},
                *_counted(row, after),
            ):  # fmt: skip
                return after
        raise TimeoutError(f"the task {loop_name} is written by others all the time")


_WHOLE_SEGMENT = 1_000
"""Open tasks of a segment that are put in order at once."""


def check_claimable(row: LoopRow, reviewer: str, now: datetime, arbiter: bool) -> list[Claim]:
    """The claims of others on a task that a reviewer can have; raises as `Loops.claim` does where they cannot."""
    _check_open_to(row, reviewer, arbiter)
    others = [claim for claim in row.claimed_by(_text(now)) if claim.by != reviewer]
    if len(row.answers) + len(others) >= row.wanted:
        raise Held(_held(row, others), row)
    return others


def _check_open_to(row: LoopRow, reviewer: str, arbiter: bool) -> None:
    if row.state == "WITHDRAWN":
        raise Withdrawn(row.withdrawn_because, row)
    if row.state != "OPEN":
        raise Closed("This task has been answered already; that answer counts.", row)
    if any(answer.by == reviewer for answer in row.answers):
        raise Closed(
            "You have answered this task already, and your answer counts. It waits for "
            + ("an arbiter." if row.for_arbiter else "another reviewer."),
            row,
        )
    if row.for_arbiter and not arbiter:
        raise ForArbiter("The reviewers of this frame disagree, and an arbiter decides.", row)


def _held(row: LoopRow, others: list[Claim]) -> str:
    if not others:
        return "This task has all the answers that it takes."
    names = " and ".join(claim.by for claim in others)
    until = max(claim.until for claim in others)
    return f"{names} is working on this task, until {until[11:16]} UTC at least. Go on with the next one."


def _changed(row: LoopRow, **attributes: object) -> LoopRow:
    return LoopRow.model_validate(
        {name: getattr(row, name) for name in row.model_fields_set} | attributes | {"version": row.version + 1}
    )


def _counted(before: LoopRow | None, after: LoopRow) -> list[Item]:
    """The writes that keep count of what waits and of what is done."""
    waiting = (after.state == "OPEN") - (before is not None and before.state == "OPEN")
    ended = ("ANSWERED", "COMPLETED")
    done = (after.state in ended) - (before is not None and before.state in ended)
    if after.priority is None or not (waiting or done):  # a task of before there was a count
        return []
    segment = after.segment.partition("/")[2]
    keys = (
        CampaignQueueRow.key(campaign=after.campaign),
        SegmentQueueRow.key(campaign=after.campaign, segment=segment),
    )
    return [
        {"key": key, "update": "ADD waiting :waiting, done :done", "values": {":waiting": waiting, ":done": done}}
        for key in keys
    ]


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
