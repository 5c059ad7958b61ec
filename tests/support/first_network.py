"""The model in the box by onnxruntime, for tests of what is made of its lines."""

import sys
from collections.abc import Callable
from pathlib import Path

import onnxruntime

from firnline.documents.echogram import to_grey
from firnline.documents.layers import LayersDocument
from tests.support.simulated_products import WHEN, Made
from workbench import onnx_export
from workbench.first_model.places import ARCHIVE


def network(folder: Path) -> Callable[[Made], LayersDocument]:
    """The model in the box by onnxruntime, and the modules between echogram and document that it carries."""
    artefact = onnx_export.read_archive(ARCHIVE)
    model = onnx_export.translate(
        onnx_export.read_symbol(artefact.symbol), onnx_export.read_parameters(artefact.parameters),
        artefact.card["channels"], {},
    ).SerializeToString()  # fmt: skip
    card = artefact.card
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    layer_model = str(Path(onnx_export.__file__).resolve().parents[1] / "layer_model")
    sys.path.insert(0, layer_model)
    try:
        import tracker  # its modules import each other flat
    finally:
        sys.path.remove(layer_model)

    def predict(frame: Made) -> LayersDocument:
        grey = to_grey(frame.picture.power_db)
        tracked = tracker.track(
            lambda image: session.run(None, {onnx_export.INPUT: image})[0],
            grey, card["channels"], card["trace_stride"], card["calibration"].get("ridge", tracker.RIDGE),
        )  # fmt: skip
        source = {"kind": "model", "model_version": "first", "created": WHEN}
        return LayersDocument.model_validate(tracker.layers_document(tracked, grey.shape, card["calibration"], source))

    return predict
