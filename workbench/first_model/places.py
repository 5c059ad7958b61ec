"""Where the first model's code, data and archive lie."""

import os

from workbench.local_cloud.settings import ROOT

LAYER_MODEL = ROOT / "layer_model"
LIBRARY = ROOT / "layers" / "firnline"
OUTPUT = LAYER_MODEL / "first_model"
ARCHIVE = OUTPUT / "model.tar.gz"
SCORES = OUTPUT / "scores.json"
WORK = ROOT / "build" / "first_model"
MXNET = ROOT / ".venv" / "mxnet" / "bin"


def model_environment() -> dict[str, str]:
    """Variables of a process that runs the model's code, and what the library ships with it, from the checkout."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (LAYER_MODEL, LIBRARY)))}
