import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare_models import app
from compare_models.comparison import TooFewAnswers
from firnline.learning.judgement import HoldoutFrame, decide, judge
from firnline.store.models import Models
from tests.support.retraining_world import document
from tests.support.review_world import Context, line, on_moto
from tests.support.samples import sample

SAMPLE = sample("compare_models")
SURFACE = line("surface", 10)
CANDIDATE, CHAMPION = SAMPLE["candidate"], SAMPLE["champion"]


def answer(version, row, **details):
    return document("", SURFACE, line("layer", row), kind="model", model_version=version, **details).to_json()


def truth(count=3, **details):
    return {number: document(f"c/s/{number}", **details) for number in range(count)}


def verdict_on(drawn, candidate, champion, margin=0.005, tolerance=0.25, versions=(CANDIDATE, CHAMPION)):
    """`candidate` and `champion` are their answers by the frame's number."""
    frames = (HoldoutFrame(n, drawn[n].to_json(), candidate.get(n), champion.get(n)) for n in sorted(drawn))
    return judge(frames, *versions, margin, tolerance)


def judged(candidate, champion, drawn=None, margin=0.005, tolerance=0.25):
    """`candidate` and `champion` are the rows at which they find the layer whose true row is 20."""
    drawn = drawn or truth()
    answers = [
        {number: answer(version, row) for number in drawn}
        for version, row in ((CANDIDATE, candidate), (CHAMPION, champion))
    ]
    return verdict_on(drawn, *answers, margin, tolerance)


def test_better_is_promoted_and_worse_or_equal_is_not():
    assert judged(20, 24).promote
    assert not judged(24, 20).promote
    assert not judged(20, 20).promote
    assert not judged(20, 20, margin=0).promote


def test_the_margin_decides():
    assert not judged(20, 24, margin=0.51).promote
    assert judged(20, 24, margin=0.5).promote


def test_lines_that_lie_less_well_are_tolerated_only_so_far():
    """The champion's lines are exact, but two more are not there; one of the candidate's lies 1.9 pixels off."""
    extra = document(
        "", SURFACE, line("layer", 20), line("layer", 30), line("layer", 40), kind="model", model_version=CHAMPION
    )
    answers = {0: answer(CANDIDATE, 21.9)}, {0: extra.to_json()}
    careful, generous = (verdict_on(truth(1), *answers, tolerance=tolerance) for tolerance in (0.1, 1.0))
    assert careful.candidate["f1_2px"] > careful.champion["f1_2px"]
    assert (careful.candidate["bounded_mae_px"], careful.champion["bounded_mae_px"]) == (0.95, 0.0)
    assert "mean absolute error of 0.95 px" in careful.reason
    assert (careful.promote, generous.promote) == (False, True)


def test_a_model_that_finds_a_harder_layer_is_not_blamed_for_its_error():
    verdict = judged(21.5, 24)
    assert verdict.candidate["mae_px"] > verdict.champion["mae_px"]
    assert verdict.promote


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "no answer"),
        (b"", "not a layers document"),
        (b'{"error": "MemoryError: 2 GB"}', "the model failed: MemoryError: 2 GB"),
        (b'["error"]', "not a layers document"),
        (answer("another", 20), "another model"),
        (
            document("", SURFACE, kind="model", model_version=CANDIDATE)
            .to_json()
            .replace(b'"height":48', b'"height":49'),
            "another image",
        ),
    ],
)
def test_an_unusable_answer_counts_against_its_model(body, problem):
    drawn = truth()
    good = {number: answer(CANDIDATE, 20) for number in drawn}
    whole = verdict_on(drawn, good, {})
    broken = verdict_on(drawn, good | {1: body}, {})
    assert whole.candidate["primary"] == 1.0
    assert broken.candidate["primary"] == pytest.approx(0.8)
    assert (broken.candidate["unusable_answers"], broken.champion["unusable_answers"]) == (1, 3)
    assert problem in broken.frames[1]["candidate"]["problem"]


def test_partial_truth_is_judged_by_the_drawn_lines_alone():
    drawn = {0: document("c/s/0", SURFACE, line("bed", 40), coverage="partial")}

    def models(bed):
        return {
            0: document("", SURFACE, line("layer", 25), line("bed", bed), kind="model", model_version="m").to_json()
        }

    verdict = verdict_on(drawn, models(42), models(45), versions=("m", "m"))
    assert (verdict.metric, verdict.candidate["primary"], verdict.champion["primary"]) == (
        "followed_within_3px",
        1.0,
        0.5,
    )
    assert verdict.promote


def test_partial_truth_without_surface_and_bed_is_judged_by_recall():
    drawn = {0: document("c/s/0", line("layer", 20), coverage="partial")}
    assert judged(20, 24, drawn).metric == "recall_2px"


def test_nothing_drawn_changes_nothing():
    drawn = {0: document("c/s/0", coverage="partial").model_copy(update={"layers": []})}
    verdict = judged(20, 24, drawn)
    assert not verdict.promote
    assert "no drawn layer" in verdict.reason


SCORES = st.floats(0, 1, allow_nan=False)


@given(SCORES, SCORES, st.floats(0, 0.2), st.floats(0, 2), st.floats(0, 2))
def test_never_promotes_what_is_not_better(new, old, margin, new_mae, old_mae):
    def scores(primary, mae):
        return {"primary_metric": "f1_2px", "primary": primary, "bounded_mae_px": mae, "frames": 1}

    promote, reason = decide(scores(new, new_mae), scores(old, old_mae), margin, 0.25)
    assert promote == (new > old and new - old >= margin and new_mae - old_mae <= 0.25)
    assert reason.endswith(".")


