"""Uploads through the handler, against S3, DynamoDB and EventBridge as moto plays them."""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.documents.polarity import polarity_of_row
from firnline.errors import Refused
from firnline.radar.polarity import guess_polarity
from firnline.store import keys
from firnline.store.rows import FrameRow
from ingest_frame import ingest
from tests.support.ingest_files import cresis_variables, echoes, grey, impdar, irsno1b, mat5, picture
from tests.support.review_world import ENVIRONMENT, Context, on_moto
from tests.support.samples import sample
from tests.support.uploads_bucket import FRAME_ID, FRAMES, UploadsBucket

KEY = FRAME_ID
CSV = ("bed_row\n" + "30\n" * 24).encode()
EVENT = sample("ingest_frame")


class Uploads(UploadsBucket):
    def row(self, frame_id: str = FRAME_ID) -> dict[str, Any]:
        row = self.world.register.get(frame_id)
        assert row is not None
        return row

    def rejected(self) -> list[FrameRow]:
        return list(self.world.register.of_status("REJECTED"))

    def document(self) -> FrameDocument:
        key = keys.frame(FRAME_ID, self.row().revision)
        return FrameDocument.model_validate_json(self.world.bucket.read(key, 10**7))

    def partial(self) -> LayersDocument:
        return LayersDocument.model_validate_json(self.partial_bytes())

    def partial_bytes(self) -> bytes:
        return self.world.bucket.read(keys.partial(FRAME_ID, self.row().revision), 10**7)

    def objects(self) -> dict[str, str]:
        listed = self.s3.list_objects_v2(Bucket=ENVIRONMENT["WORKSPACE_BUCKET"]).get("Contents", [])
        return {entry["Key"]: entry["LastModified"].isoformat() + entry["ETag"] for entry in listed}


@pytest.fixture
def uploads() -> Iterator[Uploads]:
    with on_moto(FRAMES_BUCKET=FRAMES) as world:
        yield Uploads(world)


def test_a_frame_becomes_picture_document_row_and_event(uploads: Uploads) -> None:
    record = uploads.put(f"{KEY}.nc", irsno1b())
    uploads.deliver(record)
    row, document = uploads.row(), uploads.document()
    assert row.status == "READY"
    assert (row.width, row.height) == (24, 40)
    assert document.source_version == record["messageId"]
    assert document.dt_s == pytest.approx(2e-9)
    assert document.metres_per_row_ice == pytest.approx(0.1684, abs=1e-4)
    assert len(document.latitude) == 24
    assert document.bed_twtt_s is None
    with Image.open(io.BytesIO(uploads.world.bucket.read(keys.echogram(FRAME_ID, row.revision), 10**7))) as image:
        assert image.size == (24, 40)
        assert image.mode == "L"
        pixels = np.asarray(image).astype(int)
    assert pixels[8].min() > pixels[30].max()
    (event,) = uploads.world.events("FrameReady")
    assert event["detail"] == {"frame_id": FRAME_ID, "revision": row.revision}


def test_the_same_delivery_again_changes_nothing_but_says_ready_again_until_predicted(uploads: Uploads) -> None:
    record = uploads.put(f"{KEY}.mat", mat5(cresis_variables()))
    uploads.deliver(record)
    row, objects = uploads.row(), uploads.objects()
    uploads.deliver(record, record)
    assert uploads.row() == row
    assert uploads.objects() == objects
    assert len(uploads.world.events("FrameReady")) == 3
    uploads.world.register.predicted(FRAME_ID, row.revision, "first", 0.5)
    uploads.deliver(record, uploads.put(f"{KEY}.mat", mat5_again(uploads)))
    assert uploads.row().status == "PREDICTED"
    assert uploads.world.events("FrameReady") == []


def mat5_again(uploads: Uploads) -> bytes:
    """The bytes of the frame as they lie in the bucket: savemat writes the time of day into its header."""
    return uploads.s3.get_object(Bucket=FRAMES, Key=f"{KEY}.mat")["Body"].read()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_versions_in_any_order_and_twice_end_in_the_newest(uploads: Uploads, order: tuple[int, ...]) -> None:
    records = [uploads.put(f"{KEY}.png", picture(np.roll(grey(), shift, axis=0))) for shift in range(3)]
    for number in (*order, *reversed(order)):
        uploads.deliver(records[number])
    assert uploads.document().source_version == records[2]["messageId"]
    assert uploads.row().status == "READY"


