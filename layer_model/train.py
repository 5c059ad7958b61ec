"""Trains a layer network inside SageMaker.

A thin command: channels come as ``SM_CHANNEL_*``, hyperparameters as arguments (see hyperparameters.py), metrics go to
stdout, the artefact to ``SM_MODEL_DIR``: at every moment that of the best weights so far, for SageMaker ends a job without
asking. Channels: ``train`` (needed), ``validation``, ``calibration`` (in place of the validation frames), ``holdout``,
``model`` (a model.tar.gz to start from).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

# MXNet takes half of the processors that it sees, for fear of hyperthreads, unless told before it is loaded.
os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))

import artefact
import model_card
import mxnet as mx
import network
import numpy as np
from dataset import Channel
from hyperparameters import BY_NAME, HYPERPARAMETERS
from training import Channels, Training
from weights import Weights

CHANNELS = ("train", "validation", "calibration", "holdout", "model")


class Champion(NamedTuple):
    """The model that a training starts from: its card, its weights, the undecoded records that came with it, and the file
    that holds these.
    """

    card: Dict[str, Any]
    arrays: Weights
    records: List[bytes]
    rehearsal: Optional[bytes]


def arguments(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for parameter in HYPERPARAMETERS:
        parser.add_argument("--" + parameter.name, type=parameter.kind, default=parameter.default, help=parameter.help)
    parser.add_argument("--_tuning_objective_metric", default="", help="given by SageMaker's tuner")
    base = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
    for channel in CHANNELS:
        default = os.environ.get("SM_CHANNEL_" + channel.upper()) or os.path.join(base, "input", "data", channel)
        parser.add_argument("--" + channel, default=default, help="channel folder")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    parser.add_argument("--output-data-dir", default=os.environ.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data"))
    parser.add_argument("--checkpoint-dir", default=os.path.join(base, "checkpoints"), help="used if it exists")
    options = parser.parse_args(argv)
    for name, parameter in BY_NAME.items():
        problem = parameter.problem_with(getattr(options, name.replace("-", "_")))
        if problem:
            parser.error(problem)
    options.model_version = options.model_version or os.environ.get("TRAINING_JOB_NAME", "unnamed")
    return options


def main(argv: Optional[Sequence[str]] = None) -> None:
    options, started = arguments(argv), time.monotonic()
    mx.random.seed(options.seed)
    np.random.seed(options.seed)
    channels = {name: Channel(getattr(options, name)) for name in CHANNELS if name != "model"}
    if not channels["train"].present:
        sys.exit(f"The channel 'train' holds no .rec file and no pipe ({options.train}).")
    model = network.build(options.network)
    champion = read_champion(options.model)
    card = model_card.draft(options, model, champion.card if champion else None, started)

    rehearsal = champion.rehearsal if champion else None

    def keep(training: Training, told: Dict[str, Any]) -> None:
        artefact.write(options.model_dir, training.symbol, training.best, told, rehearsal)

    training = Training(
        model,
        options,
        champion.arrays if champion else None,
        champion.card["calibration"] if champion else None,
        champion.records if champion else (),
        on_best=lambda one: keep(one, card.so_far(one)),
    )
    signal.signal(signal.SIGTERM, lambda *_: training.stop())
    training.run(
        Channels(channels["train"], channels["validation"], channels["holdout"] if options.follow_holdout else None)
    )
    curves, validation = training.calibrate(channels["validation"])
    if channels["calibration"].present:
        curves, _ = training.calibrate(channels["calibration"])
    holdout = training.score(channels["holdout"]) if channels["holdout"].present and not training.stopped else None
    scores = {"validation": validation, "holdout": holdout}
    keep(training, card.finished(training, curves, scores))
    write_history(options.output_data_dir, training)
    tell_final(training, scores)


def read_champion(folder: str) -> Optional[Champion]:
    """The model in the channel's folder, None if there is none. Raises ArtefactError."""
    if not os.path.exists(os.path.join(folder, artefact.ARCHIVE)):
        return None
    with tempfile.TemporaryDirectory() as unpacked:
        artefact.unpack(folder, unpacked)
        card, arrays, records = artefact.read_card(unpacked), artefact.read_arrays(unpacked), Channel(unpacked)
        rehearsal = None
        if records.present:
            with open(os.path.join(unpacked, artefact.REHEARSAL), "rb") as stream:
                rehearsal = stream.read()
        found = Champion(card, arrays, list(records.payloads()), rehearsal)
    print("starting from model {}".format(found.card["model_version"]), flush=True)
    return found


def write_history(folder: str, training: Training) -> None:
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "history.json"), "w") as stream:
        json.dump(training.progress.history, stream, indent=1)


def tell_final(training: Training, scores: Dict[str, Optional[Dict[str, Any]]]) -> None:
    """Print the scores of the model that is kept."""
    for name, told in scores.items():
        if told:
            values = [f"{name}_{metric}={value:.5f};" for metric, value in told.items() if value is not None]
            print("final " + " ".join(values), flush=True)
    if training.progress.best_score is not None:
        # Last, since a tuning job is judged by the last value of its metric: the score of the weights that are kept.
        print(f"final validation_score={training.progress.best_score:.5f};", flush=True)


if __name__ == "__main__":
    main()
