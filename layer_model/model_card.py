"""The model card: what a model is, what it learnt from, how good it is."""

from __future__ import annotations

import platform
import time
from argparse import Namespace
from typing import Any, Dict, NamedTuple, Optional

import mxnet as mx
import numpy as np
from training import Training

SCHEMA = "firnline.model/1"
_TOLD = ("epochs", "max_seconds", "learning_rate", "batch_size", "crop_rows", "crop_traces", "patience")


class Draft(NamedTuple):
    """What is known of a model before it is trained; `started` is when, by `time.monotonic`."""

    known: Dict[str, Any]
    started: float

    def so_far(self, training: Training) -> Dict[str, Any]:
        """The card of the best weights of a training that may be ended at any moment: calibrated as the model that it
        started from, at the threshold that suits them best.
        """
        curves = dict(training.curves, ridge=training.progress.ridge)
        return self._card(training, curves, {"validation": training.scores, "holdout": None}, True)

    def finished(self, training: Training, curves: Dict[str, Any], scores: Dict[str, Any]) -> Dict[str, Any]:
        """The card of a training that came to its end."""
        return self._card(training, curves, scores, training.stopped)

    def _card(
        self, training: Training, curves: Dict[str, Any], scores: Dict[str, Any], stopped_early: bool
    ) -> Dict[str, Any]:
        return dict(
            self.known,
            calibration=curves,
            scores=scores,
            seconds=round(time.monotonic() - self.started, 1),
            epochs=training.progress.epochs,
            best_epoch=training.progress.best_epoch,
            stopped_early=stopped_early,
        )


def draft(options: Namespace, model: Any, champion: Optional[Dict[str, Any]], started: float) -> Draft:
    """The card's part that a training does not change. `champion` is the card of the model that it starts from."""
    known = {
        "schema": SCHEMA,
        "model_version": options.model_version,
        "snapshot": options.snapshot,
        "network": options.network,
        "channels": model.channels,
        "trace_stride": model.trace_stride,
        "started_from": champion["model_version"] if champion else None,
        "seed": options.seed,
        "hyperparameters": {name: getattr(options, name) for name in _TOLD},
        "versions": {"mxnet": mx.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    return Draft(known, started)
