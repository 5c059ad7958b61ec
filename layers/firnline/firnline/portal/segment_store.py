"""What the segment browser shows: which segments there are and how far their frames have come; of a frame its place along the
track, its lines and its picture. Nothing is written.
"""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import BoundedSemaphore, Lock
from typing import Any, Protocol

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.geodesy import cartesian, distance_along
from firnline.geometry import simplified
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_PICTURE_BYTES
from firnline.portal import polar
from firnline.review.thumbnail import thumbnail
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.frame_register import FrameRegister
from firnline.store.line_status import LineStatus, line_statuses, lines_key
from firnline.store.loops import Loops, NotTheirs, check_claimable
from firnline.store.rows import FrameRow, FrameStatus
from firnline.store.table import Table

MOST_CAMPAIGNS = 1_000
"""That S3 names at once."""
MAX_FRAME_DOCUMENT_BYTES = 50_000_000
"""It has a few numbers for each trace of the file."""
TRACK_POINTS = 65
"""Places along a frame that the map shows: more than the pixels that it has there."""
LINE_TOLERANCE = 1 / 1600
"""Of the picture's height by which a line that is shown may be off: less than a pixel of a screen."""
COUNTS_SECONDS = 20.0
"""For which a segment's counts are kept: whoever goes back to the list need not wait again."""
COUNTS_KEPT = 2_000
UNPACKED_AT_ONCE = 2
"""Pictures of at most `MAX_PICTURE_PIXELS` each, so that memory stays bounded however many browsers ask."""
PICTURE_SIZES = {"64": (64, 448), "128": (128, 448), "256": (256, 448), "512": (512, 448), "1536": (1536, 896)}
"""Columns and rows that a picture is drawn down to at most, by the name that an address gives. The largest, of noise that does
not compress, is 1.4 MB; an answer of Lambda's may have 6 MB.
"""


@dataclass(frozen=True)
class SegmentCounts:
    """Frames of a segment, which is named without its campaign, by status."""

    name: str
    frames: dict[FrameStatus, int]


@dataclass(frozen=True)
class SegmentFrame:
    """A frame as its segment lists it; `lines` says whose lines it has, None where it has none yet."""

    stem: str
    revision: str
    status: FrameStatus
    lines: LineStatus | None
    confidence: float | None
    reason: str

    @classmethod
    def of(cls, row: FrameRow) -> "SegmentFrame":
        lines = next(iter(line_statuses(row)), None)
        return cls(row.stem, row.revision, row.status, lines, row.confidence, row.reason)


class Segments(Protocol):
    """What the pages ask for; `KeyError` for what there is not."""

    def campaigns(self) -> list[str]: ...

    def segments(self, campaign: str, limit: int, after: str = "") -> list[SegmentCounts]: ...

    def frames(self, campaign: str, segment: str) -> list[SegmentFrame]: ...

    def task(self, frame_id: str, reviewer: str, *, arbiter: bool) -> tuple[str, str]: ...

    def picture(self, frame_id: str, revision: str, size: str) -> bytes: ...

    def shown(self, frame_id: str) -> dict[str, Any]: ...


class SegmentStore:
    """Over the table's index of segments and the workspace bucket; raises `KeyError` for what there is not."""

    def __init__(self, table: Table, bucket: Bucket) -> None:
        self._register = FrameRegister(table)
        self._loops = Loops(table)
        self._bucket = bucket
        self._counts: dict[str, tuple[float, SegmentCounts]] = {}
        self._lock = Lock()
        self._unpacked = BoundedSemaphore(UNPACKED_AT_ONCE)

    def campaigns(self) -> list[str]:
        return self._bucket.folders("frames/", MOST_CAMPAIGNS)

    def segments(self, campaign: str, limit: int, after: str = "") -> list[SegmentCounts]:
        """The next `limit` segments of a campaign behind `after`; of their frames no more than a row each is read."""
        return [self._counted(campaign, name) for name in self._bucket.folders(f"frames/{campaign}/", limit, after)]

    def frames(self, campaign: str, segment: str) -> list[SegmentFrame]:
        """In the order of the track, which is that of their names."""
        return [SegmentFrame.of(row) for row in self._register.of_segment(campaign, segment)]

    def task(self, frame_id: str, reviewer: str, *, arbiter: bool) -> tuple[str, str]:
        """The name of the frame's open task on this page, empty if there is none that this reviewer can have; and why it cannot
        be had.
        """
        row = self._row(frame_id)
        loop = self._loops.get(row.review) if row.status == "IN_REVIEW" and row.review else None
        if loop is None or loop.state != "OPEN":
            return "", ""
        try:
            check_claimable(loop, reviewer, datetime.now(UTC), arbiter)
        except NotTheirs as refusal:
            return "", str(refusal)
        return loop.loop_name, ""

    def picture(self, frame_id: str, revision: str, size: str) -> bytes:
        """A PNG of the frame's echogram, drawn down to one of `PICTURE_SIZES`."""
        try:
            with self._unpacked:
                echogram = self._bucket.read(keys.echogram(frame_id, revision), MAX_PICTURE_BYTES)
                return thumbnail(echogram, *PICTURE_SIZES[size])
        except FileNotFoundError as error:
            raise KeyError(frame_id) from error

    def shown(self, frame_id: str) -> dict[str, Any]:
        """Where a frame lies and what is drawn on it: see `shown_frame`."""
        row = self._row(frame_id)
        try:
            with self._unpacked:
                content = self._bucket.read(keys.frame(frame_id, row.revision), MAX_FRAME_DOCUMENT_BYTES)
                frame = FrameDocument.model_validate_json(content)
        except FileNotFoundError as error:
            raise KeyError(frame_id) from error
        lines = next(iter(line_statuses(row)), None)
        return shown_frame(frame, lines, None if lines is None else self._lines(lines_key(row, lines)))

    def _row(self, frame_id: str) -> FrameRow:
        row = self._register.in_segment(frame_id)
        if row is None:
            raise KeyError(frame_id)
        return row

    def _lines(self, key: str) -> LayersDocument | None:
        """A layers document; None where it is gone, as that of a frame that is being replaced."""
        try:
            return LayersDocument.model_validate_json(self._bucket.read(key, MAX_DOCUMENT_BYTES))
        except FileNotFoundError:
            return None

    def _counted(self, campaign: str, segment: str) -> SegmentCounts:
        name, now = f"{campaign}/{segment}", time.monotonic()
        with self._lock:
            counted, found = self._counts.get(name, (0.0, None))
        if found is not None and now - counted < COUNTS_SECONDS:
            return found
        frames = Counter(row.status for row in self._register.of_segment(campaign, segment))
        found = SegmentCounts(segment, dict(frames))
        with self._lock:
            if len(self._counts) >= COUNTS_KEPT:
                self._counts.clear()
            self._counts[name] = now, found
        return found


