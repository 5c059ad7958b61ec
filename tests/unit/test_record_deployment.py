import pytest

from record_deployment import app
from record_deployment.failure import MAX_CHARACTERS, explain
from record_deployment.record import ChampionChanged
from tests.support.review_world import Context
from tests.support.samples import sample

PROMOTED = sample("record_deployment")
VERSION, EXECUTION = PROMOTED["model_version"], PROMOTED["execution"]
FAILED = {
    "outcome": "failed",
    "execution": EXECUTION,
    "model_version": VERSION,
    "reason": {"Error": "E", "Cause": "cut"},
}


@pytest.fixture
def models(world):
    made = world.serve_the_first_model(model_data="s3://b/first")
    made.record("first", scores={"f1_2px": 0.5}, model_data="s3://b/first")
    return made


def test_a_promotion_moves_the_pointer_and_says_so_twice_alike(models):
    for _ in range(2):
        app.handler(PROMOTED, Context())
        champion = models.champion()
        assert (champion.model_version, champion.previous) == (VERSION, "first")
        assert champion.endpoint_config == PROMOTED["promotion"]["endpoint_config"]
        assert champion.before.model_version == "first"
    record = models.version(VERSION)
    assert (record.decision, record.scores) == ("promoted", PROMOTED["promotion"]["scores"])


def test_a_champion_that_changed_is_not_replaced(models):
    models.promote("other", "first", execution="other", model_name="m", model_data="s3://b/other", endpoint_config="c")
    with pytest.raises(ChampionChanged, match="the champion is other now"):
        app.handler(PROMOTED, Context())
    assert models.champion().model_version == "other"


def test_a_promotion_that_failed_after_all_is_taken_back(models):
    before = models.champion()
    app.handler(PROMOTED, Context())
    app.handler(FAILED, Context())
    assert models.champion() == before
    assert models.version(VERSION).decision == "failed"
    assert models.version(VERSION).reason == "E: cut"


def test_another_executions_failure_takes_nothing_back(models):
    app.handler(PROMOTED, Context())
    app.handler(FAILED | {"execution": "another"}, Context())
    assert models.champion().model_version == VERSION


def test_rolling_back_without_scores_keeps_the_ones_that_are_known(models):
    app.handler(PROMOTED, Context())
    promotion = PROMOTED["promotion"] | {
        "expected_champion": VERSION,
        "scores": {},
        "snapshot": "",
        "model_data": "s3://b/first",
    }
    app.handler(PROMOTED | {"model_version": "first", "execution": "rollback", "promotion": promotion}, Context())
    assert models.champion().model_version == "first"
    assert models.version("first").scores == {"f1_2px": 0.5}


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("Said already.", "Said already."),
        (
            {"Error": "NotEnoughData", "Cause": '{"errorType": "NotEnoughData", "errorMessage": "Too few."}'},
            "NotEnoughData: Too few.",
        ),
        ({"Error": "States.TaskFailed", "Cause": '{"FailureReason": "no disk"}'}, "States.TaskFailed: no disk"),
        (
            {
                "Error": "States.TaskFailed",
                "Cause": '{"Status": "FAILED", "Error": "DeploymentFailed", "Cause": "It timed out."}',
            },
            "DeploymentFailed: It timed out.",
        ),
        ({"Error": "States.Timeout", "Cause": ""}, "States.Timeout."),
        (
            {"Error": "SageMaker.AmazonSageMakerException", "Cause": "Rate exceeded"},
            "SageMaker.AmazonSageMakerException: Rate exceeded",
        ),
        ({"Error": "E", "Cause": "[1]"}, "E: [1]"),
        ({}, "The step failed."),
    ],
)
def test_failures_in_words(failure, sentence):
    assert explain(failure) == sentence


def test_a_long_cause_is_cut():
    assert len(explain({"Error": "E", "Cause": "x" * 10_000})) == MAX_CHARACTERS
