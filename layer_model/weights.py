"""A network's weights while it learns: taken over from an earlier model, averaged, and which of them are kept."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import artefact
import mxnet as mx

Weights = Dict[str, Any]
"""NDArrays by parameter name."""

AVERAGE_DECAY = 0.97
"""Share of the running average that stays with each step: it reaches some thirty steps back."""
ANCHOR_FRAMES = 24
"""Frames that must be learnt from before what they teach weighs as much as what the model knew."""


def copied(parameters: Dict[str, Any]) -> Weights:
    """Copies of the weights of a network's parameters by name."""
    return {name: parameter.data().copy() for name, parameter in parameters.items()}


def take_over(parameters: Dict[str, Any], arrays: Weights, channels: int, network: str) -> None:
    """Set a network's parameters from weights by name; every one must be there in its shape, or for fewer than `channels`
    input channels: what a model of an earlier Firnline did not see weighs nothing at first, and its answers stay as they
    were. Raises ArtefactError.
    """
    for name, parameter in parameters.items():
        array = arrays.get(name)
        if array is not None and parameter.shape[1:2] == (channels,):
            array = _widened(array, parameter.shape)
        if array is None or array.shape != parameter.shape:
            raise artefact.ArtefactError(
                f"The model to start from does not fit the network {network!r}: {name} differs."
            )
        parameter.set_data(array)


def _widened(array: Any, shape: Tuple[int, ...]) -> Any:
    """Weights (outputs, inputs, h, w) of a convolution with zeros for the inputs that `shape` has more."""
    missing = shape[1] - array.shape[1]
    if missing <= 0 or array.shape[:1] + array.shape[2:] != shape[:1] + shape[2:]:
        return array
    return mx.nd.concat(array, mx.nd.zeros((shape[0], missing, *shape[2:])), dim=1)


def followed(average: Weights, parameters: Dict[str, Any], steps: int) -> Weights:
    """The running average of the weights (Polyak & Juditsky 1992), moved towards those after `steps` steps; faster at
    first, when there is little to average.
    """
    decay = min(AVERAGE_DECAY, (1.0 + steps) / (10.0 + steps))
    return {name: decay * average[name] + (1 - decay) * parameter.data() for name, parameter in parameters.items()}


def drawn_back(average: Weights, start: Weights, frames: int) -> Weights:
    """A mean of averaged weights and of those that the training started from, which count as much as `ANCHOR_FRAMES`
    frames (weight-space ensembling, Wortsman et al. 2022).

    A dozen frames of one region teach what its surface and bed look like, and unteach it for others.
    """
    share = frames / float(frames + ANCHOR_FRAMES)
    return {name: share * array + (1 - share) * start[name] for name, array in average.items()}
