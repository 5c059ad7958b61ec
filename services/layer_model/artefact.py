"""The model artefact: what a training job writes, what an endpoint loads, what the next training job starts from.

``model.params`` (MXNet's own format), ``model-symbol.json``, ``model_card.json``, ``code/`` with the serving
modules, and perhaps ``rehearsal.rec``, a few of the frames that the first model learnt from.
"""

import json
import os
import shutil
import tarfile

import mxnet as mx

REHEARSAL = "rehearsal.rec"
PARAMETERS, SYMBOL, CARD, ARCHIVE = "model.params", "model-symbol.json", "model_card.json", "model.tar.gz"
SERVING_MODULES = ("inference.py", "artefact.py", "tracker.py", "vectorise.py", "calibration.py", "echogram_input.py")
MAX_MEMBER_BYTES = {PARAMETERS: 256 << 20, SYMBOL: 4 << 20, CARD: 1 << 20, REHEARSAL: 8 << 20}
NEEDED = {PARAMETERS, SYMBOL, CARD}


class ArtefactError(ValueError):
    """The artefact is not one of ours, or is damaged."""


def write(folder, symbol, arrays, card, rehearsal=None):
    """Write an artefact.

    Parameters
    ----------
    folder : the model folder; made if need be
    symbol : mx.sym.Symbol, input ``data``
    arrays : dict of NDArray by parameter name
    card : dict, see train.py
    rehearsal : path of a small RecordIO file, or None; see dataset.py
    """
    auxiliary = set(symbol.list_auxiliary_states())
    needed = auxiliary | set(symbol.list_arguments()) - {"data"}
    os.makedirs(os.path.join(folder, "code"), exist_ok=True)
    # A forward pass may leave oneDNN reordering a weight in place; saved meanwhile, it comes out wrong (seen once in 45).
    mx.nd.waitall()
    mx.nd.save(
        os.path.join(folder, PARAMETERS),
        {("aux:" if name in auxiliary else "arg:") + name: arrays[name] for name in needed},
    )
    symbol.save(os.path.join(folder, SYMBOL))
    with open(os.path.join(folder, CARD), "w") as stream:
        json.dump(card, stream, indent=1, sort_keys=True)
    if rehearsal:
        shutil.copyfile(rehearsal, os.path.join(folder, REHEARSAL))
    here = os.path.dirname(os.path.abspath(__file__))
    for name in SERVING_MODULES:
        shutil.copyfile(os.path.join(here, name), os.path.join(folder, "code", name))


def read_card(folder):
    """The model card in a model folder. Raises ArtefactError."""
    try:
        with open(os.path.join(folder, CARD)) as stream:
            card = json.load(stream)
        return dict(
            card,
            **{name: card[name] for name in ("model_version", "channels", "trace_stride", "calibration", "network")},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError("The model in {} has no usable {} ({}).".format(folder, CARD, error)) from error


def read_arrays(folder):
    """Parameters by name in a model folder. Raises ArtefactError."""
    try:
        saved = mx.nd.load(os.path.join(folder, PARAMETERS))
    except mx.base.MXNetError as error:
        raise ArtefactError("The model's parameters can't be read; the file is damaged or not MXNet's.") from error
    return {name.split(":", 1)[-1]: array for name, array in saved.items()}


def unpack(folder, into):
    """Unpack ``model.tar.gz`` of `folder` (an input channel): only the members that we know, regular files, within
    their size.

    Nothing is written but under these names in `into`, whatever paths the archive holds.
    """
    path = os.path.join(folder, ARCHIVE)
    found = set()
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name[2:] if member.name.startswith("./") else member.name
                if name not in MAX_MEMBER_BYTES:
                    continue
                if not member.isfile() or member.size > MAX_MEMBER_BYTES[name] or name in found:
                    raise ArtefactError(
                        "{} holds a {} that is no plain file, too large, or there twice.".format(path, name)
                    )
                found.add(name)
                with open(os.path.join(into, name), "wb") as stream:
                    shutil.copyfileobj(archive.extractfile(member), stream)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise ArtefactError("{} is not a readable model archive ({}).".format(path, error)) from error
    if not found >= NEEDED:
        raise ArtefactError("{} lacks {}.".format(path, ", ".join(sorted(NEEDED - found))))


def forward_function(symbol, arrays):
    """Function (N, C, h, w) float32 array -> output array, which runs `symbol` with `arrays` as its parameters.

    Shapes may change from call to call.
    """
    block = mx.gluon.SymbolBlock(symbol, mx.sym.var("data", dtype="float32"))
    for name, parameter in block.collect_params().items():
        if name not in arrays:
            raise ArtefactError("The model's parameters lack {}.".format(name))
        parameter.shape = arrays[name].shape
        parameter.initialize(ctx=mx.cpu())
        parameter.set_data(arrays[name])
    block.hybridize()
    return lambda image: block(mx.nd.array(image)).asnumpy()


def load_for_serving(folder):
    """(card, forward function) of a model folder."""
    return read_card(folder), forward_function(mx.sym.load(os.path.join(folder, SYMBOL)), read_arrays(folder))
