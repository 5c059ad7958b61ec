"""What an interrupted training goes on from: one file, replaced whole, which MXNet reads without running anything in it."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, NamedTuple, Optional

import mxnet as mx
import numpy as np
from weights import Weights

FILE = "checkpoint.params"
_STATE = "state"


class CheckpointError(ValueError):
    """The checkpoint can't be gone on from; the message says why."""


class Checkpoint(NamedTuple):
    """Groups of arrays by name, "current" among them, and `state`, what JSON can hold."""

    groups: Dict[str, Weights]
    state: Dict[str, Any]


def save(folder: str, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in a folder; killed meanwhile, the one before it stays."""
    state = np.frombuffer(json.dumps(checkpoint.state).encode(), np.uint8)
    arrays = {_STATE: mx.nd.array(state, dtype=np.uint8)}
    for kind, group in checkpoint.groups.items():
        arrays.update({f"{kind}:{name}": array for name, array in group.items()})
    path = os.path.join(folder, FILE)
    # A forward pass may leave oneDNN reordering a weight in place; see artefact.write.
    mx.nd.waitall()
    mx.nd.save(path + ".new", arrays)
    os.replace(path + ".new", path)


def load(folder: str) -> Optional[Checkpoint]:
    """The checkpoint in a folder, None if there is none. Raises CheckpointError."""
    path = os.path.join(folder, FILE)
    if not os.path.exists(path):
        return None
    try:
        arrays = mx.nd.load(path)
        state = json.loads(arrays.pop(_STATE).asnumpy().tobytes().decode())
    except (mx.base.MXNetError, KeyError, AttributeError, ValueError) as error:
        raise CheckpointError(f"The checkpoint {path} is damaged ({error!r}).") from error
    groups: Dict[str, Weights] = {}
    for key, array in arrays.items():
        kind, _, name = key.partition(":")
        groups.setdefault(kind, {})[name] = array
    return Checkpoint(groups, state)


def moments(trainer: Any) -> Dict[str, Weights]:
    """Adam's running means and variances of the gradients by parameter name, none before the first step.

    MXNet itself writes them as a pickle only, and a pickle from a bucket is a program.
    """
    states = trainer._updaters[0].states
    known = {name: states[place] for name, place in trainer._param2idx.items() if states.get(place)}
    return {"mean": {n: pair[0] for n, pair in known.items()}, "variance": {n: pair[1] for n, pair in known.items()}}


def set_moments(trainer: Any, groups: Dict[str, Weights], steps: int) -> None:
    """Give a new trainer the `moments` of one that had taken so many steps."""
    updater, optimizer = trainer._updaters[0], trainer._optimizer
    for name, mean in groups.get("mean", {}).items():
        place = trainer._param2idx[name]
        updater.states[place] = (mean, groups["variance"][name])
        updater.states_synced[place] = True
        optimizer._index_update_count[place] = steps
    optimizer.num_update = max(optimizer.num_update, steps)
