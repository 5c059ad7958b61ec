"""What `sam build` made for the deployment fits into a Lambda and loads there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from workbench.connection import Connection
from workbench.stack import deployment

ROOT = Path(__file__).resolve().parents[2]
BUILT_LAYER = deployment.built_folder() / "build" / "FirnlineLayer" / "python"
BUILT_FUNCTIONS = [deployment.built_folder() / "build" / name for name in ("PortalFunction", "ExportSegmentFunction")]
"""Those that have packages of their own."""
AMAZON_LINUX_2023 = 34
"""Of glibc 2."""
LAMBDA = "3.13"
"""The template's runtime."""


@pytest.mark.parametrize("built", BUILT_FUNCTIONS, ids=lambda path: path.name)
def test_the_built_layer_and_the_code_fit_into_a_lambda(deployed: Connection, built: Path) -> None:
    sources = [path for path in built.rglob("*") if "__pycache__" not in path.parts]
    layer = [path for path in BUILT_LAYER.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in [*sources, *layer] if path.is_file())
    assert size < 250_000_000
    tests = [path for path in layer if "tests" in path.relative_to(BUILT_LAYER).parts]
    assert {path.name for path in tests} <= {"__init__.py", "_natype.py"}, "all but what numpy.testing imports is gone"
    newest = max(
        int(minor)
        for path in [*layer, *sources]
        if ".so" in path.name
        for minor in re.findall(rb"GLIBC_2\.(\d+)", path.read_bytes())
    )
    assert newest <= AMAZON_LINUX_2023


def python_of_lambda() -> str | None:
    """A Python of Lambda's version, if this machine has one: on the path, or brought by uv or pyenv."""
    name, home = f"python{LAMBDA}", Path.home()
    kept = [*home.glob(f".pyenv/versions/{LAMBDA}.*/bin/{name}"), *home.glob(f".local/share/uv/python/*/bin/{name}")]
    for candidate in [shutil.which(name), *map(str, kept)]:
        if candidate:
            ran = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
            if ran.returncode == 0 and ran.stdout.startswith(f"Python {LAMBDA}."):
                return candidate
    return None


@pytest.mark.slow
def test_the_layer_for_lambdas_python_loads_every_handler_there(tmp_path: Path) -> None:
    """Built as `sam build` builds it by default, and imported beside boto3, which the runtime brings."""
    python = python_of_lambda()
    if python is None:
        pytest.skip(f"this machine has no Python {LAMBDA}; Lambda's runtime is tested where there is one")
    environment = {**os.environ, "ARTIFACTS_DIR": str(tmp_path), "PYTHON": sys.executable}
    environment.pop("LAYER_PYTHON", None)
    subprocess.run(["make", "build-FirnlineLayer"], cwd=ROOT / "layers" / "firnline", env=environment, check=True)
    built = [tmp_path / folder.name for folder in BUILT_FUNCTIONS]
    for folder in built:
        build = ["make", f"build-{folder.name}"]
        subprocess.run(build, cwd=ROOT / "services", env=environment | {"ARTIFACTS_DIR": str(folder)}, check=True)
    boto3_of_the_runtime = tmp_path / "runtime"
    here = Path(boto3.__file__).parents[1]
    boto3_of_the_runtime.mkdir()
    for package in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"):
        (boto3_of_the_runtime / package).symlink_to(here / package)
    handlers = sorted(path.parent.name for path in (ROOT / "services").glob("*/app.py"))
    assert len(handlers) == 12
    program = "\n".join(
        [
            "import sys",
            f"assert sys.version_info[:2] == ({LAMBDA.replace('.', ', ')})",
            "import importlib, io, numpy, PIL.Image",
            *[f"assert importlib.import_module('{name}.app').handler" for name in handlers],
            "from firnline.documents.echogram import decode_png, encode_png",
            "grey = numpy.arange(48 * 64, dtype=numpy.uint8).reshape(48, 64)",
            "assert (decode_png(encode_png(grey)) == grey).all()",
            "import h5py, scipy.io, tifffile",
            "import jwt.algorithms",
            "assert jwt.algorithms.has_crypto",
            "from firnline.exports.forms import WRITERS_IN_CLOUD",
            "from firnline.products.credits import Credits",
            "from firnline.products.frame_product import Assumptions",
            "from pathlib import Path",
            f"assert [write(Path({str(tmp_path / 'out')!r}), Assumptions(), Credits()) for write in WRITERS_IN_CLOUD.values()]",
        ]
    )
    path = os.pathsep.join(map(str, (*built, tmp_path / "python", boto3_of_the_runtime)))
    clean = {
        "PYTHONPATH": path,
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    ran = subprocess.run(
        [python, "-W", "error::SyntaxWarning", "-c", program], env=clean, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
