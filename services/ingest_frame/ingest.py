"""From an upload to a registered frame, whatever order uploads and their events come in.

Objects are written before the table's row and the row before the event, so that whoever sees one finds the other. The
row also comes before the look for annotations: an annotation that arrives meanwhile either is found by that look, or
finds the row.
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
from firnline.frames import (
    ANNOTATION_SUFFIXES,
    ORGANISER_PREFIX,
    FrameDocument,
    UploadKey,
    organiser_beside,
    parse_upload_key,
    revision_of,
)  # fmt: skip
from firnline.layers import LayersDocument, now
from firnline.limits import MAX_ANNOTATION_BYTES, MAX_FILE_BYTES
from firnline.observability import logger
from firnline.radar.annotations import document_of, read_annotation
from firnline.radar.axes import LIGHT_SPEED_M_S
from firnline.radar.formats import read_frame
from firnline.radar.radar_frame import Polarity, RadarFrame
from firnline.table import Item
from firnline.workspace import Bucket

ICE_INDEX = 1.78
"""Refractive index of solid ice at radar frequencies."""

_SPLIT = "Split the frame along the track and upload the parts."

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
    ORGANISED = "organised"


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
        if key.is_organiser:
            return self._organise(key)
        if key.is_annotation:
            frame = self._register.get(key.frame_id)
            if frame is None or frame["status"] == "REJECTED":
                return Outcome.ANNOTATION_WAITS
            return self._annotate(key, frame["revision"]) or Outcome.GONE
        return self._take_frame(upload, key)

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
            content = self._uploads.read(upload.key, MAX_FILE_BYTES, stored.version, _SPLIT)
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
            return {"annotation_reason": "The picks inside the file were not taken: they cross or make no line."}
        self._write_partial(picked, revision)
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
        """Take in the annotation beside a frame as it is now; of several the first of `ANNOTATION_SUFFIXES` counts."""
        beside = self._annotations_beside(key)
        if not beside:
            return None
        suffix = min(beside, key=ANNOTATION_SUFFIXES.index)
        stored = self._stat(beside[suffix], None)
        if stored is None:
            return None
        organiser = self._organiser_beside(key) if suffix == ".layers.mat" else None
        try:
            content = self._uploads.read(beside[suffix], MAX_ANNOTATION_BYTES, stored.version)
            names = None if organiser is None else self._uploads.read(organiser, MAX_ANNOTATION_BYTES)
            frame = self._frame_document(key.frame_id, revision)
            document = read_annotation(content, suffix, frame, stored.uploaded, names)
        except FileNotFoundError:
            return None
        except Refused as refusal:
            logger.warning("annotation refused", extra={"key": beside[suffix]}, exc_info=refusal)
            self._register.note(key.frame_id, revision, annotation_reason=str(refusal))
            return Outcome.ANNOTATION_REFUSED
        self._write_partial(document, revision)
        self._register.note(key.frame_id, revision, annotation_reason="")
        return Outcome.ANNOTATED

    def _organise(self, key: UploadKey) -> Outcome:
        """Read the layer files of a segment again, whose layers now have names.

        A segment may have hundreds. Each frame's row says which organiser its layers were read with, so that a delivery
        that dies on the way is gone on with by the next.
        """
        stored = self._stat(f"{key.campaign}/{key.segment}/{key.stem}{key.suffix}", None)
        if stored is None:
            return Outcome.GONE
        for file in self._files_of_segment(key, ""):
            if not file.lower().endswith(".layers.mat"):
                continue
            try:
                one = parse_upload_key(f"{key.campaign}/{key.segment}/{file}")
            except Refused:  # its own upload was answered with that
                continue
            frame = self._register.get(one.frame_id)
            if frame and frame["status"] != "REJECTED" and frame.get("organiser") != stored.etag:
                self._annotate(one, frame["revision"])
                self._register.note(one.frame_id, frame["revision"], organiser=stored.etag)
        return Outcome.ORGANISED

    def _organiser_beside(self, key: UploadKey) -> str | None:
        """The key of the organiser that names the layers of a frame's layer file."""
        file = organiser_beside(key.stem, key.segment, self._files_of_segment(key, ORGANISER_PREFIX))
        return file and f"{key.campaign}/{key.segment}/{file}"

    def _files_of_segment(self, key: UploadKey, prefix: str) -> list[str]:
        folder = f"{key.campaign}/{key.segment}/"
        pages = self._uploads.client.get_paginator("list_objects_v2").paginate(
            Bucket=self._uploads.name, Prefix=folder + prefix
        )
        return [entry["Key"].removeprefix(folder) for page in pages for entry in page.get("Contents", [])]

    def _annotations_beside(self, key: UploadKey) -> dict[str, str]:
        """Suffix → key of the annotation objects of a frame."""
        prefix = f"{key.frame_id}.layers."
        answer = self._uploads.client.list_objects_v2(Bucket=self._uploads.name, Prefix=prefix)
        names = [entry["Key"] for entry in answer.get("Contents", [])]
        found = {".layers." + name.removeprefix(prefix).lower(): name for name in names}
        return {suffix: name for suffix, name in found.items() if suffix in ANNOTATION_SUFFIXES}

    def _frame_document(self, frame_id: str, revision: str) -> FrameDocument:
        return FrameDocument.model_validate_json(self._workspace.read(keys.frame(frame_id, revision), MAX_FILE_BYTES))

    def _write_partial(self, document: LayersDocument, revision: str) -> None:
        self._workspace.write(keys.partial(document.frame_id, revision), document.to_json(), "application/json")

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
