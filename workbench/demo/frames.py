"""The frames of the demonstration: a simulated campaign, or real frames with expert picks."""

from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console

from firnline.documents.layers import LayersDocument
from workbench import expert_picks, uploads
from workbench.progress import Stages

from .loop import Course, Expected, run
from .place import OUT, begin, empty
from .timeline import DidNotHappen

SIMULATED_FRAMES, SIMULATED_SEGMENTS = 120, 12
GENUINE_SAMPLES = 10_000
GENUINE_FRAMES = (
    (4, 1.0, 1.0), (19, 1.5, 1.0), (34, 2.0, 2.0), (49, 2.5, 1.0), (64, 3.0, 1.0), (79, 3.5, 2.0), (94, 4.0, 2.0), (109, 4.0, 1.0),
)  # fmt: skip
"""Number of the frame, samples a row and columns a trace of those that come as a lab has them."""
SIMULATED_MINUTES, REAL_MINUTES = 8, 6
"""As measured on two cores, of which nobody else used any. The training is bounded by passes over the frames, so that a
slower machine takes longer and comes as far."""
SIMULATED_TRAINING = {"TrainingSeconds": "900", "MaxEpochs": "20"}
REAL_TRAINING = {"TrainingSeconds": "150"}
REAL_HOLDOUT = ("*ASB_JKB2h_R26Ea", "*DVG_JKB2e_Y26a")
"""Two transects, focused and unfocused each, that no training sees: one long and smooth, one steep."""


def on_simulated_campaign(retrain_every: int, console: Console) -> None:
    """120 frames, half `.nc` and half `.mat`, of a simulated campaign that the first model has not seen.

    Eight of them have the size and the sampling of files as NSIDC delivers them.
    """
    from workbench.simulator import Genuine, simulate_campaign

    begin(console, minutes=SIMULATED_MINUTES)
    folder = empty(OUT / "frames")
    with Stages(console) as stages:
        stage = stages.begin("simulating", total=SIMULATED_FRAMES)
        genuine = {number: Genuine(finely, GENUINE_SAMPLES, along) for number, finely, along in GENUINE_FRAMES}
        files = simulate_campaign("demo", folder, SIMULATED_FRAMES, SIMULATED_SEGMENTS, genuine, tell=stage.advance)
    frames = [
        Expected(file, uploads.segment_of(file), LayersDocument.model_validate_json(truth.read_bytes()))
        for file, truth in files
    ]
    corrections = min(retrain_every, len(frames))
    run(frames, Course("simulated", retrain_every, corrections, SIMULATED_TRAINING, must_improve=True), console)


def on_real_frames(folder: Path, retrain_every: int, console: Console) -> None:
    """Every `<stem>.png` with a `<stem>.picks.csv`: the experts' surface and bed picks play the reviewer.

    Whether a dozen frames make a better model is the frames' affair: that the champion stays is an answer, too.
    """
    frames = [Expected(file, segment, truth) for file, segment, truth in expert_picks.frames_with_picks(folder)]
    if not frames:
        raise DidNotHappen(f"{folder} has no <stem>.png with a <stem>.picks.csv beside it.")
    begin(console, minutes=REAL_MINUTES)
    # Of frames that are none of these, Firnline itself chooses some to judge by.
    held_out = [pattern for pattern in REAL_HOLDOUT if any(fnmatchcase(frame.segment, pattern) for frame in frames)]
    holdout = ",".join(held_out)
    run(frames, Course("real", retrain_every, len(frames), REAL_TRAINING, must_improve=False, holdout=holdout), console)
