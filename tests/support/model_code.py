"""The model's code beside the application's: it runs here as far as it needs no MXNet."""

import importlib
import json
import sys
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import numpy as np

from layer_model import code_files


def flat(name: str) -> ModuleType:
    """A module of the model's code, imported as SageMaker does: flat, from a folder on the path."""
    sys.path.insert(0, code_files.FOLDER)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(code_files.FOLDER)


def answer_of_the_model(png: bytes, rows: tuple[float, float, float], model_version: str) -> bytes:
    """What the endpoint answers to an echogram in which the network sees a surface, a layer and a bed at these rows.

    Decoding, tracking, calibration and the document are the model's own; only the network's map is given.
    """
    tracker, calibration = flat("tracker"), flat("calibration")
    grey = flat("echogram_input").decode_png(png)

    def forward(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[2:]
        distance = np.arange(height)[None, :, None] - np.array(rows)[:, None, None]
        ridges: np.ndarray = 0.95 * np.exp(-0.5 * distance**2) + np.zeros((3, height, width))
        return ridges[None].astype(np.float32)

    source = {"kind": "model", "model_version": model_version, "created": datetime.now(UTC).isoformat()}
    tracked = tracker.track(forward, grey, channels=1, stride=1)
    document: dict[str, Any] = tracker.layers_document(tracked, grey.shape, calibration.UNCALIBRATED, source)
    return json.dumps(document).encode()
