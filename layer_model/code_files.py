"""Which files are the model's code, and by what names they travel: modules side by side, and beside them, in the folder
`firnline`, those of Firnline's library that the model shares (`firnline.SHARED_WITH_MODEL`).

Imports nothing but that package's list: what packs the code runs where MXNet is not.
"""

from __future__ import annotations

import os
from typing import Dict

import firnline

FOLDER = os.path.dirname(os.path.abspath(__file__))
SERVING_MODULES = (
    "inference.py",
    "artefact.py",
    "code_files.py",
    "tracker.py",
    "vectorise.py",
    "chains.py",
    "slope_field.py",
    "boundaries.py",
    "lines.py",
    "calibration.py",
    "echogram_input.py",
)
"""What a model artefact carries; the rest is training's."""


def shared_files() -> Dict[str, str]:
    """{name: path} of the library's files."""
    folder = os.path.dirname(os.path.abspath(firnline.__file__))
    return {"firnline/" + name: os.path.join(folder, *name.split("/")) for name in firnline.SHARED_WITH_MODEL}


def serving_files() -> Dict[str, str]:
    """{name: path} of what serves a model, as it lies in the artefact's folder `code`."""
    return dict({name: os.path.join(FOLDER, name) for name in SERVING_MODULES}, **shared_files())


def training_files() -> Dict[str, str]:
    """{name: path} of what trains and serves a model, as it lies in a `sourcedir.tar.gz`."""
    modules = (name for name in sorted(os.listdir(FOLDER)) if name.endswith(".py"))
    return dict({name: os.path.join(FOLDER, name) for name in modules}, **shared_files())
