"""Annotations of every form become layers documents, or are refused in a sentence."""

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex
from firnline.documents.upload_key import ANNOTATION_SUFFIXES
from firnline.errors import Refused
from firnline.radar.annotations import document_of, read_annotation
from firnline.radar.radar_frame import Picks
from tests.support.ingest_files import mat5, mat73, picture

UPLOADED = datetime(2026, 11, 22, tzinfo=UTC)
WIDTH, HEIGHT = 30, 20


def frame(width: int = WIDTH, height: int = HEIGHT, **more: object) -> FrameDocument:
    return FrameDocument.of_whole_file(
        width, height, frame_id="c/s/f", revision="0" * 12, format="png", polarity="bright-strong",
        source_bucket="frames", source_key="c/s/f.png", checksum_sha256="0", created=UPLOADED, transforms=[], **more,
    )  # fmt: skip


def read(content: bytes, suffix: str, document: FrameDocument | None = None) -> LayersDocument:
    return read_annotation(content, suffix, document or frame(), UPLOADED)


def csv_of(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def test_csv_columns_become_labelled_layers_with_blanks_as_gaps() -> None:
    lines = ["col,surface_row,surface_span_px,Layer_2_row,note,bed_row"]
    for trace in range(WIDTH):
        bed = "" if 10 <= trace < 20 else "15.5"  # ten traces: too long a gap to bridge
        layer = "" if 10 <= trace < 15 else f"{8 + trace / 10}"  # five traces: bridged
        lines.append(f"{trace},3.0,1,{layer},hello,{bed}")
    document = read(csv_of(*lines), ".layers.csv")
    assert [layer.label for layer in document.layers] == ["surface", "layer", "bed", "bed"]
    assert document.coverage == "partial"
    assert document.source == Source(kind="import", created=UPLOADED)
    rows = document.rows()
    assert rows[0].tolist() == [3.0] * WIDTH
    np.testing.assert_allclose(rows[1], 8 + np.arange(WIDTH) / 10)
    assert np.isfinite(rows[2]).nonzero()[0].tolist() == list(range(10))
    assert np.isfinite(rows[3]).nonzero()[0].tolist() == list(range(20, 30))


def test_csv_without_col_counts_its_lines_and_a_byte_order_mark_is_no_part_of_a_name() -> None:
    document = read("﻿bed_row\r\n4\r\n5\r\n\r\n6\r\n".encode(), ".layers.csv")
    assert document.rows()[0, :3].tolist() == [4, 5, 6]


def test_a_few_contradictions_blank_both_picks_and_many_are_refused() -> None:
    rows = np.array([[5.0] * WIDTH, [9.0] * WIDTH])
    rows[1, 12:14] = 3
    document = document_of(Picks(["surface", "bed"], rows), frame(), UPLOADED)
    assert [layer.label for layer in document.layers] == ["surface", "bed"]
    assert np.nanmax(document.rows()[0]) == 5
    assert np.nanmin(document.rows()[1]) == 9
    text = ["surface_row,bed_row", *(["5,9"] * 20), *(["9,5"] * 10)]
    with pytest.raises(Refused, match="cross at trace"):
        read(csv_of(*text), ".layers.csv")


def test_a_layers_document_keeps_its_coverage_and_becomes_an_import() -> None:
    given = LayersDocument(
        frame_id="",
        image=ImageSize(width=WIDTH, height=HEIGHT),
        source=Source(kind="human", created=UPLOADED),
        coverage="complete",
        layers=[Layer(label="bed", vertices=[Vertex(x=0, y=4), Vertex(x=9, y=5)])],
    )
    document = read(given.to_json(), ".layers.json")
    assert document.coverage == "complete"
    assert document.frame_id == "c/s/f"
    assert document.source.kind == "import"
    assert document.layers == given.layers
    with pytest.raises(Refused, match="30 x 20 pixels, but the frame has 31 x 20"):
        read(given.to_json(), ".layers.json", frame(width=31))
    with pytest.raises(Refused, match="belongs to the frame 'x/y/z'"):
        read(given.model_copy(update={"frame_id": "x/y/z"}).to_json(), ".layers.json")


def test_mask_lines_become_the_middle_of_their_pixels_and_part_where_they_meet() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:7, :] = 255  # middle 5
    mask[12, :15] = 1  # any brightness counts
    mask[13, 15:] = 1  # a diagonal step is the same line
    mask[6:18, 20] = 9  # joins both in trace 20
    document = read(picture(mask), ".layers.png")
    rows = document.rows()
    assert document.coverage == "partial"
    assert len(rows) == 4
    assert rows[0, :20].tolist() == [5.0] * 20
    assert sorted(np.nanmin(row) for row in rows) == [5, 5, 12, 13]
    assert np.isnan(rows[:, 20]).all()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "I;16", "P"])
def test_masks_of_every_kind(mode: str) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint16 if mode == "I;16" else np.uint8)
    mask[7] = 255
    image = Image.fromarray(mask)
    file = io.BytesIO()
    (image if mode == "I;16" else image.convert(mode)).save(file, "PNG")
    assert read(file.getvalue(), ".layers.png").rows().tolist() == [[7.0] * WIDTH]


