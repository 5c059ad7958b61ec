"""Where the first model's code, data and archive lie."""

from workbench.local_cloud.settings import ROOT

LAYER_MODEL = ROOT / "layer_model"
OUTPUT = LAYER_MODEL / "first_model"
ARCHIVE = OUTPUT / "model.tar.gz"
SCORES = OUTPUT / "scores.json"
WORK = ROOT / "build" / "first_model"
MXNET = ROOT / ".venv" / "mxnet" / "bin"
