"""`firnline export --in-cloud`: what the state machine writes is what the command writes here, whatever happens on the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from export_segment.steps import STEP
from firnline.errors import Refused
from firnline.exports import in_cloud
from firnline.exports.forms import NOT_IN_CLOUD, WRITERS, WRITERS_IN_CLOUD
from firnline.exports.request import ExportRequest
from firnline.exports.selection import Wanted
from firnline.products.accumulation import AnnualLayers
from firnline.products.credits import Credits
from firnline.products.frame_product import Assumptions
from firnline.products.physics import Medium
from firnline.products.track import Box
from firnline.products.uncertainty import MediumError
from firnline.store import keys
from tests.support.export_world import EXPORT_MACHINE, ExportMachine, accepted
from tests.support.exported import written
from tests.support.review_world import ENVIRONMENT, World
from tests.support.statemachine_world import failed
from workbench import cloud_export
from workbench.cli import app, terminal
from workbench.connection import Connection

ONE, OTHER = "campaign/20120401_01", "campaign/20120401_02"
FORMS = [word for form in WRITERS_IN_CLOUD for word in ("--to", form)]


class OnMoto(Connection):
    machine: ExportMachine

    def client(self, service: str) -> Any:
        return self.machine if service == "stepfunctions" else super().client(service)


@pytest.fixture
def machine(world: World, monkeypatch: pytest.MonkeyPatch) -> ExportMachine:
    return ExportMachine(world, monkeypatch)


@pytest.fixture
def connection(machine: ExportMachine, monkeypatch: pytest.MonkeyPatch) -> Connection:
    outputs = {"WorkspaceBucketName": ENVIRONMENT["WORKSPACE_BUCKET"], "TableName": ENVIRONMENT["TABLE_NAME"]}
    found = OnMoto(boto3.Session(), outputs | {"ExportStateMachineArn": EXPORT_MACHINE}, local=False)
    monkeypatch.setattr(OnMoto, "machine", machine, raising=False)
    monkeypatch.setattr(terminal, "connect", lambda: found)
    return found


@pytest.fixture
def firnline(connection: Connection) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(app, ["export", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture
def two_segments(world: World) -> None:
    accepted(world, ONE, 1, 2)
    accepted(world, OTHER, 1)


def products(world: World, export: str) -> dict[str, tuple[str, object]]:
    """Of each key below an export's segments what is in it, and when it was written."""
    prefix = f"products/{export}/segments/"
    pages = world.bucket.client.get_paginator("list_objects_v2").paginate(Bucket=world.bucket.name, Prefix=prefix)
    return {item["Key"].removeprefix(prefix): (item["ETag"], item["LastModified"])
            for page in pages for item in page.get("Contents", [])}  # fmt: skip


@pytest.mark.usefixtures("two_segments")
def test_each_segment_is_byte_for_byte_what_the_command_writes_here(
    firnline: Callable[..., Result], tmp_path: Path
) -> None:
    physics = ("--herron-langway", "350,0.25,-30", "--surface-year", "2012.25", "--creator", "Ada <ada@example.org>")
    ran = firnline("--in-cloud", "--name", "all", "--out", tmp_path / "cloud", *FORMS, *physics)
    assert ran.exit_code == 0, ran.output
    assert "all 2 segments were written" in ran.output
    for segment in (ONE, OTHER):
        here = tmp_path / segment.replace("/", "-")
        assert firnline(segment, "--out", here, *FORMS, *physics).exit_code == 0
        assert len(written(here)) >= len(WRITERS_IN_CLOUD)
        assert written(tmp_path / "cloud" / segment) == written(here)
        ours, theirs = (
            json.loads((folder / "export.json").read_text()) for folder in (here, tmp_path / "cloud" / segment)
        )
        assert {**theirs, "command": "", "created": ""} == {**ours, "command": "", "created": ""}
    account = json.loads((tmp_path / "cloud" / "export.json").read_text())
    assert account["statuses"]["accepted"]["frames"] == 3
    assert [one["segment"] for one in account["segments"]] == [ONE, OTHER]
    assert "Herron" in account["physics"]
    assert account["forms"] == list(WRITERS_IN_CLOUD)
    assert account["failed"] == {}


