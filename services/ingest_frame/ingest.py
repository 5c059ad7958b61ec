"""From an upload to a registered frame, whatever order uploads and their events come in.

Objects are written before the table's row and the row before the event, so that whoever sees one finds the other. The
row also comes before the look for annotations: an annotation that arrives meanwhile either is found by that look, or
finds the row. Which annotation counts follows from what lies in the buckets alone, not from the order of events.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from botocore.exceptions import ClientError
from pydantic import ValidationError

from firnline import keys
from firnline.echogram import encode_png, to_grey
from firnline.errors import Refused
from firnline.events import EventBus, FrameReady, FrameRejected
from firnline.frame_register import FrameRegister, Registered, comparable
from firnline.frames import ANNOTATION_SUFFIXES, FrameDocument, UploadKey, parse_upload_key, revision_of
from firnline.layers import MAX_DOCUMENT_BYTES, LayersDocument, now
from firnline.limits import MAX_FILE_BYTES
from firnline.observability import logger
from firnline.radar.annotations import MAX_ANNOTATION_BYTES, document_of, read_annotation
from firnline.radar.formats import read_frame
from firnline.radar.radar_files import LIGHT_SPEED_M_S
from firnline.radar.radar_frame import Polarity, RadarFrame
from firnline.table import Item
from firnline.workspace import Bucket

ICE_INDEX = 1.78
"""Refractive index of solid ice at radar frequencies."""

_POLARITIES: dict[str, Polarity] = {"bright-strong": "bright-strong", "dark-strong": "dark-strong"}
_GONE = ("NoSuchKey", "NoSuchVersion", "404", "405", "MethodNotAllowed")


class Outcome(StrEnum):
    """What became of an upload."""

    READY = "ready"
    REJECTED = "rejected"
    UNCHANGED = "unchanged"
    STALE = "stale"
    GONE = "gone"
    FOLDER = "folder"
    ANNOTATED = "annotated"
    ANNOTATION_REFUSED = "annotation refused"
    ANNOTATION_WAITS = "annotation waits for its frame"
    ANNOTATION_WITHDRAWN = "annotation withdrawn"
    FRAME_KEPT = "upload deleted, frame kept"


@dataclass(frozen=True)
class Upload:
    """An upload as its event names it; `version` None means the newest."""

    key: str
    version: str | None
    sequencer: str


@dataclass(frozen=True)
class _Stored:
    """What S3 says of an uploaded object before it is read."""

    version: str | None
    etag: str
    uploaded: datetime
    metadata: dict[str, str]


@dataclass(frozen=True)
class _Annotation:
    """The uploaded annotation that lies beside a frame now."""

    key: str
    suffix: str
    stored: _Stored


class Ingest:
    def __init__(self, uploads: Bucket, workspace: Bucket, register: FrameRegister, bus: EventBus) -> None:
        self._uploads = uploads
        self._workspace = workspace
        self._register = register
        self._bus = bus

    def handle(self, upload: Upload) -> Outcome:
        """Take one upload in. Whatever is wrong with it is written down for its sender; only passing troubles are
        raised."""
        if upload.key.endswith("/"):
            return Outcome.FOLDER
        try:
            key = parse_upload_key(upload.key)
        except Refused as refusal:
            return self._reject_key(upload, refusal)
        return self._take_annotation(key) if key.is_annotation else self._take_frame(upload, key)

    def withdraw(self, deleted_key: str) -> Outcome:
        """An upload was deleted: an annotation no longer counts; a frame stays, with all that people made of it."""
        try:
            key = parse_upload_key(deleted_key)
        except Refused:
            return Outcome.FRAME_KEPT
        return self._take_annotation(key) if key.is_annotation else Outcome.FRAME_KEPT

    def _take_annotation(self, key: UploadKey) -> Outcome:
        frame = self._register.get(key.frame_id)
        if frame is None or frame["status"] == "REJECTED":
            return Outcome.ANNOTATION_WAITS
        return self._annotate(key, frame["revision"]) or Outcome.GONE

    def _take_frame(self, upload: Upload, key: UploadKey) -> Outcome:
        known = self._register.get(key.frame_id)
        if known and known["source_key"] != upload.key and known["status"] != "REJECTED":
            return self._reject_key(upload, _taken(upload.key, known))
        if known and known["source_key"] == upload.key and known["sequencer"] > comparable(upload.sequencer):
            return Outcome.STALE
        stored = self._stat(upload.key, upload.version)
        if stored is None:
            return Outcome.GONE
        revision = revision_of(stored.etag.encode())  # of a file that is too large to be read
        try:
            polarity = _polarity(stored)
            content = self._uploads.read(upload.key, MAX_FILE_BYTES, stored.version)
            revision = _revision(content, polarity)
            if known and known["source_key"] == upload.key and known["revision"] == revision:
                status = "REJECTED" if known["status"] == "REJECTED" else "READY"
                return self._settle(upload, key, status, revision, known.get("reason"))
            frame = read_frame(content, polarity)
        except FileNotFoundError:
            return Outcome.GONE
        except Refused as refusal:
            return self._reject(upload, key, revision, refusal)
        document = _describe(frame, key, revision, self._uploads.name, upload.key, stored, content)
        del content
        note = self._store(frame, document, stored.uploaded)
        return self._settle(upload, key, "READY", revision, None, width=document.width, height=document.height, **note)

    def _store(self, frame: RadarFrame, document: FrameDocument, uploaded: datetime) -> dict[str, str]:
        """Write the frame's objects; returns what the row should say of picks that came inside the file."""
        frame_id, revision = document.frame_id, document.revision
        self._workspace.write(keys.echogram(frame_id, revision), encode_png(to_grey(frame.power_db)), "image/png")
        self._workspace.write(keys.frame(frame_id, revision), document.to_json(), "application/json")
        if frame.picks is None:
            return {}
        try:
            picked = document_of(frame.picks, document, uploaded)
        except (Refused, ValidationError) as refusal:
            logger.warning("picks in the frame refused", extra={"frame_id": frame_id}, exc_info=refusal)
            return {"picks_reason": "The picks inside the file were not taken: they cross or make no line."}
        self._workspace.write(keys.picks(frame_id, revision), picked.to_json(), "application/json")
        return {}

    def _settle(
        self, upload: Upload, key: UploadKey, status: str, revision: str, reason: str | None, **details: Any
    ) -> Outcome:
        """Register the frame, then do what the next step waits for, even if an earlier delivery died before it."""
        registered = self._register.register(
            key.frame_id, upload.key, upload.sequencer, revision, status, reason=reason, **details
        )
        frame = self._register.get(key.frame_id)
        if frame is None or registered is Registered.STALE:
            other = frame and frame["source_key"] != upload.key
            return self._reject_key(upload, _taken(upload.key, frame)) if other else Outcome.STALE
        if frame["status"] == "REJECTED":
            self._bus.send(FrameRejected(frame_id=key.frame_id, source_key=upload.key, reason=frame["reason"]))
        else:
            self._annotate(key, revision)
        if frame["status"] == "READY":
            self._bus.send(FrameReady(frame_id=key.frame_id, revision=revision))
        if registered is Registered.SAME:
            return Outcome.UNCHANGED
        return Outcome.REJECTED if status == "REJECTED" else Outcome.READY

    def _reject(self, upload: Upload, key: UploadKey, revision: str, refusal: Refused) -> Outcome:
        logger.warning("frame refused", extra={"key": upload.key, "reason": str(refusal)}, exc_info=refusal)
        self._write_reason(key.frame_id, upload, revision, refusal)
        return self._settle(upload, key, "REJECTED", revision, str(refusal))

    def _reject_key(self, upload: Upload, refusal: Refused) -> Outcome:
        """Refuse an upload that can have no frame of its own; its row's id begins with '_', as no frame's does."""
        digest = hashlib.sha256(upload.key.encode()).hexdigest()[:16]
        frame_id = f"_keys/refused/{digest}"
        logger.warning("upload refused", extra={"key": upload.key, "reason": str(refusal)})
        self._write_reason(frame_id, upload, digest[:12], refusal)
        self._register.register(frame_id, upload.key, upload.sequencer, digest[:12], "REJECTED", reason=str(refusal))
        self._bus.send(FrameRejected(frame_id=frame_id, source_key=upload.key, reason=str(refusal)))
        return Outcome.REJECTED

    def _write_reason(self, frame_id: str, upload: Upload, revision: str, refusal: Refused) -> None:
        reason = {
            "frame_id": frame_id, "revision": revision, "source_bucket": self._uploads.name, "source_key": upload.key,
            "source_version": upload.version, "reason": str(refusal), "refused": now().isoformat(),
        }  # fmt: skip
        self._workspace.write(keys.rejection(frame_id), json.dumps(reason).encode(), "application/json")

    def _annotate(self, key: UploadKey, revision: str) -> Outcome | None:
        """Make the row and `partial.json` say what the uploads say now; None if there is no annotation and was none.

        Another delivery may write what it read before: so whoever has written looks again, and starts over if something
        else lies beside the frame by then.
        """
        while True:
            beside = self._annotation_beside(key)
            outcome = self._follow(key.frame_id, revision, beside)
            if outcome is None or self._annotation_beside(key) == beside:
                return outcome

    def _follow(self, frame_id: str, revision: str, beside: _Annotation | None) -> Outcome | None:
        """The annotation beside a frame counts, else the picks inside its file. The object comes before the mark, which
        is conditional on the revision; in taking back, the mark goes first."""
        try:
            document, reason = self._read_annotation(frame_id, revision, beside), ""
        except Refused as refusal:
            logger.warning("annotation refused", extra={"frame_id": frame_id}, exc_info=refusal)
            document, reason = None, str(refusal)
        refused = Outcome.ANNOTATION_REFUSED if reason else None
        document = document or self._picks(frame_id, revision)
        if document is not None:
            self._workspace.write(keys.partial(frame_id, revision), document.to_json(), "application/json")
            self._register.mark_annotated(frame_id, revision, document.coverage, reason)
            return refused or Outcome.ANNOTATED
        row = self._register.get(frame_id) or {}
        if not (reason or row.get("annotated") or row.get("annotation_reason")):
            return None
        self._register.mark_annotated(frame_id, revision, "", reason)
        self._workspace.delete(keys.partial(frame_id, revision))
        return refused or Outcome.ANNOTATION_WITHDRAWN

    def _annotation_beside(self, key: UploadKey) -> _Annotation | None:
        """Of several annotations beside a frame the first of `ANNOTATION_SUFFIXES` counts."""
        pages = self._uploads.client.get_paginator("list_objects_v2")
        listed = pages.paginate(Bucket=self._uploads.name, Prefix=f"{key.frame_id}.")
        names = [entry["Key"] for page in listed for entry in page.get("Contents", [])]
        found = {name.removeprefix(key.frame_id).lower(): name for name in names}
        for suffix in ANNOTATION_SUFFIXES:
            stored = self._stat(found[suffix], None) if suffix in found else None
            if stored is not None:
                return _Annotation(found[suffix], suffix, stored)
        return None

    def _read_annotation(self, frame_id: str, revision: str, beside: _Annotation | None) -> LayersDocument | None:
        """The layers in the annotation; None if there is none, or if it was deleted meanwhile. Raises `Refused`."""
        if beside is None:
            return None
        try:
            content = self._uploads.read(beside.key, MAX_ANNOTATION_BYTES, beside.stored.version)
        except FileNotFoundError:
            return None
        frame = self._frame_document(frame_id, revision)
        return read_annotation(content, beside.suffix, frame, beside.stored.uploaded)

    def _picks(self, frame_id: str, revision: str) -> LayersDocument | None:
        """The picks that came inside the frame's file."""
        try:
            picks = self._workspace.read(keys.picks(frame_id, revision), MAX_DOCUMENT_BYTES)
        except FileNotFoundError:
            return None
        return LayersDocument.model_validate_json(picks)

    def _frame_document(self, frame_id: str, revision: str) -> FrameDocument:
        return FrameDocument.model_validate_json(self._workspace.read(keys.frame(frame_id, revision), MAX_FILE_BYTES))

    def _stat(self, key: str, version: str | None) -> _Stored | None:
        """What is stored under a key; None if it was deleted meanwhile."""
        which = {"Bucket": self._uploads.name, "Key": key} | ({"VersionId": version} if version else {})
        try:
            head = self._uploads.client.head_object(**which)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                logger.info("the object was deleted before it was read", extra={"key": key})
                return None
            raise
        return _Stored(head.get("VersionId", version), head["ETag"], head["LastModified"], head.get("Metadata", {}))


