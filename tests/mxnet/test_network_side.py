"""The part of the benchmark that runs a model, on a model that was just trained a little."""

import json
from pathlib import Path

import numpy as np
import pytest
import train
from conftest import write_channel

from workbench.benchmark import network_side


def test_ridge_points_stand_for_every_trace_of_a_column():
    probability = np.zeros((3, 6, 2), np.float32)
    probability[0, 2, 0], probability[1, 4, 1], probability[2, 1, 1] = 0.75, 0.5, 0.01
    rows, columns, strength = network_side.ridge_points(probability, width=3, stride=2)
    found = sorted(zip(columns.tolist(), rows.tolist(), strength.tolist(), strict=True))
    assert found == [(0, 2, 0.75), (1, 2, 0.75), (2, 4, 0.5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network_side")
    write_channel(folder / "train", range(4), height=48, width=64)
    options = [
        "--train",
        str(folder / "train"),
        "--model-dir",
        str(folder / "model"),
        "--epochs",
        "1",
        "--max-seconds",
        "0",
    ]
    options += ["--output-data-dir", str(folder / "output"), "--crop-rows", "48", "--crop-traces", "64"]
    absent = [f"--{name}={folder / 'absent'}" for name in ("validation", "holdout", "model", "checkpoint-dir")]
    train.main([*options, *absent])
    return folder


def test_a_channel_is_answered_timed_and_its_points_kept(model):
    out = model / "found"
    network_side.main([str(model / "model"), str(model / "train"), str(out), "--frames", "2", "--points"])
    found = json.loads(Path(str(out) + ".json").read_text())
    assert found["frames"] == len(found["documents"]) == 2
    assert {document["image"]["width"] for document in found["documents"]} == {64}
    timings = found["ms_per_frame"]
    assert timings["total"] == pytest.approx(
        sum(timings[part] for part in ("decode", "network", "vectorise")), abs=0.05
    )
    assert found["peak_memory_mb"] > 50
    assert found["parameters"] > 100000
    with np.load(str(out) + ".npz", allow_pickle=False) as arrays:
        assert arrays["rows_1"].shape == arrays["columns_1"].shape == arrays["strength_1"].shape
        assert arrays["columns_1"].max() < 64
