"""How rounds of corrections are chosen and what their scores tell, in cases that a reader can check by eye."""

import json

import numpy as np
import pytest

from firnline.review.diversity import Diversity
from firnline.review.policy import Policy
from firnline.store.rows import Look
from workbench.label_efficiency import Plan, markdown
from workbench.label_efficiency.arms import JUDGED_SEGMENTS
from workbench.label_efficiency.choosing import Candidate, as_review_does, stratified
from workbench.label_efficiency.tables import Curve, interval, needed, savings

POLICY, NEAR = Policy(confidence=0.85, audit_rate=0.0), Diversity(apart=2)


def look(stem: str, confidence: float) -> Look:
    return Look(stem=stem, loop_name=stem, confidence=confidence, layers=9, line_confidence=0.5, spacing=8.0,
                brightness=(0.1, 0.4, 0.9))  # fmt: skip


def candidate(segment: str, stem: str, confidence: float) -> Candidate:
    return Candidate(f"c/{segment}/{stem}", look(stem, confidence))


def test_the_least_confident_come_first_look_alikes_after_them_and_sure_ones_last():
    pool = [candidate("a", "1", 0.95), candidate("a", "2", 0.61), candidate("a", "3", 0.6), candidate("b", "1", 0.8)]
    assert as_review_does(pool, {}, 3, POLICY, NEAR) == ["c/a/3", "c/b/1", "c/a/2"]
    assert as_review_does(pool, {}, 4, POLICY, NEAR)[-1] == "c/a/1"
    assert as_review_does(pool, {}, 2, POLICY, Diversity(apart=0)) == ["c/a/3", "c/a/2"]


def test_frames_of_earlier_rounds_stand_for_their_neighbours_too():
    pool = [candidate("a", "2", 0.6), candidate("b", "1", 0.8)]
    assert as_review_does(pool, {"c/a": [look("1", 0.6)]}, 2, POLICY, NEAR) == ["c/b/1", "c/a/2"]


def test_stratified_takes_from_every_segment_alike():
    ids = [f"c/{segment}/{number}" for segment in "abc" for number in range(10)]
    chosen = stratified(ids, {"c/a": 2}, 7, np.random.default_rng(0))
    assert len(set(chosen)) == 7
    counts = [sum(one.startswith(f"c/{segment}/") for one in chosen) for segment in "abc"]
    assert counts[0] == 1  # it had two before: three of each now
    assert sorted(counts) == [1, 3, 3]
    assert len(stratified(ids, {}, 99, np.random.default_rng(0))) == 30


def test_corrections_needed_lie_between_rounds():
    assert needed([0.6, 0.7, 0.8], 100, 0.75) == (150.0, True)
    assert needed([0.6, 0.7, 0.8], 100, 0.5) == (0.0, True)
    assert needed([0.6, 0.7, 0.8], 100, 0.8) == (200.0, True)
    assert needed([0.6, 0.7, 0.8], 100, 0.9) == (200.0, False)


def test_the_share_saved_is_judged_by_the_other_arms_best_score():
    half = {"ours": Curve([0.6, 0.8, 0.9], [], []), "stratified": Curve([0.6, 0.7, 0.8], [], [])}
    never = {"ours": Curve([0.6, 0.6, 0.7], [], []), "stratified": Curve([0.6, 0.7, 0.8], [], [])}
    assert savings([half, never], 100) == [(0.5, True), (1.0, False)]


def test_the_interval_holds_the_mean_and_is_narrow_where_seeds_agree():
    low, high = interval([0.1, 0.2, 0.3, 0.2, 0.2])
    assert 0.1 <= low < 0.2 < high <= 0.3
    assert interval([0.2] * 5) == pytest.approx((0.2, 0.2))


def test_no_frame_that_judges_is_in_the_pool_and_seeds_share_no_campaign():
    plan = Plan(seeds=2)
    judged = {one for frames in plan.judged(0).values() for one in frames}
    assert not judged & set(plan.pool(0))
    assert all(one.segment >= JUDGED_SEGMENTS for one in judged)
    assert not set(plan.names(0)) & set(plan.names(1))


def test_a_plan_whose_pool_runs_out_or_that_is_another_is_refused(tmp_path):
    with pytest.raises(ValueError, match="need 300 frames, and the pool has 6"):
        Plan(out=tmp_path, segments=1, frames=2).check()
    Plan(out=tmp_path).check()
    Plan(out=tmp_path, seeds=9).check()
    with pytest.raises(ValueError, match="another plan"):
        Plan(out=tmp_path, epochs=9).check()


def test_the_tables_are_made_of_the_seeds_that_are_finished(tmp_path):
    plan = Plan(out=tmp_path, seeds=2, rounds=1)
    with pytest.raises(LookupError, match="No seed"):
        markdown(plan)
    for path, f1 in {"box": 0.6, "ours/round1": 0.8, "stratified/round1": 0.7}.items():
        folder = tmp_path / "seed0" / path
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps({"f1_2px": f1}))
        (folder / "effort.json").write_text(
            json.dumps(
                [
                    {"operations": {"click": 3, "key": 1}, "from_empty": {"click": 9}},
                    {"operations": {}, "from_empty": {}},
                ]
            )
        )
    told = markdown(plan)
    assert "1 seeds, 1 rounds of 100 corrections" in told
    assert "| 100 | 0.8000 | 0.7000 | +0.1000 to +0.1000 | 2.0 (4.5) | 2.0 (4.5) |" in told
    assert "best score: 50%" in told
