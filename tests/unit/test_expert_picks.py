"""Experts' picks become a partial annotation, and nothing is drawn where an expert drew nothing."""

from pathlib import Path

import pytest
from PIL import Image

from workbench import expert_picks


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    """A 12 x 10 frame whose bed was not picked on traces 4 to 9, longer than what is bridged."""
    file = tmp_path / "focused__LINE1.png"
    Image.new("L", (12, 10)).save(file)
    rows = ["col,surface_row,surface_span_px,bed_row,bed_span_px"]
    rows += [f"{col},{2.5},1,{'' if 4 <= col <= 9 else 8},1" for col in range(12)]
    file.with_name("focused__LINE1.picks.csv").write_text("\n".join(rows))
    return file


def test_gaps_part_a_layer_instead_of_being_drawn_through(frame: Path) -> None:
    picks = expert_picks.read_picks(frame.with_name("focused__LINE1.picks.csv"), frame)
    assert picks.coverage == "partial"
    assert [(layer.label, layer.vertices[0].x, layer.vertices[-1].x) for layer in picks.layers] == [
        ("surface", 0, 11),
        ("bed", 0, 3),
        ("bed", 10, 11),
    ]


def test_both_versions_of_a_transect_are_one_segment(frame: Path) -> None:
    for name in ("unfocused__LINE1.png", "unfocused__LINE1.picks.csv"):
        frame.with_name(name).write_bytes(frame.with_name(name.replace("unfocused", "focused")).read_bytes())
    frame.with_name("alone.png").write_bytes(frame.read_bytes())
    assert [(file.name, segment) for file, segment, _ in expert_picks.frames_with_picks(frame.parent)] == [
        ("focused__LINE1.png", "LINE1"),
        ("unfocused__LINE1.png", "LINE1"),
    ]


def test_the_holdout_is_corrected_first() -> None:
    frames = ["real/A/f", "real/R26Ea/u", "real/B/f", "real/R26Ea/f"]
    assert sorted(frames, key=lambda frame: expert_picks.order(frame, "*R26Ea")) == [
        "real/R26Ea/f",
        "real/R26Ea/u",
        "real/A/f",
        "real/B/f",
    ]


def test_real_picks_make_valid_documents(real_data: Path) -> None:
    documents = [document for _, _, document in expert_picks.frames_with_picks(real_data / "utig")]
    assert len(documents) == 20
    assert all({layer.label for layer in document.layers} == {"surface", "bed"} for document in documents)