@pytest.mark.usefixtures("two_segments")
def test_the_same_export_again_writes_nothing_again(
    firnline: Callable[..., Result], world: World, machine: ExportMachine
) -> None:
    assert firnline("--in-cloud", "--name", "twice").exit_code == 0
    before = products(world, "twice")
    accepted(world, "campaign/20120401_03", 1)
    ran = firnline("--in-cloud", "--name", "twice")
    assert ran.exit_code == 0, ran.output
    assert products(world, "twice") == before
    assert len(before) == 5, "a table and an account of each segment, and one with joins"


@pytest.mark.usefixtures("two_segments")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 5))
def test_whichever_call_fails_the_same_export_goes_on_to_the_same_end(
    firnline: Callable[..., Result], world: World, machine: ExportMachine, number: int, moment: str
) -> None:
    def fail(step: dict[str, Any]) -> None:
        if len(machine.calls) == number:
            raise failed("Sabotage", "cut")

    setattr(machine, moment, fail)
    first = firnline("--in-cloud", "--name", "cut")
    setattr(machine, moment, lambda step: None)
    if first.exit_code:
        assert "with --name cut goes on with what is missing" in " ".join(first.output.split())
    again = firnline("--in-cloud", "--name", "cut")
    assert again.exit_code == 0, again.output
    assert "all 2 segments were written" in again.output
    assert set(products(world, "cut")) == {
        f"{ONE}/layers.csv", f"{ONE}/joins.csv", f"{ONE}/export.json", f"{OTHER}/layers.csv", f"{OTHER}/export.json",
    }  # fmt: skip


@pytest.mark.usefixtures("two_segments")
@pytest.mark.parametrize("bound", ["bytes", "seconds"])
def test_a_segment_that_is_too_much_is_named_and_the_others_are_written(
    firnline: Callable[..., Result], machine: ExportMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bound: str
) -> None:
    if bound == "bytes":
        monkeypatch.setattr(in_cloud, "MAX_EXPORT_SEGMENT_BYTES", 5_000)
    else:
        machine.before = lambda step: setattr(
            machine, "milliseconds_left", 1 if step.get("segment") == ONE else 900_000
        )
    definition_of_one_at_a_time(monkeypatch)
    ran = firnline("--in-cloud", "--name", "large", "--out", tmp_path / "out")
    said = " ".join(ran.output.split())
    assert ran.exit_code == 1
    assert "1 of 2 segments were not written" in said
    assert f"firnline export {ONE}" in said
    account = json.loads((tmp_path / "out" / "export.json").read_text())
    assert list(account["failed"]) == [ONE]
    assert (tmp_path / "out" / OTHER / "layers.csv").exists()
    assert not (tmp_path / "out" / ONE).exists()


def definition_of_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that is left is the machine's, so no two segments may run beside each other."""
    from ministack.services import stepfunctions

    machine = stepfunctions._state_machines[EXPORT_MACHINE]
    told = json.loads(machine["definition"])
    told["States"]["WriteSegments"]["MaxConcurrency"] = 1
    monkeypatch.setitem(machine, "definition", json.dumps(told))


@pytest.mark.usefixtures("two_segments")
def test_a_segment_of_which_nothing_is_known_is_named_too(
    firnline: Callable[..., Result], machine: ExportMachine
) -> None:
    def fail(step: dict[str, Any]) -> None:
        if step.get("segment") == ONE:
            raise failed("Lambda.Unknown", "no answer")

    machine.before = fail
    ran = firnline("--in-cloud", "--name", "silent")
    assert ran.exit_code == 1
    assert "it came to no end, and nothing says why" in " ".join(ran.output.split())


@pytest.mark.usefixtures("two_segments")
def test_frames_are_chosen_as_here(firnline: Callable[..., Result], world: World, tmp_path: Path) -> None:
    assert firnline("--in-cloud", "--name", "one", f"{ONE}/Data_002", "--to", "layers-json").exit_code == 0
    files = ("export.json", "joins.csv", f"annotations/{ONE}/Data_002.layers.json")
    assert set(products(world, "one")) == {f"{ONE}/{name}" for name in files}
    ran = firnline("--in-cloud", "nothing_2012")
    assert ran.exit_code == 1
    assert "No frame is of what is asked for" in ran.output


