"""Does the endpoint answer as the model that was just deployed?"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from firnline.documents.echogram import decode_png, encode_png
from firnline.documents.layers import LayersDocument
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_PICTURE_BYTES, MAX_REQUEST_BYTES, TILE_PIXELS
from firnline.store import keys
from firnline.store.bucket import Bucket


class SmokeTestFailed(Exception):
    """The endpoint serves, but not what it should."""


class SmokeTestRequest(BaseModel):
    """`snapshot` is the dataset whose holdout gives the image; empty: any echogram that is stored."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    endpoint_name: str
    model_version: str
    snapshot: str = ""


def smoke_test(request: SmokeTestRequest, bucket: Bucket, runtime: Any) -> dict[str, Any]:
    """Send one echogram and check the answer; raises `SmokeTestFailed`.

    `runtime` is a boto3 SageMaker runtime client.
    """
    key = _an_echogram(bucket, request.snapshot)
    png = _for_a_request(bucket.read(key, MAX_PICTURE_BYTES))
    answer = runtime.invoke_endpoint(
        EndpointName=request.endpoint_name, ContentType="image/png", Accept="application/json", Body=png
    )
    body = answer["Body"].read(MAX_DOCUMENT_BYTES + 1)
    try:
        document = LayersDocument.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise SmokeTestFailed(f"The endpoint's answer to {key} is not a layers document: {first}.") from error
    height, width = decode_png(png).shape
    if (document.image.height, document.image.width) != (height, width):
        raise SmokeTestFailed(f"The endpoint's answer is for {document.image}, the echogram {key} has other pixels.")
    if document.source.model_version != request.model_version:
        raise SmokeTestFailed(
            f"The endpoint answers as model {document.source.model_version}, not as {request.model_version}."
        )
    return {"echogram": key, "layers": len(document.layers), "model_version": request.model_version}


def _for_a_request(png: bytes) -> bytes:
    """The echogram, or the beginning of a larger one's track."""
    if len(png) <= MAX_REQUEST_BYTES:
        return png
    grey = decode_png(png)
    return encode_png(grey[:, : max(2, TILE_PIXELS // len(grey))])


def _an_echogram(bucket: Bucket, snapshot: str) -> str:
    prefixes = [f"{keys.dataset_prefix(snapshot)}holdout-images/"] if snapshot else []
    for prefix in [*prefixes, "frames/"]:
        for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=prefix):
            for item in page.get("Contents", []):
                if item["Key"].endswith(".png"):
                    return item["Key"]
    raise SmokeTestFailed("There is no echogram to test the endpoint with: upload a frame first.")
