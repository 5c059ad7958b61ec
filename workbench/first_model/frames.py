"""Which frames the first model learns from, is chosen by, is calibrated on, and is scored on.

Most of the training frames come from campaigns drawn at random (see simulator.variety), no two of which are alike.
Other drawn campaigns choose among the epochs, and others again calibrate the confidences.
"""

from typing import NamedTuple

import numpy as np

from workbench.simulator import Genuine

UNSEEN = "demo"
DRAWN_CAMPAIGNS, NAMED_SEGMENTS = 300, 20
HELD_OUT_SEGMENTS = range(3000, 3006)
SCORED_CAMPAIGNS = range(5000, 5024)


class Asked(NamedTuple):
    """A frame to simulate; `genuine`: of the size that labs have, then made a picture as ingest does it."""

    campaign: str
    segment: int
    number: int
    genuine: Genuine | None = None


def training_frames(known: list[str]) -> list[Asked]:
    """The frames to train on, so that any stretch of a shard holds all kinds."""
    frames = []
    for i in range(DRAWN_CAMPAIGNS):
        frames += [Asked(f"varied_snow_{i:04d}", i, 1), Asked(f"varied_snow_{i:04d}", 1000 + i, 2)]
        if i % 3 != 2:
            frames.append(Asked(f"varied_sounder_{i:04d}", i, 1))
        else:
            frames.append(Asked(f"varied_firn_{i:04d}", i, 1))
        if i % 3 == 0:
            kind = ("snow", "firn", "snow", "sounder")[i // 3 % 4]
            frames.append(Asked(f"varied_{kind}_{i:04d}", 2000 + i, 3, genuine_record(i)))
        if i < NAMED_SEGMENTS:
            frames += [Asked(name, 1000 + i, 1) for name in known]
    return frames


def genuine_record(number: int) -> Genuine:
    """One of many ways to sample: oversampled up to four times, apertures that overlap by up to 2.5."""
    rng = np.random.default_rng([number, 8])
    oversampling = float(rng.uniform(1, 4))
    return Genuine(
        oversampling, int(rng.uniform(500, 1200) * oversampling), float(rng.choice([1, rng.uniform(1.5, 2.5)]))
    )


def validation_frames() -> list[Asked]:
    """Frames of campaigns that are not trained on."""
    snow = [Asked(f"varied_snow_{6000 + i}", i, 1) for i in range(20)]
    genuine = [Asked(f"varied_snow_{6020 + i}", i, 1, genuine_record(6000 + i)) for i in range(4)]
    firn = [Asked(f"varied_firn_{6000 + i}", i, 1) for i in range(4)]
    return snow + genuine + firn + [Asked(f"varied_sounder_{6000 + i}", i, i % 2) for i in range(8)]


def calibration_frames() -> list[Asked]:
    """Frames of campaigns that are neither trained on nor chosen by. What a support is worth differs from one campaign
    to the next: hence many.
    """
    return [Asked(f"varied_snow_{7000 + i}", n, n % 2) for i in range(60) for n in (i % 6, 6 + i % 5)]


def frames_of(names: list[str], segments: range, per_segment: int) -> list[Asked]:
    """Frames of several campaigns in turn."""
    return [Asked(name, segment, number) for segment in segments for number in range(per_segment) for name in names]


def scored_frames(known: list[str]) -> dict[str, list[Asked]]:
    """Frames that no training has seen, by the name under which their scores are kept."""
    return {f"seen campaign: {name}": frames_of([name], HELD_OUT_SEGMENTS, 2) for name in known} | {
        f"unseen campaign: {UNSEEN}": frames_of([UNSEEN], HELD_OUT_SEGMENTS, 2),
        "unseen campaigns: varied snow": [Asked(f"varied_snow_{n}", n - 5000, 1) for n in SCORED_CAMPAIGNS],
        "unseen campaigns: varied firn": [Asked(f"varied_firn_{n}", n - 5000, 1) for n in SCORED_CAMPAIGNS],
    }
