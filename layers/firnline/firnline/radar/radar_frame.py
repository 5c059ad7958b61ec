"""A radar frame in memory, whatever kind of file it came in."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from firnline.documents.origin import Origin
from firnline.documents.polarity import Polarity
from firnline.errors import Refused
from firnline.geometry import Label
from firnline.limits import MAX_SAMPLES

MIN_SIDE = 16
MAX_SIDE = 100_000
_CONTRAST_SAMPLES, _CONTRAST_STEP = 1_000_000, 11


@dataclass
class Picks:
    """Layers that came with a frame: `rows` (len(labels), traces), row indices, NaN where nothing was picked."""

    labels: list[Label]
    rows: np.ndarray
    coverage: Literal["complete", "partial"] = "partial"


@dataclass
class RadarFrame:
    """`power_db` is (samples, traces) in decibels or any scale of equal steps, NaN = no data.

    Times are two-way and in seconds; row r lies at `time_zero_s + r * dt_s`. Arrays over traces are (traces,), NaN
    where unknown; None where the file says nothing.

    origin : leads from a row and a trace here to a sample and a trace of the file
    file_shape : (samples, traces) of the echogram in the file; of a picture, its rows and columns as it is shown
    missing_samples : samples of the file's echogram that hold no data; rows that were added here do not count
    positions_unknown : the file names positions, and not one of them can be
    bandwidth_hz, centre_frequency_hz : of the radar, if the file tells
    polarity_confidence : 0.5 to 1, how sure the guess about a picture is; None where nothing was guessed
    """

    power_db: np.ndarray
    format: str
    polarity: Polarity = "bright-strong"
    dt_s: float | None = None
    time_zero_s: float | None = None
    gps_time_s: np.ndarray | None = None
    latitude: np.ndarray | None = None
    longitude: np.ndarray | None = None
    elevation_m: np.ndarray | None = None
    surface_twtt_s: np.ndarray | None = None
    bed_twtt_s: np.ndarray | None = None
    picks: Picks | None = None
    origin: Origin = field(default_factory=Origin)
    file_shape: tuple[int, int] = (0, 0)
    missing_samples: int = 0
    positions_unknown: bool = False
    bandwidth_hz: float | None = None
    centre_frequency_hz: float | None = None
    polarity_confidence: float | None = None
    transforms: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.file_shape == (0, 0):
            self.file_shape = (self.power_db.shape[0], self.power_db.shape[1])


def check_size(samples: int, traces: int) -> None:
    """`Refused` unless an echogram of this size can be worked with; called before anything so large is in memory."""
    if samples * traces > MAX_SAMPLES or max(samples, traces) > MAX_SIDE:
        raise Refused(
            f"The frame has {traces} traces x {samples} samples; at most {MAX_SAMPLES // 1_000_000} million samples and "
            f"{MAX_SIDE} a side can be read. Split it along the track and upload the parts."
        )
    if min(samples, traces) < MIN_SIDE:
        raise Refused(
            f"The frame has only {traces} traces x {samples} samples; upload one of at least {MIN_SIDE} x {MIN_SIDE}."
        )


def check_content(frame: RadarFrame) -> None:
    """`Refused` if there is nothing to be seen in the echogram."""
    check_size(*frame.power_db.shape)
    # Every eleventh sample tells as much, and the whole of a large frame would have to be sorted; a small one is taken whole.
    step = _CONTRAST_STEP if frame.power_db.size > _CONTRAST_SAMPLES else 1
    flat = frame.power_db.T if frame.power_db.flags.f_contiguous else frame.power_db
    some = flat.reshape(-1)[::step]
    finite = some[np.isfinite(some)]
    if not finite.size:
        finite = flat[np.isfinite(flat)]
    if not finite.size:
        raise Refused("The frame has not a single valid sample: every value is missing. Check how it was exported.")
    low, high = np.percentile(finite, [2, 99.7])
    if high <= low:
        raise Refused(
            "The frame has no contrast: nearly every sample has the same value. Check its scaling and export it again."
        )
