"""From a frame that is ready to its predicted layers, once per revision."""

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np

from firnline.documents.echogram import decode_png, encode_png
from firnline.documents.layers import LayersDocument
from firnline.documents.overlay import draw_layers
from firnline.errors import Refused
from firnline.events import EventBus, FrameReady, FrameRejected, LayersPredicted
from firnline.limits import MAX_PICTURE_BYTES
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.frame_register import FrameRegister
from firnline.store.rows import FrameRow
from predict_layers.endpoint import Endpoint

Outcome = Literal["predicted", "repeated", "rejected", "stale"]


@dataclass(frozen=True)
class Predictor:
    register: FrameRegister
    workspace: Bucket
    endpoint: Endpoint
    bus: EventBus

    def handle(self, event: FrameReady) -> Outcome:
        """Predict a frame's layers, or send the event of an earlier prediction again, or leave a replaced revision alone.

        Every write comes before the change of status, and the event comes after it. If a delivery dies in between, the
        next one finishes the frame.
        """
        frame = self.register.get(event.frame_id)
        if frame is None or frame.revision != event.revision:
            return "stale"
        if frame.status == "PREDICTED":
            self._announce(event, frame.predicted_by)
            return "repeated"
        if frame.status == "REJECTED":
            self._announce_rejection(frame, frame.reason)
            return "repeated"
        if frame.status != "READY":
            return "repeated"
        try:
            grey, document = self._predict(event)
        except Refused as refused:
            return self._reject(frame, str(refused))
        return self._store(event, document, encode_png(draw_layers(grey, document)))

    def _predict(self, event: FrameReady) -> tuple[np.ndarray, LayersDocument]:
        png = self.workspace.read(keys.echogram(event.frame_id, event.revision), MAX_PICTURE_BYTES)
        grey = decode_png(png)
        return grey, self.endpoint.layers(grey, event.frame_id)

    def _store(self, event: FrameReady, document: LayersDocument, overlay: bytes) -> Outcome:
        version = document.source.model_version or ""
        where = (event.frame_id, event.revision, version)
        # A model that doesn't say how sure it is counts as not sure at all: a person looks at the frame.
        confidence = document.confidence or 0.0
        self.workspace.write(keys.prediction_overlay(*where), overlay, "image/png")
        self.workspace.write(keys.prediction(*where), document.to_json(), "application/json")
        self.register.record_prediction(
            *where,
            confidence=confidence,
            layers=len(document.layers),
            layers_key=keys.prediction(*where),
            overlay_key=keys.prediction_overlay(*where),
        )
        if not self.register.predicted(event.frame_id, event.revision, version, confidence):
            return "stale"
        self._announce(event, version)
        return "predicted"

    def _announce(self, event: FrameReady, model_version: str) -> None:
        self.bus.send(LayersPredicted(frame_id=event.frame_id, revision=event.revision, model_version=model_version))

    def _reject(self, frame: FrameRow, reason: str) -> Outcome:
        rejection = {"frame_id": frame.frame_id, "source_key": frame.source_key, "reason": reason}
        self.workspace.write(keys.rejection(frame.frame_id), json.dumps(rejection).encode(), "application/json")
        if not self.register.rejected_by_network(frame.frame_id, frame.revision, reason):
            return "stale"
        self._announce_rejection(frame, reason)
        return "rejected"

    def _announce_rejection(self, frame: FrameRow, reason: str) -> None:
        self.bus.send(FrameRejected(frame_id=frame.frame_id, source_key=frame.source_key, reason=reason))
