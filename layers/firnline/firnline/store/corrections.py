"""Corrections, their count, and the batches in which they are claimed for retraining.

Nothing here tests `total % every == 0`: the transaction does not return the counter, and two readers can both see 101.
A batch is claimed by moving `last_batch` and `claimed` on under a condition, together with its own item, so it is
claimed exactly once. A batch is STARTED exactly while an execution holds the right to retrain for it: the two are
written in one transaction.
"""

from collections.abc import Iterator
from typing import Literal, NotRequired, TypedDict, Unpack

from firnline.documents.layers import LayersDocument
from firnline.errors import legible
from firnline.store.rows import (
    BatchRow,
    BatchState,
    CorrectionRow,
    CounterRow,
    GoldRow,
    LayerRow,
    LockRow,
    RetrainingOutcome,
    Work,
)
from firnline.store.sortable import timestamp
from firnline.store.table import Item, Table


class CorrectionDetails(TypedDict):
    """What is known of a correction beside its layers: where it came from, and what stood beside it."""

    model_version: str
    output: str
    seconds: float | None
    dropped_lines: int
    answers: int
    answers_refused: int
    answers_differ: bool
    work: NotRequired[tuple[Work, ...]]
    agreement: NotRequired[float | None]
    arbitrated: NotRequired[bool]


