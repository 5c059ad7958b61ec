"""Fixtures that every kind of test may ask for."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore.loaders
import pytest
from hypothesis import HealthCheck, settings

from tests.support.review_world import ENVIRONMENT, World, on_moto
from workbench.connection import Connection

# An example that takes long on a busy machine is no failure.
settings.register_profile("firnline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("firnline")

# Each test has sessions of its own, and each session would parse the same descriptions of AWS's services again.
_parse_once = functools.cache(botocore.loaders.JSONFileLoader()._load_file)
botocore.loaders.JSONFileLoader._load_file = staticmethod(_parse_once)  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def world() -> Iterator[World]:
    """A table, a bucket and a bus on moto. A module whose functions need more settings has a `world` of its own."""
    with on_moto() as made:
        yield made


@pytest.fixture
def connection(world: World) -> Connection:
    """What a command of `firnline` gets to know of the stack in that world."""
    names = {"FramesBucketName": "frames", "WorkspaceBucketName": ENVIRONMENT["WORKSPACE_BUCKET"]}
    return Connection(boto3.Session(), names | {"TableName": ENVIRONMENT["TABLE_NAME"]}, local=False)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real radar data; it carries no licence, so it lies beside the project and not in it."""
    folder = Path(os.environ.get("FIRNLINE_REAL_DATA", ROOT.parent / "shared" / "data" / "real"))
    if not folder.is_dir():
        pytest.skip(f"real radar data is not at {folder} (set FIRNLINE_REAL_DATA)")
    return folder


@pytest.fixture(scope="session")
def field_data(real_data: Path) -> Path:
    """The folder of files of the kinds that people have had trouble with."""
    folder = real_data.parent / "field"
    if not folder.is_dir():
        pytest.skip(f"files of the field are not at {folder}")
    return folder
