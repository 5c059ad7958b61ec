"""Trains a layer network inside SageMaker.

A thin command: channels come as ``SM_CHANNEL_*``, hyperparameters as arguments, metrics go to stdout, the artefact to
``SM_MODEL_DIR``. Channels: ``train`` (needed), ``validation``, ``calibration`` (in place of the validation frames),
``holdout``, ``model`` (a model.tar.gz to start from).
"""

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time

# MXNet takes half of the processors that it sees, for fear of hyperthreads, unless told before it is loaded.
os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))

import artefact
import mxnet as mx
import network
import numpy as np
from dataset import Channel
from training import Training

CARD_SCHEMA = "firnline.model/1"


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument(
        "--max-seconds", type=float, default=150.0, help="time for training; 0: no limit, the same result every time"
    )
    parser.add_argument("--learning-rate", type=float, default=0.002)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--crop-rows", type=int, default=288)
    parser.add_argument("--crop-traces", type=int, default=384)
    parser.add_argument("--patience", type=int, default=12, help="validations without a better score before stopping")
    parser.add_argument("--validation-frames", type=int, default=48, help="frames scored after each epoch")
    parser.add_argument(
        "--validation-seconds",
        type=float,
        default=0.0,
        help="validate after so many seconds of training, too, not only after each pass over the data",
    )
    parser.add_argument(
        "--follow-holdout", type=int, default=0, help="1: score the holdout at each validation, for the history"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--network", choices=sorted(network.NETWORKS), default="layers")
    parser.add_argument("--snapshot", default="", help="id of the data snapshot, for the model card")
    parser.add_argument("--model-version", default=os.environ.get("TRAINING_JOB_NAME", "unnamed"))
    parser.add_argument("--_tuning_objective_metric", default="", help="given by SageMaker's tuner")
    for channel in ("train", "validation", "calibration", "holdout", "model"):
        default = os.environ.get("SM_CHANNEL_" + channel.upper()) or os.path.join(_input_folder(), channel)
        parser.add_argument("--" + channel, default=default, help="channel folder")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    parser.add_argument("--output-data-dir", default=os.environ.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data"))
    parser.add_argument(
        "--checkpoint-dir", default=os.path.join(_base_folder(), "checkpoints"), help="used if it exists"
    )
    options = parser.parse_args(argv)
    if options.crop_rows % 16 or options.crop_traces % 16 or options.epochs < 1 or options.batch_size < 1:
        parser.error("--crop-rows and --crop-traces are multiples of 16; --epochs and --batch-size are at least 1.")
    return options


def _base_folder():
    return os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")


def _input_folder():
    return os.path.join(_base_folder(), "input", "data")


def main(argv=None):
    options = arguments(argv)
    started = time.monotonic()
    mx.random.seed(options.seed)
    np.random.seed(options.seed)
    channels = {name: Channel(getattr(options, name)) for name in ("train", "validation", "calibration", "holdout")}
    if not channels["train"].present:
        sys.exit(f"The channel 'train' holds no .rec file and no pipe ({options.train}).")
    model = network.build(options.network)
    champion, arrays, rehearsal = None, None, []
    old = tempfile.mkdtemp()
    if os.path.exists(os.path.join(options.model, artefact.ARCHIVE)):
        artefact.unpack(options.model, old)
        champion, arrays = artefact.read_card(old), artefact.read_arrays(old)
        rehearsal = list(Channel(old).payloads())
        print("starting from model {}".format(champion["model_version"]), flush=True)
    training = Training(model, options, arrays, champion and champion["calibration"], rehearsal)
    signal.signal(signal.SIGTERM, lambda *_: training.stop())
    training.run(channels["train"], channels["validation"], channels["holdout"] if options.follow_holdout else None)
    curves, validation = training.calibrate(channels["validation"])
    if channels["calibration"].present:
        curves, _ = training.calibrate(channels["calibration"])
    holdout = training.score(channels["holdout"]) if channels["holdout"].present and not training.stopped else None
    card = {
        "schema": CARD_SCHEMA,
        "model_version": options.model_version,
        "snapshot": options.snapshot,
        "network": options.network,
        "channels": model.channels,
        "trace_stride": model.trace_stride,
        "calibration": curves,
        "scores": {"validation": validation, "holdout": holdout},
        "started_from": champion["model_version"] if champion else None,
        "seed": options.seed,
        "seconds": round(time.monotonic() - started, 1),
        "epochs": training.epochs_done,
        "best_epoch": training.best_epoch,
        "stopped_early": training.stopped,
        "hyperparameters": {
            name: getattr(options, name)
            for name in ("epochs", "max_seconds", "learning_rate", "batch_size", "crop_rows", "crop_traces", "patience")
        },
        "versions": {"mxnet": mx.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    artefact.write(
        options.model_dir,
        network.inference_symbol(model),
        training.best,
        card,
        rehearsal and os.path.join(old, artefact.REHEARSAL),
    )
    shutil.rmtree(old)
    os.makedirs(options.output_data_dir, exist_ok=True)
    with open(os.path.join(options.output_data_dir, "history.json"), "w") as stream:
        json.dump(training.history, stream, indent=1)
    for name, scores in (("validation", validation), ("holdout", holdout)):
        if scores:
            print("final " + _metrics(name, scores), flush=True)
    if training.best_score is not None:
        # Last, since a tuning job is judged by the last value of its metric: the score of the weights that are kept.
        print(f"final validation_score={training.best_score:.5f};", flush=True)


def _metrics(prefix, scores):
    return " ".join(f"{prefix}_{name}={value:.5f};" for name, value in scores.items() if value is not None)


if __name__ == "__main__":
    main()
