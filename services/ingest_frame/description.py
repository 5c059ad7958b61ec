"""The picture of a radar frame, and `frame.json`, which says how it was made and where its pixels lie."""

from dataclasses import dataclass

import numpy as np

from firnline.frames import FileOrigin, FrameDocument, UploadKey
from firnline.radar.axes import LIGHT_SPEED_M_S
from firnline.radar.picture import Picture
from firnline.radar.radar_frame import RadarFrame
from ingest_frame.stored import Stored

ICE_INDEX = 1.78
"""Refractive index of solid ice at radar frequencies."""


@dataclass(frozen=True)
class Source:
    """Which uploaded object a frame was read from."""

    bucket: str
    key: str
    stored: Stored
    checksum_sha256: str


def describe(frame: RadarFrame, picture: Picture, key: UploadKey, revision: str, source: Source) -> FrameDocument:
    samples, traces = frame.power_db.shape
    framing = picture.framing
    whole_clock = frame.gps_time_s is not None and bool(np.isfinite(frame.gps_time_s).all())
    missing = frame.missing_samples / (frame.file_shape[0] * frame.file_shape[1])
    notes = [f"{missing:.2%} of the samples hold no data and are black"] if missing else []
    metres_per_sample = None if frame.dt_s is None else frame.dt_s * LIGHT_SPEED_M_S / (2 * ICE_INDEX)
    return FrameDocument(
        frame_id=key.frame_id,
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
        metres_per_row_ice=None if metres_per_sample is None else metres_per_sample * framing.samples_per_row,
        gps_time_s=_numbers(frame.gps_time_s) if whole_clock else None,  # type: ignore[arg-type]
        latitude=_numbers(frame.latitude),
        longitude=_numbers(frame.longitude),
        elevation_m=_numbers(frame.elevation_m),
        surface_twtt_s=_numbers(frame.surface_twtt_s),
        bed_twtt_s=_numbers(frame.bed_twtt_s),
        source_bucket=source.bucket,
        source_key=source.key,
        source_version=source.stored.version,
        checksum_sha256=source.checksum_sha256,
        created=source.stored.uploaded,
        transforms=[
            *frame.transforms, *notes, *picture.notes,
            "scaled to 8 bits: 2nd percentile to 1, 99.7th to 255, no data to 0",
        ],
    )  # fmt: skip


def _numbers(values: np.ndarray | None) -> list[float | None] | None:
    if values is None or not np.isfinite(values).any():
        return None
    return [float(value) if np.isfinite(value) else None for value in values]
