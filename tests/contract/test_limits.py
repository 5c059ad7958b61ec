"""Everything on a picture's way, from ingest to training and judging, takes as large a picture as `firnline.limits` allows."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samcli.yamlhelper import yaml_parse

from firnline.documents.echogram import decode_png, encode_png
from firnline.limits import MAX_PICTURE_BYTES, MAX_PICTURE_PIXELS, MAX_REQUEST_BYTES
from layer_model import code_files, echogram_input
from provision.serving import MAX_TRANSFORM_BYTES
from smoke_test import smoke
from workbench.local_cloud import serving

LAYER_MODEL = Path(code_files.FOLDER)
MACHINES = Path(__file__).parents[2] / "statemachines"
MOST_THAT_BATCH_TRANSFORM_TAKES_MB = 100


def found(name: str, value: Any) -> Iterator[Any]:
    """Every value under a key of this name, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from [inner] if key == name else found(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from found(name, inner)


def machine(name: str) -> dict[str, Any]:
    return yaml_parse((MACHINES / f"{name}.asl.yaml").read_text())


def test_the_model_in_the_box_serves_with_todays_code() -> None:
    with tarfile.open(LAYER_MODEL / "first_model" / "model.tar.gz") as archive:
        carried = {
            member.name.removeprefix("code/"): stream.read()
            for member in archive
            if member.name.startswith("code/") and (stream := archive.extractfile(member))
        }
    todays = {name: Path(path).read_bytes() for name, path in code_files.serving_files().items()}
    assert carried == todays, "firnline first-model --code-only (or --go-on, where answers change)"


def test_batch_transform_and_the_server_behind_it_take_it_too() -> None:
    payloads = list(found("MaxPayloadInMB", machine("retrain")))
    assert len(payloads) == 2, "candidate and champion"
    assert all(payload * 1_000_000 >= MAX_PICTURE_BYTES for payload in payloads)
    assert all(payload <= MOST_THAT_BATCH_TRANSFORM_TAKES_MB for payload in payloads)
    environments = [*found("Environment", machine("retrain")), *found("Environment", machine("deploy_model"))]
    assert len(environments) == 3, "candidate, champion and its model package"
    for environment in environments:
        assert int(environment["MMS_MAX_REQUEST_SIZE"]) == MAX_TRANSFORM_BYTES >= MAX_PICTURE_BYTES


@pytest.mark.parametrize("shape", [(4_000, 4_000), (160, 100_000), (100_000, 160)])
def test_no_picture_of_that_many_pixels_has_more_bytes(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    png = encode_png(noise)
    assert MAX_PICTURE_PIXELS < len(png) <= MAX_PICTURE_BYTES
    assert np.array_equal(echogram_input.decode_png(png), noise)
    assert np.array_equal(decode_png(png), noise)
    cut = smoke._for_a_request(png)
    assert len(cut) <= MAX_REQUEST_BYTES == serving.BODY_LIMIT
    assert decode_png(cut).shape[0] == shape[0]
