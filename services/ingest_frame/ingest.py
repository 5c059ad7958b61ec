"""From an upload to a registered frame, in whatever order uploads and their events come.

Objects are written before the table's row, and the row before the event, so that whoever sees one finds the other. The
row is also written before annotations are looked for: an annotation that arrives meanwhile is either found, or finds
the row. Which annotation counts depends only on what lies in the buckets, not on the order of events.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal, Unpack

from firnline.documents.echogram import encode_png, to_grey
from firnline.documents.frame import FrameDocument
from firnline.documents.layers import now
from firnline.documents.polarity import Polarity
from firnline.documents.upload_key import UploadKey, parse_upload_key, refusal_id, revision_of
from firnline.errors import Refused
from firnline.events import EventBus, FrameReady, FrameRejected, PolarityDecided
from firnline.limits import MAX_FILE_BYTES
from firnline.observability import logger
from firnline.radar.description import Source, described, picked_inside
from firnline.radar.formats import read_frame
from firnline.radar.picture import Picture
from firnline.radar.radar_frame import RadarFrame
from firnline.review.withdrawal import Withdrawal
from firnline.store import keys
from firnline.store.bucket import SPLIT_FRAME, Bucket
from firnline.store.frame_register import FrameRegister, PictureDetails, Registered
from firnline.store.rows import FrameRow
from firnline.store.sortable import comparable, following
from ingest_frame.annotator import Annotator
from ingest_frame.outcome import Outcome
from ingest_frame.stored import Stored, stat

_CANNOT_TURN = (
    "A reviewer said that the polarity is wrong, but the uploaded file is gone: upload it again, with --polarity."
)
_POLARITIES: dict[str, Polarity] = {"bright-strong": "bright-strong", "dark-strong": "dark-strong"}


@dataclass(frozen=True)
class Upload:
    """An upload as its event names it; `version` None means the newest."""

    key: str
    version: str | None
    sequencer: str


class Ingest:
    def __init__(
        self,
        uploads: Bucket,
        workspace: Bucket,
        register: FrameRegister,
        bus: EventBus,
        withdrawal: Withdrawal,
    ) -> None:
        self._withdrawal = withdrawal
        self._uploads = uploads
        self._workspace = workspace
        self._register = register
        self._bus = bus
        self._annotator = Annotator(uploads, workspace, register)

    def handle(self, upload: Upload) -> Outcome:
        """Take one upload in.

        Whatever is wrong with it is written down for its sender. Only transient failures are raised."""
        if upload.key.endswith("/"):
            return Outcome.FOLDER
        try:
            key = parse_upload_key(upload.key)
        except Refused as refusal:
            return self._reject_key(upload, refusal)
        if key.is_organiser:
            return self._annotator.organise(key, upload.key)
        return self._annotator.take(key) if key.is_annotation else self._take_frame(upload, key)

    def withdraw(self, deleted_key: str) -> Outcome:
        """An upload was deleted. An annotation then no longer counts; a frame stays, with all that people made of it."""
        try:
            key = parse_upload_key(deleted_key)
        except Refused:
            return Outcome.FRAME_KEPT
        if key.is_organiser:
            return self._annotator.organise(key, deleted_key)
        return self._annotator.take(key) if key.is_annotation else Outcome.FRAME_KEPT

    def turn(self, decided: PolarityDecided) -> Outcome:
        """A reviewer says that a picture has to be read the other way round: the same upload becomes a new revision.

        Its place in the order of uploads is the next after the one that was read, so that a later upload still counts
        more, and the same event delivered again finds another revision.
        """
        frame = self._register.get(decided.frame_id)
        if frame is None or frame.revision != decided.revision:
            return Outcome.STALE
        document = FrameDocument.model_validate_json(
            self._workspace.read(keys.frame(frame.frame_id, frame.revision), MAX_FILE_BYTES)
        )
        upload = Upload(frame.source_key, document.source_version, following(frame.sequencer))
        key = parse_upload_key(frame.source_key)
        outcome = self._take_frame(upload, key, decided.polarity, decided.decided_by)
        if outcome is Outcome.GONE:
            self._register.review_failed(frame.frame_id, frame.revision, _CANNOT_TURN)
        return outcome

    def _take_frame(
        self, upload: Upload, key: UploadKey, decided: Polarity | None = None, decided_by: str = ""
    ) -> Outcome:
        known = self._register.get(key.frame_id)
        if known and known.source_key != upload.key and known.status != "REJECTED":
            return self._reject_key(upload, _taken(upload.key, known))
        if known and known.source_key == upload.key and known.sequencer > comparable(upload.sequencer):
            return Outcome.STALE
        stored = stat(self._uploads, upload.key, upload.version)
        if stored is None:
            return Outcome.GONE
        revision = revision_of(stored.etag.encode())  # stands for a file that is too large to be read
        try:
            polarity = decided or _polarity(stored)
            content = self._uploads.read(upload.key, MAX_FILE_BYTES, stored.version, SPLIT_FRAME)
            if polarity is None and known and _decided_for(content, upload.key, known):
                polarity, decided_by = known.polarity, known.polarity_by  # the same file again
            revision = revision_of(content, polarity)
            if (
                known
                and known.source_key == upload.key
                and known.revision == revision
                and not _is_tried_anew(known, upload)
            ):
                status: Literal["READY", "REJECTED"] = "REJECTED" if known.status == "REJECTED" else "READY"
                return self._settle(upload, key, status, revision, known.reason)
            frame = read_frame(content, polarity)
        except FileNotFoundError:
            return Outcome.GONE
        except Refused as refusal:
            return self._reject(upload, key, revision, refusal)
        checksum = hashlib.sha256(content).hexdigest()
        del content
        source = Source(self._uploads.name, upload.key, stored.version, stored.uploaded, checksum)
        picture, document = described(frame, key.frame_id, revision, source)
        details: PictureDetails = {
            "width": document.width,
            "height": document.height,
            "format": document.format,
            "polarity": document.polarity,
            "polarity_confidence": frame.polarity_confidence,
        }
        if decided_by:
            details["polarity_by"] = decided_by
        details.update(self._store(frame, picture, document))
        return self._settle(upload, key, "READY", revision, **details)

    def _store(self, frame: RadarFrame, picture: Picture, document: FrameDocument) -> PictureDetails:
        """Write the frame's objects; returns what the row should say of picks that came inside the file."""
        frame_id, revision = document.frame_id, document.revision
        self._workspace.write(keys.echogram(frame_id, revision), encode_png(to_grey(picture.power_db)), "image/png")
        self._workspace.write(keys.frame(frame_id, revision), document.to_json(), "application/json")
        try:
            picked = picked_inside(frame, document)
        except Refused as refusal:
            logger.warning("picks in the frame refused", extra={"frame_id": frame_id}, exc_info=refusal)
            return {"picks_reason": str(refusal)}
        if picked is not None:
            self._workspace.write(keys.picks(frame_id, revision), picked.to_json(), "application/json")
        return {}

    def _settle(
        self,
        upload: Upload,
        key: UploadKey,
        status: Literal["READY", "REJECTED"],
        revision: str,
        reason: str = "",
        **details: Unpack[PictureDetails],
    ) -> Outcome:
        """Register the frame, then do what the next step waits for, even if an earlier delivery died before it."""
        registered = self._register.register(
            key.frame_id, upload.key, upload.sequencer, revision, status, reason, **details
        )
        frame = self._register.get(key.frame_id)
        if frame and frame.source_key == upload.key:
            self._withdrawal.of_earlier_revisions(key.frame_id, frame.revision)
        if frame is None or registered is Registered.STALE:
            other = frame and frame.source_key != upload.key
            return self._reject_key(upload, _taken(upload.key, frame)) if other else Outcome.STALE
        if frame.status == "REJECTED":
            self._bus.send(FrameRejected(frame_id=key.frame_id, source_key=upload.key, reason=frame.reason))
        else:
            self._annotator.follow(key, revision)
        if frame.status == "READY":
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
        frame_id = refusal_id(upload.key)
        revision = frame_id.rpartition("/")[2][:12]
        logger.warning("upload refused", extra={"key": upload.key, "reason": str(refusal)})
        self._write_reason(frame_id, upload, revision, refusal)
        self._register.register(frame_id, upload.key, upload.sequencer, revision, "REJECTED", str(refusal))
        self._bus.send(FrameRejected(frame_id=frame_id, source_key=upload.key, reason=str(refusal)))
        return Outcome.REJECTED

    def _write_reason(self, frame_id: str, upload: Upload, revision: str, refusal: Refused) -> None:
        reason = {
            "frame_id": frame_id, "revision": revision, "source_bucket": self._uploads.name, "source_key": upload.key,
            "source_version": upload.version, "reason": str(refusal), "refused": now().isoformat(),
        }  # fmt: skip
        self._workspace.write(keys.rejection(frame_id), json.dumps(reason).encode(), "application/json")


def _polarity(stored: Stored) -> Polarity | None:
    given = stored.metadata.get("polarity", "").strip().lower()
    if given and given not in _POLARITIES:
        raise Refused(f"The upload's metadata says polarity '{given[:40]}'; it can be bright-strong or dark-strong.")
    return _POLARITIES.get(given)


def _is_tried_anew(known: FrameRow, upload: Upload) -> bool:
    """Whether a file that could not be read is uploaded once more: today's release may read it. What a reviewer calls unusable
    stays so.
    """
    return known.status == "REJECTED" and not known.review and known.sequencer < comparable(upload.sequencer)


def _decided_for(content: bytes, key: str, known: FrameRow) -> bool:
    """Whether a reviewer has decided the polarity of these very bytes."""
    return bool(
        known.polarity_by and known.source_key == key and known.revision == revision_of(content, known.polarity)
    )


def _taken(key: str, known: FrameRow | None) -> Refused:
    taken_by = known.source_key if known else "another file"
    return Refused(
        f"'{key}' would be the same frame as '{taken_by}', which stays as it is: upload it under another name."
    )
