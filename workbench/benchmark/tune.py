"""Chooses the constants of the classical trackers on frames of the training campaigns: `firnline classical-fit`.

One constant after another takes the value of its grid that scores best, until no change helps. Prints what it finds; the
values are kept in classical.py.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console

from firnline.learning import scoring
from layer_model.echogram_input import normalise
from workbench.benchmark import classical
from workbench.benchmark.frames import Frame, frame_of
from workbench.benchmark.measures import Truth, line_scores
from workbench.first_model import UNSEEN, frames_of, simulated_record
from workbench.simulator import campaigns

GRIDS: dict[str, dict[str, list]] = {
    "boundaries": {
        "surface_cost": [0.1, 0.2, 0.5],
        "below": [12, 24, 48],
        "above": [6, 12, 24, 48],
        "above_weight": [0.4, 0.8, 1.2],
        "bed_cost": [0.05, 0.1, 0.3],
    },
    "ridge": {
        "threshold": [2.0, 2.5, 3.0],
        "gap": [0.5, 1.0, 2.0],
        "most": [2.0, 4.0, 8.0],
        "least": [15.0, 30.0, 60.0],
        "step_cost": [0.25, 0.5, 1.0],
    },
    "edges": {
        "sigma": [1.0, 1.5, 2.0],
        "low": [0.1, 0.2, 0.3],
        "high": [0.3, 0.45, 0.6],
        "widest": [6, 8, 12],
    },
    "canny": {
        "gap": [0.1, 0.2, 0.35],
        "least": [4.0, 8.0, 16.0, 24.0],
        "step_cost": [0.05, 0.1, 0.2],
    },
}
SEGMENTS = range(1000, 1008)
"""A frame of each training campaign from each."""


def climb(
    settings: Any, grid: dict[str, list], score: Callable[[list], list[float]], tell: Callable[[str], None]
) -> Any:
    """`settings`, a dataclass, with each field of `grid` at the value that scores best given the others.

    `tell` hears of each step up.
    """
    best, changed = score([settings])[0], True
    while changed:
        changed = False
        for name, values in grid.items():
            candidates = [replace(settings, **{name: value}) for value in values if value != getattr(settings, name)]
            scores = score(candidates)
            if max(scores) > best + 1e-4:
                best, changed = max(scores), True
                settings = candidates[int(np.argmax(scores))]
                tell(f"  {best:.4f} {settings}")
    return settings


def boundary_score(frames: list[Frame], settings: classical.Boundaries) -> float:
    """Mean of the share of surface traces within 3 px and of bed traces within 5 px."""
    hits = {"surface": [0, 0], "bed": [0, 0]}
    for frame in frames:
        found = classical.find_boundaries(normalise(frame.grey, 1)[0], frame.sounder, None, settings)
        for kind, distance in (("surface", 3), ("bed", 5)):
            truth = frame.truth.rows[[i for i, label in enumerate(frame.truth.labels) if label == kind]]
            if kind in found and truth.size:
                hits[kind][0] += int(scoring.points_within(truth, found[kind][None], distance).sum())
                hits[kind][1] += int(np.isfinite(truth).sum())
    return float(np.mean([hit / of for hit, of in hits.values()]))


def line_f1(frames: list[Frame], name: str, **settings: Any) -> float:
    """F1 at 2 px of a classical tracker on completely annotated frames."""
    pairs: list[tuple[dict, Truth]] = [
        (classical.TRACKERS[name](frame.grey, frame.sounder, **settings).document, frame.truth)
        for frame in frames
        if frame.truth.complete
    ]
    return line_scores(pairs)["f1_2px"]


def _score(job: tuple[list[Frame], str, Any]) -> float:
    frames, what, settings = job
    if what == "boundaries":
        return boundary_score(frames, settings)
    if what == "edges":
        return line_f1(frames, "canny", edges=settings)
    return line_f1(frames, what, linking=settings)


def _scores(pool: ProcessPoolExecutor, frames: list[Frame], what: str, candidates: list) -> list[float]:
    return list(pool.map(_score, [(frames, what, settings) for settings in candidates]))


def choose(only: str | None, workers: int, console: Console) -> None:
    """Climb for every group of constants, or for that named `only`, and print each step."""
    known = sorted(name for name in campaigns if name != UNSEEN)
    frames = [
        frame_of(simulated_record(frame, 0), campaigns[frame[0]].kind == "sounder")
        for frame in frames_of(known, SEGMENTS, 1)
    ]
    chosen = {
        "boundaries": classical.BOUNDARIES,
        "ridge": classical.RIDGE_LINKING,
        "edges": classical.EDGES,
        "canny": classical.CANNY_LINKING,
    }
    with ProcessPoolExecutor(workers) as pool:
        for what, grid in GRIDS.items():
            if only in (None, what):
                console.print(what)
                climb(chosen[what], grid, partial(_scores, pool, frames, what), partial(console.print, soft_wrap=True))