def _revision(content: bytes, polarity: Polarity | None) -> str:
    """Bytes make the revision; the same bytes under another instruction for their polarity are another one."""
    return revision_of(content + f"\npolarity={polarity}".encode() if polarity else content)


def _polarity(stored: _Stored) -> Polarity | None:
    given = stored.metadata.get("polarity", "").strip().lower()
    if given and given not in _POLARITIES:
        raise Refused(f"The upload's metadata says polarity '{given[:40]}'; it can be bright-strong or dark-strong.")
    return _POLARITIES.get(given)


def _taken(key: str, known: Item | None) -> Refused:
    taken_by = known["source_key"] if known else "another file"
    return Refused(
        f"'{key}' would be the same frame as '{taken_by}', which stays as it is: upload it under another name."
    )


def _describe(
    frame: RadarFrame, key: UploadKey, revision: str, bucket: str, source_key: str, stored: _Stored, content: bytes
) -> FrameDocument:
    height, width = frame.power_db.shape
    whole_clock = frame.gps_time_s is not None and bool(np.isfinite(frame.gps_time_s).all())
    missing = np.mean(~np.isfinite(frame.power_db))
    notes = [f"{missing:.2%} of the samples hold no data and are black"] if missing else []
    return FrameDocument(
        frame_id=key.frame_id,
        revision=revision,
        width=width,
        height=height,
        format=frame.format,
        polarity=frame.polarity,
        dt_s=frame.dt_s,
        time_zero_s=frame.time_zero_s,
        metres_per_row_ice=None if frame.dt_s is None else frame.dt_s * LIGHT_SPEED_M_S / (2 * ICE_INDEX),
        gps_time_s=_numbers(frame.gps_time_s) if whole_clock else None,  # type: ignore[arg-type]
        latitude=_numbers(frame.latitude),
        longitude=_numbers(frame.longitude),
        elevation_m=_numbers(frame.elevation_m),
        surface_twtt_s=_numbers(frame.surface_twtt_s),
        bed_twtt_s=_numbers(frame.bed_twtt_s),
        source_bucket=bucket,
        source_key=source_key,
        source_version=stored.version,
        checksum_sha256=hashlib.sha256(content).hexdigest(),
        created=stored.uploaded,
        transforms=[*frame.transforms, *notes, "scaled to 8 bits: 2nd percentile to 1, 99.7th to 255, no data to 0"],
    )


def _numbers(values: np.ndarray | None) -> list[float | None] | None:
    if values is None or not np.isfinite(values).any():
        return None
    return [float(value) if np.isfinite(value) else None for value in values]
