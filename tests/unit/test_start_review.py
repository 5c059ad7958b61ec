import json

import boto3
import numpy as np
import pytest
from botocore.stub import Stubber

from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, now
from firnline.events import LayersPredicted
from firnline.portal.page import render_template
from firnline.portal.store import Task
from firnline.review.diversity import Diversity
from firnline.review.policy import Policy, drawn_for_audit
from firnline.review.providers import A2I, Portal
from firnline.review.task_input import input_content
from firnline.review.task_template import task_template
from firnline.store import keys
from firnline.store.frame_register import FrameRegister
from firnline.store.loops import Loops
from firnline.store.rows import ReviewBudgetRow
from start_review import app
from start_review.review import ReviewStarter
from tests.support.review_world import ENVIRONMENT, MODEL, REVISION, Context, line
from tests.support.samples import sample

FRAME = "2012_Greenland/20120330_04/0939"
EVENT = LayersPredicted(frame_id=FRAME, revision=REVISION, model_version=MODEL)
SAMPLE = sample("start_review")


def starter(world, budget=0, confidence=0.9, audit_rate=0.0, provider=None, apart=0):
    provider = provider or Portal(world.table, world.bucket)
    policy, diversity = Policy(confidence, audit_rate), Diversity(apart, 0.15)
    return ReviewStarter(world.register, world.bucket, provider, "portal", policy, budget, diversity)


def status(world, frame_id=FRAME):
    return world.register.get(frame_id).status


def test_an_unsure_prediction_is_reviewed_and_a_sure_one_accepted(world):
    name = world.predicted_frame(confidence=0.6)
    world.predicted_frame("c/s/sure", confidence=0.95)
    assert starter(world).handle(EVENT) == "in review"
    assert starter(world).handle(EVENT.model_copy(update={"frame_id": "c/s/sure"})) == "accepted"
    assert (status(world), status(world, "c/s/sure")) == ("IN_REVIEW", "ACCEPTED")
    assert world.register.review(FRAME, name).state == "STARTED"
    assert world.register.frame_of_review(name) == FRAME
    assert [loop.loop_name for loop in Loops(world.table).of_state("OPEN")] == [name]


def test_input_content_is_what_the_template_reads(world):
    name = world.predicted_frame(confidence=0.6)
    starter(world).handle(EVENT)
    content = json.loads(world.bucket.read(f"reviews/{name}/input.json", 10**7))
    assert content["labels"] == ["surface", "layer", "bed"]
    assert content["a2i_json"]["polylines"][0] == {
        "label": "surface",
        "vertices": [{"x": 0.0, "y": 10.0}, {"x": 63.0, "y": 10.0}],
    }
    assert content["image"] == {"width": 64, "height": 48}
    assert content["model_output_image"] == world.bucket.uri(keys.prediction_overlay(FRAME, REVISION, MODEL))
    assert content["labeled_image"] == content["unlabeled_image"] == world.bucket.uri(keys.echogram(FRAME, REVISION))
    assert (content["frame_id"], content["revision"], content["model_version"]) == (FRAME, REVISION, MODEL)
    assert "60%" in content["reason"]


@pytest.mark.parametrize("form", ["png", "irsno1b-nc"])
def test_the_reviewer_is_told_how_a_picture_was_taken(world, form):
    name = world.predicted_frame(confidence=0.6, format=form, polarity="dark-strong", polarity_confidence=0.62)
    starter(world).handle(EVENT)
    content = json.loads(world.bucket.read(f"reviews/{name}/input.json", 10**7))
    page = render_template(Task(name, now(), "open", content, task_template()), str)
    assert ("Polarity dark-strong is a guess (confidence 0.62)" in page) == (form == "png")
    assert ("The frame came as a picture" in page) == (form == "png")


def test_a_partial_annotation_is_drawn_into_the_labelled_image(world):
    name = world.predicted_frame()
    partial = LayersDocument(
        frame_id=FRAME,
        image=ImageSize(width=64, height=48),
        coverage="partial",
        source=Source(kind="import", created=now()),
        layers=[line("surface", 11)],
    )
    world.bucket.write(keys.partial(FRAME, REVISION), partial.to_json(), "application/json")
    starter(world).handle(EVENT)
    content = json.loads(world.bucket.read(f"reviews/{name}/input.json", 10**7))
    assert content["labeled_image"] == world.bucket.uri(keys.review_labelled(name))
    assert world.bucket.exists(keys.review_labelled(name))


