"""The model in the box on a real Snow Radar frame, as its picture is uploaded: layers where they are, and no bed."""

import os
from pathlib import Path

import numpy as np
import pytest

from firnline import archives
from firnline.documents.echogram import encode_png, to_grey
from firnline.learning import records, scoring
from firnline.radar.formats import read_frame
from firnline.radar.picture import picture_of
from workbench.benchmark import sides
from workbench.benchmark.frames import write_shard
from workbench.first_model import MXNET, OUTPUT

REAL_DATA = Path(os.environ.get("FIRNLINE_REAL_DATA", Path(__file__).resolve().parents[2] / "../shared/data/real"))
MOST_LINES = 25
DEEP_HORIZONS = (169, 272)
"""Median rows of the two that lie alone in the noise."""
NOISE = 300
"""No echo is seen below this row."""


@pytest.mark.parametrize("name", ["grey", "native_traces"])
def test_its_layers_are_followed_and_no_bed_is_drawn(name: str, tmp_path: Path) -> None:
    file = REAL_DATA / "snow" / f"oib_snow_IRSNO1B_20120508_01_058_{name}.png"
    if not file.exists():
        pytest.skip(f"no real Snow Radar frame in {file.parent}")
    if not (MXNET / "python").exists():
        pytest.skip(f"MXNet's environment is not at {MXNET.parent} (`make setup` brings it)")
    picture = picture_of(read_frame(file.read_bytes()))
    nothing = np.full((1, picture.framing.columns), np.nan)
    record = records.pack_record(encode_png(to_grey(picture.power_db)), nothing, np.array([0]), False, 0)
    write_shard(tmp_path / "channel", [record])
    archives.unpack(str(OUTPUT / "model.tar.gz"), str(tmp_path / "model"))
    found = sides.run_network(tmp_path / "model", tmp_path / "channel", tmp_path / "out", threads=1)["documents"][0]
    labels = [layer["label"] for layer in found["layers"]]
    assert labels.count("surface") == 1
    assert "bed" not in labels
    assert 10 <= len(labels) <= MOST_LINES
    rows = picture.framing.sample_of(scoring.rows_from_layers(found["layers"], picture.framing.columns))
    assert np.nanmax(rows) < NOISE
    middles = np.nanmedian(rows, axis=1)
    assert all(np.abs(middles - row).min() < 5 for row in DEEP_HORIZONS)
