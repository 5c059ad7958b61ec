"""The events that Firnline's functions send each other over EventBridge."""

import json
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

SOURCE = "firnline"


class Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())
    detail_type: ClassVar[str]


class FrameReady(Event):
    detail_type = "FrameReady"
    frame_id: str
    revision: str


class FrameRejected(Event):
    detail_type = "FrameRejected"
    frame_id: str
    source_key: str
    reason: str


class LayersPredicted(Event):
    detail_type = "LayersPredicted"
    frame_id: str
    revision: str
    model_version: str


class PolarityDecided(Event):
    """A person said how the picture of this revision has to be read."""

    detail_type = "PolarityDecided"
    frame_id: str
    revision: str
    polarity: Literal["bright-strong", "dark-strong"]
    decided_by: str


class CorrectionBatchClaimed(Event):
    detail_type = "CorrectionBatchClaimed"
    batch: int


class EventBus:
    """Sends events. An entry that EventBridge did not take is an error, so that the queue delivers the cause again."""

    def __init__(self, client: Any, bus_name: str) -> None:
        self._client = client
        self._bus_name = bus_name

    def send(self, *events: Event, source: str = SOURCE) -> None:
        for start in range(0, len(events), 10):
            entries = [
                {
                    "Source": source,
                    "DetailType": event.detail_type,
                    "Detail": json.dumps(event.model_dump(mode="json")),
                    "EventBusName": self._bus_name,
                }
                for event in events[start : start + 10]
            ]
            answer = self._client.put_events(Entries=entries)
            if answer["FailedEntryCount"]:
                failed = [entry.get("ErrorMessage") for entry in answer["Entries"] if entry.get("ErrorCode")]
                raise RuntimeError(
                    f"EventBridge did not take {answer['FailedEntryCount']} of {len(entries)} events: {failed}"
                )
