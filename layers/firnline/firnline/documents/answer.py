"""What an endpoint or a batch transform answered, checked before anything believes it."""

from pydantic import ValidationError

from firnline.documents.layers import ImageSize, LayersDocument
from firnline.limits import MAX_DOCUMENT_BYTES


class MalformedAnswer(Exception):
    """The answer is not what a model of Firnline answers: a fault of the model, not of the frame."""


def checked_answer(body: bytes, image: ImageSize, model_version: str | None = None) -> LayersDocument:
    """The layers in an answer; `MalformedAnswer` unless they are a model's, for this image.

    With `model_version`, they must be of this version.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise MalformedAnswer(f"it has more than {MAX_DOCUMENT_BYTES} bytes")
    try:
        document = LayersDocument.model_validate_json(body)
    except ValidationError as error:
        raise MalformedAnswer(f"not a layers document: {error.errors(include_url=False)[0]['msg']}") from error
    if document.image != image:
        raise MalformedAnswer(
            f"an answer for another image, of {document.image.width} x {document.image.height} pixels instead of "
            f"{image.width} x {image.height}"
        )
    if document.source.kind != "model" or not document.source.model_version:
        raise MalformedAnswer("it does not say which model version it is from")
    if model_version is not None and document.source.model_version != model_version:
        raise MalformedAnswer(
            f"an answer of another model, {document.source.model_version}, instead of {model_version}"
        )
    return document
