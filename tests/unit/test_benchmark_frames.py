"""What the benchmark trains and tests on, and how its results are kept and shown."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from firnline.documents.echogram import encode_png
from firnline.learning import records
from workbench.benchmark import tables
from workbench.benchmark.frames import (
    RealFrame,
    frame_of,
    leave_transects_out,
    other_picks,
    real_frames,
    thinned,
    without_thin_ice,
)
from workbench.benchmark.measures import Truth, line_scores
from workbench.benchmark.plan import FULL, Plan, Results, plan_of
from workbench.benchmark.sides import converged_score, seconds_to_reach

NAN = np.nan


def record(complete: bool = True) -> bytes:
    """Surface, four layers, bed, over 20 traces."""
    rows = np.arange(2, 14, 2)[:, None] + np.zeros(20)
    grey = np.zeros((16, 20), np.uint8)
    return records.pack_record(encode_png(grey), rows, [0, 1, 1, 1, 1, 2], complete, 7)


def payload(framed: bytes) -> bytes:
    return next(iter(records.iterate_records(io.BytesIO(framed))))


@pytest.mark.parametrize("partial", [True, False])
def test_thinning_takes_half_of_the_internal_layers_away(partial: bool) -> None:
    found = records.unpack_record(payload(thinned(payload(record()), np.random.default_rng(0), partial)))
    assert found.kinds.tolist() == [0, 1, 1, 2]
    assert found.rows[0, 0] == 2
    assert found.rows[-1, 0] == 12
    assert found.complete is not partial
    assert found.number == 7


def test_a_frame_that_was_partial_stays_so() -> None:
    assert not frame_of(thinned(payload(record(complete=False)), np.random.default_rng(0), False), True).truth.complete


def test_the_same_seed_takes_the_same_lines() -> None:
    first, second = (thinned(payload(record()), np.random.default_rng(3), True) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("count", [6, 7, 10])
def test_no_transect_is_on_two_sides(count: int) -> None:
    frames = [RealFrame(f"{kind}__T{n}", f"T{n}", b"") for n in range(count) for kind in ("focused", "unfocused")]
    folds = leave_transects_out(frames)
    for fold in folds:
        transects = [{frame.transect for frame in side} for side in fold]
        assert all(transects)
        assert not transects[0] & transects[1]
        assert not transects[0] & transects[2]
        assert not transects[1] & transects[2]
        assert sum(len(side) for side in fold) == len(frames)
    assert sorted(frame.name for fold in folds for frame in fold.test) == sorted(frame.name for frame in frames)


def test_too_few_transects_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        leave_transects_out([RealFrame("a", "T1", b""), RealFrame("b", "T2", b"")])


def test_experts_are_judged_by_their_picks_on_the_other_version_of_the_same_ground() -> None:
    def picked(name: str, transect: str, bed: float) -> RealFrame:
        rows = np.array([[3.0] * 20, [bed] * 10 + [NAN] * 10])
        grey = np.zeros((30, 20), np.uint8)
        return RealFrame(name, transect, records.pack_record(encode_png(grey), rows, [0, 2], False, 0))

    pairs = other_picks([picked("a", "T1", 20), picked("b", "T1", 24), picked("c", "T2", 9)])
    within = line_scores(pairs)["within"]
    assert len(pairs) == 2
    assert within["surface"]["2px"] == 1.0
    assert (within["bed"]["3px"], within["bed"]["5px"]) == (0.0, 1.0)


def test_a_bed_on_the_surface_is_left_out_where_ice_is_asked_for() -> None:
    truth = Truth(np.array([[3.0, 3, 3, NAN], [3, 9, 20, 8]]), ["surface", "bed"], False, 30)
    np.testing.assert_array_equal(without_thin_ice(truth).rows[1], [NAN, 9, 20, 8])


def test_real_frames_are_partial_and_bright_is_strong(real_data: Path) -> None:
    frames = real_frames(real_data / "utig")
    assert len(frames) == 20
    frame = frame_of(frames[0].record, sounder=True)
    assert not frame.truth.complete
    surface = frame.truth.rows[0]
    drawn = np.flatnonzero(np.isfinite(surface))
    assert frame.grey[np.rint(surface[drawn]).astype(int), drawn].mean() > frame.grey.mean() + 50


def history(*entries: tuple[float, float | None, float]) -> list[dict]:
    return [{"seconds": s, "score": score, "followed": {"f1_2px": f1}} for s, score, f1 in entries]


def test_seconds_to_the_score_of_the_weights_that_were_kept() -> None:
    reference = history((100, 0.5, 0.6), (200, 0.7, 0.75), (300, 0.6, 0.8))
    target = converged_score(reference)
    assert target == 0.75
    assert seconds_to_reach(reference, target) == 200
    assert seconds_to_reach(history((10, 0.1, 0.4), (20, 0.1, 0.76)), target) == 20
    assert seconds_to_reach(history((10, 0.1, 0.4)), target) is None
    assert converged_score([{"seconds": 5, "score": 0.5, "followed": None}]) is None


def trained_then_killed(found: dict) -> None:
    found["reference"] = {"history": [1]}
    raise KeyboardInterrupt


def test_a_killed_run_keeps_the_stages_that_ended(tmp_path: Path) -> None:
    results = Results(Plan(tmp_path), "bench", keep=False)
    with results.stage("large") as found:
        found["peak_memory_mb"] = 900
    with pytest.raises(KeyboardInterrupt), results.stage("ours"):
        raise KeyboardInterrupt
    assert json.loads((tmp_path / "benchmark.json").read_text())["stages"].keys() == {"large"}
    with pytest.raises(KeyboardInterrupt), results.stage("reference") as found:
        trained_then_killed(found)
    kept = json.loads((tmp_path / "benchmark.json").read_text())["stages"]
    assert (kept["large"]["finished"], kept["reference"]["finished"]) == (True, False)
    again = Results(Plan(tmp_path), "bench --only ours", keep=True)
    assert again.content["stages"]["large"]["command"] == "bench"
    assert Results(Plan(tmp_path), "bench", keep=False).content["stages"] == {}


def test_results_name_the_machine_but_not_its_paths(tmp_path: Path) -> None:
    content = Results(Plan(tmp_path), "bench", keep=False).content
    assert content["machine"]["cores"] >= 1
    assert str(tmp_path) not in json.dumps(content)


def test_tables_show_what_was_measured(tmp_path: Path) -> None:
    results = Results(Plan(tmp_path), "bench", keep=False)
    with results.stage("large") as found:
        found.update(traces=2787, rows=1845, layers=3, peak_memory_mb=812, ms_per_frame={"total": 2500.0})
    assert "| 2787 x 1845 | 812 | 2.5 |" in tables.markdown(results.content)


def test_the_command_line_changes_the_plan() -> None:
    full = plan_of(full=True, reference_seconds=60, folds=1, unseen_frames=None)
    assert (full.full, full.reference_seconds, full.folds) == (True, 60, 1)
    assert full.halving_epochs == FULL["halving_epochs"]
    assert plan_of().halving_epochs == 0
