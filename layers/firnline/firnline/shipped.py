"""Which modules of this library travel with the model's code into SageMaker's image.

They keep to Python 3.8, NumPy and each other, and nothing there has to be written twice. `layer_model` imports them as
here: `from firnline.learning import scoring`.
"""

import os

MODULES = (
    "__init__.py",
    "archives.py",
    "shipped.py",
    "learning/__init__.py",
    "learning/records.py",
    "learning/scoring.py",
)


def folder() -> str:
    """Where this library lies: beside the model's code, or in a checkout."""
    return os.path.dirname(os.path.abspath(__file__))
