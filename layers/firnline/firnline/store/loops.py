"""The human loops of Firnline's own page: an item each, OPEN → ANSWERED → COMPLETED."""

from collections.abc import Iterator

from firnline.store.rows import LoopRow, LoopState
from firnline.store.sortable import timestamp
from firnline.store.table import Table


class Loops:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, loop_name: str) -> LoopRow | None:
        return LoopRow.get(self._table, loop_name=loop_name)

    def of_state(self, state: LoopState) -> Iterator[LoopRow]:
        """Loops of a state, oldest first."""
        return map(LoopRow.of, self._table.query_index("by_status", f"LOOPS#{state}"))

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
    ) -> bool:
        """Put a task on the list; False if it is, or was, there already. What the task shows lies at `input_key`."""
        row = LoopRow(
            loop_name=loop_name, state="OPEN", created=timestamp(), input_key=input_key, frame_id=frame_id,
            revision=revision, model_version=model_version, confidence=confidence, reason=reason,
        )  # fmt: skip
        return self._table.put(row.item(), "attribute_not_exists(pk)")

    def answer(self, loop_name: str, answer_key: str, submitted: str) -> bool:
        """OPEN → ANSWERED with the answer that lies at `answer_key`; False if another one was taken."""
        return self._table.update(
            *LoopRow.key(loop_name=loop_name),
            "SET #state = :answered, status_pk = :status_pk, answer_key = :key, submitted = :submitted",
            {":answered": "ANSWERED", ":open": "OPEN", ":key": answer_key, ":submitted": submitted,
             ":status_pk": _index_key("ANSWERED")},
            "#state = :open",
        )  # fmt: skip

    def complete(self, loop_name: str) -> bool:
        """ANSWERED → COMPLETED: the answer's event has been sent. False if somebody else has said so."""
        return self._table.update(
            *LoopRow.key(loop_name=loop_name),
            "SET #state = :completed, status_pk = :status_pk",
            {":completed": "COMPLETED", ":status_pk": _index_key("COMPLETED"), ":answered": "ANSWERED"},
            "#state = :answered",
        )


def _index_key(state: LoopState) -> str:
    return LoopRow.index_keys("status_pk", state=state)["status_pk"]
