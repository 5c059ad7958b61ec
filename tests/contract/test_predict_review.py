"""What predict writes is what a review is started with: the event, the prediction's row, its document and its overlay."""

import json

from PIL import Image

from firnline.documents.layers import LayersDocument
from firnline.portal.page import render_template
from firnline.portal.store import Task
from firnline.portal.table_store import TableStore
from firnline.review.human_loop import loop_name
from firnline.store import keys
from firnline.store.bucket import split_uri
from tests.support.functions import HEIGHT, ROWS, WIDTH, Functions, functions_on_moto
from tests.support.review_world import ENVIRONMENT
from tests.support.template import functions_that_take
from tests.support.uploads_bucket import FRAME_ID


def task_of(functions: Functions, loop: str) -> Task:
    world = functions.world
    task = TableStore(world.table, world.bucket, world.bus).get(loop)
    assert task is not None
    return task


def test_layers_predicted_goes_to_review_alone(functions: Functions) -> None:
    assert functions_that_take(functions.predict()) == {"start_review"}


def test_the_loop_is_named_after_what_the_event_says(functions: Functions) -> None:
    event = functions.predict()
    functions.deliver(event)
    name = loop_name(
        functions.world.bucket.name, FRAME_ID, event["detail"]["revision"], event["detail"]["model_version"]
    )
    assert functions.world.register.frame_of_review(name) == FRAME_ID
    assert task_of(functions, name).input_content["frame_id"] == FRAME_ID


def test_the_reviewer_is_shown_the_lines_of_the_predicted_document(functions: Functions) -> None:
    task = task_of(functions, functions.review())
    lines = task.input_content["a2i_json"]["polylines"]
    assert [line["label"] for line in lines] == ["surface", "layer", "bed"]
    assert [round(line["vertices"][0]["y"]) for line in lines] == list(ROWS)
    assert task.input_content["image"] == {"width": WIDTH, "height": HEIGHT}
    assert task.input_content["confidence"] == predicted(functions, task).confidence


def predicted(functions: Functions, task: Task) -> LayersDocument:
    where = (FRAME_ID, task.input_content["revision"], task.input_content["model_version"])
    return LayersDocument.model_validate_json(functions.world.bucket.read(keys.prediction(*where), 10**7))


def test_every_image_of_the_task_is_there_and_of_the_pictures_size(functions: Functions) -> None:
    task = task_of(functions, functions.review())
    for name in ("model_output_image", "labeled_image", "unlabeled_image"):
        bucket, key = split_uri(task.input_content[name])
        body = functions.uploads.s3.get_object(Bucket=bucket, Key=key)["Body"]
        with Image.open(body) as image:
            assert image.size == (WIDTH, HEIGHT), name


def test_the_worker_template_finds_all_that_it_names_in_the_tasks_input(functions: Functions) -> None:
    task = task_of(functions, functions.review())
    page = render_template(task, str)
    assert task.input_content["unlabeled_image"] in page
    assert "{{" not in page


def test_a2i_is_given_the_same_task_as_the_page() -> None:
    with functions_on_moto(REVIEW_PROVIDER="portal") as on_the_page:
        own = task_of(on_the_page, on_the_page.review()).input_content
    with functions_on_moto(REVIEW_PROVIDER="a2i") as through_a2i:
        loop = through_a2i.review()
        [started] = through_a2i.start_human_loop
    assert started["HumanLoopName"] == loop
    assert started["FlowDefinitionArn"] == ENVIRONMENT["FLOW_DEFINITION_ARN"]
    assert json.loads(started["HumanLoopInput"]["InputContent"]) == own


def test_a_model_that_is_sure_is_not_reviewed() -> None:
    with functions_on_moto(REVIEW_CONFIDENCE="0.1") as functions:
        functions.review()
        assert list(functions.world.register.of_status("ACCEPTED"))
        assert not list(functions.world.register.of_status("IN_REVIEW"))
