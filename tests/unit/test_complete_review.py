import json

import boto3
import numpy as np
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from complete_review import app
from complete_review.completion import ReviewCompleter
from firnline.documents.layer_lines import clean_polyline
from firnline.documents.layers import LayersDocument
from firnline.errors import Refused
from firnline.events import LayersPredicted
from firnline.limits import MAX_VERTICES
from firnline.observability import subject
from firnline.review.answer import read_answer
from firnline.review.arbitration import arbitration_input
from firnline.review.decision import Disputed, decide
from firnline.review.human_loop import LoopEvent, LoopOutput
from firnline.review.policy import Policy
from firnline.review.providers import Portal
from firnline.store.loops import Loops
from firnline.store.rows import CounterRow
from start_review.review import ReviewStarter
from tests.support.review_world import (
    ENVIRONMENT,
    HEIGHT,
    MODEL,
    REVISION,
    WIDTH,
    Context,
    answer,
    loop_event,
    polyline,
    sqs_event,
)
from tests.support.samples import sample

FRAME = "2012_Greenland/20120330_04/0939"
SAMPLE = sample("complete_review")
SURFACE = polyline("surface", (0, 11), (63, 12))
LAYER = polyline("layer", (0, 21), (30, 22.5), (63, 22))


def completer(world, every=100, a2i=None):
    return ReviewCompleter(
        world.register, world.corrections, world.bucket, world.bus, a2i, ENVIRONMENT["STACK_NAME"], every,
        Loops(world.table), Portal(world.table, world.bucket),
    )  # fmt: skip


def in_review(world, frame_id=FRAME):
    name = world.predicted_frame(frame_id)
    starter = ReviewStarter(world.register, world.bucket, Portal(world.table, world.bucket), "portal", Policy(1, 0), 0)
    assert starter.handle(LayersPredicted(frame_id=frame_id, revision=REVISION, model_version=MODEL)) == "in review"
    return name


def handle(world, event, every=100, a2i=None):
    return completer(world, every, a2i).handle(LoopEvent.model_validate(event))


def test_a_correction_is_stored_counted_and_visible(world):
    name = in_review(world)
    assert handle(world, world.answered(name, answer(SURFACE, LAYER))) == "corrected"
    frame = world.register.get(FRAME)
    assert (frame.status, frame.review) == ("CORRECTED", name)
    assert world.register.review(FRAME, name).state == "COMPLETED"
    assert world.corrections.counts().total == 1
    stored = world.corrections.get(name)
    assert (stored.layers, stored.coverage, stored.seconds, stored.answers) == (2, "complete", 40.5, 1)
    prefix = f"corrections/{FRAME}/{name}/"
    assert stored.image_prefix == f"s3://workspace/{prefix}"
    document = LayersDocument.model_validate_json(world.bucket.read(f"{prefix}layers.json", 10**6))
    assert (document.source.kind, document.source.review, document.source.model_version) == ("human", name, MODEL)
    assert world.bucket.read(f"{prefix}overlay.png", 10**6).startswith(b"\x89PNG")
    coordinates = list(world.corrections.layers(FRAME, name))
    assert [(layer.label, list(layer.x), list(layer.y)) for layer in coordinates] == [
        ("surface", [0, 63], [11, 12]),
        ("layer", [0, 30, 63], [21, 22.5, 22]),
    ]
    assert {layer.image_prefix for layer in coordinates} == {f"s3://workspace/{prefix}"}


def test_repeated_events_count_once(world):
    name = in_review(world)
    event = world.answered(name, answer(SURFACE))
    assert [handle(world, event) for _ in range(3)] == ["corrected", "known", "known"]
    assert world.corrections.counts().total == 1


def test_every_full_batch_is_claimed_and_announced(world):
    names = [in_review(world, f"c/s/{number}") for number in range(5)]
    for name in names:
        handle(world, world.answered(name, answer(SURFACE)), every=2)
    assert world.corrections.counts() == CounterRow(total=5, claimed=4, last_batch=2, every=2)
    assert [event["detail"] for event in world.events("CorrectionBatchClaimed")] == [{"batch": 1}, {"batch": 2}]


