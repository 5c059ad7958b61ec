"""Files as a lab's disk holds them: uploaded as they are, predicted whole, and back in their own traces and samples."""

from pathlib import Path

import numpy as np
import pytest

from firnline.documents.layers import LayersDocument
from firnline.documents.placement import samples_in_file
from firnline.limits import MAX_DOCUMENT_BYTES
from firnline.store import keys
from workbench import uploads
from workbench.connection import Connection
from workbench.simulator import Genuine, campaign_named, simulate_frame, write_irsno1b

FINELY, SAMPLES = 4, 10_000


def predicted(stack: Connection, file: Path, campaign: str) -> tuple[dict, LayersDocument]:
    sent = uploads.upload(stack, file, campaign)
    row = uploads.follow(stack, [sent], 120, lambda _done, _rejected: None)[sent.frame_id]
    assert row.status != "REJECTED", row.reason
    key = keys.prediction(row.frame_id, row.revision, row.predicted_by)
    return row, LayersDocument.model_validate_json(stack.workspace.read(key, MAX_DOCUMENT_BYTES))


def test_a_file_of_genuine_size_is_one_frame(deployed: Connection, tmp_path: Path) -> None:
    genuine = Genuine(oversampling=FINELY, samples=SAMPLES)
    truth = simulate_frame(campaign_named("varied_snow_5003"), 1, 1, traces=300, genuine=genuine)
    row, layers = predicted(deployed, write_irsno1b(truth, tmp_path), "genuine")
    frame = uploads.frame_document(deployed, row)
    assert (frame.file_samples, frame.file_traces) == (SAMPLES, 300)
    assert frame.height < SAMPLES / 10
    found = samples_in_file(layers, frame)
    surface = found[[layer.label for layer in layers.layers].index("surface")]
    assert np.mean(np.abs(surface - truth.rows[0]) <= 2 * FINELY) >= 0.98
    assert {layer.label for layer in layers.layers} == {"surface", "layer"}


@pytest.mark.parametrize("drawn", ["grey", "native_traces"])
def test_a_real_snow_radar_picture_has_its_annual_layers_and_no_bed(
    deployed: Connection, real_data: Path, drawn: str
) -> None:
    [file] = (real_data / "snow").glob(f"*_{drawn}.png")
    row, layers = predicted(deployed, file, "real-snow")
    labels = [layer.label for layer in layers.layers]
    assert row.polarity == "bright-strong"
    assert 8 <= len(labels) <= 25
    assert "bed" not in labels
    # All of them lie in the upper half, where the annual layers can be seen; below is noise.
    assert max(vertex.y for layer in layers.layers for vertex in layer.vertices) < layers.image.height / 2
