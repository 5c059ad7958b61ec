"""What a reviewer's answer becomes, on Firnline's page and in A2I, is what complete_review takes."""

import json
import re

import pytest

from firnline.documents.layers import LayersDocument
from firnline.review.human_loop import LOOP_NAME_PATTERN
from firnline.store import keys
from tests.support.functions import HEIGHT, WIDTH, Functions, functions_on_moto
from tests.support.review_world import answer, polyline
from tests.support.template import functions_that_take
from tests.support.uploads_bucket import FRAME_ID

DRAWN = answer(
    polyline("surface", (0, 11), (WIDTH - 1, 13)), polyline("bed", (0, 48), (WIDTH - 1, 52)), width=WIDTH, height=HEIGHT
)


def correction(functions: Functions, loop: str) -> LayersDocument:
    key = f"{keys.correction_prefix(FRAME_ID, loop)}layers.json"
    return LayersDocument.model_validate_json(functions.world.bucket.read(key, 10**6))


def lines(document: LayersDocument) -> list[tuple[str, list[tuple[float, float]]]]:
    return [(layer.label, [(vertex.x, vertex.y) for vertex in layer.vertices]) for layer in document.layers]


EXPECTED = [("surface", [(0, 11), (WIDTH - 1, 13)]), ("bed", [(0, 48), (WIDTH - 1, 52)])]


def test_the_pages_event_goes_to_complete_review_alone(functions: Functions) -> None:
    assert functions_that_take(functions.submit(functions.review(), DRAWN)) == {"complete_review"}


def test_an_answer_on_the_page_becomes_the_correction(functions: Functions) -> None:
    loop = functions.review()
    functions.deliver(functions.submit(loop, DRAWN))
    document = correction(functions, loop)
    assert lines(document) == EXPECTED
    assert (document.coverage, document.source.review) == ("complete", loop)
    assert list(functions.world.register.of_status("CORRECTED"))


def test_the_proposal_sent_back_untouched_is_taken_as_it_was_shown(functions: Functions) -> None:
    loop = functions.review()
    shown = json.loads(functions.world.bucket.read(f"reviews/{loop}/input.json", 10**7))["a2i_json"]["polylines"]
    functions.deliver(functions.submit(loop, answer(*shown, width=WIDTH, height=HEIGHT)))
    assert lines(correction(functions, loop)) == [
        (line["label"], [(vertex["x"], vertex["y"]) for vertex in line["vertices"]]) for line in shown
    ]


@pytest.mark.parametrize("complete", [True, False])
def test_the_box_that_says_all_is_drawn_decides_the_coverage(functions: Functions, complete: bool) -> None:
    loop = functions.review()
    functions.deliver(functions.submit(loop, DRAWN | {"all_layers_drawn": {"on": complete}}))
    assert correction(functions, loop).coverage == ("complete" if complete else "partial")


def test_a2is_output_of_the_loop_that_we_started_becomes_the_correction() -> None:
    with functions_on_moto(REVIEW_PROVIDER="a2i") as functions:
        loop = functions.review()
        [started] = functions.start_human_loop
        given = json.loads(started["HumanLoopInput"]["InputContent"])
        ended = functions.world.answered(started["HumanLoopName"], DRAWN, inputContent=given)
        assert functions_that_take(ended) == {"complete_review"}
        functions.deliver(ended)
        assert lines(correction(functions, loop)) == EXPECTED


def test_a_full_batch_is_announced_to_retraining_alone() -> None:
    with functions_on_moto(RETRAIN_EVERY="1") as functions:
        functions.correct(FRAME_ID, DRAWN)
        assert functions_that_take(functions.the_event("CorrectionBatchClaimed")) == {"start_retraining"}


@pytest.mark.parametrize(
    "frame_id", [FRAME_ID, "A/b/" + "c" * 96, "2012_Greenland/20120330_04/frame.with=odd_--_name", "a/b/0-._"]
)
def test_every_frames_loop_has_a_name_that_a2i_and_the_end_of_the_review_take(
    functions: Functions, frame_id: str
) -> None:
    loop = functions.correct(frame_id, DRAWN)
    assert re.fullmatch(LOOP_NAME_PATTERN, loop)
    assert len(loop) <= 63
    assert functions.world.register.frame_of_review(loop) == frame_id
