"""The benchmark's genuine frames: scored in the file's own samples, whatever was cut, averaged or turned."""

import pytest

from firnline.learning import scoring
from workbench.benchmark import genuine, tables
from workbench.benchmark.frames import frame_of
from workbench.simulator import Figure, Genuine

CASES = [
    genuine.Case("nc", "demo", 3100, Genuine(2.0, 1500, 2.0), "nc"),
    genuine.Case("mat", "varied_sounder_5001", 1, Genuine(1.5, 900), "mat73"),
    genuine.Case(
        "png", "varied_snow_5041", 1, Genuine(1.5, 500, repeat=3), "png", Figure(margins=(70, 20, 24, 44), axes=True)
    ),
]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genuine, "TRACES", 96)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.form)
def test_the_truth_drawn_on_the_picture_is_the_truth_of_the_file(case: genuine.Case) -> None:
    framed = genuine.framed(case)
    on_picture = frame_of(framed.record, sounder=False).truth
    assert on_picture.rows.shape[1] == framed.framing.columns
    document = {"layers": scoring.layers_from_rows(on_picture.rows, on_picture.labels), "confidence": None}
    scores = genuine.scores([(genuine.on_file(document, framed), framed.truth)])
    assert scores["surface_within_3px"] > 0.97
    assert scores["recall_2px"] > 0.9
    assert scores["mae_px"] < 0.4
    assert scores["false_beds"] == 0


def test_no_ice_is_in_two_groups_of_one_kind_and_each_sampling_sees_the_same() -> None:
    cases = genuine.cases()
    assert len(cases) >= 30
    l1b = [case for case in cases if case.form == "nc"]
    assert all(case.genuine.samples == 10_000 and case.genuine.along * 512 >= 1000 for case in l1b)
    by_oversampling = {
        oversampling: {case.ice for case in l1b if case.genuine.oversampling == oversampling}
        for oversampling in genuine.OVERSAMPLINGS
    }
    assert all(ice == set(genuine.L1B_ICE) for ice in by_oversampling.values())
    pictures = [case.figure.polarity for case in cases if case.form == "png"]
    assert pictures.count("bright-strong") == pictures.count("dark-strong") >= 5


def test_groups_are_scored_beside_the_same_ice_and_make_a_table() -> None:
    case = CASES[0]
    framed = genuine.framed(case)
    plain = frame_of(genuine.plain_record(case.ice), sounder=False).truth
    found = {"layers": scoring.layers_from_rows(plain.rows, plain.labels), "confidence": None}
    bed = {"label": "bed", "vertices": [{"x": 0, "y": 5.0}, {"x": 90, "y": 5.0}]}
    nothing = {"layers": [bed], "confidence": None}
    groups = genuine.by_group([case], [framed], [nothing], {case.ice: (found, plain)})
    assert list(groups) == ["nc", "L1B NetCDF, all", "all"]
    assert groups["all"]["plain"]["f1_2px"] == pytest.approx(1, abs=0.01)
    assert groups["all"]["genuine"]["recall_2px"] == 0
    assert groups["all"]["genuine"]["false_beds"] == 1
    [table] = [
        table
        for table in tables.tables({"stages": {"genuine": {"groups": groups, "stage_seconds": 1}}})
        if table.title == "Genuine frames"
    ]
    assert table.rows[0][:5] == ["nc", "1", "0.000", "1.000", "-1.000"]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_vertex_on_the_picture_lands_on_its_sample() -> None:
    framed = genuine.framed(CASES[2])
    x, y = 10.0, 30.0
    document = {"layers": [{"label": "layer", "vertices": [{"x": x, "y": y}]}]}
    [layer] = genuine.on_file(document, framed)["layers"]
    [vertex] = layer["vertices"]
    trace = framed.framing.trace_of(x) + framed.origin.first_trace
    sample = framed.framing.sample_of(y) + framed.origin.first_sample
    assert (vertex["x"], vertex["y"]) == (pytest.approx(float(trace)), pytest.approx(float(sample) / 1.5))
