"""What corrections cost by model, how reviewers agree, what an answer says of its effort and in place of a drawing."""

import json
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from firnline.errors import Refused
from firnline.review.decision import Disputed, Drawn, Judged, decide
from firnline.review.effort import Effort, read_effort
from firnline.review.gold import truths_for
from firnline.review.trends import standings_of, trends_of
from firnline.review.verdict import read_verdict
from firnline.store.rows import CorrectionRow, GoldRow, Work
from tests.support.review_world import HEIGHT, WIDTH, answer, polyline
from workbench import review_stats
from workbench.cli import app, terminal


def correction(number, model="first", seconds=None, work=(), **more):
    return CorrectionRow(
        loop_name=f"loop-{number}", frame_id=f"c/s/f{number}", revision="r", layers=1, coverage="complete",
        image_prefix="s3://b/c/", created=f"2026-11-{number:02d}", model_version=model, output="s3://b/o", seconds=seconds,
        dropped_lines=0, answers=1, answers_refused=0, answers_differ=False, work=tuple(work), **more,
    )  # fmt: skip


def work(by="ada", **told):
    return Work(by=by, **told)


CORRECTIONS = [
    correction(1, "first", 90.0),  # of before there was work
    correction(2, "first", work=[work(seconds=100.0, operations={"click": 60, "key": 20}, proposal_kept=0.5)]),
    correction(3, "first", work=[work(seconds=80.0), work("ben", seconds=70.0, agreement=0.8)], agreement=0.8),
    correction(4, "second", work=[work(seconds=30.0, operations={"click": 9}, proposal_kept=0.9, agreement=0.6)]),
    correction(5, "second", work=[work(seconds=50.0, operations={"click": 11}, proposal_kept=1.0, agreement=1.0)]),
]


def test_the_trend_by_model_has_medians_and_the_newest_first():
    newest, before = trends_of(CORRECTIONS)
    assert (newest.model_version, newest.corrections, newest.seconds, newest.operations) == ("second", 2, 40.0, 10.0)
    assert newest.kept == pytest.approx(0.95)
    assert (before.model_version, before.corrections, before.seconds, before.operations) == ("first", 3, 85.0, 80.0)
    assert (before.kept, before.agreement) == (0.5, 0.8)
    assert trends_of([]) == []


def test_a_reviewers_standing_counts_the_latest_and_gold_frames():
    gold = GoldRow(
        loop_name="g", frame_id="c/s/f", truth="loop-3", created="2026-12-01", work=work("cy", agreement=0.9)
    )
    ada, ben, cy = standings_of(CORRECTIONS, [gold])
    assert (ada.by, ada.corrections, ada.agreement, ada.latest) == ("ada", 4, 0.8, 0.8)
    assert (ben.corrections, ben.seconds, ben.gold_frames) == (1, 70.0, 0)
    assert (cy.by, cy.corrections, cy.gold, cy.gold_frames) == ("cy", 0, 0.9, 1)


def test_the_command_says_whether_retraining_saves_time():
    trends = trends_of(CORRECTIONS)
    assert (
        review_stats.saving(trends) == "A frame of second took 45 s less than one of first (medians of 2 and 3 frames)."
    )
    assert "nothing to compare with" in review_stats.saving(trends[:1])
    console = Console(width=120, record=True, file=None)
    with console.capture() as captured:
        console.print(review_stats.by_model(trends))
        console.print(review_stats.by_reviewer(standings_of(CORRECTIONS, [])))
    told = captured.get()
    assert "95%" in told
    assert "ben" in told


# ------------------------------------------------------------------------------------------------ effort and verdicts


@pytest.mark.parametrize(
    "told",
    [
        None, "", "{", 7, [], {"seconds": -1}, {"seconds": float("nan")}, {"seconds": 1, "operations": {"Click": 1}},
        {"seconds": 1, "operations": {"click": -1}}, {"seconds": 1, "proposal_kept": 1.5},
        {"seconds": 1, "operations": {f"k{number}": 1 for number in range(51)}}, "[" * 100_000, {"seconds": 10**400},
    ],
)  # fmt: skip
def test_a_faulty_effort_counts_as_none(told):
    assert read_effort({"effort": told}) is None


def test_an_effort_is_read_as_an_object_and_as_text():
    told = {"seconds": 12.5, "operations": {"live_wire": 3}, "vertices_moved": 2, "proposal_kept": 0.5, "later": 1}
    assert read_effort({"effort": told}) == read_effort({"effort": json.dumps(told)}) == Effort.model_validate(told)
    assert read_effort([]) is None


@pytest.mark.parametrize("told", [None, "", "  "])
def test_no_verdict_means_that_it_was_drawn(told):
    assert read_verdict({"verdict": told} if told is not None else {}) is None


