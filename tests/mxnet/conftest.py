"""These tests run in MXNet's environment, where the modules of layer_model import each other flat, as in
SageMaker.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from firnline.learning import records

# As in tests/conftest.py, which needs more than this environment has.
settings.register_profile("firnline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("firnline")

ROOT = Path(__file__).parents[2]
LAYER_MODEL = ROOT / "layer_model"
LIBRARY = ROOT / "layers" / "firnline"
CODE = os.pathsep.join([str(LAYER_MODEL), str(LIBRARY)])
"""PYTHONPATH of a process that runs the model's code from the checkout."""


def png_of(grey):
    out = io.BytesIO()
    Image.fromarray(grey).save(out, format="PNG")
    return out.getvalue()


def draw_frame(seed, height=96, width=160, layers=4):
    """A plain echogram: bright lines on noise. Returns grey (height, width) uint8, rows (layers + 2, width), kinds."""
    rng = np.random.RandomState(seed)
    x = np.arange(width)
    wave = rng.uniform(1, 3) * np.sin(x / rng.uniform(15, 40) + rng.uniform(0, 6))
    rows = np.linspace(14, height - 14, layers + 2)[:, None] + wave
    kinds = np.array([0] + [1] * layers + [2])
    grey = 60 + 18 * rng.standard_normal((height, width))
    for row, strength in zip(rows, [150] + [90] * layers + [130]):
        grey += strength * np.exp(-0.5 * (np.arange(height)[:, None] - row) ** 2 / 1.2**2)
    grey[: int(rows[0].min()) - 3] *= 0.5
    return np.clip(grey, 0, 255).astype(np.uint8), rows, kinds


def write_channel(folder, seeds, complete=True, **size):
    folder.mkdir(parents=True)
    with (folder / "part-00000.rec").open("wb") as stream:
        for seed in seeds:
            grey, rows, kinds = draw_frame(seed, **size)
            stream.write(records.pack_record(png_of(grey), rows, kinds, complete, seed))


@pytest.fixture
def rng():
    return np.random.RandomState(0)
