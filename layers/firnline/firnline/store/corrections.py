"""Corrections, their count, and the batches in which they are claimed for retraining.

Nothing here tests `total % every == 0`: the transaction does not return the counter, and two readers can both see 101.
A batch is claimed by moving `last_batch` and `claimed` on under a condition, together with its own item, so it is
claimed exactly once. A batch is STARTED exactly while an execution holds the right to retrain for it: the two are
written in one transaction.
"""

from collections.abc import Iterator
from typing import Any

from firnline.documents.layers import LayersDocument
from firnline.errors import legible
from firnline.store.frame_register import timestamp
from firnline.store.table import Item, Table

_COUNTER = ("COUNTER", "CORRECTIONS")
_LOCK = ("RETRAINING", "LOCK")


class Corrections:
    def __init__(self, table: Table) -> None:
        self._table = table

    def record(
        self, loop_name: str, revision: str, document: LayersDocument, image_prefix: str, **details: Any
    ) -> bool:
        """Store a correction and count it, once; False if it was stored before.

        The coordinates of each layer are written first, one item a layer (60 layers of 4,000 traces stay far under 400 KB
        each). A repeated delivery writes the same items again. The correction and the count are then written together
        or not at all.
        """
        frame_id = document.frame_id
        created = timestamp()
        self._table.put_all([
            {"pk": f"FRAME#{frame_id}", "sk": f"LAYER#{loop_name}#{number:03d}", "loop_name": loop_name,
             "label": layer.label, "image_prefix": image_prefix, "revision": revision,
             "x": [round(vertex.x, 3) for vertex in layer.vertices],
             "y": [round(vertex.y, 3) for vertex in layer.vertices]}
            for number, layer in enumerate(document.layers)
        ])  # fmt: skip
        correction = {
            "pk": f"CORRECTION#{loop_name}", "sk": "CORRECTION", "loop_name": loop_name, "frame_id": frame_id,
            "revision": revision, "layers": len(document.layers), "coverage": document.coverage,
            "image_prefix": image_prefix, "created": created,
            "status_pk": "CORRECTIONS", "status_sk": f"{created}#{loop_name}", **details,
        }  # fmt: skip
        pk, sk = _COUNTER
        return self._table.transact(
            {"put": correction, "condition": "attribute_not_exists(pk)"},
            {"key": (pk, sk), "update": "ADD #total :one", "values": {":one": 1}},
        )

    def get(self, loop_name: str) -> Item | None:
        return self._table.get(f"CORRECTION#{loop_name}", "CORRECTION")

    def all(self) -> Iterator[Item]:
        """Every correction, oldest first."""
        return self._table.query_index("by_status", "CORRECTIONS")

    def counts(self) -> dict[str, int]:
        """`total` corrections, `claimed` of them in batches, `last_batch` the number of the last batch."""
        item = self._table.get(*_COUNTER) or {}
        return {name: int(item.get(name, 0)) for name in ("total", "claimed", "last_batch")}

    def claim_batches(self, every: int) -> list[int]:
        """Claim every batch of `every` corrections that is full and unclaimed; returns the numbers claimed here."""
        claimed: list[int] = []
        while True:
            counts = self.counts()
            if counts["total"] - counts["claimed"] < every:
                return claimed
            batch = counts["last_batch"] + 1
            unmoved = "claimed = :claimed AND last_batch = :last"
            if batch == 1:
                unmoved = f"attribute_not_exists(last_batch) OR ({unmoved})"
            if self._table.transact(
                {"key": _COUNTER, "update": "SET last_batch = :batch, claimed = :now", "condition": unmoved,
                 "values": {":batch": batch, ":now": counts["claimed"] + every,
                            ":claimed": counts["claimed"], ":last": counts["last_batch"]}},
                {"put": self._batch_item(batch, "PENDING", first=counts["claimed"] + 1, last=counts["claimed"] + every),
                 "condition": "attribute_not_exists(pk)"},
            ):  # fmt: skip
                claimed.append(batch)

    def batch(self, batch: int) -> Item | None:
        return self._table.get(f"BATCH#{batch}", "BATCH")

    def batches(self, state: str) -> list[Item]:
        return sorted(self._table.query_index("by_status", f"BATCHES#{state}"), key=lambda item: item["batch"])

    def request_retraining(self, request: str) -> bool:
        """An operator asks for a retraining: batch 0, which claims no corrections, is PENDING (again); False if it
        waits or runs already.

        `request` names the request, so that one that is delivered twice counts once.
        """
        return self._table.update(
            "BATCH#0", "BATCH",
            "SET #state = :pending, status_pk = :status_pk, status_sk = :status_sk, #batch = :zero, failures = :zero, "
            "attempt = if_not_exists(attempt, :zero), claimed_at = :now, #request = :request",
            {":pending": "PENDING", ":status_pk": "BATCHES#PENDING", ":status_sk": "00000000", ":zero": 0,
             ":now": timestamp(), ":request": request, ":done": "DONE"},
            "attribute_not_exists(pk) OR (#state = :done AND #request <> :request)",
        )  # fmt: skip

    def retraining(self) -> Item | None:
        """Who holds the right to retrain, or None: `execution` (ARN); `batch` and `attempt` unless started by hand."""
        return self._table.get(*_LOCK)

    def start_retraining(self, batch: Item, execution: str) -> bool:
        """Take the right to retrain, of which there is one, and mark the batch STARTED: both or neither.

        It is written down before the execution exists, so that whoever finds the right taken can start the execution
        that it names.
        """
        number, attempt = batch["batch"], batch["attempt"] + 1
        pk, sk = _LOCK
        return self._table.transact(
            {"put": {"pk": pk, "sk": sk, "batch": number, "attempt": attempt, "execution": execution,
                     "taken": timestamp()},
             "condition": "attribute_not_exists(pk)"},
            {"key": (f"BATCH#{number}", "BATCH"),
             "update": "SET #state = :started, status_pk = :status_pk, attempt = :attempt, execution_arn = :execution",
             "values": {":started": "STARTED", ":status_pk": "BATCHES#STARTED", ":attempt": attempt,
                        ":execution": execution, ":pending": "PENDING", ":before": batch["attempt"]},
             "condition": "#state = :pending AND attempt = :before"},
        )  # fmt: skip

    def hold_retraining(self, execution: str) -> bool:
        """True if this execution has the right to retrain; one started by hand takes it here, if it is free."""
        pk, sk = _LOCK
        taken = self._table.put(
            {"pk": pk, "sk": sk, "execution": execution, "taken": timestamp()}, "attribute_not_exists(pk)"
        )
        return taken or (self.retraining() or {}).get("execution") == execution

    def note_outcome(self, batch: int, execution: str, outcome: str, reason: str) -> bool:
        """Write down how a batch's execution went; False if another execution has the batch."""
        return self._table.update(
            f"BATCH#{batch}", "BATCH", "SET outcome = :outcome, reason = :reason, outcome_of = :execution",
            {":outcome": outcome, ":reason": legible(reason), ":execution": execution, ":started": "STARTED"},
            "execution_arn = :execution AND #state = :started",
        )  # fmt: skip

    def end_retraining(self, lock: Item, to: str, failures: int = 0) -> bool:
        """Give the right to retrain back and move its batch from STARTED to DONE or PENDING: both or neither.

        False if it is over already.
        """
        pk, sk = _LOCK
        release = {"key": (pk, sk), "delete": True, "condition": "execution = :execution",
                   "values": {":execution": lock["execution"]}}  # fmt: skip
        if "batch" not in lock:
            return self._table.transact(release)
        return self._table.transact(
            release,
            {"key": (f"BATCH#{lock['batch']}", "BATCH"),
             "update": "SET #state = :to, status_pk = :status_pk, failures = :failures",
             "values": {":to": to, ":status_pk": f"BATCHES#{to}", ":failures": failures,
                        ":execution": lock["execution"], ":started": "STARTED"},
             "condition": "execution_arn = :execution AND #state = :started"},
        )  # fmt: skip

    @staticmethod
    def _batch_item(batch: int, state: str, **details: Any) -> Item:
        return {"pk": f"BATCH#{batch}", "sk": "BATCH", "batch": batch, "state": state, "attempt": 0, "failures": 0,
                "claimed_at": timestamp(), "status_pk": f"BATCHES#{state}", "status_sk": f"{batch:08d}",
                **details}  # fmt: skip