@pytest.fixture
def world():
    with on_moto(PROMOTION_MARGIN="0.01") as made:
        yield made


def test_the_judgement_is_written_down(world):
    frames = [
        {
            "number": n,
            "split": "holdout" if n > 1 else "train",
            "frame_id": f"c/s/{n}",
            "revision": "r",
            "segment": "c/s",
        }
        for n in range(5)
    ]
    world.bucket.write("datasets/retrain-1/manifest.json", json.dumps({"frames": frames}).encode(), "application/json")
    for number in (2, 3, 4):
        world.bucket.write(
            f"datasets/retrain-1/holdout-truth/{number:06d}.json", truth(5)[number].to_json(), "application/json"
        )
        for role, version, row in (("candidate", CANDIDATE, 20.2), ("champion", CHAMPION, 20.2 if number == 2 else 30)):
            if (role, number) != ("champion", 4):
                key = f"answers/retrain-1/{role}/{number:06d}.png.out"
                world.bucket.write(key, answer(version, row), "application/json")
    decision = app.handler(SAMPLE, Context())
    assert decision["promote"], decision
    assert decision["champion"]["unusable_answers"] == 1
    written = json.loads(world.bucket.read("comparisons/retrain-1/comparison.json", 10**6))
    assert written["reason"] == decision["reason"]
    assert [(f["number"], f["frame_id"], f["candidate"]["f1_2px"]) for f in written["frames"]] == [
        (2, "c/s/2", 1.0),
        (3, "c/s/3", 1.0),
        (4, "c/s/4", 1.0),
    ]
    record = Models(world.table).version(CANDIDATE)
    assert (record.decision, record.snapshot, record.scores["f1_2px"]) == ("better", "retrain-1", 1)
    assert app.handler(SAMPLE, Context()) == decision


def holdout_of(world, numbers, **answered):
    """A snapshot whose holdout has these frames, answered by each model where `answered` has the number."""
    frames = [
        {"number": n, "split": "holdout", "frame_id": f"c/s/{n}", "revision": "r", "segment": "c/s"} for n in numbers
    ]
    world.bucket.write("datasets/retrain-1/manifest.json", json.dumps({"frames": frames}).encode(), "application/json")
    for number in numbers:
        key = f"datasets/retrain-1/holdout-truth/{number:06d}.json"
        world.bucket.write(key, truth(1)[0].to_json(), "application/json", "firnline-snapshot=judged")
    for role, (version, row) in {"candidate": (CANDIDATE, 20.2), "champion": (CHAMPION, 30)}.items():
        for number in answered.get(role, numbers):
            key = f"answers/retrain-1/{role}/{number:06d}.png.out"
            world.bucket.write(key, answer(version, row), "application/json")


def test_a_champion_that_fails_on_one_frame_can_be_replaced(world):
    # Given a transform job that failed on one of three frames, as SageMaker leaves it: the others are answered
    holdout_of(world, range(3), champion=(0, 2))
    decision = app.handler({**SAMPLE, "champion_failure": "States.TaskFailed: bad input"}, Context())
    # Then that frame counts against the champion, and the run goes on
    assert decision["promote"]
    assert decision["champion"]["unusable_answers"] == 1


@pytest.mark.parametrize(
    ("frames", "answered", "failure", "told"),
    [
        (3, (), "ClientError: cannot pull", r"candidate answered 0 of 3 .* said: ClientError: cannot pull"),
        (3, (), "", r"candidate answered 0 of 3 .* did not fail"),
        (3, (1,), "InternalServerError", r"candidate answered 1 of 3"),
        (1, (), "InternalServerError", r"candidate answered 0 of 1"),
    ],
)
def test_few_answers_are_the_runs_failure_and_not_the_models(world, frames, answered, failure, told):
    holdout_of(world, range(frames), candidate=answered)
    with pytest.raises(TooFewAnswers, match=told):
        app.handler({**SAMPLE, "candidate_failure": failure}, Context())
    assert Models(world.table).version(CANDIDATE) is None


@pytest.mark.parametrize("between", ["/", "//", "/holdout-images/"])
def test_answers_are_found_however_sagemaker_joins_their_path(world, between):
    holdout_of(world, range(2), candidate=(), champion=())
    for role, version in (("candidate", CANDIDATE), ("champion", CHAMPION)):
        for number in range(2):
            key = f"answers/retrain-1/{role}{between}{number:06d}.png.out"
            world.bucket.write(key, answer(version, 20.2), "application/json")
    assert app.handler(SAMPLE, Context())["candidate"]["unusable_answers"] == 0


@pytest.mark.parametrize(("row", "kept"), [(20.2, True), (40.0, False)])
def test_what_a_promoted_model_was_judged_by_does_not_expire(world, row, kept):
    holdout_of(world, range(2), candidate=())
    for number in range(2):
        key = f"answers/retrain-1/candidate/{number:06d}.png.out"
        world.bucket.write(key, answer(CANDIDATE, row), "application/json")
    assert app.handler(SAMPLE, Context())["promote"] is kept
    key = "datasets/retrain-1/holdout-truth/000000.json"
    tags = world.bucket.client.get_object_tagging(Bucket=world.bucket.name, Key=key)["TagSet"]
    assert (tags == []) is kept