@pytest.mark.parametrize(
    "told",
    ["{", 7, {}, {"kind": "lost"}, {"kind": "unusable"}, {"kind": "unusable", "reason": " "}, "[" * 100_000,
     {"kind": "unusable", "reason": "x" * 201}, {"kind": "polarity_wrong", "more": 1}],
)  # fmt: skip
def test_a_faulty_verdict_is_refused_in_a_sentence(told):
    with pytest.raises(Refused, match="The verdict cannot be read"):
        read_verdict({"verdict": told})


# ------------------------------------------------------------------------------------------------ decisions


def given(by, *lines, second=0, arbiter=False, **content):
    told = answer(*lines, **content)
    return {"answerContent": told, "workerId": by, "submissionTime": f"2026-11-22T10:00:{second:02d}Z",
            **({"arbiter": True} if arbiter else {})}  # fmt: skip


def flat(label, row):
    return polyline(label, (0, row), (WIDTH - 1, row))


def decided(*answers):
    return decide(list(answers), "c/s/f", WIDTH, HEIGHT, {})


def test_three_people_are_outvoted_by_no_one_and_their_median_counts():
    found = decided(
        given("ada", flat("surface", 10), flat("bed", 30)),
        given("ben", flat("surface", 11), flat("bed", 30.5), second=1),
        given("cy", flat("surface", 11.5), second=2),
    )
    assert isinstance(found, Drawn)
    rows = {layer.label: {vertex.y for vertex in layer.vertices} for layer in found.document.layers}
    assert rows == {"surface": {11.0}, "bed": {30.25}}
    assert found.beside.differ
    assert [part.by for part in found.beside.work] == ["ada", "ben", "cy"]


def test_the_median_of_two_is_partial_where_one_says_that_lines_are_missing():
    found = decided(
        given("ada", flat("surface", 10)), given("ben", flat("surface", 11), all_layers_drawn={"on": False}, second=1)
    )
    assert isinstance(found, Disputed)
    assert "whether every visible layer has a line" in found.sentence
    assert found.agreed is not None
    assert found.agreed.document.coverage == "partial"


def test_of_three_verdicts_the_majority_counts():
    unusable = {"verdict": {"kind": "unusable", "reason": "noise"}}
    two = decided(given("ada", **unusable), given("ben", **unusable, second=1), given("cy", flat("bed", 9), second=2))
    assert isinstance(two, Judged)
    assert (two.verdict.kind, two.by) == ("unusable", "ben")
    one = decided(given("ada", **unusable), given("ben", flat("bed", 9)), given("cy", flat("bed", 9), second=2))
    assert isinstance(one, Drawn)


def test_an_arbiter_whose_answer_cannot_be_used_decides_nothing():
    with pytest.raises(Refused, match="picture of 999 x"):
        decided(given("ada", flat("bed", 9)), given("cy", flat("bed", 9), width=999, arbiter=True))


def test_a_name_that_no_table_takes_is_made_legible():
    names = ["a\x07\n", "a\ud800", 7, "", "x" * 300]
    found = decided(*(given(name, flat("bed", 9), second=second) for second, name in enumerate(names)))
    assert isinstance(found, Drawn)
    assert [part.by for part in found.beside.work] == ["a", *["reviewer"] * 4]


def test_gold_follows_a_share_of_corrections_and_never_the_same_frame():
    truths = [
        correction(1, arbitrated=True),
        correction(2, agreement=0.95),
        correction(3, agreement=0.5),
        correction(4),
    ]
    chosen = [truths_for(f"loop-{number}", "c/s/f1", 0.25, truths) for number in range(400)]
    given_out = [rows[0].frame_id for rows in chosen if rows]
    assert set(given_out) == {"c/s/f2"}
    assert 70 <= len(given_out) <= 130
    assert truths_for("loop-1", "c/s/x", 0.0, truths) == []
    orders = {tuple(row.loop_name for row in truths_for(f"{n}", "c/s/x", 1.0, truths)) for n in range(50)}
    assert orders == {("loop-1", "loop-2"), ("loop-2", "loop-1")}
    assert truths_for("loop", "c/s/x", 1.0, [correction(4)]) == []


def test_the_command_prints_both_tables(world, monkeypatch):
    monkeypatch.setattr(terminal, "connect", lambda: SimpleNamespace(corrections=world.corrections))
    said = CliRunner().invoke(app, ["review", "--stats"])
    assert (said.exit_code, said.output) == (0, "nobody has corrected a frame yet\n")
    for row in CORRECTIONS:
        world.table.put(row.item())
    assert world.corrections.record_gold("gold-1", "c/s/f3", "loop-3", work("cy", agreement=0.9))
    said = CliRunner().invoke(app, ["review", "--stats"])
    assert said.exit_code == 0, said.output
    assert "A frame of second took 45 s less than one of first" in said.output
    assert [line.split()[0] for line in said.output.splitlines() if line.strip()][-3:] == ["ada", "ben", "cy"]
