"""Asking the SageMaker endpoint for the layers of an echogram."""

import json
from typing import Any

import numpy as np
from botocore.exceptions import ClientError

from firnline.documents.answer import checked_answer
from firnline.documents.echogram import encode_png
from firnline.documents.layers import ImageSize, LayersDocument
from firnline.documents.tiles import stitched, tiles
from firnline.errors import Refused
from firnline.limits import MAX_DOCUMENT_BYTES


class ModelChanged(Exception):
    """Different models answered for parts of one picture, since the endpoint was updated meanwhile."""


class Endpoint:
    """`client` is boto3's `sagemaker-runtime`."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def layers(self, grey: np.ndarray, frame_id: str) -> LayersDocument:
        """The layers of a picture (rows, columns) uint8, asked for in tiles if it is large.

        Raises
        ------
        Refused
            The endpoint will never take this echogram.
        MalformedAnswer
            What came back is not what an endpoint of Firnline answers.
        ModelChanged
            Parts of the picture were answered by different models: ask again.
        ClientError
            The endpoint is not there yet, busy or broken: ask again later.
        """
        rows, columns = grey.shape
        parts = [
            (tile, self._ask(np.ascontiguousarray(grey[:, tile.left : tile.right]), frame_id))
            for tile in tiles(rows, columns)
        ]
        versions = {document.source.model_version for _, document in parts}
        if len(versions) > 1:
            raise ModelChanged(f"the models {', '.join(sorted(map(str, versions)))} answered for parts of {frame_id}")
        return stitched(parts, columns)

    def _ask(self, grey: np.ndarray, frame_id: str) -> LayersDocument:
        png = encode_png(grey)
        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self._name, ContentType="image/png", Accept="application/json", Body=png
            )
        except ClientError as error:
            refusal = _refusal(error)
            if refusal is None:
                raise
            raise Refused(f"The network cannot read this echogram: {refusal}") from error
        image = ImageSize(width=grey.shape[1], height=grey.shape[0])
        document = checked_answer(answer["Body"].read(MAX_DOCUMENT_BYTES + 1), image)
        return document.model_copy(update={"frame_id": frame_id})


def _refusal(error: ClientError) -> str | None:
    """Why the model refuses the echogram; None if the fault lies elsewhere and may pass."""
    response: dict[str, Any] = dict(error.response)
    if response["Error"]["Code"] == "ModelError" and 400 <= int(response.get("OriginalStatusCode", 500)) < 500:
        return _sentence(response.get("OriginalMessage") or response["Error"].get("Message") or "it gives no reason")
    return None


def _sentence(told: str) -> str:
    """The sentence in a model's refusal, `{"error": "..."}`; what is none of that form stays as it came."""
    try:
        error = json.loads(told)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return told
    return error if isinstance(error, str) else told
