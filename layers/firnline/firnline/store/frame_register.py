"""The register of frames: which revision counts, and how far it has come.

A frame's status only moves along READY → PREDICTED → IN_REVIEW → CORRECTED, or PREDICTED → ACCEPTED; a new revision
starts again at READY (or REJECTED). Every move is conditional on the revision and on the status it comes from, so that
an event that comes twice, late or out of order moves nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from firnline.errors import legible
from firnline.store.table import Item, Table


class Registered(Enum):
    NEW = "a revision not seen before: it counts from now on"
    SAME = "the revision that counts already"
    STALE = "older than the revision that counts, or from another file of the same name"


def timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def comparable(sequencer: str) -> str:
    """S3's sequencer, hexadecimal, so that two of one key compare as text: padded with zeros on the right."""
    return sequencer.ljust(32, "0").upper()


def _sentences(details: dict[str, Any]) -> dict[str, Any]:
    """Details of a frame, with reasons that the table can take, whatever they quote."""
    return {
        name: legible(value) if name.endswith("reason") and isinstance(value, str) else value
        for name, value in details.items()
    }


class FrameRegister:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, frame_id: str) -> Item | None:
        return self._table.get(f"FRAME#{frame_id}", "STATUS")

    def register(
        self, frame_id: str, source_key: str, sequencer: str, revision: str, status: str, **details: Any
    ) -> Registered:
        """Make `revision` the one that counts, unless a later upload has done so already.

        `sequencer` is S3's. `status` is READY or REJECTED. A frame of another file of the same name is in the way only
        if that file could be read.
        """
        sequencer = comparable(sequencer)
        campaign, segment, stem = frame_id.split("/")
        updated = timestamp()
        item = {
            "pk": f"FRAME#{frame_id}", "sk": "STATUS", "frame_id": frame_id, "status": status, "revision": revision,
            "source_key": source_key, "sequencer": sequencer, "updated": updated,
            "status_pk": f"STATUS#{status}", "status_sk": f"{updated}#{frame_id}",
            "segment_pk": f"SEGMENT#{campaign}/{segment}", "segment_sk": stem,
            **_sentences(details),
        }  # fmt: skip
        fresh = (
            "attribute_not_exists(pk) OR (source_key = :key AND sequencer < :sequencer AND revision <> :revision) "
            "OR (source_key <> :key AND #status = :rejected)"
        )
        values = {":key": source_key, ":sequencer": sequencer, ":revision": revision, ":rejected": "REJECTED"}
        if self._table.put(item, fresh, values):
            return Registered.NEW
        known = self.get(frame_id)
        if known is None or known["source_key"] != source_key or known["revision"] != revision:
            return Registered.STALE
        self._table.update(
            item["pk"], item["sk"], "SET sequencer = :sequencer",
            {":sequencer": sequencer, ":revision": revision}, "revision = :revision AND sequencer < :sequencer",
        )  # fmt: skip
        return Registered.SAME

    def advance(self, frame_id: str, revision: str, to: str, come_from: tuple[str, ...], **details: Any) -> bool:
        """Move the frame's status on; False if another revision counts now or the status is not one of `come_from`."""
        updated = timestamp()
        values = {":to": to, ":revision": revision, ":updated": updated,
                  ":status_pk": f"STATUS#{to}", ":status_sk": f"{updated}#{frame_id}"}  # fmt: skip
        values |= {f":come{n}": status for n, status in enumerate(come_from)}
        values |= {f":{name}": value for name, value in _sentences(details).items()}
        sets = ["#status = :to", "updated = :updated", "status_pk = :status_pk", "status_sk = :status_sk"]
        sets += [f"#{name} = :{name}" for name in details]
        allowed = ", ".join(f":come{n}" for n in range(len(come_from)))
        return self._table.update(
            f"FRAME#{frame_id}",
            "STATUS",
            "SET " + ", ".join(sets),
            values,
            f"revision = :revision AND #status IN ({allowed})",
        )

    def note(self, frame_id: str, revision: str, **details: Any) -> bool:
        """Write details on the frame without moving its status; False if another revision counts by now."""
        sets = ", ".join(f"#{name} = :{name}" for name in details)
        values = {f":{name}": value for name, value in _sentences(details).items()} | {":revision": revision}
        return self._table.update(f"FRAME#{frame_id}", "STATUS", f"SET {sets}", values, "revision = :revision")

    def mark_annotated(self, frame_id: str, revision: str, coverage: str, reason: str = "") -> bool:
        """Say that the frame's `partial.json` counts in the next snapshot; False if another revision counts by now.

        `coverage` is the document's, `complete` or `partial`; empty if no document counts. `reason` says why
        the annotation beside the frame was refused. A new revision begins without a mark.
        """
        return self.note(frame_id, revision, annotated=coverage, annotation_reason=reason)

    def of_status(self, status: str) -> Iterator[Item]:
        """Frames of a status, longest unchanged first."""
        return self._table.query_index("by_status", f"STATUS#{status}")

    def of_segment(self, campaign: str, segment: str) -> Iterator[Item]:
        return self._table.query_index("by_segment", f"SEGMENT#{campaign}/{segment}")

    def record_prediction(self, frame_id: str, revision: str, model_version: str, **details: Any) -> None:
        self._table.put({
            "pk": f"FRAME#{frame_id}", "sk": f"PREDICTION#{revision}#{model_version}",
            "frame_id": frame_id, "revision": revision, "model_version": model_version,
            "created": timestamp(), **details,
        })  # fmt: skip

    def prediction(self, frame_id: str, revision: str, model_version: str) -> Item | None:
        return self._table.get(f"FRAME#{frame_id}", f"PREDICTION#{revision}#{model_version}")

    def open_review(self, frame_id: str, loop_name: str, revision: str, budget: int = 0, **details: Any) -> bool:
        """Note a review before it is started, so that every answer finds its frame.

        At most `budget` reviews are opened in a flight segment (0: no limit). False if the review is noted already, or
        if the budget is used up: `review` tells which.
        """
        segment = frame_id.rpartition("/")[0]
        counted: Item = {"key": (f"SEGMENT#{segment}", "REVIEWS"), "update": "ADD opened :one", "values": {":one": 1}}
        if budget:
            counted |= {"condition": "attribute_not_exists(opened) OR opened < :budget",
                        "values": {":one": 1, ":budget": budget}}  # fmt: skip
        return self._table.transact(
            {"put": {"pk": f"FRAME#{frame_id}", "sk": f"REVIEW#{loop_name}", "frame_id": frame_id,
                     "loop_name": loop_name, "revision": revision, "state": "STARTED", "created": timestamp(),
                     **details},
             "condition": "attribute_not_exists(pk)"},
            {"put": {"pk": f"LOOP#{loop_name}", "sk": "FRAME", "frame_id": frame_id}},
            counted,
        )  # fmt: skip

    def frame_of_review(self, loop_name: str) -> str | None:
        """The frame_id that a review was noted under, or None if no such review was ever opened."""
        item = self._table.get(f"LOOP#{loop_name}", "FRAME")
        return None if item is None else item["frame_id"]

    def review(self, frame_id: str, loop_name: str) -> Item | None:
        return self._table.get(f"FRAME#{frame_id}", f"REVIEW#{loop_name}")

    def close_review(self, frame_id: str, loop_name: str, state: str, reason: str | None = None) -> bool:
        """STARTED → COMPLETED or FAILED; False if it is closed already. A good answer after a failure still completes
        it."""
        values = {":state": state, ":closed": timestamp(), ":started": "STARTED"}
        sets, open_to = "SET #state = :state, closed = :closed", "#state = :started"
        if state == "COMPLETED":
            values, open_to = values | {":failed": "FAILED"}, "#state IN (:started, :failed)"
        if reason:
            sets, values = sets + ", reason = :reason", values | {":reason": legible(reason)}
        return self._table.update(f"FRAME#{frame_id}", f"REVIEW#{loop_name}", sets, values, open_to)
