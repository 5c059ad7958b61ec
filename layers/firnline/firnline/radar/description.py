"""The picture of a radar frame, and `frame.json`, which says how it was made and where its pixels lie.

`read_frame` and then `described` are all the steps from a file's bytes to its picture and `frame.json`, in `ingest_frame`
and in `firnline inspect` alike.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from pydantic import ValidationError

from firnline.documents.frame import FileOrigin, FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.errors import Refused
from firnline.ice import metres_in_ice
from firnline.radar.annotations import document_of
from firnline.radar.picture import Picture, picture_of
from firnline.radar.radar_frame import Picks, RadarFrame


@dataclass(frozen=True)
class Source:
    """Which file a frame was read from: where it lies, which version of it, and when that came."""

    bucket: str
    key: str
    version: str | None
    uploaded: datetime
    checksum_sha256: str


def described(frame: RadarFrame, frame_id: str, revision: str, source: Source) -> tuple[Picture, FrameDocument]:
    """The picture that the network, the reviewer and the training share, and the document that goes with it."""
    picture = picture_of(frame)
    samples, traces = frame.power_db.shape
    framing = picture.framing
    whole_clock = frame.gps_time_s is not None and bool(np.isfinite(frame.gps_time_s).all())
    missing = frame.missing_samples / (frame.file_shape[0] * frame.file_shape[1])
    notes = [f"{missing:.2%} of the samples hold no data and are black"] if missing else []
    document = FrameDocument(
        frame_id=frame_id,
        revision=revision,
        width=framing.columns,
        height=framing.rows,
        traces=traces,
        samples=samples,
        file_traces=frame.file_shape[1],
        file_samples=frame.file_shape[0],
        framing=framing,
        origin=FileOrigin.of(frame.origin),
        format=frame.format,
        polarity=frame.polarity,
        dt_s=frame.dt_s,
        time_zero_s=frame.time_zero_s,
        metres_per_row_ice=None if frame.dt_s is None else metres_in_ice(frame.dt_s) * framing.samples_per_row,
        gps_time_s=_numbers(frame.gps_time_s) if whole_clock else None,  # type: ignore[arg-type]
        latitude=_numbers(frame.latitude),
        longitude=_numbers(frame.longitude),
        elevation_m=_numbers(frame.elevation_m),
        surface_twtt_s=_numbers(frame.surface_twtt_s),
        bed_twtt_s=_numbers(frame.bed_twtt_s),
        source_bucket=source.bucket,
        source_key=source.key,
        source_version=source.version,
        checksum_sha256=source.checksum_sha256,
        created=source.uploaded,
        transforms=[
            *frame.transforms,
            *notes,
            *picture.notes,
            "scaled to 8 bits: 2nd percentile to 1, 99.7th to 255, no data to 0",
        ],
    )
    return picture, document


def picked_inside(frame: RadarFrame, document: FrameDocument) -> LayersDocument | None:
    """The picks that came inside a frame's file as a layers document of its picture; None if there are none.

    `Refused` if they cannot be taken; the frame itself is taken all the same.
    """
    if frame.picks is None:
        return None
    rows = document.framing.lines_on_picture(frame.picks.rows)
    try:
        return document_of(Picks(frame.picks.labels, rows), document, document.created)
    except (Refused, ValidationError) as refusal:
        raise Refused("The picks inside the file were not taken: they cross or make no line.") from refusal


def _numbers(values: np.ndarray | None) -> list[float | None] | None:
    if values is None or not np.isfinite(values).any():
        return None
    return [float(value) if np.isfinite(value) else None for value in values]
