"""What ingest answers to an upload."""

from enum import StrEnum


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
    ORGANISED = "organised"
    FRAME_KEPT = "upload deleted, frame kept"
