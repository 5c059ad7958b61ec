"""What a tuning job tries, and when it gives a training up."""

import math
import re
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workbench.local_cloud.errors import ValidationException
from workbench.local_cloud.training import metrics_in
from workbench.local_cloud.tuning_search import drawn, falls_behind, grid_point, grid_size, read_ranges

SHARES = st.floats(0, 1)


def integer(low, high, scaling="Auto"):
    given_range = {"Name": "epochs", "MinValue": str(low), "MaxValue": str(high), "ScalingType": scaling}
    return {"IntegerParameterRanges": [given_range]}


def continuous(low, high, scaling="Auto"):
    given_range = {"Name": "rate", "MinValue": str(low), "MaxValue": str(high), "ScalingType": scaling}
    return {"ContinuousParameterRanges": [given_range]}


def categorical(**values):
    return {"CategoricalParameterRanges": [{"Name": name, "Values": list(given)} for name, given in values.items()]}


@given(st.integers(), st.integers(0), SHARES, st.sampled_from(["Auto", "Linear"]))
def test_a_whole_number_is_whole_and_inside_its_range(low, width, share, scaling):
    assume(abs(low) + width < 10**200)
    [one] = read_ranges(integer(low, low + width, scaling))
    assert low <= int(one.at(share)) <= low + width


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False), SHARES)
def test_a_number_is_inside_its_range(one_end, other_end, share):
    low, high = sorted((one_end, other_end))
    [one] = read_ranges(continuous(low, high, "Linear"))
    assert low <= float(one.at(share)) <= high


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300), SHARES)
def test_a_number_on_a_logarithmic_scale_is_inside_its_range(one_end, other_end, share):
    low, high = sorted((one_end, other_end))
    [one] = read_ranges(continuous(low, high, "Logarithmic"))
    assert low <= float(one.at(share)) <= high


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), SHARES)
def test_a_number_on_a_reverse_logarithmic_scale_is_inside_its_range(one_end, other_end, share):
    low, high = sorted((one_end, other_end))
    [one] = read_ranges(continuous(low, high, "ReverseLogarithmic"))
    assert low <= float(one.at(share)) <= high


@given(st.lists(st.text(), min_size=1, max_size=30), SHARES)
def test_a_choice_is_one_of_its_values(values, share):
    [one] = read_ranges(categorical(network=values))
    assert one.at(share) in values


@pytest.mark.parametrize(
    ("ranges", "share", "value"),
    [
        (continuous(0.0001, 0.01, "Logarithmic"), 0.5, 0.001),
        (continuous(0.0001, 0.01, "Auto"), 0.5, 0.001),
        (continuous(1, 3, "Auto"), 0.5, 2),
        (continuous(0.9, 0.999, "ReverseLogarithmic"), 0.5, 0.99),
        (integer(1, 3), 0.34, 2),
        (integer(1, 3), 1.0, 3),
    ],
)
def test_the_scale_says_where_the_middle_lies(ranges, share, value):
    assert float(read_ranges(ranges)[0].at(share)) == pytest.approx(value)


def test_every_whole_number_has_the_same_chance():
    ranges = read_ranges(integer(1, 4))
    counted = Counter(drawn(ranges, 7, number)["epochs"] for number in range(4000))
    assert sorted(counted) == ["1", "2", "3", "4"]
    assert all(abs(count - 1000) < 100 for count in counted.values())


def test_a_random_search_follows_from_its_seed():
    ranges = read_ranges({**integer(1, 1000), **continuous(0.1, 0.2), **categorical(network=["layers", "reference"])})
    tried = [drawn(ranges, 3, number) for number in range(5)]
    assert tried == [drawn(ranges, 3, number) for number in range(5)]
    assert len({one["rate"] for one in tried}) == 5
    assert tried[0] != drawn(ranges, 4, 0)


def test_a_grid_has_every_combination_once():
    ranges = read_ranges(categorical(network=["layers", "reference"], batch=["2", "4", "8"]))
    points = [grid_point(ranges, number) for number in range(grid_size(ranges))]
    assert len({tuple(point.items()) for point in points}) == 6
    assert [(p["network"], p["batch"]) for p in points[:4]] == [
        ("layers", "2"),
        ("layers", "4"),
        ("layers", "8"),
        ("reference", "2"),
    ]


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ({}, "at least one"),
        ({**integer(1, 2), "CategoricalParameterRanges": [{"Name": "epochs", "Values": ["1"]}]}, "twice"),
        (integer("1.5", 2), "whole numbers"),
        (continuous("nan", 2), "lower end"),
        (continuous(3, 2), "lower end"),
        (continuous(0, 2, "Logarithmic"), "above 0"),
        (continuous(0, 1, "ReverseLogarithmic"), "0 <= x < 1"),
        ({"AutoParameters": [{"Name": "a", "ValueHint": "1"}]}, "Autotune"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(ranges, told):
    with pytest.raises(ValidationException, match=told):
        read_ranges(ranges)


def test_a_grid_of_numbers_is_refused_as_on_aws():
    with pytest.raises(ValidationException, match="categorical parameters only"):
        grid_size(read_ranges(continuous(0, 1)))


@pytest.mark.parametrize(
    ("values", "others", "maximise", "behind"),
    [
        ([0.1], [], True, False),  # the first training has nobody to be compared with
        ([], [[0.5]], True, False),
        ([0.5], [[0.5]], True, False),  # as good is not worse
        ([0.4], [[0.5]], True, True),
        ([0.4], [[0.5]], False, False),
        ([0.6], [[0.5]], False, True),
        # The means of the others after two epochs are 0.3, 0.5 and 0.9; their median is 0.5.
        ([0.1, 0.49], [[0.2, 0.4], [0.4, 0.6], [0.9, 0.9]], True, True),
        ([0.1, 0.51], [[0.2, 0.4], [0.4, 0.6], [0.9, 0.9]], True, False),
        # What the others did later does not count, nor do those that have not got as far.
        ([0.1, 0.3], [[0.2, 0.3, 0.9, 0.9], [0.9]], True, False),
    ],
)
def test_a_training_is_stopped_early_by_the_median_rule(values, others, maximise, behind):
    assert falls_behind(values, others, maximise) is behind


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.lists(st.lists(st.floats(0, 1), max_size=8), max_size=6))
def test_the_best_training_is_never_stopped(values, others):
    ahead = [*values[:-1], 1.0]
    assert not falls_behind(ahead, others, maximise=True)
    assert not falls_behind([-value for value in ahead], [[-v for v in other] for other in others], maximise=False)


METRICS = [("score", re.compile(r"validation_score=([0-9.]+)")), ("loss", re.compile("loss=(.*?);"))]


@pytest.mark.parametrize(
    ("line", "metrics"),
    [
        ("epoch=3 train_loss=0.5; validation_score=0.81250;\n", [("score", 0.8125), ("loss", 0.5)]),
        ("epoch=3\n", []),
        ("validation_score=0.1.2 loss=much;\n", []),
        ("loss=nan; loss=1;\n", []),
        ("loss=-inf;\n", []),
        ("loss=1e-3;\n", [("loss", 0.001)]),
    ],
)
def test_metrics_are_read_out_of_a_line_of_the_log(line, metrics):
    assert list(metrics_in(METRICS, line)) == metrics
    assert all(math.isfinite(value) for _, value in metrics)