STEPS = [
    ("bucket.write", "corrections/"),
    ("corrections.record", ""),
    ("register.complete_review", ""),
    ("register.corrected", ""),
    ("corrections.claim_batches", ""),
    ("bus.send", ""),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [step for step, _ in STEPS])
def test_a_death_at_any_step_loses_nothing(world, step, when):
    """Given a process that dies around one step, when the event comes again, then all is as if it had not died."""
    name = in_review(world)
    event = world.answered(name, answer(SURFACE, LAYER))
    mortal = completer(world, every=1)
    part, method = step.split(".")
    target = getattr(mortal, part)
    original = getattr(target, method)

    def dies(*args, **details):
        setattr(target, method, original)
        if when == "after":
            original(*args, **details)
        raise ConnectionError("the process died here")

    setattr(target, method, dies)
    with pytest.raises(ConnectionError):
        mortal.handle(LoopEvent.model_validate(event))
    handle(world, event, every=1)
    assert world.corrections.counts() == CounterRow(total=1, claimed=1, last_batch=1, every=1)
    assert world.register.get(FRAME).status == "CORRECTED"
    assert world.register.review(FRAME, name).state == "COMPLETED"
    assert {event["detail"]["batch"] for event in world.events("CorrectionBatchClaimed")} == {1}


@pytest.mark.parametrize(
    ("submitted", "sentence"),
    [
        (answer(polyline("layer", (0, 10), (63, 40)), polyline("layer", (0, 40), (63, 10))), "cross at trace"),
        (answer(polyline("layer", (0, 10), (900, 10))), "outside the echogram of 64 x 48"),
        (answer(polyline("rock", (0, 10), (9, 10))), "annotatedResult.polylines.0.label"),
        (answer(polyline("layer", (5, 10), (5, 20))), "no line to learn from"),
        (answer(all_layers_drawn={"on": False}), "no line to learn from"),
        (answer(SURFACE, width=999), "picture of 999 x 48"),
        ({"annotatedResult": {}}, "annotatedResult.polylines"),
        ({"annotatedResult": {"polylines": [{"label": "bed", "vertices": [{"x": "NaN", "y": 1}]}]}}, "finite"),
        ({}, "annotatedResult"),
        ([], "form of a drawing"),
    ],
)
def test_what_cannot_be_used_is_kept_and_the_reason_is_told(world, submitted, sentence):
    name = in_review(world)
    event = world.answered(name, submitted)
    assert [handle(world, event), handle(world, event)] == ["failed", "failed"]
    frame, review = world.register.get(FRAME), world.register.review(FRAME, name)
    assert (frame.status, review.state) == ("PREDICTED", "FAILED")
    assert sentence in frame.review_reason
    assert "output.json" in frame.review_reason
    assert review.reason == frame.review_reason
    assert world.corrections.counts().total == 0
    assert world.bucket.exists(event["detail"]["humanLoopOutput"]["outputS3Uri"].removeprefix("s3://workspace/"))


def test_an_answer_without_layers_is_a_correction(world):
    name = in_review(world)
    assert handle(world, world.answered(name, answer())) == "corrected"
    assert (world.corrections.get(name).layers, world.corrections.get(name).coverage) == (0, "complete")


def test_an_unchecked_box_makes_the_correction_partial(world):
    name = in_review(world)
    handle(world, world.answered(name, answer(SURFACE, all_layers_drawn={"on": False})))
    assert world.corrections.get(name).coverage == "partial"