def test_repeated_deliveries_change_nothing(world):
    world.predicted_frame()
    outcomes = [starter(world, budget=1).handle(EVENT) for _ in range(3)]
    assert outcomes == ["in review"] * 3
    assert ReviewBudgetRow.get(world.table, segment="2012_Greenland/20120330_04").opened == 1
    assert len(list(Loops(world.table).of_state("OPEN"))) == 1


class DiesOnce:
    """A provider whose process dies as it starts its first loop."""

    def __init__(self, provider):
        self._provider, self.died = provider, False

    def start(self, name, content):
        if not self.died:
            self.died = True
            raise ConnectionError("the process died here")
        self._provider.start(name, content)


def test_a_death_between_note_and_loop_is_made_up_for(world):
    name = world.predicted_frame()
    mortal = starter(world, provider=DiesOnce(Portal(world.table, world.bucket)))
    with pytest.raises(ConnectionError):
        mortal.handle(EVENT)
    assert world.register.review(FRAME, name).state == "STARTED"
    assert status(world) == "PREDICTED"
    assert mortal.handle(EVENT) == "in review"
    assert status(world) == "IN_REVIEW"


def test_a_review_that_failed_before_the_status_moved_does_not_leave_the_frame_in_review(world):
    name = world.predicted_frame()

    class FailsAtOnce(Portal):
        def start(self, loop, content):
            super().start(loop, content)
            world.register.fail_review(FRAME, loop, "The loop expired.")

    starter(world, provider=FailsAtOnce(world.table, world.bucket)).handle(EVENT)
    frame = world.register.get(FRAME)
    assert (frame.status, frame.review_reason) == ("PREDICTED", "The loop expired.")
    assert starter(world).handle(EVENT) == "closed"
    assert world.register.review(FRAME, name).state == "FAILED"


def test_the_budget_of_a_segment_is_kept(world):
    frames = [f"c/s/{number}" for number in range(5)]
    for frame_id in [*frames, "c/other/0"]:
        world.predicted_frame(frame_id, confidence=0.5)
    events = [EVENT.model_copy(update={"frame_id": frame_id}) for frame_id in [*frames, "c/other/0"]]
    outcomes = [starter(world, budget=2).handle(event) for event in events]
    assert outcomes == ["in review"] * 2 + ["accepted"] * 3 + ["in review"]
    assert "budget of 2" in world.register.get("c/s/4").review_reason


def handled(world, frame_id, **settings):
    return starter(world, **settings).handle(EVENT.model_copy(update={"frame_id": frame_id}))


def test_of_frames_that_look_alike_one_is_reviewed_and_the_other_says_why_not(world):
    for number in (1, 2, 9):
        world.predicted_frame(f"c/s/{number:03d}", confidence=0.6)
    world.predicted_frame("c/t/002", confidence=0.6)
    assert handled(world, "c/s/001", apart=3) == "in review"
    assert handled(world, "c/s/002", apart=3) == "accepted"
    note = world.register.get("c/s/002").review_reason
    assert note == (
        "The model's confidence is 60%, below 90%. It is passed over: it looks like 001, 1 frame along the track, whose "
        "confidence of 60% is not clearly higher and whose review is open or done."
    )
    assert handled(world, "c/s/009", apart=3) == "in review"  # 8 frames away
    assert handled(world, "c/t/002", apart=3) == "in review"  # of another segment
    assert handled(world, "c/s/002", apart=3) == "stale"


def test_a_look_alike_is_reviewed_if_it_is_clearly_less_sure_or_drawn_for_audit(world):
    for number, confidence in enumerate([0.6, 0.45, 0.95], 1):
        world.predicted_frame(f"c/s/{number}", confidence=confidence)
    assert handled(world, "c/s/1", apart=3) == "in review"
    assert handled(world, "c/s/2", apart=3) == "in review"
    assert handled(world, "c/s/3", apart=3, audit_rate=1.0) == "in review"


def test_a_review_that_failed_stands_for_no_other_frame(world):
    name = world.predicted_frame("c/s/1", confidence=0.6)
    world.predicted_frame("c/s/2", confidence=0.6)
    assert handled(world, "c/s/1", apart=3) == "in review"
    world.register.fail_review("c/s/1", name, "The loop expired.")
    assert handled(world, "c/s/2", apart=3) == "in review"


def test_repeated_deliveries_keep_one_look_and_the_budget_is_kept_with_diversity_too(world):
    for number in (1, 2, 20, 40):
        world.predicted_frame(f"c/s/{number}", confidence=0.6)
    assert [handled(world, "c/s/1", apart=3, budget=2) for _ in range(3)] == ["in review"] * 3
    assert handled(world, "c/s/2", apart=3, budget=2) == "accepted"  # passed over, so it costs none of the budget
    assert handled(world, "c/s/20", apart=3, budget=2) == "in review"
    assert handled(world, "c/s/40", apart=3, budget=2) == "accepted"
    assert "budget of 2" in world.register.get("c/s/40").review_reason
    row = ReviewBudgetRow.get(world.table, segment="c/s")
    assert (row.opened, [look.stem for look in row.looks]) == (2, ["1", "20"])