@pytest.mark.parametrize("form", [mat5, mat73])
def test_open_polar_radar_layers_are_interpolated_on_gps_time(form) -> None:
    times = 100.0 + np.arange(WIDTH)
    clocked = frame(gps_time_s=times.tolist(), dt_s=2e-9, time_zero_s=1e-6)
    points = 100.0 + np.arange(0, WIDTH, 2) + 0.5  # another spacing, half a trace off
    twtt = 1e-6 + 2e-9 * np.array([3 + 0.1 * (points - 100), np.full(points.size, 12.0), np.full(points.size, 90.0)])
    twtt[1, 5] = np.nan
    layers = {"gps_time": points[None], "id": np.array([[1], [7], [2]]), "twtt": twtt, "file_type": 1}
    document = read(form(layers), ".layers.mat", clocked)
    assert [layer.label for layer in document.layers] == ["surface", "layer"]  # the bed lies below the picture
    rows = document.rows()
    assert rows[0, 1] == pytest.approx(3.1)
    assert rows[0, 10] == pytest.approx(4.0)
    assert rows[1, 20] == pytest.approx(12)
    with pytest.raises(Refused, match="says nothing of its GPS times"):
        read(form(layers), ".layers.mat")
    later = frame(gps_time_s=(times + 1000).tolist(), dt_s=2e-9, time_zero_s=1e-6)
    with pytest.raises(Refused, match="another flight"):
        read(form(layers), ".layers.mat", later)
    with pytest.raises(Refused, match="'id' is missing"):
        read(form({name: layers[name] for name in ("gps_time", "twtt")}), ".layers.mat", clocked)
    with pytest.raises(Refused, match="there are 2 layers"):
        read(form(layers | {"id": np.array([[1], [2]])}), ".layers.mat", clocked)


REFUSALS = {
    "empty": (b"", ".layers.csv", "is empty"),
    "no columns": (csv_of("a,b", "1,2"), ".layers.csv", "names no column like"),
    "no text": (b"\xff\xfe\x00", ".layers.csv", "UTF-8"),
    "no number": (csv_of("bed_row", "deep"), ".layers.csv", "holds 'deep'"),
    "out of range": (csv_of("bed_row", "400"), ".layers.csv", "rows 0 to 19"),
    "infinite": (csv_of("bed_row", "inf"), ".layers.csv", "rows 0 to 19"),
    "trace out of range": (csv_of("col,bed_row", "30,4"), ".layers.csv", "traces 0 to 29"),
    "trace twice": (csv_of("col,bed_row", "3,4", "3,4"), ".layers.csv", "had a line before"),
    "trace no number": (csv_of("col,bed_row", "x,4"), ".layers.csv", "no whole number"),
    "nothing picked": (csv_of("bed_row", *[" ," for _ in range(9)]), ".layers.csv", "no line of at least two"),
    "mask of another size": (picture(np.zeros((20, 31), np.uint8)), ".layers.png", "31 x 20 pixels"),
    "empty mask": (picture(np.zeros((20, 30), np.uint8)), ".layers.png", "no line"),
    "full mask": (picture(np.full((20, 30), 255, np.uint8)), ".layers.png", "no line"),
    "no mask": (b"hello", ".layers.png", "damaged"),
    "no json": (b"{", ".layers.json", "JSON"),
    "other json": (b'{"layers": []}', ".layers.json", "Field required"),
    "no mat": (b"hello", ".layers.mat", "no MATLAB file"),
}


@pytest.mark.parametrize(("content", "suffix", "words"), REFUSALS.values(), ids=REFUSALS)
def test_bad_annotations_are_refused_in_a_sentence(content: bytes, suffix: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        read(content, suffix)
    assert words in str(refused.value)
    assert suffix in str(refused.value)
    assert str(refused.value).endswith(".")


@given(st.sampled_from(ANNOTATION_SUFFIXES), st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_random_bytes_raise_nothing_but_refused(suffix: str, content: bytes) -> None:
    with pytest.raises(Refused):
        read(content, suffix, frame(width=1000))


@given(st.lists(st.lists(st.sampled_from(["", "1", "3.5", "-0.5", "19", "nan", "x", "1e9"]), max_size=3), max_size=40))
def test_random_tables_give_a_valid_document_or_a_refusal(lines: list[list[str]]) -> None:
    try:
        document = read(csv_of("surface_row,layer1_row,bed_row", *map(",".join, lines)), ".layers.csv")
    except Refused:
        return
    assert LayersDocument.model_validate_json(document.to_json()) == document


def test_real_picks_come_onto_their_rows(real_data: Path) -> None:
    files = sorted((real_data / "utig").glob("*.picks.csv"))
    assert len(files) == 20
    for file in files:
        document = read(file.read_bytes(), ".layers.csv", frame(1047, 494))
        table = np.genfromtxt(file, delimiter=",", names=True)
        for label in ("surface", "bed"):
            ours = np.vstack(
                [row for layer, row in zip(document.layers, document.rows(), strict=True) if layer.label == label]
            )
            ours = np.where(np.isfinite(ours).any(axis=0), np.nanmax(np.nan_to_num(ours, nan=-1), axis=0), np.nan)
            picked = np.isfinite(table[f"{label}_row"])
            kept = picked & np.isfinite(ours)
            assert kept.sum() >= picked.sum() - 20, file.name
            contradicting = np.abs(ours[kept] - table[f"{label}_row"][kept]) > 1e-6
            assert contradicting.sum() <= 14, file.name
