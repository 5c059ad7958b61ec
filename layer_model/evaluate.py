"""Scores a model artefact on RecordIO channels, through the code that serves it: ``python evaluate.py MODEL_DIR
NAME=FOLDER ...``.

Prints one JSON object: the scores (see scoring.summarise) of each channel by its name, with the mean seconds per frame.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Dict, Sequence

from dataset import Channel, labels_of
from inference import Model

from firnline.learning import scoring


def evaluate(model: Model, channel: Channel) -> Dict[str, Any]:
    """Scores of `model` on a `Channel`, plus ``seconds_per_frame``."""
    pairs, started = [], time.monotonic()
    for frame in channel.frames():
        truth = {
            "image": {"height": frame.grey.shape[0], "width": frame.grey.shape[1]},
            "coverage": "complete" if frame.complete else "partial",
            "layers": scoring.layers_from_rows(frame.rows, labels_of(frame)),
        }
        pairs.append((model.predict(frame.grey), truth))
    seconds = time.monotonic() - started
    return dict(scoring.score_frames(pairs), seconds_per_frame=round(seconds / max(1, len(pairs)), 4))


def main(argv: Sequence[str]) -> None:
    model = Model(argv[0])
    named = (item.split("=", 1) for item in argv[1:])
    print(json.dumps({name: evaluate(model, Channel(folder)) for name, folder in named}))


if __name__ == "__main__":
    main(sys.argv[1:])
