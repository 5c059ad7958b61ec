"""Writes a model as ONNX, so that it can be used without MXNet.

MXNet is not needed to export. Where it is installed, its answer on a simulated echogram is compared with onnxruntime's
before anything is written.
"""

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from botocore.exceptions import ClientError
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from firnline import archives
from firnline.documents.echogram import to_grey
from firnline.store.bucket import split_uri
from layer_model.echogram_input import MULTIPLE, normalise, pad
from workbench.connection import Connection
from workbench.mxnet_files import NotReadable, read_parameters, read_symbol
from workbench.onnx_graph import INPUT, OUTPUT, NotExportable, translate
from workbench.simulator import campaigns, simulate_frame

__all__ = ["NotExportable", "NotReadable", "export", "export_registered", "write_beside"]

MODEL, CARD, README = "model.onnx", "model_card.json", "README.txt"
TOLERANCE = 1e-4
"""The most by which onnxruntime's probabilities may differ from MXNet's."""
MXNET_PYTHON = Path(__file__).resolve().parents[1] / ".venv" / "mxnet" / "bin" / "python"
_PARAMETERS, _SYMBOL = "model.params", "model-symbol.json"
_LIMITS = {_PARAMETERS: 256 << 20, _SYMBOL: 4 << 20, CARD: 1 << 20}
_MOST_CODE, _MOST_UNPACKED = 1 << 20, 512 << 20
# Of the serving code, these are MXNet's and SageMaker's; the others work as well with onnxruntime.
_CODE = re.compile(r"code/((?:firnline/(?:[a-z_]+/)*)?[a-z_]+\.py)")
_NOT_PORTABLE = {"artefact.py", "code_files.py", "inference.py", "firnline/archives.py"}

_RUNTIME_ERRORS = (runtime.Fail, runtime.InvalidArgument, runtime.InvalidGraph, runtime.NotImplemented,
                  runtime.RuntimeException)  # fmt: skip

_MXNET_FORWARD = """
import sys
import mxnet as mx, numpy as np
symbol, parameters, image, answer = sys.argv[1:]
network = mx.gluon.SymbolBlock.imports(symbol, ["data"], parameters)
np.save(answer, network(mx.nd.array(np.load(image))).asnumpy())
"""


@dataclass(frozen=True)
class Artefact:
    """What a `model.tar.gz` holds; `code` are the modules between echogram and layers document, by file name."""

    symbol: bytes
    parameters: bytes
    card: dict[str, Any]
    code: dict[str, bytes]


@dataclass(frozen=True)
class Exported:
    """`difference`: the largest between MXNet's and onnxruntime's probabilities; None if MXNet is not installed."""

    model: bytes
    difference: float | None

    def __str__(self) -> str:
        if self.difference is None:
            return (
                f"parity was not checked, since there is no MXNet at {MXNET_PYTHON.parents[1]}: `make setup` brings it"
            )
        return f"at most {self.difference:.1e} from MXNet's probabilities on a simulated echogram"


def export(archive: Path, out: Path) -> Exported:
    """Write `model.onnx`, its card, the code around it and a README on how to feed it from `archive` into `out`.

    Raises NotExportable or NotReadable; nothing is written then.
    """
    artefact = read_archive(archive)
    exported = convert(artefact)
    out.mkdir(parents=True, exist_ok=True)
    (out / MODEL).write_bytes(exported.model)
    (out / CARD).write_text(json.dumps(artefact.card, indent=1, sort_keys=True))
    for name, source in artefact.code.items():
        (out / name).parent.mkdir(exist_ok=True, parents=True)
        (out / name).write_bytes(source)
    (out / README).write_text(readme(artefact.card, exported))
    return exported


def export_registered(connection: Connection, model_version: str | None, out: Path, store: bool) -> Exported:
    """`export` of a model that the stack knows, by default its champion; with `store`, also to S3 beside the artefact.

    Raises NotExportable, too, if there is no such model.
    """
    models = connection.models
    known = models.version(model_version) if model_version else models.champion()
    if known is None or known.model_data is None:
        raise NotExportable(
            f"There is no model '{model_version or 'champion'}' to export: `firnline models` lists those there are."
        )
    bucket, key = split_uri(known.model_data)
    s3 = connection.client("s3")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "model.tar.gz")
        try:
            s3.download_file(bucket, key, str(archive))
        except ClientError as error:
            raise NotExportable(f"{known.model_data} can't be fetched ({error}).") from error
        exported = export(archive, out)
    if store:
        s3.upload_file(str(out / MODEL), bucket, f"{key.rpartition('/')[0]}/{MODEL}")
    return exported


def write_beside(archive: Path) -> Exported:
    """Write `model.onnx` into the folder of `archive`, a model.tar.gz. Raises as `export`."""
    exported = convert(read_archive(archive))
    (archive.parent / MODEL).write_bytes(exported.model)
    return exported


