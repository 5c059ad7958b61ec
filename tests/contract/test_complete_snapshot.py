"""What complete_review leaves of corrections is what a snapshot is made of, and training reads."""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from build_dataset import app as build_dataset
from firnline.documents.layers import LayersDocument
from firnline.geometry import LABELS
from firnline.learning import records
from firnline.store import keys
from layer_model.echogram_input import decode_png
from tests.support.functions import HEIGHT, WIDTH, Functions, echoes
from tests.support.ingest_files import picture
from tests.support.review_world import Context, answer, polyline
from tests.support.samples import sample

FRAMES = [f"greenland/2012033{segment}_01/f_{number}" for segment in range(3) for number in range(2)]


def drawing(number: int) -> dict:
    """An answer that tells frames apart; every second one is partial, and has a gap in its layer."""
    bed = polyline("bed", (0, 40 + number), (WIDTH - 1, 50 + number))
    layer = polyline("layer", (10, 20 + number), (WIDTH - 20, 22.5 + number))
    return answer(layer, bed, width=WIDTH, height=HEIGHT, all_layers_drawn={"on": number % 2 == 0})


class Corrected:
    def __init__(self, functions: Functions) -> None:
        self.bucket = functions.world.bucket
        shown = [picture(np.roll(echoes(), number, axis=0)) for number in range(len(FRAMES))]
        self.loops = {frame: functions.correct(frame, drawing(n), shown[n]) for n, frame in enumerate(FRAMES)}
        self.plan = build_dataset.handler(sample("build_dataset"), Context())
        self.manifest = json.loads(self.bucket.read(f"{self.plan['prefix']}manifest.json", 10**7))

    def document(self, frame_id: str) -> LayersDocument:
        key = f"{keys.correction_prefix(frame_id, self.loops[frame_id])}layers.json"
        return LayersDocument.model_validate_json(self.bucket.read(key, 10**6))

    def records(self) -> Iterator[tuple[dict, Any]]:
        """(frame of the manifest, record) of every shard, as the training's reader gives them."""
        frames = {frame["number"]: frame for frame in self.manifest["frames"]}
        for file in self.manifest["files"]:
            for payload in records.iterate_records(io.BytesIO(self.bucket.read(file["key"], 10**8))):
                record = records.unpack_record(payload)
                yield frames[record.number], record


@pytest.fixture
def corrected(functions: Functions) -> Corrected:
    return Corrected(functions)


def test_every_correction_is_one_record_in_one_shard(corrected: Corrected) -> None:
    assert sorted(frame["frame_id"] for frame, _ in corrected.records()) == FRAMES
    assert {frame["frame_id"]: frame["correction"] for frame, _ in corrected.records()} == corrected.loops
    assert corrected.manifest["left_out"] == []


def test_a_record_holds_the_corrected_lines_row_by_row(corrected: Corrected) -> None:
    for frame, record in corrected.records():
        document = corrected.document(frame["frame_id"])
        assert [LABELS[kind] for kind in record.kinds] == [layer.label for layer in document.layers]
        np.testing.assert_array_equal(record.rows, document.rows().astype(np.float32))
        assert np.isnan(record.rows[0, :10]).all()
        assert record.complete == (document.coverage == "complete")


def test_a_record_holds_the_picture_that_the_reviewer_saw(corrected: Corrected) -> None:
    for frame, record in corrected.records():
        seen = corrected.bucket.read(keys.echogram(frame["frame_id"], frame["revision"]), 10**7)
        np.testing.assert_array_equal(decode_png(record.png), decode_png(seen))
        assert record.rows.shape[1] == decode_png(record.png).shape[1]


def test_frames_of_one_segment_are_never_on_both_sides(corrected: Corrected) -> None:
    split: dict[str, set[str]] = {}
    for frame in corrected.manifest["frames"]:
        split.setdefault(frame["segment"], set()).add(frame["split"])
    assert all(len(sides) == 1 for sides in split.values())
    assert {side for sides in split.values() for side in sides} >= {"train", "holdout"}


def test_what_judges_has_a_picture_and_the_corrected_lines_beside_it(corrected: Corrected) -> None:
    judged = [frame for frame in corrected.manifest["frames"] if frame["split"] == "holdout"]
    assert judged
    for frame in judged:
        truth = corrected.bucket.read(f"{corrected.plan['prefix']}holdout-truth/{frame['number']:06d}.json", 10**6)
        assert LayersDocument.model_validate_json(truth).layers == corrected.document(frame["frame_id"]).layers
        image = f"{corrected.plan['prefix']}holdout-images/{frame['number']:06d}.png"
        assert decode_png(corrected.bucket.read(image, 10**7)).shape == (HEIGHT, WIDTH)