def test_a_broken_file_is_rejected_visibly_and_a_better_one_takes_its_place(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.png", b"no picture"))
    row = uploads.row()
    assert row.status == "REJECTED"
    assert "neither a PNG" in row.reason
    assert [row.frame_id for row in uploads.rejected()] == [FRAME_ID]
    reason = json.loads(uploads.world.bucket.read(keys.rejection(FRAME_ID), 10**6))
    assert reason["reason"] == row.reason
    (event,) = uploads.world.events("FrameRejected")
    assert event["detail"] == {"frame_id": FRAME_ID, "source_key": f"{KEY}.png", "reason": row.reason}
    uploads.deliver(uploads.put(f"{KEY}.png", picture(grey())))
    assert uploads.row().status == "READY"
    assert "reason" not in uploads.row()


def test_a_file_of_another_kind_replaces_only_a_rejected_one(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.nc", b"broken"))
    uploads.deliver(uploads.put(f"{KEY}.mat", mat5(cresis_variables())))
    row, objects = uploads.row(), uploads.objects()
    assert row.source_key == f"{KEY}.mat"
    uploads.world.events()
    uploads.deliver(uploads.put(f"{KEY}.nc", irsno1b()))
    assert uploads.row() == row
    assert objects.items() <= uploads.objects().items()
    (rejected,) = uploads.rejected()
    assert rejected.source_key == f"{KEY}.nc"
    assert "upload it under another name" in rejected.reason
    assert uploads.world.events("FrameReady") == []


@pytest.mark.parametrize("key", ["frame.png", "a/b/c/d.png", "a b/s/f.png", "a/s/f.docx", "a/s/.png", "a/ü/f.png"])
def test_a_key_that_names_no_frame_is_rejected_once(uploads: Uploads, key: str) -> None:
    record = uploads.put(key, b"x")
    uploads.deliver(record, record)
    (row,) = uploads.rejected()
    assert row.source_key == key
    assert row.frame_id.startswith("_keys/")
    assert json.loads(uploads.world.bucket.read(keys.rejection(row.frame_id), 10**6))["source_key"] == key
    assert {event["detail"]["source_key"] for event in uploads.world.events("FrameRejected")} == {key}


def test_folders_and_deleted_objects_are_passed_over(uploads: Uploads) -> None:
    record = uploads.put(f"{KEY}.png", picture(grey()))
    uploads.s3.delete_object(Bucket=FRAMES, Key=f"{KEY}.png", VersionId=record["messageId"])
    folder = uploads.put("greenland/20120330_04/", b"")
    uploads.deliver(record, folder)
    assert uploads.rejected() == []
    assert uploads.world.register.get(FRAME_ID) is None


def test_too_large_a_file_is_rejected_unread(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_frame.ingest.MAX_FILE_BYTES", 100)
    record = uploads.put(f"{KEY}.png", picture(grey()))
    uploads.deliver(record, record)
    assert "Split the frame along the track" in uploads.row().reason


def test_polarity_from_the_metadata_makes_a_revision_of_its_own(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.png", picture(grey())))
    first = uploads.row().revision
    assert uploads.document().polarity == "bright-strong"
    told = polarity_of_row(uploads.row())
    assert told
    assert f"(confidence {uploads.row().polarity_confidence:.2f})" in told.sentence
    uploads.deliver(uploads.put(f"{KEY}.png", picture(grey()), {"polarity": "dark-strong"}))
    assert uploads.document().polarity == "dark-strong"
    assert uploads.row().revision != first
    given = polarity_of_row(uploads.row())
    assert given
    assert given.sentence == "Polarity dark-strong, as given with the upload."
    uploads.deliver(uploads.put(f"{KEY}.png", picture(grey()), {"polarity": "sideways"}))
    assert "bright-strong or dark-strong" in uploads.row().reason


def test_a_transient_failure_goes_back_to_the_queue(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    good = uploads.put(f"{KEY}.png", picture(grey()))
    bad = json.loads(json.dumps(good)) | {"messageId": "malformed", "body": "{}"}
    answer = uploads.app.handler({"Records": [bad, good]}, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "malformed"}]}
    assert uploads.row().status == "READY"


# --------------------------------------------------------------------------------------------- annotations


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_annotation_before_or_after_the_frame_gives_the_same_partial(uploads: Uploads, order: tuple[int, int]) -> None:
    records = [uploads.put(f"{KEY}.layers.csv", CSV), uploads.put(f"{KEY}.png", picture(grey()))]
    for number in (*order, *order):
        uploads.deliver(records[number])
    partial = uploads.partial()
    assert partial.rows().tolist() == [[30.0] * 24]
    head = uploads.s3.head_object(Bucket=FRAMES, Key=f"{KEY}.layers.csv")
    assert partial.source.created == head["LastModified"]
    assert uploads.row().annotation_reason == ""
    assert len(uploads.world.events("FrameReady")) == 2


def test_an_annotation_after_prediction_leaves_the_status(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.png", picture(grey())))
    uploads.world.register.predicted(FRAME_ID, uploads.row().revision, "first", 0.5)
    uploads.world.events()
    uploads.deliver(uploads.put(f"{KEY}.layers.csv", CSV))
    assert uploads.row().status == "PREDICTED"
    assert uploads.partial().layers[0].label == "bed"
    assert uploads.world.events() == []


def test_a_bad_annotation_is_noted_and_a_good_one_clears_the_note(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.layers.csv", b"bed_row\n999\n"), uploads.put(f"{KEY}.png", picture(grey())))
    assert uploads.row().status == "READY"
    assert "rows 0 to 39" in uploads.row().annotation_reason
    assert len(uploads.world.events("FrameReady")) == 1
    uploads.deliver(uploads.put(f"{KEY}.layers.csv", CSV))
    assert uploads.row().annotation_reason == ""
    assert uploads.partial().layers


def test_a_document_goes_before_a_table_and_other_stems_are_not_beside(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.layers.csv", CSV), uploads.put(f"{KEY}.png", picture(grey())))
    uploads.put(f"{KEY}x.layers.json", b"{}")
    document = uploads.partial().model_copy(update={"coverage": "complete"})
    uploads.deliver(uploads.put(f"{KEY}.layers.json", document.to_json()))
    assert uploads.partial().coverage == "complete"


def test_a_waiting_annotation_leaves_no_trace_until_its_frame_comes(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.layers.csv", CSV))
    assert uploads.world.register.get(FRAME_ID) is None
    assert uploads.rejected() == []


def test_picks_inside_a_file_are_imported_and_an_annotation_beside_it_replaces_them(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.mat", impdar()))
    assert uploads.partial().rows().tolist() == [[31.0] * 30]
    uploads.deliver(uploads.put(f"{KEY}.layers.csv", ("bed_row\n" + "40\n" * 30).encode()))
    assert uploads.partial().rows().tolist() == [[40.0] * 30]


@pytest.mark.parametrize("organiser_first", [False, True])
@pytest.mark.parametrize("suffix", ["mat", "MAT"])
def test_an_organiser_names_the_layers_whenever_it_comes_until_it_goes(
    uploads: Uploads, organiser_first: bool, suffix: str
) -> None:
    name = f"greenland/20120330_04/layer_20120330_04.{suffix}"
    variables = cresis_variables()
    times = 1e-6 + 2e-9 * np.array([[8.0], [20.0]]) + 0 * variables["GPS_time"]
    layers = mat5({"gps_time": variables["GPS_time"], "id": np.array([[5, 7]]), "twtt": times})
    names = np.empty((1, 2), dtype=object)
    names[0] = ["surface", "bottom"]
    organiser = mat5({"lyr_id": np.array([[5, 7]]), "lyr_name": names})
    frame = uploads.put(f"{KEY}.mat", mat5(variables))
    if organiser_first:
        uploads.deliver(uploads.put(name, organiser))
    uploads.deliver(frame, uploads.put(f"{KEY}.layers.mat", layers))
    if not organiser_first:
        assert [layer.label for layer in uploads.partial().layers] == ["layer", "layer"]
        record = uploads.put(name, organiser)
        uploads.deliver(record)
        partial = uploads.objects()
        uploads.deliver(record)  # changes nothing, for it was read with this organiser
        assert uploads.objects() == partial
    assert [layer.label for layer in uploads.partial().layers] == ["surface", "bed"]
    assert uploads.rejected() == []
    uploads.deliver(uploads.delete(name))
    assert [layer.label for layer in uploads.partial().layers] == ["layer", "layer"]


def test_a_file_that_was_refused_is_read_anew_when_it_is_uploaded_once_more(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a release that cannot read a form and one that can, then only the same delivery again changes nothing."""

    def older(_content: bytes, _polarity: object) -> None:
        raise Refused(f"This file is of no form that release {releases.pop()} reads.")

    releases = [2, 1]
    with monkeypatch.context() as patched:
        patched.setattr(ingest, "read_frame", older)
        record = uploads.put(f"{KEY}.nc", irsno1b())
        uploads.deliver(record)
        uploads.deliver(record)
        assert (uploads.row().status, "release 1" in uploads.row().reason, releases) == ("REJECTED", True, [2])
        uploads.deliver(uploads.put(f"{KEY}.nc", irsno1b()))
        assert (uploads.row().status, "release 2" in uploads.row().reason) == ("REJECTED", True)
    uploads.deliver(uploads.put(f"{KEY}.nc", irsno1b()))
    assert (uploads.row().status, uploads.row().reason) == ("READY", "")


def test_what_a_reviewer_calls_unusable_stays_so_when_it_is_uploaded_once_more(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{KEY}.nc", irsno1b()))
    register, row = uploads.world.register, uploads.row()
    register.predicted(row.frame_id, row.revision, "first", 0.5)
    register.unusable(row.frame_id, row.revision, "a-loop", "Nothing can be seen.")
    uploads.deliver(uploads.put(f"{KEY}.nc", irsno1b()))
    assert (uploads.row().status, uploads.row().reason) == ("REJECTED", "Nothing can be seen.")


def test_missing_samples_are_black_and_said_so(uploads: Uploads) -> None:
    power = echoes()
    power[:4] = np.nan
    uploads.deliver(uploads.put(f"{KEY}.nc", irsno1b(power_db=power)))
    png = uploads.world.bucket.read(keys.echogram(FRAME_ID, uploads.row().revision), 10**7)
    assert not np.asarray(Image.open(io.BytesIO(png)))[:4].any()
    assert any("10.00% of the samples hold no data" in note for note in uploads.document().transforms)


# ------------------------------------------------------------------------------------------------ real data


def test_real_frames_are_read_with_the_right_polarity(real_data: Path, uploads: Uploads) -> None:
    expected = dict.fromkeys(real_data.glob("utig/*.png"), "dark-strong")
    expected |= dict.fromkeys(real_data.glob("unlabelled/*.png"), "bright-strong")
    expected |= dict.fromkeys(real_data.glob("juneau/*.mat"), "bright-strong")
    assert len(expected) == 23
    for file, polarity in expected.items():
        uploads.deliver(uploads.put(f"real/{file.parent.name}/{file.name}", file.read_bytes()))
        row = uploads.row(f"real/{file.parent.name}/{file.stem}")
        assert row.status == "READY", (file.name, row.reason)
        document = uploads.world.bucket.read(keys.frame(row.frame_id, row.revision), 10**8)
        assert FrameDocument.model_validate_json(document).polarity == polarity, file.name


def test_polarity_of_real_frames_turned_round(real_data: Path) -> None:
    for file in real_data.glob("utig/*.png"):
        with Image.open(file) as image:
            assert guess_polarity(255 - np.asarray(image).astype(float))[0] == "bright-strong", file.name


def test_the_real_cresis_layout_is_read_up_to_its_dummy_values(real_data: Path, uploads: Uploads) -> None:
    content = (real_data / "cresis" / "zeros_mcords_mat.mat").read_bytes()
    uploads.deliver(uploads.put(f"{KEY}.mat", content))
    assert "no contrast" in uploads.row().reason
