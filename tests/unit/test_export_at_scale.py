"""Exports of very many frames: memory stays as it is, and a thousand frames take as long at the end as at the beginning.

`FIRNLINE_EXPORT_FRAMES=10000 pytest -m slow -s tests/unit/test_export_at_scale.py` runs the whole of it and prints the figures.
"""

import io
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from firnline.store.rows import FrameRow
from tests.support.simulated_products import SMALL_TRACES as TRACES
from tests.support.simulated_products import WHEN, small
from workbench import exporting
from workbench.connection import Connection
from workbench.progress import Stages

FRAMES = int(os.environ.get("FIRNLINE_EXPORT_FRAMES", "2000"))
FORMS = tuple(os.environ.get("FIRNLINE_EXPORT_FORMS", " ".join(exporting.WRITERS)).split())
A_SEGMENT = 50
MOST_GROWTH_KB = 120_000
"""Of resident memory from the first fifth of the frames to the last: of 10,000 products 300 MB and more would be held."""


@dataclass(frozen=True)
class Generated:
    """Stands for register, workspace bucket and table: frames that are made as they are asked for, none of them kept."""

    frames: int

    def _id(self, number: int) -> str:
        segment = number // A_SEGMENT
        return f"campaign/201204{segment // 90 + 10}_{segment % 90:02d}/Data_{number:06d}"

    def of_status(self, status: str) -> Iterator[FrameRow]:
        return (self.get(self._id(number)) for number in range(self.frames if status == "ACCEPTED" else 0))

    def of_segment(self, campaign: str, segment: str) -> Iterator[FrameRow]:
        day, place = segment.split("_")
        first = A_SEGMENT * (90 * (int(day[-2:]) - 10) + int(place))
        return (self.get(self._id(number)) for number in range(first, min(first + A_SEGMENT, self.frames)))

    def get(self, frame_id: str) -> FrameRow:
        return FrameRow(
            frame_id=frame_id, status="ACCEPTED", revision="0" * 12, source_key=f"{frame_id}.mat", sequencer="01",
            updated=WHEN.isoformat(), confidence=0.9, model_version="first",
        )  # fmt: skip

    def read(self, key: str, _most: int) -> bytes:
        frame, document = small()
        frame_id = "/".join(key.split("/")[1:4])
        if key.endswith("layers.json"):
            return document.model_copy(update={"frame_id": frame_id}).to_json()
        number = int(frame_id[-6:])
        along, across = number % A_SEGMENT, number // A_SEGMENT
        north = np.array(frame.latitude, float) + 0.012 * along
        east = np.array(frame.longitude, float) + 0.05 * (across % 300)
        update = {
            "frame_id": frame_id, "latitude": north.tolist(), "longitude": east.tolist(),
            "gps_time_s": (np.array(frame.gps_time_s) + 20.0 * number).tolist(),
            "created": WHEN + timedelta(seconds=number),
        }  # fmt: skip
        return frame.model_copy(update=update).to_json()

    def query(self, _pk: str, _sk_prefix: str = "") -> Iterator[dict[str, object]]:
        return iter(())


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_memory_stays_and_time_grows_with_the_frames_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Generated(FRAMES)
    connection = cast(Connection, SimpleNamespace(register=source, workspace=source, table=source))
    marks: list[tuple[float, float, int]] = []

    def track(stages: Stages, items: list[str], name: str, total: int | None = None) -> Iterator[str]:
        stage = stages.begin(name, total or len(items))
        for number, item in enumerate(items):
            if number % (FRAMES // 10) == 0:
                marks.append((time.perf_counter(), time.process_time(), _resident_kb()))
            yield item
            stage.advance()
        marks.append((time.perf_counter(), time.process_time(), _resident_kb()))
        stage.end()

    monkeypatch.setattr(Stages, "track", track)
    shown = Console(file=io.StringIO())
    wanted = exporting.Wanted.of([], ["accepted"], None)
    begun = time.perf_counter()
    with Stages(shown) as stages:
        exported = exporting.export(
            connection, wanted, FORMS, exporting.Assumptions(), tmp_path, stages, "firnline export"
        )
    assert exported.frames == {"accepted": FRAMES}
    seconds, of_processor = (np.diff([mark[at] for mark in marks]) / (FRAMES / 10) * 1000 for at in (0, 1))
    resident = [mark[2] for mark in marks]
    print(f"\n{FRAMES} frames, {len(FORMS)} forms: {time.perf_counter() - begun:.0f} s in all")
    print("seconds per 1,000 frames, by tenths:", seconds.round(1).tolist())
    print("of the processor's time, which other programs do not take from:", of_processor.round(1).tolist())
    print("resident memory, MB, by tenths:", [kb // 1000 for kb in resident], "at the end", _resident_kb() // 1000)
    print("sentences:", exported.sentences)
    assert resident[-1] - resident[2] < MOST_GROWTH_KB
    if "csv" in FORMS:
        assert sum(len(part) for part in pd.read_csv(tmp_path / "layers.csv", usecols=["trace"], chunksize=100_000)) > (
            FRAMES * TRACES * 5
        )


def _resident_kb() -> int:
    """Of this process, now; the most that it ever had, where Linux does not tell."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.read_text().split()[1]) * resource.getpagesize() // 1000
