"""What `sam build` made for the deployment fits into a Lambda and loads there."""

import re
from pathlib import Path

from workbench.connection import Connection

ROOT = Path(__file__).resolve().parents[2]
BUILT_LAYER = ROOT / ".aws-sam" / "build" / "FirnlineLayer" / "python"


def test_the_built_layer_and_the_code_fit_into_a_lambda(deployed: Connection) -> None:
    sources = [path for path in (ROOT / "services").rglob("*") if "__pycache__" not in path.parts]
    layer = [path for path in BUILT_LAYER.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in [*sources, *layer] if path.is_file())
    assert size < 250_000_000
    tests = [path for path in layer if "tests" in path.relative_to(BUILT_LAYER).parts]
    assert {path.name for path in tests} <= {"__init__.py", "_natype.py"}, "all but what numpy.testing imports is gone"
    newest = max(
        int(minor)
        for path in layer
        if ".so" in path.name
        for minor in re.findall(rb"GLIBC_2\.(\d+)", path.read_bytes())
    )
    assert newest <= 26
