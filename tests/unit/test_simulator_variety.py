"""Campaigns drawn at random, which the first model learns from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import first_model
from workbench.benchmark import genuine
from workbench.simulator import campaign_named, campaigns, draw_campaign, simulate_frame


@given(number=st.integers(0, 9999), kind=st.sampled_from(["snow", "firn", "sounder"]))
@settings(max_examples=10, deadline=None)
def test_every_drawn_campaign_can_be_flown(number: int, kind: str) -> None:
    campaign = campaign_named(f"varied_{kind}_{number:04d}")
    assert campaign.kind == ("sounder" if kind == "sounder" else "snow")
    frame = simulate_frame(campaign, 0, 0, traces=128, samples=128)
    assert frame.labels[0] == "surface"
    assert np.isfinite(frame.rows).sum(axis=1).min() >= 24


def test_the_same_number_is_the_same_campaign_and_another_one_differs() -> None:
    assert draw_campaign("snow", 3) == draw_campaign("snow", 3)
    assert draw_campaign("snow", 3).looks != draw_campaign("snow", 4).looks


@pytest.mark.parametrize("name", ["greenland", "varied_snow_", "varied_sonar_0001", "varied_snow_x"])
def test_a_campaign_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        campaign_named(name)


def test_nothing_is_trained_on_that_the_model_is_judged_by() -> None:
    known = [name for name in campaigns if name != first_model.UNSEEN]
    trained = {(name, segment) for name, segment, *_ in first_model.training_frames(known)}
    assert not any(name == first_model.UNSEEN for name, _ in trained)
    assert trained.isdisjoint((name, segment) for name, segment, *_ in first_model.validation_frames())
    names = {name for name, _ in trained}
    assert names.isdisjoint(name for name, *_ in first_model.validation_frames())
    assert all(f"varied_snow_{number}" not in names for number in first_model.SCORED_CAMPAIGNS)
    scored = {case.campaign for case in genuine.cases()}
    assert scored.isdisjoint(names | {name for name, *_ in first_model.validation_frames()})
    calibrated = {name for name, *_ in first_model.calibration_frames()}
    assert calibrated.isdisjoint(names | {name for name, *_ in first_model.validation_frames()})
    assert calibrated.isdisjoint(f"varied_snow_{number}" for number in first_model.SCORED_CAMPAIGNS)
