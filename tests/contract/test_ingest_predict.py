"""What ingest writes of an upload is what predict takes: the event, the picture and its frame document."""

from firnline.documents.echogram import decode_png
from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.store import keys
from tests.support.functions import ROWS, Functions
from tests.support.ingest_files import cresis_variables, impdar, irsno1b, mat5
from tests.support.template import functions_that_take
from tests.support.uploads_bucket import FRAME_ID


def test_frame_ready_goes_to_predict_alone(functions: Functions) -> None:
    assert functions_that_take(functions.ingest()) == {"predict_layers"}


def test_an_upload_goes_to_ingest_alone_and_a_rejection_to_nobody(functions: Functions) -> None:
    functions.uploads.deliver(functions.uploads.put(f"{FRAME_ID}.png", b"no picture"))
    assert functions_that_take(functions.the_event("FrameRejected")) == set()
    assert list(functions.world.register.of_status("REJECTED"))


def test_the_endpoint_is_asked_for_the_picture_that_ingest_wrote(functions: Functions) -> None:
    ready = functions.ingest()
    asked: list[bytes] = []
    answer = functions.answer
    functions.answer = lambda png: asked.append(png) or answer(png)  # type: ignore[func-returns-value]
    functions.deliver(ready)
    stored = functions.world.bucket.read(keys.echogram(FRAME_ID, ready["detail"]["revision"]), 10**7)
    assert [decode_png(png).tolist() for png in asked] == [decode_png(stored).tolist()]


def test_what_the_model_answers_is_stored_in_the_pixels_of_the_frame_document(functions: Functions) -> None:
    ready = functions.ingest()
    functions.deliver(ready)
    revision = ready["detail"]["revision"]
    frame = FrameDocument.model_validate_json(functions.world.bucket.read(keys.frame(FRAME_ID, revision), 10**7))
    stored = functions.world.bucket.read(keys.prediction(FRAME_ID, revision, "first"), 10**7)
    layers = LayersDocument.model_validate_json(stored)
    assert (layers.image.width, layers.image.height) == (frame.width, frame.height)
    assert layers.frame_id == FRAME_ID
    found = [(layer.label, round(layer.vertices[0].y)) for layer in layers.layers]
    assert found == list(zip(("surface", "layer", "bed"), ROWS, strict=True))


def test_every_form_of_file_becomes_a_picture_that_the_model_reads(functions: Functions) -> None:
    files = {"a.nc": irsno1b(), "b.mat": mat5(cresis_variables()), "c.mat": impdar()}
    for name, content in files.items():
        functions.uploads.deliver(functions.uploads.put(f"c/s/{name}", content))
    ready = functions.world.events("FrameReady")
    assert len(ready) == len(files)
    for event in ready:
        functions.deliver(event)
    assert len(list(functions.world.register.of_status("PREDICTED"))) == len(files)
