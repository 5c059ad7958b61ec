"""`firnline predict`: replaces nothing of the user's, and a refusal ends the wait at once."""

import dataclasses
import hashlib
import os
import time
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner

from firnline.documents.polarity import polarity_of_row, told_polarity
from firnline.documents.upload_key import revision_of
from firnline.store import keys
from firnline.store.rows import FrameRow
from tests.support.review_world import ENVIRONMENT, World
from workbench import cli, uploads
from workbench.cli import terminal
from workbench.connection import Connection

FRAMES = "firnline-frames"


def refused_by_the_stack(world: World, key: str, sequencer: str, reason: str) -> None:
    """What ingest_frame writes of an upload that can have no frame of its own."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    world.register.register(f"_keys/refused/{digest}", key, sequencer, digest[:12], "REJECTED", reason=reason)


@pytest.fixture
def connection(world: World) -> Connection:
    boto3.client("s3").create_bucket(Bucket=FRAMES)
    names = {"FramesBucketName": FRAMES, "WorkspaceBucketName": ENVIRONMENT["WORKSPACE_BUCKET"]}
    return Connection(boto3.Session(), names | {"TableName": ENVIRONMENT["TABLE_NAME"]}, local=False)


def make_revision(world: World, row: FrameRow, revision: str) -> None:
    """Let the register know the frame as another revision, and what was predicted of it lie under that one."""
    old, new = ("adhoc/s/f", row.revision), ("adhoc/s/f", revision)
    for source, target in (
        (keys.frame(*old), keys.frame(*new)),
        (keys.prediction(*old, "first"), keys.prediction(*new, "first")),
        (keys.prediction_overlay(*old, "first"), keys.prediction_overlay(*new, "first")),
    ):
        world.bucket.write(target, world.bucket.read(source, 10**7), "application/octet-stream")
    world.table.put(row.model_copy(update={"revision": revision}).item())


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be uploaded."""
    monkeypatch.setattr(terminal, "connect", lambda: pytest.fail("the stack was asked"))


def predict(*arguments: Path | str) -> tuple[int, str]:
    ran = CliRunner().invoke(cli.app, ["predict", *map(str, arguments)], env={"COLUMNS": "300"})
    return ran.exit_code, " ".join(ran.output.split())


def frames(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"the user's own " + name.encode())
    return [folder / name for name in names]


def test_two_files_that_would_be_written_to_one_place_are_refused(unreachable: None, tmp_path: Path) -> None:
    first, second, third = frames(tmp_path, "a/f.png", "b/f.png", "b/f.jpg")
    code, said = predict(first, second, third, "--out", tmp_path / "o")
    assert code == 1
    assert f"{second} and {first} would both be written" in said
    assert f"{third} and {first} would both be written" in said
    assert "Nothing was uploaded." in said


@pytest.mark.parametrize("theirs", ["f.layers.json", "f.overlay.png", "f.picks.csv"])
def test_what_is_there_is_not_replaced(unreachable: None, tmp_path: Path, theirs: str) -> None:
    frame, there = frames(tmp_path, "f.png", theirs)
    code, said = predict(frame, "--out", tmp_path)
    assert code == 1
    assert f"{there} exists" in said
    assert "--overwrite" in said
    assert there.read_bytes() == b"the user's own " + theirs.encode()


def test_a_link_that_leads_nowhere_is_there_too(unreachable: None, tmp_path: Path) -> None:
    (frame,) = frames(tmp_path, "f.png")
    (tmp_path / "f.overlay.png").symlink_to(tmp_path / "elsewhere.png")
    assert predict(frame, "--out", tmp_path)[0] == 1


def test_a_frame_is_never_overwritten_not_even_when_asked(unreachable: None, tmp_path: Path) -> None:
    given = frames(tmp_path, "f.png", "f.overlay.png")
    code, said = predict(*given, "--out", tmp_path, "--overwrite")
    assert code == 1
    assert "is one of the files to predict" in said


def test_an_out_that_cannot_be_written_to_is_named_first(
    unreachable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, file = frames(tmp_path, "f.png", "file")
    code, said = predict(frame, "--out", file / "below")
    assert (code, "cannot be made (Not a directory)" in said) == (1, True)
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.R_OK)
    code, said = predict(frame, "--out", tmp_path / "o")
    assert (code, "cannot be written to" in said) == (1, True)


