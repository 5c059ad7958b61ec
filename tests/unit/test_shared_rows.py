"""Rows and items are the same, and an item that is none of its kind is refused with a sentence that finds it."""

from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from pydantic import BaseModel, ValidationError

from firnline.store.loops import Closed, Loops
from firnline.store.row import BrokenRow, Row
from firnline.store.rows import (
    KINDS,
    STATUSES,
    BatchRow,
    ChampionRow,
    FrameRow,
    FrameStatus,
    GivenAnswer,
    LayerRow,
    LoopRow,
)
from tests.support.review_world import ENVIRONMENT, World, make_world

PartT = TypeVar("PartT", bound=BaseModel)
NAME = st.text(
    st.characters(codec="utf-8", exclude_characters="#/", exclude_categories=("Cc",)), min_size=1, max_size=9
)
NUMBER = st.integers(0, 10**9) | st.floats(-1e6, 1e6)
NESTED = st.recursive(NUMBER | st.text(), lambda inner: st.dictionaries(st.text(min_size=1), inner, max_size=3))
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "frame_id": st.tuples(NAME, NAME, NAME).map("/".join),
    "segment": st.tuples(NAME, NAME).map("/".join),
    "number": st.integers(0, 999),
    "attempt": st.integers(1, 10**6),
    "x": st.lists(st.floats(0, 1e5), min_size=3, max_size=3).map(tuple),
    "y": st.lists(st.floats(0, 1e5), min_size=3, max_size=3).map(tuple),
    "operations": st.dictionaries(NAME, st.integers(0, 10**6), max_size=3),
}
BY_TYPE: dict[type, st.SearchStrategy[Any]] = {
    str: NAME,
    int: st.integers(0, 10**9),
    float: st.floats(0, 1),
    bool: st.booleans(),
    dict: st.dictionaries(NAME, NESTED, max_size=3),
}
FRAME: dict[str, Any] = {
    "pk": "FRAME#c/s/f", "sk": "STATUS", "frame_id": "c/s/f", "status": "READY", "revision": "0123456789ab",
    "source_key": "c/s/f.png", "sequencer": "0A", "updated": "2026-11-22T10:00:00.000+00:00",
    "status_pk": "STATUS#READY", "status_sk": "2026-11-22T10:00:00.000+00:00#c/s/f",
    "segment_pk": "SEGMENT#c/s", "segment_sk": "f",
}  # fmt: skip


def values(name: str, annotation: Any) -> st.SearchStrategy[Any]:
    """Whatever a field may hold, beside nothing."""
    if name in BY_NAME:
        return BY_NAME[name]
    if name == "before":
        return rows(ChampionRow).map(lambda row: row.model_copy(update={"before": None}))
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) is Annotated:
        return values(name, get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and not issubclass(annotation, Row):
        return parts(annotation)
    if get_origin(annotation) is tuple:
        return st.lists(values(name, get_args(annotation)[0]), max_size=3).map(tuple)
    if annotation in BY_TYPE or get_origin(annotation) in BY_TYPE:
        return BY_TYPE[get_origin(annotation) or annotation]
    drawn = [values(name, kind) for kind in get_args(annotation) if kind is not NoneType]
    assert drawn, f"nothing is known of {annotation}"
    return st.one_of(drawn)


def holds(kind: type[BaseModel], fields: dict[str, Any]) -> bool:
    try:
        kind(**fields)
    except ValidationError:
        return False
    return True


def rows(kind: type[Row]) -> st.SearchStrategy[Row]:
    return parts(kind)


def parts(kind: type[PartT]) -> st.SearchStrategy[PartT]:
    """Rows of a kind, or parts of one, with and without each field that they may lack."""
    fields = {
        name: st.deferred(lambda name=name, field=field: values(name, field.annotation))
        for name, field in kind.model_fields.items()
    }
    must = {name: fields[name] for name, field in kind.model_fields.items() if field.is_required()}
    may = {name: drawn for name, drawn in fields.items() if name not in must}
    return st.fixed_dictionaries(must, optional=may).filter(lambda given: holds(kind, given)).map(lambda g: kind(**g))


EVERY_ROW = st.sampled_from(KINDS).flatmap(rows)


@given(EVERY_ROW)
def test_a_row_becomes_an_item_and_the_item_the_row(row: Row) -> None:
    item = row.item()
    assert type(row).of(item) == row
    assert type(row).of(item).item() == item
    assert {"pk", "sk"} <= set(item)
    assert set(item) - set(row.attributes()) <= set(type(row).KEYS)
    assert None not in item.values()


@given(EVERY_ROW, st.sampled_from(["colour", "Status", "annotated_by", "ttl"]))
def test_an_unknown_attribute_is_named_and_so_is_its_item(row: Row, name: str) -> None:
    item = row.item()
    with pytest.raises(BrokenRow, match=f"attribute '{name}' is not known"):
        type(row).of(item | {name: "blue"})


@given(EVERY_ROW, st.data())
def test_a_missing_attribute_is_named(row: Row, data: st.DataObject) -> None:
    kind, item = type(row), row.item()
    stored = [n for n, field in kind.model_fields.items() if field.is_required() and n not in kind.ONLY_IN_KEYS]
    name = data.draw(st.sampled_from(stored))
    with pytest.raises(BrokenRow, match=f"'{name}' is missing"):
        kind.of({key: value for key, value in item.items() if key != name})


def test_the_sentence_finds_the_item_and_says_what_to_do() -> None:
    with pytest.raises(BrokenRow) as broken:
        FrameRow.of(FRAME | {"colour": "blue", "status": "LOST", "status_pk": "STATUS#LOST"})
    said = str(broken.value)
    assert said.startswith("The item pk 'FRAME#c/s/f', sk 'STATUS' of the table is no frame: ")
    assert "its attribute 'colour' is not known" in said
    assert "its attribute 'status' is wrong (Input should be 'READY', 'PREDICTED'" in said
    assert said.endswith("deploy the version that knows it, or mend the item in the table.")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (FRAME | {"status_pk": "STATUS#PREDICTED"}, "the key 'status_pk' is 'STATUS#PREDICTED', where 'STATUS#READY'"),
        ({name: FRAME[name] for name in FRAME if name != "segment_pk"}, "the key 'segment_pk' is None"),
        (FRAME | {"frame_id": "c/s/g"}, "where 'FRAME#c/s/g' belongs"),
        (FRAME | {"status": "REJECTED", "status_pk": "STATUS#REJECTED"}, "'reason' is missing, and it is REJECTED"),
        (FRAME | {"status": "IN_REVIEW", "status_pk": "STATUS#IN_REVIEW"}, "'confidence' is missing, and it is IN_REV"),
    ],
)
def test_a_frame_whose_attributes_contradict_each_other_is_refused(item: dict[str, Any], said: str) -> None:
    with pytest.raises(BrokenRow, match=said):
        FrameRow.of(item)


