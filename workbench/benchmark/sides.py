"""One side of the benchmark at a time: trained, run over frames, scored."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from firnline import archives
from workbench.benchmark.classical import TRACKERS, Tracked
from workbench.benchmark.frames import Frame
from workbench.benchmark.measures import Points, Truth, line_scores, response_scores
from workbench.benchmark.plan import Plan
from workbench.first_model import MODEL_PATH, MXNET, OUTPUT, run_training

NETWORK_SIDE = Path(__file__).with_name("network_side.py")
SINGLE_THREAD_FRAMES = 12
TIMED_FRAMES = 5


class Trained(NamedTuple):
    """A finished training: the model's folder, the entries of its history, its model card."""

    model: Path
    history: list[dict]
    card: dict

    def summary(self) -> dict[str, Any]:
        return {
            "network": self.card["network"],
            "epochs": self.card["epochs"],
            "training_seconds": self.history[-1]["seconds"],
            "learning_rate": self.card["hyperparameters"]["learning_rate"],
            "versions": self.card["versions"],
            "history": self.history,
        }


def train(plan: Plan, name: str, hyperparameters: dict[str, Any], channels: dict[str, Path]) -> Trained:
    """Train as a SageMaker job does. Channels: folders by name, `model` among them to go on from a model."""
    base = plan.out / "training" / name
    history, card = base / "output" / "data" / "history.json", base / "model" / "model_card.json"
    if not plan.go_on:
        shutil.rmtree(base, ignore_errors=True)
    if not history.exists():
        shutil.rmtree(base / "input", ignore_errors=True)
        (base / "input" / "data").mkdir(parents=True)
        (base / "checkpoints").mkdir(exist_ok=True)
        for channel, folder in channels.items():
            (base / "input" / "data" / channel).symlink_to(folder.resolve())
        run_training(base.resolve(), hyperparameters, list(channels))
    return Trained(base / "model", json.loads(history.read_text()), json.loads(card.read_text()))


def box_channel(plan: Plan) -> Path:
    """A channel that holds the model in the box."""
    folder = plan.data / "box"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(OUTPUT / "model.tar.gz", folder)
    return folder


def box_model(plan: Plan) -> Path:
    """The model in the box, unpacked."""
    folder = plan.out / "training" / "box" / "model"
    shutil.rmtree(folder, ignore_errors=True)
    archives.unpack(OUTPUT / "model.tar.gz", folder)
    return folder


def run_network(model: Path, channel: Path, out: Path, *options: str, threads: int | None = None) -> dict[str, Any]:
    """What network_side.py found of a channel; `threads`: None for one per core."""
    out.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = MODEL_PATH
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [str(MXNET / "python"), str(NETWORK_SIDE), str(model), str(channel), str(out), *options]
    subprocess.run(command, env=environment, check=True)
    return json.loads(out.with_name(out.name + ".json").read_text())


def measure_network(plan: Plan, name: str, model: Path, channel: Path, frames: Sequence[Frame]) -> dict[str, Any]:
    """Quality, speed and memory of a model on a channel whose frames are `frames`."""
    out = plan.out / "outputs" / name
    found = run_network(model, channel, out, "--points")
    single = run_network(
        model, channel, out.with_name(f"{name}-single"), "--frames", str(SINGLE_THREAD_FRAMES), threads=1
    )
    with np.load(out.with_name(f"{name}.npz"), allow_pickle=False) as arrays:
        points = [
            Points(*(arrays[f"{part}_{number}"] for part in ("rows", "columns", "strength")))
            for number in range(len(frames))
        ]
    return {
        "parameters": found["parameters"],
        "threads": found["threads"],
        "ms_per_frame": found["ms_per_frame"],
        "ms_per_frame_one_thread": single["ms_per_frame"],
        "peak_memory_mb": found["peak_memory_mb"],
        "versions": found["versions"],
    } | quality(plan, points, found["documents"], [frame.truth for frame in frames])


def measure_classical(plan: Plan, name: str, frames: Sequence[Frame]) -> dict[str, Any]:
    """Quality and speed of a classical tracker."""
    times = []
    for frame in frames[: TIMED_FRAMES + 1]:
        began = perf_counter()
        TRACKERS[name](frame.grey, frame.sounder)
        times.append(1e3 * (perf_counter() - began))
    with ProcessPoolExecutor(plan.workers) as pool:
        tracked = list(pool.map(_track, [name] * len(frames), frames, chunksize=2))
    return {"ms_per_frame": {"total": round(float(np.median(times[1:])), 1)}, "threads": 1} | quality(
        plan, [one.points for one in tracked], [one.document for one in tracked], [frame.truth for frame in frames]
    )


def _track(name: str, frame: Frame) -> Tracked:
    return TRACKERS[name](frame.grey, frame.sounder)


def quality(plan: Plan, points: Sequence[Points], documents: Sequence[dict], truth: Sequence[Truth]) -> dict[str, Any]:
    """Scores of response maps and of finished layers."""
    with ProcessPoolExecutor(plan.workers) as pool:
        response = response_scores(list(zip(points, truth, strict=True)), pool.map)
    return {"response": response, "layers": line_scores(list(zip(documents, truth, strict=True)))}


def seconds_to_reach(history: Sequence[dict], target: float) -> float | None:
    """Seconds of training after which the F1 on the followed frames first was `target` or more; None: never."""
    for entry in history:
        score = (entry["followed"] or {}).get("f1_2px")
        if score is not None and score >= target:
            return entry["seconds"]
    return None


def converged_score(history: Sequence[dict]) -> float | None:
    """F1 on the followed frames of the weights that the training kept: those with the best validation score."""
    judged = [entry for entry in history if entry["followed"] and entry["score"] is not None]
    return max(judged, key=lambda entry: entry["score"])["followed"]["f1_2px"] if judged else None