def read_archive(path: Path) -> Artefact:
    """The parts of a model.tar.gz, held in memory within limits; nothing is unpacked to disk. Raises NotExportable."""
    try:
        parts = {
            name: archives.read(path, stream)
            for name, stream in archives.files(
                path, lambda name: _MOST_CODE if _CODE.fullmatch(name) else _LIMITS.get(name), _MOST_UNPACKED
            )
        }
    except archives.ArchiveError as error:
        raise NotExportable(str(error)) from error
    if missing := sorted(_LIMITS.keys() - parts.keys()):
        raise NotExportable(f"{path} lacks {', '.join(missing)}.")
    code = {
        match[1]: parts[name] for name in parts if (match := _CODE.fullmatch(name)) and match[1] not in _NOT_PORTABLE
    }
    return Artefact(parts[_SYMBOL], parts[_PARAMETERS], _read_card(parts[CARD], path), code)


def _read_card(data: bytes, path: Path) -> dict[str, Any]:
    try:
        card = json.loads(data)
        sizes, version = (card["channels"], card["trace_stride"]), card["model_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotExportable(f"The model card in {path} can't be read ({error!r}).") from error
    if not all(type(size) is int and 1 <= size <= 16 for size in sizes) or not isinstance(version, str):
        raise NotExportable(f"The model card in {path} has channels, a trace stride or a version that no model has.")
    return card


def convert(artefact: Artefact) -> Exported:
    """The ONNX model of an artefact, compared with MXNet where that is installed. Raises as `export`."""
    card = artefact.card
    metadata = {
        name: str(card.get(name, "")) for name in ("model_version", "network", "channels", "trace_stride", "snapshot")
    }
    model = translate(
        read_symbol(artefact.symbol), read_parameters(artefact.parameters), card["channels"], metadata
    ).SerializeToString(deterministic=True)
    image = example_input(card["channels"])
    answer = run_onnx(model, image)
    expected = run_mxnet(artefact, image)
    if expected is None:
        return Exported(model, None)
    difference = float(np.abs(answer - expected).max()) if answer.shape == expected.shape else np.inf
    if not difference <= TOLERANCE:
        raise NotExportable(
            f"onnxruntime's probabilities differ from MXNet's by {difference:.2g}, more than {TOLERANCE:g}: "
            "nothing was written. This is a fault of the translation; please report it with the model."
        )
    return Exported(model, difference)


def example_input(channels: int) -> np.ndarray:
    """What the network sees of a simulated echogram: (1, channels, 256, 512) float32 array. Raises NotExportable."""
    frame = simulate_frame(campaigns["demo"], segment=1, number=0)
    image = pad(normalise(to_grey(frame.echogram_db)))
    if channels > len(image):
        raise NotExportable(f"The network takes {channels} channels; this Firnline makes {len(image)} of an echogram.")
    return image[None, :channels].astype(np.float32)


def run_onnx(model: bytes, image: np.ndarray) -> np.ndarray:
    """The model's probabilities (N, 3, rows, columns) for an input (N, C, rows, traces), by onnxruntime on the CPU.

    Raises NotExportable.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it logs as an error, it also raises
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return session.run([OUTPUT], {INPUT: image})[0]
    except _RUNTIME_ERRORS as error:
        raise NotExportable(f"onnxruntime can't run the translated model ({error}); nothing was written.") from error


def run_mxnet(artefact: Artefact, image: np.ndarray) -> np.ndarray | None:
    """As `run_onnx`, by MXNet in its own environment; None if that is not installed. Raises NotExportable."""
    if not MXNET_PYTHON.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        symbol, parameters, question, answer = (
            Path(folder, name) for name in (_SYMBOL, _PARAMETERS, "image.npy", "answer.npy")
        )
        symbol.write_bytes(artefact.symbol)
        parameters.write_bytes(artefact.parameters)
        np.save(question, image)
        command: list[str | Path] = [MXNET_PYTHON, "-c", _MXNET_FORWARD, symbol, parameters, question, answer]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            reason = (run.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise NotExportable(f"MXNet could not run the model to compare with ({reason}); nothing was written.")
        return np.load(answer, allow_pickle=False)


def readme(card: dict[str, Any], exported: Exported) -> str:
    """How to use the exported model, for people who have only the folder."""
    stride = card["trace_stride"]
    return f"""Firnline layer model '{card["model_version"]}' as ONNX; {exported}.

{INPUT}           float32 (batch, {card["channels"]}, rows, traces); rows and traces are multiples of {MULTIPLE}. The echogram is
               8-bit grey, bright = strong, its first row the shortest two-way travel time; echogram_input.normalise
               makes the channels of it, echogram_input.pad fills it up.
{OUTPUT}  float32 (batch, 3, rows, traces / {stride}): surface, internal layer, bed; a column for every {stride} traces.

From an echogram (PNG) to a layers document, in this folder (pip install onnxruntime numpy scipy pillow):

    import datetime, json, sys
    import onnxruntime, tracker
    from echogram_input import decode_png

    card = json.load(open("{CARD}"))
    session = onnxruntime.InferenceSession("{MODEL}")
    forward = lambda image: session.run(None, {{"{INPUT}": image}})[0]
    grey = decode_png(open(sys.argv[1], "rb").read())
    ridge = card["calibration"].get("ridge", tracker.RIDGE)
    tracked = tracker.track(forward, grey, card["channels"], card["trace_stride"], ridge)
    created = datetime.datetime.now(datetime.timezone.utc).isoformat()
    source = {{"kind": "model", "model_version": card["model_version"], "created": created}}
    print(json.dumps(tracker.layers_document(tracked, grey.shape, card["calibration"], source)))
"""