def test_a_row_of_before_annotations_and_polarity_is_read_and_stays_as_it_is() -> None:
    """Attributes that came after a stack may have been deployed are missing there, and are not made up."""
    row = FrameRow.of(FRAME | {"width": 24, "height": 40})
    assert (row.annotated, row.organiser, row.format, row.polarity_confidence) == ("", "", None, None)
    assert row.item() == FRAME | {"width": 24, "height": 40}


def test_numbers_that_the_table_returns_as_whole_are_read_as_what_they_were() -> None:
    row = FrameRow.of(FRAME | {"confidence": 1, "model_version": "first"})
    assert row.confidence == 1.0
    assert isinstance(row.confidence, float)


def test_the_fields_that_only_the_keys_tell() -> None:
    item = {"pk": "FRAME#c/s/f", "sk": "LAYER#a-1#007", "loop_name": "a-1", "label": "bed", "image_prefix": "s3://b/",
            "revision": "r", "x": [0, 63], "y": [10, 10.5]}  # fmt: skip
    layer = LayerRow.of(item)
    assert (layer.frame_id, layer.number, layer.x) == ("c/s/f", 7, (0.0, 63.0))
    assert layer.item() == item
    with pytest.raises(BrokenRow, match="'number' is missing"):
        LayerRow.of(item | {"sk": "LAYER#a-1"})
    with pytest.raises(BrokenRow, match="'number' is not known, its keys tell it"):
        LayerRow.of(item | {"number": 7})


def test_every_kind_has_keys_of_its_own() -> None:
    assert len({(kind.KEYS["pk"], kind.KEYS["sk"]) for kind in KINDS}) == len(KINDS)
    assert len({kind.CALLED for kind in KINDS}) == len(KINDS)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield make_world()


MOVES: dict[str, tuple[tuple[str, ...], FrameStatus, tuple[Any, ...]]] = {
    "predicted": (("READY",), "PREDICTED", ("other", 0.25)),
    "rejected_by_network": (("READY",), "REJECTED", ("It is all of one grey.",)),
    "in_review": (("PREDICTED",), "IN_REVIEW", ("loop",)),
    "accepted": (("PREDICTED",), "ACCEPTED", ("",)),
    "corrected": (("PREDICTED", "IN_REVIEW", "ACCEPTED"), "CORRECTED", ("loop",)),
    "review_failed": (("PREDICTED", "IN_REVIEW"), "PREDICTED", ("The loop expired.",)),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_frame_moves_from_the_statuses_it_may_come_from_and_from_no_other(world: World, move: str) -> None:
    allowed, to, details = MOVES[move]
    for status in STATUSES:
        told = {"status": status, "confidence": 0.5, "model_version": "first", "reason": "It is no picture."}
        before = FrameRow.of(FRAME | told | {"status_pk": f"STATUS#{status}"})
        for revision, moves in (("another", False), (before.revision, status in allowed)):
            world.table.put(before.item())
            assert getattr(world.register, move)("c/s/f", revision, *details) is moves
            after = world.register.get("c/s/f")
            assert after is not None
            assert after.status == (to if moves else status)
            assert moves or after == before


def test_a_loop_takes_one_answer_and_is_completed_once(world: World) -> None:
    loops = Loops(world.table)
    told: dict[str, Any] = {"frame_id": "c/s/f", "revision": "r", "model_version": "first", "confidence": None}
    assert loops.open("loop", "reviews/loop/input.json", reason="Unsure.", **told)
    assert not loops.open("loop", "elsewhere", reason="Unsure.", **told)
    assert not loops.complete("loop")
    assert loops.answer("loop", GivenAnswer(by="ada", key="answers/1.json", submitted="2026-11-22T10:00:00.000+00:00"))
    with pytest.raises(Closed):
        loops.answer("loop", GivenAnswer(by="ben", key="answers/2.json", submitted="2026-11-22T10:00:01.000+00:00"))
    [answered] = loops.of_state("ANSWERED")
    assert [given.key for given in answered.given] == ["answers/1.json"]
    assert loops.complete("loop")
    assert not loops.complete("loop")
    assert LoopRow.get(world.table, loop_name="loop") == loops.get("loop")
    assert [loop.state for loop in loops.of_state("COMPLETED")] == ["COMPLETED"]


def test_an_operators_request_makes_a_batch_like_any_other(world: World) -> None:
    assert world.corrections.request_retraining("one")
    [batch] = world.corrections.batches("PENDING")
    assert batch == BatchRow(
        batch=0, state="PENDING", attempt=0, failures=0, claimed_at=batch.claimed_at, request="one"
    )
