"""The making of the first model, step by step."""

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from workbench import onnx_export
from workbench.progress import Stages
from workbench.simulator import campaigns

from .archive import pack_model
from .channels import SHARD, write_channel, write_rehearsal
from .frames import UNSEEN, Asked, calibration_frames, scored_frames, training_frames, validation_frames
from .places import ARCHIVE, SCORES, WORK
from .training import HYPERPARAMETERS, evaluate, run_training

DATA = WORK / "input" / "data"
MODEL = WORK / "model"


def make(given: dict[str, Any], keep_data: bool, go_on: bool, workers: int, command: str, console: Console) -> None:
    """Simulate, train, pack and score; `given` are hyperparameters other than the usual, `command` is noted.

    `keep_data`: use the frames of the run before; `go_on`: train on from the model in the box. Raises TrainingFailed.
    """
    known = sorted(name for name in campaigns if name != UNSEEN)
    learnt_from, held_out = training_frames(known), scored_frames(known)
    scored = {name: WORK / "scored" / name.split(": ")[1].replace(" ", "_") for name in held_out}
    channels = {"train": learnt_from, "validation": validation_frames(), "calibration": calibration_frames()}
    if not keep_data:
        shutil.rmtree(WORK, ignore_errors=True)
    wanted = {DATA / name: frames for name, frames in channels.items()}
    wanted |= {scored[name]: frames for name, frames in held_out.items()}
    hyperparameters = HYPERPARAMETERS | given | {"snapshot": "simulated"}
    with Stages(console) as stages:
        _simulate(wanted, workers, stages)
        began = time.monotonic()
        _prepare(go_on)
        training = stages.begin("training")
        run_training(WORK, hyperparameters, [*channels, *["model"] * go_on], training.note)
        training.end()
        seconds = round(time.monotonic() - began)
        write_rehearsal(learnt_from, DATA / "train" / SHARD, MODEL / "rehearsal.rec")
        pack_model(MODEL, ARCHIVE)
        exported = onnx_export.write_beside(ARCHIVE)
        scoring = stages.begin("scoring")
        earlier = json.loads(SCORES.read_text())["runs"] if go_on else []
        scores: dict[str, Any] = {
            "runs": [*earlier, {"command": command, "seconds": seconds}],
            "date": datetime.now(UTC).date().isoformat(),
            "hyperparameters": hyperparameters,
            "training_frames": len(learnt_from),
            "scores": evaluate(MODEL, scored),
        }
        scoring.end()
    SCORES.write_text(json.dumps(scores, indent=1) + "\n")
    console.print(f"model.onnx: {exported}")
    _tell(scores["scores"], console)


def _simulate(wanted: dict[Path, list[Asked]], workers: int, stages: Stages) -> None:
    """Write the channels that are not there yet."""
    for folder, frames in wanted.items():
        if not folder.exists():
            stage = stages.begin(f"simulating {folder.name}", total=len(frames))
            write_channel(folder, frames, workers, stage.advance)
            stage.end()


def _prepare(go_on: bool) -> None:
    """Remove what an earlier training left, and lay out the model to go on from."""
    for folder in (WORK / "code", MODEL, DATA / "model"):
        shutil.rmtree(folder, ignore_errors=True)
    if go_on:
        (DATA / "model").mkdir()
        shutil.copy(ARCHIVE, DATA / "model")


def _tell(scores: dict[str, dict[str, Any]], console: Console) -> None:
    console.print(f"{ARCHIVE}: {ARCHIVE.stat().st_size / 1e6:.1f} MB")
    for name, score in scores.items():
        console.print(
            f"{name}: F1 within 2 px {score['f1_2px']}, mean error {score['mae_px']} px, bed {score['bed_within_3px']}"
        )
    console.print("Next: `make up` serves it.")
