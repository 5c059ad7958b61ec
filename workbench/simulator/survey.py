"""A campaign's flight segments as files in a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

from .campaigns import campaigns
from .files import write_cresis, write_irsno1b, write_truth
from .frame import simulate_frame
from .grid import Genuine


def simulate_campaign(
    name: str,
    out_dir: Path,
    frames: int,
    segments: int,
    genuine: Mapping[int, Genuine] | None = None,
    tell: Callable[[], None] = lambda: None,
) -> list[tuple[Path, Path]]:
    """Write `frames` frames of `segments` flight segments, by turns `.nc` and `.mat`, each with its true layers.

    `genuine` gives the size and structure of some of them, counted from 0; the others have 512 traces of 256 samples.
    `tell` hears of each frame that is written.
    Returns (file, truth file) by segment and number. The truth lies in `<out_dir>/truth/`, not beside its frame, where
    it would be taken for an annotation. Raises `ValueError` for a campaign that does not exist.
    """
    if name not in campaigns:
        raise ValueError(f"there is no campaign {name!r}: choose one of {', '.join(campaigns)}")
    if frames < 1 or segments < 1:
        raise ValueError(f"{frames} frames of {segments} segments cannot be simulated: give at least one of each")
    out_dir = Path(out_dir)
    truth_dir = out_dir / "truth"
    truth_dir.mkdir(parents=True, exist_ok=True)
    written = []
    numbers = [(index * segments // frames, index) for index in range(frames)]
    first_of = dict(reversed(numbers))
    for segment, index in numbers:
        frame = simulate_frame(
            campaigns[name], segment, index - first_of[segment] + 1, genuine=(genuine or {}).get(index)
        )
        if index % 2 == 0:
            file = write_irsno1b(frame, out_dir, trace_axis=1 if index % 4 == 0 else 0)
        else:
            file = write_cresis(frame, out_dir, version="5" if index % 4 == 1 else "7.3")
        written.append((file, write_truth(frame, truth_dir / f"{file.stem}.layers.json")))
        tell()
    return written
