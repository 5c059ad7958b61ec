"""The arguments of `firnline train` and `firnline tune`, and how their jobs are told."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from samcli.yamlhelper import yaml_parse

from layer_model.hyperparameters import BY_NAME
from workbench.cli.training import Network
from workbench.first_model import HYPERPARAMETERS
from workbench.training_arguments import (
    CannotTrain,
    NumberRange,
    check,
    grid_size,
    read_hyperparameters,
    read_number,
    read_tuned,
)
from workbench.training_jobs import METRICS, short_line, tuning_listing
from workbench.training_jobs.wanted import WITH_OPTIONS

ROOT = Path(__file__).parents[2]


def test_the_metrics_are_those_of_retraining():
    machine = yaml.safe_load((ROOT / "statemachines" / "retrain.asl.yaml").read_text())
    assert machine["States"]["Train"]["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"] == METRICS


@pytest.mark.parametrize(
    ("given", "tuned", "said"),
    [
        ({"speed": 1}, {}, "has no hyperparameter 'speed'. It has: epochs,"),
        ({"epochs": 3}, {"epochs": ["1", "2"]}, "twice"),
        ({"epochs": 0}, {}, "epochs is at least 1, not 0"),
        ({"epochs": 2.5}, {}, "epochs takes a whole number, not '2.5'"),
        ({"crop-rows": 100}, {}, "crop-rows is a multiple of 16"),
        ({"learning-rate": "fast"}, {}, "learning-rate takes a number"),
        ({"follow-holdout": 2}, {}, "follow-holdout is at most 1"),
        ({}, {"learning-rate": NumberRange(0.001, 2.0, "Auto")}, "learning-rate is at most 1, not 2.0"),
        ({}, {"network": ["layers", "other"]}, "network is one of layers, reference"),
        ({}, {"snapshot": ["a", "b"]}, "nothing to search"),
    ],
)
def test_what_train_py_would_not_take_is_refused_before_a_job_is_paid_for(given, tuned, said):
    with pytest.raises(CannotTrain, match=said):
        check(given, tuned)


def test_what_train_py_takes_is_taken():
    check(
        {"epochs": 3, "snapshot": "retrain-1", "max-seconds": 0}, {"batch-size": ["2", "4"], "network": ["reference"]}
    )
    assert not {"model-dir", "train", "_tuning_objective_metric"} & set(BY_NAME)
    for name, parameter in BY_NAME.items():
        assert parameter.problem_with(parameter.default) is None, name


def test_what_repeats_a_hyperparameter_elsewhere_is_one_that_train_py_takes():
    # Given what a retraining passes, what the template lets an operator set, and what the commands have options for
    machine = yaml_parse((ROOT / "statemachines" / "retrain.asl.yaml").read_text())
    passed = machine["States"]["Train"]["Arguments"]["HyperParameters"]
    parameters = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
    assert {name for name in passed if not name.startswith("sagemaker_")} <= set(BY_NAME)
    assert set(WITH_OPTIONS) <= set(BY_NAME)
    # Then whatever the template allows is taken
    for parameter, name in (("TrainingSeconds", "max-seconds"), ("MaxEpochs", "epochs")):
        assert parameter in passed[name]
        for bound in ("Default", "MinValue", "MaxValue"):
            if bound in parameters[parameter]:
                assert BY_NAME[name].problem_with(parameters[parameter][bound]) is None
    assert list(BY_NAME["network"].choices) == [network.value for network in Network]
    check(dict(HYPERPARAMETERS), {})


def test_hyperparameters_are_numbers_where_they_look_like_it():
    assert read_hyperparameters(["epochs=3", "learning-rate=1e-3", "snapshot=retrain-1=b"]) == {
        "epochs": 3,
        "learning-rate": 0.001,
        "snapshot": "retrain-1=b",
    }


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read(number):
    read = read_number(str(number))
    assert read == number
    assert type(read) is type(number)


@pytest.mark.parametrize("text", ["", "nan", "inf", "-inf", "1:2", "fast"])
def test_what_is_no_finite_number_is_none(text):
    assert read_number(text) is None


def test_ranges_and_choices():
    ranges = ["learning-rate=0.0005:0.01:log", "epochs=5:20", "wd=0.9:0.99:reverse-log"]
    assert read_tuned(ranges, ["batch-size=2,4"]) == {
        "learning-rate": NumberRange(0.0005, 0.01, "Logarithmic"),
        "epochs": NumberRange(5, 20, "Auto"),
        "wd": NumberRange(0.9, 0.99, "ReverseLogarithmic"),
        "batch-size": ["2", "4"],
    }


@pytest.mark.parametrize(
    "text",
    [
        "rate",
        "rate=",
        "rate=1",
        "rate=2:1",
        "rate=1:1",
        "rate=a:b",
        "rate=1:2:3",
        "rate=1:2:log:log",
        "rate=0:inf",
        "=1:2",
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(text):
    with pytest.raises(CannotTrain, match="should look like"):
        read_tuned([text], [])


def test_a_name_is_tuned_once():
    with pytest.raises(CannotTrain, match="twice"):
        read_tuned(["seed=1:2"], ["seed=1,2"])


def test_a_grid_is_of_lists_only():
    assert grid_size({"seed": ["1", "2"], "batch-size": ["2", "4", "8"]}) == 6
    with pytest.raises(CannotTrain, match="--choices"):
        grid_size({"seed": ["1", "2"], "epochs": NumberRange(1, 2, "Auto")})


def test_an_epoch_is_told_in_short():
    line = "epoch=3 train_loss=0.51234; validation_f1_2px=0.81250; validation_layers=7.00000; validation_score=0.9;\n"
    assert short_line(line) == "epoch 3 · train_loss 0.5123 · validation_f1_2px 0.8125 · validation_score 0.9000"
    assert short_line("epoch=0\n") == "epoch 0"


def test_the_best_training_is_marked():
    started = datetime(2026, 1, 1)
    tuned = {"TunedHyperParameters": {"batch-size": '"2"', "learning-rate": "0.00123456"}}
    summaries = [
        {"TrainingJobName": "t-001", "TrainingJobStatus": "Failed", **tuned},
        {
            "TrainingJobName": "t-002",
            "TrainingJobStatus": "Completed",
            **tuned,
            "FinalHyperParameterTuningJobObjectiveMetric": {"Value": 0.8125},
            "TrainingStartTime": started,
            "TrainingEndTime": started + timedelta(seconds=61),
        },
    ]
    console = Console(width=120)
    with console.capture() as capture:
        console.print(tuning_listing(summaries, "t-002"))
    failed, best = capture.get().splitlines()[1:]
    assert failed.split() == ["t-001", "Failed", "2", "0.001235"]
    assert best.split() == ["t-002", "Completed", "0.8125", "2", "0.001235", "61", "←", "best"]