def shown_frame(frame: FrameDocument, status: LineStatus | None, lines: LayersDocument | None) -> dict[str, Any]:
    """Where a frame lies and what is drawn on it, as `segment_browser.js` takes it.

    `top` and `bottom` are the two-way times, us, of the picture's edges, None where the file tells none. `track` has places
    along the picture from 0 to 1 (`at`) with degrees, km from its first position, and km on the map; its `ends`, the first
    and the last of them in km from the middle of the Earth, measure the gaps between frames. The vertices of `lines` are
    shares of the picture's width and height; None where there should be lines, and their document is gone.
    """
    top, bottom = _times(frame)
    return {
        "frame": frame.frame_id.rpartition("/")[2],
        "columns": frame.width,
        "rows": frame.height,
        "top": top,
        "bottom": bottom,
        "track": _track(frame),
        "status": status,
        "lines": [] if status is None else None if lines is None else _drawn(lines),
    }


def _drawn(document: LayersDocument) -> list[dict[str, Any]]:
    drawn = [np.array([(vertex.x, vertex.y) for vertex in layer.vertices]) for layer in document.layers]
    size = np.array([document.image.width, document.image.height], float)
    kept = simplified(drawn, LINE_TOLERANCE * size[1])
    return [
        {"label": layer.label, "at": np.round((vertices[places] + 0.5) / size, 5).tolist()}
        for layer, vertices, places in zip(document.layers, drawn, kept, strict=True)
    ]


def _times(frame: FrameDocument) -> tuple[float | None, float | None]:
    """Two-way us of the upper and the lower edge of a frame's picture."""
    if frame.dt_s is None:
        return None, None
    sample = frame.framing.sample_of(np.array([-0.5, frame.height - 0.5]))
    top, bottom = (((frame.time_zero_s or 0.0) + sample * frame.dt_s) * 1e6).tolist()
    return top, bottom


def _track(frame: FrameDocument) -> dict[str, Any] | None:
    """Places along a frame; None where fewer than two of its positions are known."""
    if frame.latitude is None or frame.longitude is None:
        return None
    traces = np.unique(
        np.clip(
            np.rint(frame.framing.trace_of(np.linspace(-0.5, frame.width - 0.5, TRACK_POINTS))), 0, frame.traces - 1
        )
    ).astype(int)
    latitude, longitude = (np.array(values, float) for values in (frame.latitude, frame.longitude))
    known = np.isfinite(latitude) & np.isfinite(longitude)
    taken = traces[known[traces]]
    projection = polar.projection_of(latitude[taken])
    if taken.size < 2 or projection is None:
        return None
    first, last = int(taken[0]), int(taken[-1])
    along = distance_along(latitude[first : last + 1], longitude[first : last + 1])[taken - first]
    x, y = projection.xy(latitude[taken], longitude[taken])
    at = np.clip((frame.framing.column_of(taken) + 0.5) / frame.width, 0, 1)
    return {
        "projection": projection.code,
        "at": np.round(at, 5).tolist(),
        "latitude": np.round(latitude[taken], 6).tolist(),
        "longitude": np.round(longitude[taken], 6).tolist(),
        "km": np.round(along / 1000, 5).tolist(),
        "x": np.round(x / 1000, 5).tolist(),
        "y": np.round(y / 1000, 5).tolist(),
        "ends": np.round(cartesian(latitude[taken[[0, -1]]], longitude[taken[[0, -1]]]).T / 1000, 5).tolist(),
    }
