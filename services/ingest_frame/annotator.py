"""The annotation beside a frame: the frame's row and `partial.json` follow what is uploaded now."""

from dataclasses import dataclass

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.documents.upload_key import (
    ANNOTATION_SUFFIXES,
    ORGANISER_PREFIX,
    UploadKey,
    organiser_beside,
    parse_upload_key,
)
from firnline.errors import Refused
from firnline.limits import MAX_ANNOTATION_BYTES, MAX_DOCUMENT_BYTES, MAX_FILE_BYTES
from firnline.observability import logger
from firnline.radar.annotations import read_annotation
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.frame_register import FrameRegister
from ingest_frame.outcome import Outcome
from ingest_frame.stored import Stored, stat


@dataclass(frozen=True)
class Beside:
    """The uploaded annotation that lies beside a frame now, and the organiser that names its layers, by key and ETag."""

    key: str
    suffix: str
    stored: Stored
    organiser: tuple[str, str] | None


class Annotator:
    def __init__(self, uploads: Bucket, workspace: Bucket, register: FrameRegister) -> None:
        self._uploads = uploads
        self._workspace = workspace
        self._register = register

    def take(self, key: UploadKey) -> Outcome:
        """An annotation was uploaded or deleted."""
        frame = self._register.get(key.frame_id)
        if frame is None or frame.status == "REJECTED":
            return Outcome.ANNOTATION_WAITS
        return self.follow(key, frame.revision) or Outcome.GONE

    def follow(self, key: UploadKey, revision: str) -> Outcome | None:
        """Bring the row and `partial.json` up to the uploads of now; None if there is no annotation and was none.

        Another delivery may write what it read earlier. So each delivery looks again after it has written, and starts
        over if something else lies beside the frame by then.
        """
        while True:
            beside = self._beside(key)
            outcome = self._settle(key.frame_id, revision, beside)
            if outcome is None or self._beside(key) == beside:
                return outcome

    def organise(self, key: UploadKey, organiser: str) -> Outcome:
        """Read the layer files of a segment again, now that their layers have names, or that `organiser`, a key, is gone.

        A segment may have hundreds of them. Each frame's row says which organiser named its layers, so that the next
        delivery goes on where one that died stopped.
        """
        stored = stat(self._uploads, organiser, None)
        etag = stored.etag if stored else ""
        for file in self._files_of_segment(key, ""):
            if not file.lower().endswith(".layers.mat"):
                continue
            try:
                one = parse_upload_key(f"{key.campaign}/{key.segment}/{file}")
            except Refused:  # the upload of the annotation itself was refused with this reason
                continue
            frame = self._register.get(one.frame_id)
            # A layer file that came after its organiser has no mark of it, so that without one all are read again.
            if frame and frame.status != "REJECTED" and (not etag or frame.organiser != etag):
                self.follow(one, frame.revision)
                self._register.mark_organised(one.frame_id, frame.revision, etag)
        return Outcome.ORGANISED if stored else Outcome.ANNOTATION_WITHDRAWN

    def _settle(self, frame_id: str, revision: str, beside: Beside | None) -> Outcome | None:
        """Store the annotation that counts: the one beside the frame, else the picks inside its file.

        The object is written before the mark, which is conditional on the revision. The mark is removed before the
        object.
        """
        try:
            document, reason = self._read(frame_id, revision, beside), ""
        except Refused as refusal:
            logger.warning("annotation refused", extra={"frame_id": frame_id}, exc_info=refusal)
            document, reason = None, str(refusal)
        refused = Outcome.ANNOTATION_REFUSED if reason else None
        document = document or self._picks(frame_id, revision)
        if document is not None:
            self._workspace.write(keys.partial(frame_id, revision), document.to_json(), "application/json")
            self._register.mark_annotated(frame_id, revision, document.coverage, reason)
            return refused or Outcome.ANNOTATED
        row = self._register.get(frame_id)
        if not (reason or (row and (row.annotated or row.annotation_reason))):
            return None
        self._register.mark_annotated(frame_id, revision, "", reason)
        self._workspace.delete(keys.partial(frame_id, revision))
        return refused or Outcome.ANNOTATION_WITHDRAWN

    def _beside(self, key: UploadKey) -> Beside | None:
        """Of several annotations beside a frame the first of `ANNOTATION_SUFFIXES` counts."""
        names = self._files_of_segment(key, f"{key.stem}.")
        found = {name.removeprefix(key.stem).lower(): f"{key.campaign}/{key.segment}/{name}" for name in names}
        for suffix in ANNOTATION_SUFFIXES:
            stored = stat(self._uploads, found[suffix], None) if suffix in found else None
            if stored is not None:
                organiser = self._organiser_beside(key) if suffix == ".layers.mat" else None
                return Beside(found[suffix], suffix, stored, organiser)
        return None

    def _read(self, frame_id: str, revision: str, beside: Beside | None) -> LayersDocument | None:
        """The layers in the annotation; None if there is none, or if it was deleted meanwhile. Raises `Refused`."""
        if beside is None:
            return None
        try:
            content = self._uploads.read(beside.key, MAX_ANNOTATION_BYTES, beside.stored.version)
            organiser = beside.organiser and self._uploads.read(beside.organiser[0], MAX_ANNOTATION_BYTES)
        except FileNotFoundError:
            return None
        frame = FrameDocument.model_validate_json(self._workspace.read(keys.frame(frame_id, revision), MAX_FILE_BYTES))
        return read_annotation(content, beside.suffix, frame, beside.stored.uploaded, organiser)

    def _picks(self, frame_id: str, revision: str) -> LayersDocument | None:
        """The picks that came inside the frame's file."""
        try:
            picks = self._workspace.read(keys.picks(frame_id, revision), MAX_DOCUMENT_BYTES)
        except FileNotFoundError:
            return None
        return LayersDocument.model_validate_json(picks)

    def _organiser_beside(self, key: UploadKey) -> tuple[str, str] | None:
        file = organiser_beside(key.stem, key.segment, self._files_of_segment(key, ORGANISER_PREFIX))
        stored = file and stat(self._uploads, f"{key.campaign}/{key.segment}/{file}", None)
        return (f"{key.campaign}/{key.segment}/{file}", stored.etag) if stored else None

    def _files_of_segment(self, key: UploadKey, prefix: str) -> list[str]:
        folder = f"{key.campaign}/{key.segment}/"
        pages = self._uploads.client.get_paginator("list_objects_v2").paginate(
            Bucket=self._uploads.name, Prefix=folder + prefix
        )
        return [entry["Key"].removeprefix(folder) for page in pages for entry in page.get("Contents", [])]
