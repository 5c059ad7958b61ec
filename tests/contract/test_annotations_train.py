"""What ingest makes of uploaded annotations is what build_dataset learns from: both run as their handlers, on moto."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from build_dataset import app as build_dataset
from firnline.documents.frame import FrameDocument
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, now
from firnline.learning import records
from firnline.learning.annotated import annotated_frames
from firnline.store.rows import FrameRow
from tests.support.ingest_files import grey, impdar, picture
from tests.support.retraining_world import Died, correct, death
from tests.support.review_world import Context, on_moto
from tests.support.samples import sample
from tests.support.uploads_bucket import FRAME_ID, FRAMES, UploadsBucket

REQUEST = sample("build_dataset")
TRACES, SAMPLES = 24, 40
REFUSED = b"bed_row\n999\n"


def csv(row: float, traces: int = TRACES) -> bytes:
    return ("bed_row\n" + f"{row}\n" * traces).encode()


def drawn(row: float, coverage: str = "complete") -> bytes:
    line = [Vertex(x=0, y=row), Vertex(x=TRACES - 1, y=row)]
    return LayersDocument(
        frame_id="",
        image=ImageSize(width=TRACES, height=SAMPLES),
        source=Source(kind="human", created=now()),
        coverage=coverage,
        layers=[Layer(label="surface", vertices=line)],  # type: ignore[arg-type]
    ).to_json()


class Uploads(UploadsBucket):
    @property
    def clients(self) -> list[Any]:
        """Those that ingest makes its calls with."""
        ingest = self.app.ingest()
        return [ingest._uploads.client, ingest._register._table._resource.meta.client]

    def row(self) -> FrameRow:
        row = self.world.register.get(FRAME_ID)
        assert row is not None
        return row

    def learned(self) -> tuple[str, float] | None:
        """(coverage, row of the first layer) of what a snapshot would learn of the frame; None if nothing."""
        found = annotated_frames(self.world.register, self.world.corrections)
        if not found:
            return None
        [frame] = found
        assert frame.revision == self.row().revision
        document = LayersDocument.model_validate_json(self.world.bucket.read(frame.layers_key, 10**7))
        assert document.coverage == self.row().annotated
        return document.coverage, document.layers[0].vertices[0].y


@pytest.fixture
def uploads() -> Iterator[Uploads]:
    with on_moto(FRAMES_BUCKET=FRAMES, HOLDOUT_SEGMENTS="") as world:
        world.serve_the_first_model()
        yield Uploads(world)


def test_annotations_alone_make_a_snapshot(uploads: Uploads) -> None:
    truth = {}
    for number in range(12):
        frame_id = f"greenland/2012033{number % 4}_01/f_{number:03d}"
        complete = number % 3 == 0
        annotation = drawn(8 + number) if complete else csv(8 + number)
        suffix = "json" if complete else "csv"
        shown = picture(np.roll(grey(), number, axis=0))
        sent = [uploads.put(f"{frame_id}.png", shown), uploads.put(f"{frame_id}.layers.{suffix}", annotation)]
        uploads.deliver(*(sent if number % 2 else sent[::-1]))
        truth[frame_id] = (complete, 0 if complete else 2, 8.0 + number)
    assert uploads.world.corrections.counts().total == 0
    plan = build_dataset.handler(REQUEST, Context())
    assert sum(plan["counts"].values()) == 12
    assert plan["counts"]["train"]
    assert plan["counts"]["holdout"]
    prefix = plan["prefix"]
    manifest = json.loads(uploads.world.bucket.read(f"{prefix}manifest.json", 10**7))
    assert manifest["left_out"] == []
    named = {frame["number"]: frame for frame in manifest["frames"]}
    assert {frame["frame_id"] for frame in named.values()} == set(truth)
    assert all(frame["correction"] is None for frame in named.values())
    for file in manifest["files"]:
        payloads = records.iterate_records(uploads.s3.get_object(Bucket="workspace", Key=file["key"])["Body"])
        for record in map(records.unpack_record, payloads):
            frame = named.pop(record.number)
            complete, kind, row = truth[frame["frame_id"]]
            assert frame["coverage"] == ("complete" if complete else "partial")
            assert (record.complete, list(record.kinds)) == (complete, [kind])
            assert np.array_equal(record.rows, np.full((1, TRACES), row))
    assert named == {}


def test_a_correction_supersedes_the_annotation(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{FRAME_ID}.layers.csv", csv(30)), uploads.put(f"{FRAME_ID}.png", picture(grey())))
    correct(uploads.world, FRAME_ID, revision=uploads.row().revision)
    [frame] = annotated_frames(uploads.world.register, uploads.world.corrections)
    assert frame.correction is not None


def test_a_new_revision_does_not_inherit_the_mark(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{FRAME_ID}.layers.json", drawn(30)), uploads.put(f"{FRAME_ID}.png", picture(grey())))
    assert uploads.learned() == ("complete", 30)
    uploads.deliver(uploads.put(f"{FRAME_ID}.png", picture(grey()[:, :20])))  # the annotation is of another width
    assert uploads.learned() is None
    assert uploads.row().annotation_reason
    uploads.deliver(uploads.put(f"{FRAME_ID}.layers.csv", csv(20, 20)), uploads.delete(f"{FRAME_ID}.layers.json"))
    assert uploads.learned() == ("partial", 20)
    assert uploads.row().annotation_reason == ""


@pytest.mark.parametrize("end", ["deleted", "refused"])
def test_what_is_withdrawn_is_not_learned_from(uploads: Uploads, end: str) -> None:
    uploads.deliver(uploads.put(f"{FRAME_ID}.png", picture(grey())), uploads.put(f"{FRAME_ID}.layers.csv", csv(30)))
    assert uploads.learned() == ("partial", 30)
    key = f"{FRAME_ID}.layers.csv"
    uploads.deliver(uploads.delete(key) if end == "deleted" else uploads.put(key, REFUSED))
    assert uploads.learned() is None
    assert bool(uploads.row().annotation_reason) == (end == "refused")
    uploads.deliver(uploads.put(key, csv(31)))
    assert uploads.learned() == ("partial", 31)


def test_picks_inside_a_file_count_wherever_no_annotation_beside_it_does(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{FRAME_ID}.mat", impdar()))
    assert uploads.learned() == ("partial", 31)
    key = f"{FRAME_ID}.layers.csv"
    for annotation, row in ((csv(40, 30), 40), (REFUSED, 31), (csv(41, 30), 41), (None, 31)):
        uploads.deliver(uploads.put(key, annotation) if annotation else uploads.delete(key))
        assert uploads.learned() == ("partial", row)


def test_deleting_a_frame_or_what_was_never_one_changes_nothing(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{FRAME_ID}.png", picture(grey())), uploads.put(f"{FRAME_ID}.layers.csv", csv(30)))
    before = uploads.row()
    uploads.deliver(uploads.delete(f"{FRAME_ID}.png"), uploads.delete("stray.txt"), uploads.delete(f"{FRAME_ID}.txt"))
    assert uploads.row() == before
    assert list(uploads.world.register.of_status("REJECTED")) == []


def test_suffixes_in_capitals(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{FRAME_ID}.PNG", picture(grey())), uploads.put(f"{FRAME_ID}.Layers.CSV", csv(30)))
    assert uploads.learned() == ("partial", 30)


Deed = Callable[[Uploads], dict[str, Any]]
DEEDS: list[Deed] = [
    lambda uploads: uploads.put(f"{FRAME_ID}.png", picture(grey())),
    lambda uploads: uploads.put(f"{FRAME_ID}.png", picture(grey()[:, :20])),
    lambda uploads: uploads.put(f"{FRAME_ID}.layers.csv", csv(30)),
    lambda uploads: uploads.put(f"{FRAME_ID}.layers.csv", csv(31, 20)),
    lambda uploads: uploads.put(f"{FRAME_ID}.layers.csv", REFUSED),
    lambda uploads: uploads.put(f"{FRAME_ID}.layers.json", drawn(33)),
    lambda uploads: uploads.delete(f"{FRAME_ID}.layers.json"),
    lambda uploads: uploads.delete(f"{FRAME_ID}.layers.csv"),
]


def expected(deeds: list[int]) -> tuple[str, float] | None:
    """What is learned after `DEEDS` of these numbers, whatever order their events came in."""
    width, table, document = 0, None, False
    for deed in deeds:
        width = {0: TRACES, 1: 20}.get(deed, width)
        table = {2: (30, TRACES), 3: (31, 20), 4: (0, 0), 7: None}.get(deed, table)
        document = {5: True, 6: False}.get(deed, document)
    if document:
        return ("complete", 33) if width == TRACES else None
    row, traces = table or (0, 0)
    return ("partial", row) if 0 < traces <= width else None


@pytest.mark.parametrize("seed", range(24))
def test_what_is_learned_follows_from_the_uploads_alone(uploads: Uploads, seed: int) -> None:
    """Events that come twice, in any order, and a handler that dies at any of its calls."""
    rng = random.Random(seed)
    deeds = [rng.choice((0, 1)), *(rng.randrange(len(DEEDS)) for _ in range(rng.randint(1, 5)))]
    rng.shuffle(deeds)
    waiting = []
    for deed in deeds:
        waiting.append(DEEDS[deed](uploads))
        while waiting and rng.random() < 0.4:
            _deliver_mortally(uploads, waiting, rng)
    while waiting:
        _deliver_mortally(uploads, waiting, rng)
    assert uploads.learned() == expected(deeds), deeds


def _deliver_mortally(uploads: Uploads, waiting: list[dict[str, Any]], rng: random.Random) -> None:
    """Deliver one of the messages; what dies stays in the queue, and what does not may."""
    message = rng.choice(waiting)
    try:
        with death(rng.randint(1, 24), rng.choice(("before-call", "after-call")), *uploads.clients):
            uploads.deliver(message)
    except Died:
        return
    if rng.random() < 0.8:
        waiting.remove(message)


@pytest.mark.parametrize("meanwhile", [2, 4, 5, 7])
def test_two_deliveries_at_once(uploads: Uploads, meanwhile: int) -> None:
    """While one delivery takes an annotation in, that is replaced or withdrawn and the other delivery sees it through,
    between any two calls of the first."""
    for at_call in range(1, 60):
        uploads.deliver(DEEDS[0](uploads), DEEDS[6](uploads), DEEDS[7](uploads))
        assert uploads.learned() is None
        slow, calls, busy = uploads.put(f"{FRAME_ID}.layers.csv", csv(35)), 0, False

        def interrupt(at_call: int = at_call, **_: Any) -> None:
            nonlocal calls, busy
            if busy:
                return
            calls += 1
            if calls == at_call:
                busy = True
                uploads.deliver(DEEDS[meanwhile](uploads))
                busy = False

        for client in uploads.clients:
            client.meta.events.register("before-call", interrupt, unique_id="meanwhile")
        uploads.deliver(slow)
        for client in uploads.clients:
            client.meta.events.unregister("before-call", unique_id="meanwhile")
        if calls < at_call:
            assert at_call > 6
            break
        assert uploads.learned() == expected([0, meanwhile])
    else:
        pytest.fail("the delivery never ended")


def test_the_frame_document_of_the_revision_places_the_annotation(uploads: Uploads) -> None:
    uploads.deliver(uploads.put(f"{FRAME_ID}.layers.csv", csv(30)), uploads.put(f"{FRAME_ID}.png", picture(grey())))
    [frame] = annotated_frames(uploads.world.register, uploads.world.corrections)
    prefix = frame.layers_key.rpartition("/")[0]
    document = FrameDocument.model_validate_json(uploads.world.bucket.read(f"{prefix}/frame.json", 10**7))
    layers = LayersDocument.model_validate_json(uploads.world.bucket.read(frame.layers_key, 10**7))
    assert (layers.image.width, layers.image.height) == (document.width, document.height)