def test_names_that_name_no_frame_are_refused_each_with_its_sentence(unreachable: None, tmp_path: Path) -> None:
    given = frames(tmp_path, "note.txt", "my frame.png", "f.layers.csv")
    code, said = predict(*given, "--out", tmp_path / "o")
    assert code == 1
    assert "'note.txt' is of no kind that Firnline reads" in said
    assert "'my frame.png' in" in said
    assert "'f.layers.csv' is an annotation" in said
    assert "3 of 3 files were rejected" in said


def test_predictions_get_names_of_their_own_beside_the_frame(
    world: World, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a frame, when its layers are written beside it, then the frame is as before."""
    (frame,) = frames(tmp_path, "f.png")
    monkeypatch.setattr(terminal, "connect", lambda: connection)
    world.predicted_frame("adhoc/s/f", confidence=0.75)
    content, predicted = frame.read_bytes(), world.register.get("adhoc/s/f")
    assert predicted is not None
    revision = revision_of(content)
    make_revision(world, predicted, revision)
    code, said = predict(frame, "--segment", "s", "--out", tmp_path)
    assert (code, "0.75" in said) == (0, True)
    assert frame.read_bytes() == content
    assert (tmp_path / "f.overlay.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "f.layers.json",
        "f.overlay.png",
        "f.picks.csv",
        "f.png",
    ]
    picks = (tmp_path / "f.picks.csv").read_text().splitlines()
    assert picks[:2] == [
        "layer,label,trace,sample,twtt_s,depth_m,latitude,longitude,confidence",
        "0,surface,0,10.000,,,,,",
    ]
    assert len(picks) == 1 + 2 * 64
    assert predict(frame, "--segment", "s", "--out", tmp_path)[0] == 1
    assert predict(frame, "--segment", "s", "--out", tmp_path, "--overwrite")[0] == 0


def test_the_second_file_of_a_taken_name_is_answered_by_its_refusal(
    world: World, connection: Connection, tmp_path: Path
) -> None:
    """Given a frame `f.png`, when `f.jpg` is refused, then the wait ends with that sentence."""
    world.predicted_frame("adhoc/s/f")
    (file,) = frames(tmp_path, "f.jpg")
    sent = uploads.upload(connection, file, "adhoc", "s")

    def deliver(_done: int, _rejected: int) -> None:
        refused_by_the_stack(world, "adhoc/s/f.jpg", "0A", "It would be the same frame.")

    began = time.monotonic()
    rows = uploads.follow(connection, [sent], 20, deliver)
    assert rows["adhoc/s/f"].reason == "It would be the same frame."
    assert time.monotonic() - began < 20


def test_a_refusal_from_before_is_no_answer(world: World, connection: Connection, tmp_path: Path) -> None:
    """Given a refusal of an earlier upload, when the key is uploaded again, then only a later refusal counts."""
    refused_by_the_stack(world, "adhoc/s/f.jpg", "0A", "It would be the same frame.")
    (file,) = frames(tmp_path, "f.jpg")
    sent = uploads.upload(connection, file, "adhoc", "s")
    with pytest.raises(TimeoutError, match=r"adhoc/s/f among them"):
        uploads.follow(connection, [sent], 0, lambda _done, _rejected: None)
    refused_by_the_stack(world, "adhoc/s/f.jpg", "09", "It would be the same frame.")  # the earlier event, once more
    with pytest.raises(TimeoutError):
        uploads.follow(connection, [sent], 0, lambda _done, _rejected: None)
    refused_by_the_stack(world, "adhoc/s/f.jpg", "0B", "It would be the same frame.")
    assert uploads.follow(connection, [sent], 0, lambda _done, _rejected: None)["adhoc/s/f"].status == "REJECTED"


def test_a_frame_that_was_refused_before_is_waited_for(world: World, connection: Connection, tmp_path: Path) -> None:
    """Given a frame that could not be read, when its file is uploaded again, then it is read anew, and that is the answer."""
    (file,) = frames(tmp_path, "f.jpg")
    revision = revision_of(file.read_bytes())
    world.register.register("adhoc/s/f", "adhoc/s/f.jpg", "0A", revision, "REJECTED", reason="Not yet.")
    sent = uploads.upload(connection, file, "adhoc", "s")
    with pytest.raises(TimeoutError, match=r"adhoc/s/f among them"):
        uploads.follow(connection, [sent], 0, lambda _done, _rejected: None)
    world.register.register("adhoc/s/f", "adhoc/s/f.jpg", "0B", revision, "REJECTED", reason="Not now.")
    found = uploads.follow(connection, [sent], 0, lambda _done, _rejected: None)
    assert found["adhoc/s/f"].reason == "Not now."


def test_a_key_that_names_no_frame_is_followed_to_its_refusal(
    world: World, connection: Connection, tmp_path: Path
) -> None:
    (file,) = frames(tmp_path, "note.txt")
    sent = uploads.upload(connection, file, "adhoc", "s")
    refused_by_the_stack(world, "adhoc/s/note.txt", "0A", "It is of no kind that Firnline reads.")
    rows = uploads.follow(connection, [sent], 0, lambda _done, _rejected: None)
    assert rows[sent.frame_id].reason == "It is of no kind that Firnline reads."


def test_nothing_is_written_over_what_came_meanwhile(world: World, connection: Connection, tmp_path: Path) -> None:
    world.predicted_frame("adhoc/s/f")
    row = world.register.get("adhoc/s/f")
    assert row is not None
    (there,) = frames(tmp_path, "f.layers.json")
    with pytest.raises(FileExistsError):
        uploads.fetch_layers(connection, row, tmp_path, "f", overwrite=False)
    assert there.read_bytes() == b"the user's own f.layers.json"


def test_outputs_have_no_name_that_ends_as_a_frame_of_that_stem_does(tmp_path: Path) -> None:
    names = {path.name for path in dataclasses.astuple(uploads.outputs_of(tmp_path, "f"))}
    assert names == {"f.layers.json", "f.overlay.png", "f.picks.csv"}


def test_the_polarity_given_goes_with_the_upload_and_makes_its_revision(
    world: World, connection: Connection, tmp_path: Path
) -> None:
    (file,) = frames(tmp_path, "f.png")
    sent = uploads.upload(connection, file, "adhoc", "s", "dark-strong")
    stored = connection.frames.client.head_object(Bucket=FRAMES, Key=sent.key)
    assert stored["Metadata"] == {"polarity": "dark-strong"}
    assert (
        sent.revision
        == revision_of(file.read_bytes(), "dark-strong")
        != uploads.upload(connection, file, "adhoc", "s").revision
    )


def test_a_polarity_that_was_guessed_is_told_by_predict_and_status(
    world: World, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (frame,) = frames(tmp_path, "f.png")
    monkeypatch.setattr(terminal, "connect", lambda: connection)
    world.predicted_frame("adhoc/s/f")
    predicted = world.register.get("adhoc/s/f")
    assert predicted is not None
    guessed = {"format": "png", "polarity": "dark-strong", "polarity_confidence": 0.62}
    make_revision(world, predicted.model_copy(update=guessed), revision_of(frame.read_bytes()))
    _, said = predict(frame, "--segment", "s", "--out", tmp_path)
    assert "dark-strong? 0.62" in said
    assert "upload it with --polarity bright-strong" in said
    told = " ".join(CliRunner().invoke(cli.app, ["status"], env={"COLUMNS": "300"}).output.split())
    assert "dark-strong? 0.62 Polarity dark-strong is a guess (confidence 0.62)" in told


def test_what_is_told_of_a_polarity() -> None:
    assert told_polarity("irsno1b-nc", "bright-strong", None) is None
    given, sure, unsure = (told_polarity("png", "dark-strong", confidence) for confidence in (None, 0.97, 0.6))
    assert given
    assert sure
    assert unsure
    assert (given.short, sure.short, unsure.short) == ("dark-strong, given", "dark-strong 0.97", "dark-strong? 0.60")
    assert (given.sure, sure.sure, unsure.sure) == (True, True, False)
    refused = FrameRow(
        frame_id="c/s/f",
        status="REJECTED",
        revision="r",
        source_key="c/s/f.png",
        sequencer="0",
        updated="u",
        reason="It is no picture.",
    )
    assert polarity_of_row(refused) is None