@pytest.mark.usefixtures("two_segments")
def test_a_name_stands_for_one_export(firnline: Callable[..., Result]) -> None:
    assert firnline("--in-cloud", "--name", "mine", ONE).exit_code == 0
    ran = firnline("--in-cloud", "--name", "mine", OTHER)
    assert ran.exit_code == 1
    assert "mine is the name of an export of something else" in " ".join(ran.output.split())
    assert "is no name of an export" in firnline("--in-cloud", "--name", "../up").output
    assert "--name goes with --in-cloud" in firnline("--name", "mine").output
    assert "Say with --out where to" in firnline().output


@pytest.mark.parametrize("form", sorted(NOT_IN_CLOUD))
def test_what_does_not_fit_into_a_lambda_is_refused_in_a_sentence(firnline: Callable[..., Result], form: str) -> None:
    ran = firnline("--in-cloud", "--to", form)
    assert ran.exit_code == 1
    assert f"{form} is not written in the cloud" in " ".join(ran.output.split())


def test_every_form_is_of_the_cloud_or_says_why_not() -> None:
    assert set(WRITERS_IN_CLOUD) | set(NOT_IN_CLOUD) == set(WRITERS)
    assert not set(WRITERS_IN_CLOUD) & set(NOT_IN_CLOUD)


def test_what_is_asked_for_comes_back_as_it_was() -> None:
    physics = Assumptions(
        Medium.herron_langway(350, 0.25, -30), MediumError(0.013, 30), 1.5, AnnualLayers.of(2012.25, gaps="spread"), ground=True,
    )  # fmt: skip
    wanted = Wanted((("c",), ("c", "s", "f")), ("reviewed", "imported"), Box.of("-60,60,-30,85"), "frame")
    credits = Credits.of("Ada <ada@example.org>", "https://example.org", "Here", "CC-BY-4.0")
    sent = ExportRequest.of(wanted, ["csv", "opr", "csv"], physics, credits, "firnline export").to_json()
    back = ExportRequest.model_validate_json(sent)
    assert back.wanted == wanted
    assert back.whose == credits
    assert back.forms == ("csv", "opr")
    found = back.physics
    np.testing.assert_array_equal(found.medium.density_kg_m3, physics.medium.density_kg_m3)
    np.testing.assert_array_equal(found.medium.depth_m, physics.medium.depth_m)
    assert found.statement == physics.statement
    assert (found.error, found.annual, found.reviewer_rows, found.ground) == (
        physics.error, physics.annual, physics.reviewer_rows, True,
    )  # fmt: skip


def test_a_profile_of_too_many_points_is_refused() -> None:
    depth = np.arange(30_000) * 0.01
    physics = Assumptions(Medium.of_table(depth, np.full(depth.shape, 400.0), "core.csv"))
    with pytest.raises(Refused, match="at most 20000 are taken"):
        ExportRequest.of(Wanted.of([], [], None), ["csv"], physics, Credits(), "")


@pytest.mark.parametrize(
    "event",
    [
        {"step": "write_segment", "export": "../x", "segment": ONE},
        {"step": "write_segment", "export": "x", "segment": "a/../../b"},
        {"step": "write_segment", "export": "x", "segment": "a"},
        {"step": "else", "export": "x"},
        {"step": "account", "export": "x", "more": 1},
    ],
)
def test_other_steps_are_refused(event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        STEP.validate_python(event)


def test_files_outside_of_a_segments_folder_are_not_fetched(
    connection: Connection, world: World, tmp_path: Path
) -> None:
    account = {"segments": [{"segment": ONE}]}
    world.bucket.write(keys.export_account("bad"), json.dumps(account).encode(), "application/json")
    prefix = keys.export_segment_prefix("bad", ONE)
    world.bucket.write(f"{prefix}export.json", b'{"files": ["../../../../above.csv"]}', "application/json")
    from io import StringIO

    from rich.console import Console

    from workbench.progress import Stages

    with Stages(Console(file=StringIO())) as stages, pytest.raises(Refused, match="is no file of its own"):
        cloud_export.fetch(connection, "bad", tmp_path / "out", stages)
    assert not (tmp_path / "above.csv").exists()
