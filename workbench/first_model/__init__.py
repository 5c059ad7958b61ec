"""Makes the model in the box: simulates campaigns, trains on them under AWS's training toolkit, and scores it.

`firnline first-model` (`make first-model`). Writes `layer_model/first_model/model.tar.gz` and `scores.json`.
The campaign of the demonstration is never trained on; real data is not touched.
"""

from .archive import carry_todays_code, pack_model
from .channels import simulated_record, write_channel
from .frames import (
    SCORED_CAMPAIGNS,
    UNSEEN,
    Asked,
    calibration_frames,
    frames_of,
    training_frames,
    validation_frames,
)
from .making import make
from .places import LAYER_MODEL, MXNET, OUTPUT, ROOT, model_environment
from .training import HYPERPARAMETERS, TrainingFailed, run_training

__all__ = [
    "HYPERPARAMETERS",
    "LAYER_MODEL",
    "MXNET",
    "OUTPUT",
    "ROOT",
    "SCORED_CAMPAIGNS",
    "UNSEEN",
    "Asked",
    "TrainingFailed",
    "calibration_frames",
    "carry_todays_code",
    "frames_of",
    "make",
    "model_environment",
    "pack_model",
    "run_training",
    "simulated_record",
    "training_frames",
    "validation_frames",
    "write_channel",
]