class Corrections:
    def __init__(self, table: Table) -> None:
        self._table = table

    def record(
        self,
        loop_name: str,
        revision: str,
        document: LayersDocument,
        image_prefix: str,
        **details: Unpack[CorrectionDetails],
    ) -> bool:
        """Store a correction and count it, once; False if it was stored before.

        The coordinates of each layer are written first, one item a layer (60 layers of 4,000 traces stay far under 400 KB
        each). A repeated delivery writes the same items again. The correction and the count are then written together
        or not at all.
        """
        layers = [
            LayerRow(
                frame_id=document.frame_id, number=number, loop_name=loop_name, label=layer.label,
                image_prefix=image_prefix, revision=revision,
                x=tuple(round(vertex.x, 3) for vertex in layer.vertices),
                y=tuple(round(vertex.y, 3) for vertex in layer.vertices),
            )
            for number, layer in enumerate(document.layers)
        ]  # fmt: skip
        correction = CorrectionRow(
            loop_name=loop_name, frame_id=document.frame_id, revision=revision, layers=len(layers),
            coverage=document.coverage, image_prefix=image_prefix, created=timestamp(), **details,
        )  # fmt: skip
        self._table.put_all([layer.item() for layer in layers])
        return self._table.transact(
            {"put": correction.item(), "condition": "attribute_not_exists(pk)"},
            {"key": CounterRow.key(), "update": "ADD #total :one", "values": {":one": 1}},
        )

    def get(self, loop_name: str) -> CorrectionRow | None:
        return CorrectionRow.get(self._table, loop_name=loop_name)

    def all(self) -> Iterator[CorrectionRow]:
        """Every correction, oldest first."""
        return map(CorrectionRow.of, self._table.query_index("by_status", "CORRECTIONS"))

    def newest(self, limit: int) -> list[CorrectionRow]:
        """The last `limit` corrections, the newest first; no more are read."""
        return list(map(CorrectionRow.of, self._table.read_index("by_status", "CORRECTIONS", limit, newest_first=True)))

    def record_gold(self, loop_name: str, frame_id: str, truth: str, work: Work) -> bool:
        """Store how an answer to a gold task agrees with the truth, once; False if it was stored before."""
        row = GoldRow(loop_name=loop_name, frame_id=frame_id, truth=truth, created=timestamp(), work=work)
        return self._table.put(row.item(), "attribute_not_exists(pk)")

    def golds(self) -> Iterator[GoldRow]:
        """Every answer to a gold task, oldest first."""
        return map(GoldRow.of, self._table.query_index("by_status", "GOLDS"))

    def layers(self, frame_id: str, loop_name: str) -> Iterator[LayerRow]:
        """The coordinates of a correction's layers, in the order of its document."""
        pk, prefix = LayerRow.key(frame_id=frame_id, loop_name=loop_name, number=0)
        return map(LayerRow.of, self._table.query(pk, prefix.removesuffix("000")))

    def counts(self) -> CounterRow:
        return CounterRow.get(self._table) or CounterRow(total=0)

    def claim_batches(self, every: int) -> list[int]:
        """Claim every batch of `every` corrections that is full and unclaimed; returns the numbers claimed here."""
        claimed: list[int] = []
        while True:
            counts = self.counts()
            if counts.every != every and counts.total:
                self._table.update(*CounterRow.key(), "SET #every = :every", {":every": every}, "attribute_exists(pk)")
            if counts.unclaimed < every:
                return claimed
            batch = BatchRow(
                batch=counts.last_batch + 1, state="PENDING", attempt=0, failures=0, claimed_at=timestamp(),
                first=counts.claimed + 1, last=counts.claimed + every,
            )  # fmt: skip
            unmoved = "claimed = :claimed AND last_batch = :last"
            if batch.batch == 1:
                unmoved = f"attribute_not_exists(last_batch) OR ({unmoved})"
            if self._table.transact(
                {"key": CounterRow.key(), "update": "SET last_batch = :batch, claimed = :now", "condition": unmoved,
                 "values": {":batch": batch.batch, ":now": batch.last,
                            ":claimed": counts.claimed, ":last": counts.last_batch}},
                {"put": batch.item(), "condition": "attribute_not_exists(pk)"},
            ):  # fmt: skip
                claimed.append(batch.batch)

    def batch(self, batch: int) -> BatchRow | None:
        return BatchRow.get(self._table, batch=batch)

    def batches(self, state: BatchState) -> list[BatchRow]:
        """The batches of a state, in the order of their numbers."""
        rows = map(BatchRow.of, self._table.query_index("by_status", f"BATCHES#{state}"))
        return sorted(rows, key=lambda row: row.batch)

    def request_retraining(self, request: str) -> bool:
        """An operator asks for a retraining: batch 0, which claims no corrections, is PENDING (again); False if it
        waits or runs already.

        `request` names the request, so that one that is delivered twice counts once.
        """
        return self._table.update(
            *BatchRow.key(batch=0),
            "SET #state = :pending, status_pk = :status_pk, status_sk = :status_sk, #batch = :zero, failures = :zero, "
            "attempt = if_not_exists(attempt, :zero), claimed_at = :now, #request = :request",
            {":pending": "PENDING", ":zero": 0, ":now": timestamp(), ":request": request, ":done": "DONE",
             **_values(BatchRow.index_keys("status_pk", "status_sk", state="PENDING", batch=0))},
            "attribute_not_exists(pk) OR (#state = :done AND #request <> :request)",
        )  # fmt: skip

    def retraining(self) -> LockRow | None:
        """Who holds the right to retrain, or None."""
        return LockRow.get(self._table)

    def start_retraining(self, batch: BatchRow, execution: str) -> bool:
        """Take the right to retrain, of which there is one, and mark the batch STARTED: both or neither.

        It is written down before the execution exists, so that whoever finds the right taken can start the execution
        that it names.
        """
        lock = LockRow(execution=execution, taken=timestamp(), batch=batch.batch, attempt=batch.attempt + 1)
        return self._table.transact(
            {"put": lock.item(), "condition": "attribute_not_exists(pk)"},
            {"key": BatchRow.key(batch=batch.batch),
             "update": "SET #state = :started, status_pk = :status_pk, attempt = :attempt, execution_arn = :execution",
             "values": {":started": "STARTED", ":attempt": lock.attempt, ":execution": execution,
                        ":pending": "PENDING", ":before": batch.attempt,
                        **_values(BatchRow.index_keys("status_pk", state="STARTED"))},
             "condition": "#state = :pending AND attempt = :before"},
        )  # fmt: skip

    def hold_retraining(self, execution: str) -> bool:
        """True if this execution has the right to retrain; one started by hand takes it here, if it is free."""
        taken = self._table.put(LockRow(execution=execution, taken=timestamp()).item(), "attribute_not_exists(pk)")
        if taken:
            return True
        lock = self.retraining()
        return lock is not None and lock.execution == execution

    def note_outcome(self, batch: int, execution: str, outcome: RetrainingOutcome, reason: str) -> bool:
        """Write down how a batch's execution went; False if another execution has the batch."""
        return self._table.update(
            *BatchRow.key(batch=batch), "SET outcome = :outcome, reason = :reason, outcome_of = :execution",
            {":outcome": outcome, ":reason": legible(reason), ":execution": execution, ":started": "STARTED"},
            "execution_arn = :execution AND #state = :started",
        )  # fmt: skip

    def end_retraining(self, lock: LockRow, to: Literal["DONE", "PENDING"], failures: int = 0) -> bool:
        """Give the right to retrain back and move its batch from STARTED to DONE or PENDING: both or neither.

        False if it is over already.
        """
        release: Item = {"key": LockRow.key(), "delete": True, "condition": "execution = :execution",
                         "values": {":execution": lock.execution}}  # fmt: skip
        if lock.batch is None:
            return self._table.transact(release)
        return self._table.transact(
            release,
            {"key": BatchRow.key(batch=lock.batch),
             "update": "SET #state = :to, status_pk = :status_pk, failures = :failures",
             "values": {":to": to, ":failures": failures, ":execution": lock.execution, ":started": "STARTED",
                        **_values(BatchRow.index_keys("status_pk", state=to))},
             "condition": "execution_arn = :execution AND #state = :started"},
        )  # fmt: skip


def _values(attributes: dict[str, str]) -> Item:
    """Attributes as the values of an update's expression."""
    return {f":{name}": value for name, value in attributes.items()}
