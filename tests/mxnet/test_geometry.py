"""The geometry that the model shares with the library, on the NumPy of the model's environment: the library's own tests."""

import importlib.util
from pathlib import Path

_FILE = Path(__file__).parents[1] / "unit" / "test_geometry.py"
_spec = importlib.util.spec_from_file_location("library_test_geometry", str(_FILE))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

globals().update({name: value for name, value in vars(_module).items() if name.startswith("test_")})
