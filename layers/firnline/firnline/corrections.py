"""Corrections, their count, and the batches in which they are claimed for retraining.

Nothing here tests `total % every == 0`: the transaction does not return the counter, and two readers can both see 101. A batch
is claimed by moving `last_batch` and `claimed` on under a condition, together with its own item, so it is claimed exactly once.
A claimed batch stays PENDING until an execution has been started for it, whoever dies in between.
"""

from collections.abc import Iterator
from typing import Any

from firnline.frame_register import timestamp
from firnline.layers import LayersDocument
from firnline.table import Item, Table

_COUNTER = ("COUNTER", "CORRECTIONS")
_LOCK = ("RETRAINING", "LOCK")


class Corrections:
    def __init__(self, table: Table) -> None:
        self._table = table

    def record(
        self, loop_name: str, revision: str, document: LayersDocument, image_prefix: str, **details: Any
    ) -> bool:
        """Store a correction and count it, once; False if it was stored before.

        The coordinates of each layer go first, one item a layer (60 layers of 4,000 traces stay far under 400 KB each): written again
        by a repeated delivery they are the same. The correction and the count then happen together or not at all.
        """
        frame_id = document.frame_id
        created = timestamp()
        self._table.put_all([
            {"pk": f"FRAME#{frame_id}", "sk": f"LAYER#{loop_name}#{number:03d}", "loop_name": loop_name, "label": layer.label,
             "x": [round(vertex.x, 3) for vertex in layer.vertices], "y": [round(vertex.y, 3) for vertex in layer.vertices],
             "image_prefix": image_prefix, "revision": revision}
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
        """Claim every batch of `every` corrections that is full and unclaimed; returns the numbers that this call claimed."""
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

    def move_batch(self, batch: int, come_from: str, to: str, **details: Any) -> bool:
        """PENDING → STARTED → DONE, or STARTED → PENDING for another attempt; False if the batch is not in `come_from`."""
        sets = "".join(f", {name} = :{name}" for name in details)
        values = {":to": to, ":from": come_from, ":status_pk": f"BATCHES#{to}"} | {
            f":{k}": v for k, v in details.items()
        }
        return self._table.update(
            f"BATCH#{batch}", "BATCH", f"SET #state = :to, status_pk = :status_pk{sets}", values, "#state = :from"
        )

    def retraining(self) -> Item | None:
        """Who holds the right to retrain: batch and execution_arn, or None."""
        return self._table.get(*_LOCK)

    def take_retraining(self, batch: int, execution: str) -> bool:
        """Take the right to retrain, of which there is one; True if this execution has it (also if it had it before)."""
        pk, sk = _LOCK
        return self._table.put(
            {"pk": pk, "sk": sk, "batch": batch, "execution": execution, "taken": timestamp()},
            "attribute_not_exists(pk) OR execution = :execution",
            {":execution": execution},
        )

    def release_retraining(self, execution: str) -> bool:
        return self._table.delete(*_LOCK, condition="execution = :execution", values={":execution": execution})

    @staticmethod
    def _batch_item(batch: int, state: str, **details: Any) -> Item:
        return {"pk": f"BATCH#{batch}", "sk": "BATCH", "batch": batch, "state": state, "attempt": 0, "claimed_at": timestamp(),
                "status_pk": f"BATCHES#{state}", "status_sk": f"{batch:08d}", **details}  # fmt: skip