def test_of_answers_through_a2i_what_all_agree_on_is_a_partial_correction(world):
    """A2I has no arbiters; an answer that cannot be used does not hide the others."""
    name = in_review(world)
    crossing = answer(polyline("layer", (0, 10), (63, 40)), polyline("layer", (0, 40), (63, 10)))
    handle(world, world.answered(name, answer(SURFACE), answer(SURFACE, LAYER), crossing))
    stored = world.corrections.get(name)
    assert (stored.layers, stored.answers, stored.answers_refused) == (1, 3, 1)
    assert (stored.coverage, stored.agreement) == ("partial", pytest.approx(2 / 3))
    assert stored.answers_differ is True


def wave(count, row, width=WIDTH):
    """A line of so many vertices, a few of them at each column of an image of `width`."""
    x = np.linspace(0, width - 1, count)
    return polyline("layer", *zip(x.tolist(), (row + 3 * np.sin(x / 900)).tolist(), strict=True))


def test_a_line_of_more_vertices_than_a_layer_may_have_is_taken_with_fewer():
    drawing = read_answer(answer(wave(50_000, 10, 9000), wave(3, 30, 9000), width=9000), 9000, HEIGHT)
    assert len(drawing.layers[0].vertices) <= MAX_VERTICES
    x = np.arange(9000)
    rows = np.interp(x, *zip(*((v.x, v.y) for v in drawing.layers[0].vertices), strict=True))
    assert np.abs(rows - (10 + 3 * np.sin(x / 900))).max() < 0.05


def test_a_line_too_rough_for_that_is_refused():
    with pytest.raises(Refused, match="too rough to be drawn"):
        read_answer(
            answer(polyline("layer", *((x / 4, x * 7919 % 47) for x in range(36_000))), width=9000), 9000, HEIGHT
        )


def test_too_many_lines_are_refused_before_they_are_compared():
    with pytest.raises(Refused, match="has 1500 lines; at most 1000"):
        read_answer(answer(*[polyline("layer", (0, 1), (63, 1))] * 1500), WIDTH, HEIGHT)


