"""The model artefact: what a training job writes, what an endpoint loads, what the next training job starts from.

``model.params`` (MXNet's own format), ``model-symbol.json``, ``model_card.json``, ``code/`` with the serving
modules, and perhaps ``rehearsal.rec``, a few of the frames that the first model learnt from.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import code_files
import mxnet as mx
import numpy as np

from firnline import archives

REHEARSAL = "rehearsal.rec"
PARAMETERS, SYMBOL, CARD, ARCHIVE = "model.params", "model-symbol.json", "model_card.json", "model.tar.gz"
# MXNet keeps each operation that it prepared for a shape, 4 MB for every new size of frame, for ever. It reads this late
# enough: when it keeps the first.
os.environ.setdefault("MXNET_MKLDNN_CACHE_NUM", "128")
MAX_MEMBER_BYTES = {PARAMETERS: 256 << 20, SYMBOL: 4 << 20, CARD: 1 << 20, REHEARSAL: 8 << 20}
NEEDED = {PARAMETERS, SYMBOL, CARD}
_NEW = ".new"


class ArtefactError(ValueError):
    """The artefact is not one of ours, or is damaged."""


def write(
    folder: str, symbol: Any, arrays: Mapping[str, Any], card: Mapping[str, Any], rehearsal: Optional[bytes] = None
) -> None:
    """Write an artefact, or a newer one over it.

    Killed meanwhile, it leaves a folder without a card, which is no artefact yet, or the artefact that was there before,
    or for a moment the new weights under the card of those before.

    Parameters
    ----------
    folder : the model folder; made if need be
    symbol : mx.sym.Symbol, input ``data``
    arrays : NDArrays by parameter name
    card : see model_card.py
    rehearsal : the content of a small RecordIO file, or None; see dataset.py
    """
    auxiliary = set(symbol.list_auxiliary_states())
    needed = auxiliary | set(symbol.list_arguments()) - {"data"}
    for name, path in code_files.serving_files().items():
        carried = os.path.join(folder, "code", *name.split("/"))
        os.makedirs(os.path.dirname(carried), exist_ok=True)
        with open(path, "rb") as stream:
            _replace(carried, stream.read())
    _replace(os.path.join(folder, SYMBOL), symbol.tojson().encode())
    if rehearsal:
        _replace(os.path.join(folder, REHEARSAL), rehearsal)
    # A forward pass may leave oneDNN reordering a weight in place; saved meanwhile, it comes out wrong (seen once in 45).
    mx.nd.waitall()
    parameters = os.path.join(folder, PARAMETERS)
    mx.nd.save(
        parameters + _NEW, {("aux:" if name in auxiliary else "arg:") + name: arrays[name] for name in sorted(needed)}
    )
    os.replace(parameters + _NEW, parameters)
    _replace(os.path.join(folder, CARD), json.dumps(card, indent=1, sort_keys=True).encode())


def _replace(path: str, content: bytes) -> None:
    """Write a file whole or not at all."""
    with open(path + _NEW, "wb") as stream:
        stream.write(content)
    os.replace(path + _NEW, path)


def read_card(folder: str) -> Dict[str, Any]:
    """The model card in a model folder. Raises ArtefactError."""
    try:
        with open(os.path.join(folder, CARD)) as stream:
            card = json.load(stream)
        return dict(
            card,
            **{name: card[name] for name in ("model_version", "channels", "trace_stride", "calibration", "network")},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"The model in {folder} has no usable {CARD} ({error}).") from error


def read_arrays(folder: str) -> Dict[str, Any]:
    """Parameters by name in a model folder. Raises ArtefactError."""
    try:
        saved = mx.nd.load(os.path.join(folder, PARAMETERS))
    except mx.base.MXNetError as error:
        raise ArtefactError("The model's parameters can't be read; the file is damaged or not MXNet's.") from error
    return {name.split(":", 1)[-1]: array for name, array in saved.items()}


def unpack(folder: str, into: str) -> None:
    """Unpack ``model.tar.gz`` of `folder` (an input channel): only the members that we know, regular files, within
    their size.

    Nothing is written but under these names in `into`, whatever paths the archive holds.
    """
    path = os.path.join(folder, ARCHIVE)
    try:
        found = set(archives.unpack(path, into, MAX_MEMBER_BYTES.get))
    except archives.ArchiveError as error:
        raise ArtefactError(str(error)) from error
    if not found >= NEEDED:
        raise ArtefactError("{} lacks {}.".format(path, ", ".join(sorted(NEEDED - found))))


def forward_function(symbol: Any, arrays: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Function (N, C, h, w) float32 array -> output array, which runs `symbol` with `arrays` as its parameters.

    Shapes may change from call to call; a change costs about 15 ms. Calls share their memory: one thread at a time.
    """
    if mx.runtime.Features().is_enabled("MKLDNN"):
        # Batch norm, ReLU and sums become parts of the convolutions. Builds without oneDNN do not know the name.
        symbol = symbol.optimize_for("MKLDNN")
    inputs = symbol.list_inputs()
    for name in inputs:
        if name != "data" and name not in arrays:
            raise ArtefactError(f"The model's parameters lack {name}.")
    # Copies, for oneDNN reorders weights in place. No SymbolBlock, since one is freed only when Python looks for cycles,
    # and holds the memory of the largest frame until then.
    values = [None if name == "data" else arrays[name].copy() for name in inputs]
    data = inputs.index("data")
    weights = [place for place in range(len(inputs)) if place != data]
    flags = {"data_indices": [data], "param_indices": weights, "static_alloc": True, "static_shape": True}
    operation = mx.nd.CachedOp(symbol, list(flags.items()))

    def forward(image: np.ndarray) -> np.ndarray:
        return operation(*values[:data], mx.nd.array(image), *values[data + 1 :]).asnumpy()

    return forward


def load_for_serving(folder: str) -> Tuple[Dict[str, Any], Callable[[np.ndarray], np.ndarray]]:
    """(card, forward function) of a model folder."""
    return read_card(folder), forward_function(mx.sym.load(os.path.join(folder, SYMBOL)), read_arrays(folder))