def test_a_decision_is_made_anew_if_a_look_alike_went_to_review_meanwhile(world, monkeypatch):
    for number in (1, 2):
        world.predicted_frame(f"c/s/{number}", confidence=0.6)
    register, read, other = world.register, FrameRegister.reviews_of_segment, []

    def read_then_overtaken(self, segment):
        seen = read(self, segment)
        if not other:
            other.append("begun")
            other.append(handled(world, "c/s/1", apart=3))
        return seen

    monkeypatch.setattr(FrameRegister, "reviews_of_segment", read_then_overtaken)
    assert handled(world, "c/s/2", apart=3) == "accepted"
    assert other == ["begun", "in review"]
    assert "looks like 1," in register.get("c/s/2").review_reason


def test_stale_predictions_are_left_alone(world):
    world.predicted_frame()
    assert starter(world).handle(EVENT.model_copy(update={"revision": "ffffffffffff"})) == "stale"
    assert starter(world).handle(EVENT.model_copy(update={"model_version": "newer"})) == "stale"
    assert starter(world).handle(EVENT.model_copy(update={"frame_id": "c/s/unknown"})) == "stale"
    assert status(world) == "PREDICTED"


def test_the_handler_reads_the_sample_event(world):
    app.starter.cache_clear()
    app.load_settings.cache_clear()
    world.predicted_frame()
    assert app.handler(SAMPLE, Context()) == {"batchItemFailures": []}
    assert status(world) == "IN_REVIEW"


def test_a2i_is_asked_and_a_loop_that_exists_counts_as_started(monkeypatch):
    client = boto3.client(
        "sagemaker-a2i-runtime", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    content = {"frame_id": FRAME, "a2i_json": {"polylines": []}}
    arn = ENVIRONMENT["FLOW_DEFINITION_ARN"]
    request = {
        "HumanLoopName": "loop",
        "FlowDefinitionArn": arn,
        "HumanLoopInput": {"InputContent": json.dumps(content)},
    }
    described = {
        "CreationTime": now(),
        "HumanLoopStatus": "InProgress",
        "HumanLoopName": "loop",
        "HumanLoopArn": f"{arn}/loop",
        "FlowDefinitionArn": arn,
    }
    with Stubber(client) as a2i:
        a2i.add_response("start_human_loop", {"HumanLoopArn": f"{arn}/loop"}, request)
        a2i.add_client_error("start_human_loop", "ConflictException", expected_params=request)
        a2i.add_response("describe_human_loop", described, {"HumanLoopName": "loop"})
        a2i.add_client_error("start_human_loop", "ThrottlingException")
        A2I(client, arn).start("loop", content)
        A2I(client, arn).start("loop", content)
        with pytest.raises(client.exceptions.ClientError):
            A2I(client, arn).start("loop", content)
        a2i.assert_no_pending_responses()


def test_audit_draws_its_share_and_always_the_same():
    drawn = [drawn_for_audit("c/s/f", str(number), 0.1) for number in range(5000)]
    assert 0.08 < np.mean(drawn) < 0.12
    assert drawn == [drawn_for_audit("c/s/f", str(number), 0.1) for number in range(5000)]
    assert not drawn_for_audit("c/s/f", "r", 0.0)
    assert drawn_for_audit("c/s/f", "r", 1.0)
    assert "audit" in Policy(0.5, 1.0).reason_to_review("c/s/f", "r", 0.99).sentence


def test_a_prediction_too_long_for_a2i_is_simplified_until_it_fits():
    width, generator = 4000, np.random.default_rng(3)
    rough = [
        Layer(label="layer", vertices=[Vertex(x=x, y=y) for x, y in enumerate(base + generator.uniform(0, 9, width))])
        for base in range(5, 605, 10)
    ]
    document = LayersDocument(
        frame_id=FRAME,
        image=ImageSize(width=width, height=620),
        coverage="complete",
        confidence=0.4,
        source=Source(kind="model", created=now()),
        layers=rough,
    )
    images = dict.fromkeys(("model_output_image", "labeled_image", "unlabeled_image"), "s3://b/k")
    content = input_content(document, revision=REVISION, reason="", **images)
    assert len(json.dumps(content)) <= 3_145_728
    assert content["simplified_px"] > 0.35
    assert len(content["a2i_json"]["polylines"]) == 60