POISON = {
    "a line of one point": {"answerContent": answer(polyline("layer", *[(1, 1)] * 30_000))},
    "no drawing": {"answerContent": {"annotatedResult": "\ud800"}},
    "nothing": None,
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_an_answer_that_cannot_be_used_does_not_cost_the_good_one(world, poison):
    name = in_review(world)
    good = {"answerContent": answer(SURFACE), "submissionTime": "2026-11-22T10:00:00Z", "timeSpentInSeconds": 1}
    assert handle(world, world.answered(name, humanAnswers=[good, poison])) == "corrected"
    stored = world.corrections.get(name)
    assert (stored.layers, stored.answers, stored.answers_refused) == (1, 2, 1)


@pytest.mark.parametrize(
    "beside",
    [
        {"timeSpentInSeconds": 1e300},
        {"timeSpentInSeconds": 10**200},
        {"timeSpentInSeconds": -1},
        {"timeSpentInSeconds": float("inf")},
        {"timeSpentInSeconds": "long"},
        {"timeSpentInSeconds": []},
        {"submissionTime": 1e300},
        {"submissionTime": "0001-01-01T00:00:00+14:00"},
        {"submissionTime": "yesterday"},
        {"workerId": "\ud800\x00"},
    ],
)
def test_what_stands_beside_a_drawing_does_not_cost_the_drawing(world, beside):
    name = in_review(world)
    times = {"submissionTime": "2026-11-22T10:00:00", "timeSpentInSeconds": 40.5}
    given = {"answerContent": answer(SURFACE) | {"note": "\udfff"}, **times, **beside}
    event = world.answered(name, humanAnswers=[given], inputContent="\ud800")
    assert handle(world, event) == "corrected"
    assert world.corrections.get(name).seconds == (None if "timeSpentInSeconds" in beside else 40.5)


def test_numbers_that_are_too_long_to_be_read_are_none():
    output = b'{"humanLoopName": "a", "humanAnswers": [{"answerContent": {"n": %s}}]}' % (b"9" * 100_000)
    assert LoopOutput.of(output).humanAnswers == [{"answerContent": {"n": float("inf")}}]
    with pytest.raises(ValueError, match="nested too deeply"):
        LoopOutput.of(b"[" * 1_000_000)


def test_a_reason_of_any_length_and_of_any_characters_is_written_down(world):
    name = in_review(world)
    event = loop_event(name, "Failed")
    event["detail"] |= {"failureCode": "\x00\ud800", "failureReason": "x\u2028" * 400_000}
    assert handle(world, event) == "failed"
    reason = world.register.get(FRAME).review_reason
    assert reason.startswith("The review ended without an answer (Failed, \ufffd, x x")
    assert len(reason) <= 1000


def test_a_repeated_completion_announces_one_waiting_batch_and_not_all(world):
    names = [in_review(world, f"c/s/{number}") for number in range(4)]
    for name in names:
        handle(world, world.answered(name, answer(SURFACE)), every=1)
    world.events()
    assert handle(world, world.answered(names[-1], answer(SURFACE)), every=1) == "known"
    assert [event["detail"] for event in world.events("CorrectionBatchClaimed")] == [{"batch": 1}]


def test_the_log_says_whose_message_goes_back():
    stored = {"detail": {"bucket": {"name": "b"}, "object": {"key": "c/s/f.nc"}}}
    assert subject(json.dumps(stored)) == {"key": "c/s/f.nc"}
    assert subject(json.dumps({"detail": {"frame_id": "c/s/f", "revision": "a"}})) == {
        "frame_id": "c/s/f",
        "revision": "a",
    }
    assert subject(json.dumps({"detail": {"batch": 3}})) == {"batch": "3"}
    assert subject(json.dumps(loop_event("loop-1")))["humanLoopName"] == "loop-1"
    for body in ("{", "[]", '{"detail": 1}', '{"detail": {"object": 3}}', "[" * 100_000):
        assert set(subject(body)) <= {"body"}


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_loop_that_ended_without_an_answer_gives_the_frame_back(world, status):
    name = in_review(world)
    event = loop_event(name, status)
    event["detail"] |= {"failureCode": "Expired", "failureReason": "Nobody took it."}
    assert handle(world, event) == "failed"
    frame = world.register.get(FRAME)
    assert frame.status == "PREDICTED"
    assert frame.review_reason == f"The review ended without an answer ({status}, Expired, Nobody took it.)."


def test_a_failure_that_comes_after_the_answer_changes_nothing(world):
    name = in_review(world)
    handle(world, world.answered(name, answer(SURFACE)))
    assert handle(world, loop_event(name, "Stopped")) == "known"
    assert world.register.get(FRAME).status == "CORRECTED"


def test_an_answer_that_comes_after_a_failure_still_counts(world):
    name = in_review(world)
    handle(world, loop_event(name, "Failed"))
    assert handle(world, world.answered(name, answer(SURFACE))) == "corrected"
    assert world.register.get(FRAME).status == "CORRECTED"
    assert world.register.review(FRAME, name).state == "COMPLETED"


def test_an_answer_to_an_older_revision_is_kept_for_it(world):
    name = in_review(world)
    event = world.answered(name, answer(SURFACE))
    world.register.register(FRAME, f"{FRAME}.png", "02", "ffffffffffff", "READY")
    assert handle(world, event) == "corrected"
    assert world.corrections.get(name).revision == REVISION
    assert (world.register.get(FRAME).status, world.register.get(FRAME).revision) == ("READY", "ffffffffffff")


def test_foreign_and_unknown_loops_are_ignored(world):
    name = in_review(world)
    event = world.answered(name, answer(SURFACE))
    for flow in ("invoices", "firnline-test-review-1", "firnline-review-review-1"):
        event["detail"]["flowDefinitionArn"] = f"arn:aws:sagemaker:us-east-1:000000000000:flow-definition/{flow}"
        assert handle(world, event) == "foreign", flow
    assert (
        handle(world, loop_event("nobody-knows-me", outputS3Uri="s3://workspace/a2i/nobody-knows-me/output.json"))
        == "unknown"
    )
    event["detail"]["flowDefinitionArn"] = ENVIRONMENT["FLOW_DEFINITION_ARN"][:-1] + "0"
    assert handle(world, event) == "corrected"


def test_an_answer_to_a_task_of_a2i_counts_after_the_stack_went_to_the_portal(world, monkeypatch):
    # Given a task that was begun through A2I, and the stack deployed again for the portal, which has no flow
    name = in_review(world)
    sent = sqs_event(world.answered(name, answer(SURFACE)))
    monkeypatch.setenv("FLOW_DEFINITION_ARN", "none")
    app.completer.cache_clear()
    app.load_settings.cache_clear()
    # When the answer to it comes, then it counts
    assert app.handler(sent, Context()) == {"batchItemFailures": []}
    assert world.register.get(FRAME).status == "CORRECTED"


@pytest.mark.parametrize(
    "address", ["s3://elsewhere/a2i/{name}/output.json", "s3://workspace/a2i/another/output.json", "https://x/y"]
)
def test_output_is_read_from_its_own_place_only(world, address):
    name = in_review(world)
    event = world.answered(name, answer(SURFACE))
    event["detail"]["humanLoopOutput"]["outputS3Uri"] = address.format(name=name)
    assert handle(world, event) == "failed"


@pytest.mark.parametrize(
    "claim", [{"humanLoopName": "another"}, {"inputContent": {"frame_id": "c/s/another"}}, {"humanAnswers": 7}]
)
def test_output_that_belongs_elsewhere_is_refused(world, claim):
    name = in_review(world)
    assert handle(world, world.answered(name, answer(SURFACE), **claim)) == "failed"
    assert world.corrections.counts().total == 0


def test_a_completed_event_without_output_asks_a2i_and_else_waits(world):
    name = in_review(world)
    where = world.answered(name, answer(SURFACE))["detail"]["humanLoopOutput"]["outputS3Uri"]
    client = boto3.client("sagemaker-a2i-runtime")
    arn = ENVIRONMENT["FLOW_DEFINITION_ARN"]
    described = {
        "CreationTime": "2026-11-22T10:00:00Z",
        "HumanLoopStatus": "Completed",
        "HumanLoopName": name,
        "HumanLoopArn": arn,
        "FlowDefinitionArn": arn,
    }
    with Stubber(client) as a2i:
        a2i.add_response("describe_human_loop", described, {"HumanLoopName": name})
        a2i.add_response("describe_human_loop", described | {"HumanLoopOutput": {"OutputS3Uri": where}})
        with pytest.raises(LookupError):
            handle(world, loop_event(name), a2i=client)
        assert handle(world, loop_event(name), a2i=client) == "corrected"


def test_the_handler_reads_the_sample_event_and_returns_what_failed(world):
    app.completer.cache_clear()
    app.load_settings.cache_clear()
    name = in_review(world)
    world.answered(name, answer(SURFACE))
    missing = in_review(world, "c/s/missing")
    lost = sqs_event(loop_event(missing, outputS3Uri=f"s3://workspace/a2i/{missing}/output.json"))["Records"][0]
    both = {"Records": [*SAMPLE["Records"], lost]}
    assert app.handler(both, Context()) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert world.register.get(FRAME).status == "CORRECTED"


def test_a_line_drawn_from_right_to_left_is_turned():
    cleaned = clean_polyline(np.array([(63.0, 5.0), (40.0, 7.0), (40.0, 9.0), (0.0, 6.0)]), WIDTH, HEIGHT)
    assert cleaned.tolist() == [[0, 6], [40, 8], [63, 5]]


def test_vertices_on_the_outer_edge_come_in():
    cleaned = clean_polyline(np.array([(-1.0, -0.5), (64.0, 48.0)]), WIDTH, HEIGHT)
    assert cleaned.tolist() == [[0, 0], [63, 47]]
    with pytest.raises(Refused, match=r"x=64\.2"):
        clean_polyline(np.array([(0.0, 0.0), (64.2, 5.0)]), WIDTH, HEIGHT)


coordinates = st.tuples(st.floats(-1, WIDTH), st.floats(-1, HEIGHT))


@given(st.lists(coordinates, max_size=40))
def test_cleaned_lines_run_along_the_track_inside_the_image(vertices):
    cleaned = clean_polyline(np.array(vertices).reshape(-1, 2), WIDTH, HEIGHT)
    if cleaned is None:
        assert np.unique(np.round(np.clip([x for x, _ in vertices], 0, WIDTH - 1), 2)).size < 2
        return
    assert (np.diff(cleaned[:, 0]) > 0).all()
    assert (cleaned >= 0).all()
    assert (cleaned <= [WIDTH - 1, HEIGHT - 1]).all()
    turned = clean_polyline(np.array(vertices[::-1]), WIDTH, HEIGHT)
    np.testing.assert_allclose(turned, cleaned, atol=0.011)
    np.testing.assert_allclose(clean_polyline(cleaned, WIDTH, HEIGHT), cleaned)


@given(st.lists(st.tuples(st.sampled_from(["surface", "layer", "bed"]), st.lists(coordinates, max_size=8)), max_size=6))
def test_an_answer_is_either_a_valid_document_or_refused_with_a_sentence(lines):
    content = answer(*(polyline(label, *vertices) for label, vertices in lines))
    try:
        drawing = read_answer(content, WIDTH, HEIGHT)
    except Refused as refusal:
        sentence = str(refusal)
    else:
        assert len(drawing.layers) + drawing.dropped == len(lines)
        return
    assert sentence.endswith(".")


@given(st.permutations(range(5)))
def test_the_order_in_which_lines_were_drawn_does_not_matter(order):
    lines = [polyline("layer", (0, 5 + 8 * depth), (63, 6 + 8 * depth)) for depth in range(5)]
    drawing = read_answer(answer(*(lines[index] for index in order)), WIDTH, HEIGHT)
    assert [layer.vertices[0].y for layer in drawing.layers] == [5, 13, 21, 29, 37]


def test_sloping_layers_with_gaps_are_put_in_order_of_depth():
    """A layer whose mean is deeper may lie above: on the traces that they share, not on average, one is above the
    other."""
    upper = polyline("layer", (32, 20), (63, 44))
    middle = polyline("layer", (0, 4), (63, 46))
    lower = polyline("layer", (0, 12), (31, 30))
    drawing = read_answer(answer(lower, middle, upper), WIDTH, HEIGHT)
    assert [layer.vertices[0].x for layer in drawing.layers] == [32, 0, 0]


def test_what_an_arbiter_is_shown_is_simplified_until_it_fits():
    width, limit = 1_000, 40_000
    rough = [polyline("layer", *((x, row + x * 7919 % 5) for x in range(width))) for row in (5, 20, 35)]
    given = [
        {"answerContent": answer(rough[0], line, width=width), "workerId": name}
        for name, line in zip(("ada", "ben"), rough[1:], strict=True)
    ]
    disputed = decide(given, FRAME, width, HEIGHT, {})
    assert isinstance(disputed, Disputed)
    whole, shown = arbitration_input({}, disputed), arbitration_input({}, disputed, limit)
    assert (whole["simplified_px"], len(json.dumps(whole)) > limit) == (0.35, True)
    assert (shown["simplified_px"] > 0.35, len(json.dumps(shown)) <= limit) == (True, True)
    assert [len(one["polylines"]) for one in shown["answers_json"]] == [2, 2]


def test_answers_that_are_not_even_objects_do_not_hide_others():
    good = {"answerContent": answer(SURFACE), "submissionTime": "2026-11-22T10:00:00"}
    beside = decide([7, {"answerContent": 3}, good], FRAME, WIDTH, HEIGHT, {}).beside
    assert (beside.answers, beside.refused, beside.differ) == (3, 2, False)
    with pytest.raises(Refused, match="without an answer"):
        decide([], FRAME, WIDTH, HEIGHT, {})
