"""A segment of very many frames is exported in half of the function's memory: `pytest -m slow -s` prints the figures, of
`FIRNLINE_EXPORT_FRAMES` in `FIRNLINE_EXPORT_FORMS`.

In a process of its own, since the peak that the system tells is a process's.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FRAMES = int(os.environ.get("FIRNLINE_EXPORT_FRAMES", "1000"))
_FUNCTION_MB = 3008
"""Of which half is enough. What grows are the products that are kept between the two readings of a segment, up to
`segment_numbers._KEPT_VALUES`: of small frames the first 1,250.
"""

PROGRAM = """
import os, resource, sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from firnline.exports.in_cloud import CloudExport
from firnline.exports.request import ExportRequest
from firnline.exports.selection import Wanted
from firnline.exports.forms import WRITERS_IN_CLOUD
from firnline.products.credits import Credits
from firnline.products.frame_product import Assumptions
from tests.unit import test_export_at_scale as scale

frames, folder = int(sys.argv[1]), Path(sys.argv[2])
scale.A_SEGMENT = frames
source = scale.Generated(frames)
forms = os.environ.get("FIRNLINE_EXPORT_FORMS", " ".join(WRITERS_IN_CLOUD)).split()
request = ExportRequest.of(Wanted.of([], ["accepted"], None), forms, Assumptions(), Credits(), "firnline export")
sent = []


class Store:
    def exists(self, key):
        return False

    def read(self, key, most, *rest):
        return request.to_json() if key.endswith("request.json") else source.read(key, most)

    def write_file(self, key, path, content_type):
        sent.append(path.stat().st_size)


class Register:
    of_status, get = source.of_status, source.get

    def of_segment(self, campaign, segment):
        return source.of_status("ACCEPTED")


held = SimpleNamespace(register=Register(), workspace=Store(), table=source)
began = time.monotonic()
told = CloudExport(held, "x", folder).write_segment("campaign/20120410_00", lambda: 900.0)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(told["frames"], len(sent), sum(sent), round(peak), round(time.monotonic() - began))
"""


def peak_of(frames: int, folder: Path) -> tuple[int, int]:
    """MB at the peak, and seconds."""
    folder.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(frames), str(folder)],
        cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    exported, files, size, peak, seconds = map(int, ran.stdout.split()[-5:])
    assert exported == frames
    print(f"{frames} frames: {files} files, {size / 1e6:.0f} MB, peak {peak} MB of memory, {seconds} s")
    return peak, seconds


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_stays_with_the_frames_of_a_segment(tmp_path: Path) -> None:
    peak_of(max(1, FRAMES // 20), tmp_path / "few")
    all_of_them, _ = peak_of(FRAMES, tmp_path / "all")
    assert all_of_them < _FUNCTION_MB / 2
