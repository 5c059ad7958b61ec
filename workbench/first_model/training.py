"""The training of the first model, under AWS's toolkit, and its scores."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from firnline.learning import model_code
from layer_model import code_files
from workbench.epoch_lines import EPOCH, short_line
from workbench.logged import last_lines, run_logged

from .places import LAYER_MODEL, MXNET, model_environment

HYPERPARAMETERS = {
    "epochs": 60,
    "max-seconds": 4200,
    "learning-rate": 0.003,
    "batch-size": 4,
    "crop-rows": 288,
    "crop-traces": 384,
    "patience": 60,
    "validation-frames": 160,
    "seed": 7,
}
LOG = "training.log"
LAST_LINES = 12


class TrainingFailed(Exception):
    """AWS's toolkit did not come to its end; the message says where its log lies, and how that ends."""


def run_training(base: Path, hyperparameters: dict, channels: list[str], tell: Callable[[str], None]) -> None:
    """Run AWS's `train` in `base` as in a SageMaker container; what it says goes into `training.log` there.

    `tell` hears a short line for each epoch. Raises TrainingFailed.
    """
    _write_configuration(base, hyperparameters, channels)
    environment = os.environ | {
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_TRAINING_MODULE": "sagemaker_mxnet_container.training:main",
        "TRAINING_JOB_NAME": "first",
        "PATH": f"{MXNET}{os.pathsep}{os.environ['PATH']}",
    }
    log = base / LOG

    def hear(line: str) -> None:
        if line.startswith(EPOCH):
            tell(short_line(line))

    if code := run_logged([MXNET / "train"], log, hear, environment, Path.cwd()):
        raise TrainingFailed(f"The training failed with exit code {code}; its log is {log}, and ends:\n"
                             + last_lines(log, LAST_LINES))  # fmt: skip


def _write_configuration(base: Path, hyperparameters: dict, channels: list[str]) -> None:
    """The files that SageMaker puts into a container."""
    config = base / "input" / "config"
    config.mkdir(parents=True, exist_ok=True)
    source = base / "sourcedir.tar.gz"
    source.write_bytes(model_code.pack(code_files.training_files())[1])
    toolkit = {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(source)}
    files = {
        "hyperparameters": {name: json.dumps(value) for name, value in (hyperparameters | toolkit).items()},
        "resourceconfig": {"current_host": "localhost", "hosts": ["localhost"], "network_interface_name": "lo"},
        "inputdataconfig": {name: {"TrainingInputMode": "File", "RecordWrapperType": "None"} for name in channels},
    }
    for name, content in files.items():
        (config / f"{name}.json").write_text(json.dumps(content))


def evaluate(model_dir: Path, channels: dict[str, Path]) -> dict:
    """Scores by channel name, by the serving code in MXNet's environment."""
    named = [f"{name}={folder}" for name, folder in channels.items()]
    command = [str(MXNET / "python"), str(LAYER_MODEL / "evaluate.py"), str(model_dir), *named]
    told = subprocess.run(command, env=model_environment(), check=True, capture_output=True, text=True).stdout
    return json.loads(told.splitlines()[-1])
