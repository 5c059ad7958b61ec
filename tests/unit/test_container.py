"""The image of our own, as far as it can be checked without Docker: it copies what is there and has what the tests run on."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "container" / "Dockerfile").read_text()
MXNET = ROOT / ".venv" / "mxnet" / "bin" / "python"


def pins(lock):
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE))


def test_every_source_that_is_copied_exists():
    copied = re.findall(r"^COPY (\S+) \S+$", DOCKERFILE, re.MULTILINE)
    assert copied == ["requirements/image.txt", "container/entrypoint.py"]
    assert all((ROOT / source).is_file() for source in copied)


def test_it_has_the_versions_that_the_tests_run_on_and_a_model_server():
    tested, image = pins("mxnet.txt"), pins("image.txt")
    assert {name: image.get(name) for name in tested} == tested
    assert image.keys() - tested.keys() >= {"multi-model-server"}
    assert "FROM python:3.11" in DOCKERFILE, "the Python that the lock is for"
    assert "--require-hashes" in DOCKERFILE


@pytest.mark.skipif(not MXNET.exists(), reason="the MXNet environment is not installed: run `make setup`")
def test_the_modules_that_it_starts_exist():
    named = re.findall(r"SAGEMAKER_\w+_MODULE=([\w.]+):main", DOCKERFILE)
    assert len(named) == 2
    look = "import importlib.util, sys; sys.exit(0 if all(map(importlib.util.find_spec, sys.argv[1:])) else 1)"
    assert subprocess.run([MXNET, "-c", look, *named], check=False).returncode == 0
    assert (MXNET.parent / "train").exists()


@pytest.mark.parametrize("argument", [[], ["bash"]])
def test_another_command_is_refused_in_a_sentence(argument):
    ran = subprocess.run(
        ["python3", ROOT / "container" / "entrypoint.py", *argument], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "SageMaker starts this image with `train` or `serve`" in ran.stderr
