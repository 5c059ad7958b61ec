"""An immutable snapshot of everything that people have drawn, as RecordIO, for one training.

The manifest is written last: without it there is no snapshot, and a second attempt starts again; with it nothing is
written again.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from PIL import Image, UnidentifiedImageError
from pydantic import ValidationError

from firnline.documents.layers import LayersDocument
from firnline.errors import Refused
from firnline.geometry import KINDS
from firnline.learning.annotated import AnnotatedFrame
from firnline.learning.records import pack_record
from firnline.learning.shards import JUDGED, ShardWriter
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_PICTURE_BYTES, MAX_PICTURE_PIXELS
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.rows import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "holdout")
_CLAIMS = SPLITS[::-1]
"""The order in which the splits take pictures: what judges is not learned from, under whatever name it lies."""
MAX_MANIFEST_BYTES = 256_000_000
MAX_ROW_VALUES = MAX_PICTURE_PIXELS
"""Polylines times traces of a frame: a record holds a row for each, so a few bytes of lines may make a large record."""

_READERS = 8


class NotEnoughData(Exception):
    """There is nothing to train on, or nothing to judge by. That is no failure, but there is no retraining either."""


def digest_of_learning(manifest: Mapping[str, Any]) -> str:
    """12 hex digits that two snapshots share if a training learns the same from both and chooses by the same."""
    learned = [
        (frame["split"], frame["sha256"], frame["layers_sha256"])
        for frame in manifest["frames"]
        if frame["split"] != "holdout"
    ]
    return hashlib.sha256(json.dumps(learned).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Drawn:
    """A frame with its echogram and layers read; `problem` says why it cannot be used."""

    frame: AnnotatedFrame
    png: bytes = b""
    document: LayersDocument | None = None
    problem: str | None = None


class SnapshotBuilder:
    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def existing(self, snapshot: str) -> dict[str, Any] | None:
        """The manifest of a finished snapshot, or None."""
        try:
            content = self.bucket.read(keys.dataset_prefix(snapshot) + "manifest.json", MAX_MANIFEST_BYTES)
        except FileNotFoundError:
            return None
        manifest: dict[str, Any] = json.loads(content)
        return manifest

    def build(self, snapshot: str, frames: list[AnnotatedFrame], splits: Mapping[str, Split]) -> dict[str, Any]:
        """Write a snapshot and return its manifest; raises `NotEnoughData`.

        `splits` gives the split of every segment. The frames are numbered, the holdout's first; one that cannot be used
        is left out, and the manifest says why. So is one whose picture lies in the holdout, or chooses the weights: a
        flight that was uploaded under two names has two splits.
        """
        prefix = keys.dataset_prefix(snapshot)
        self._clear(prefix)
        used: list[dict[str, Any]] = []
        left_out: list[dict[str, Any]] = []
        taken: dict[str, tuple[Split, str]] = {}
        with ExitStack() as stack:
            shards = {split: stack.enter_context(ShardWriter(self.bucket, f"{prefix}{split}/")) for split in SPLITS}
            for drawn in self._read(sorted(frames, key=lambda frame: _CLAIMS.index(splits[frame.segment]))):
                if drawn.document is None:
                    left_out.append({**asdict(drawn.frame), "problem": drawn.problem})
                    continue
                split, number, sha256 = splits[drawn.frame.segment], len(used), hashlib.sha256(drawn.png).hexdigest()
                taken_by, first = taken.setdefault(sha256, (split, drawn.frame.frame_id))
                if taken_by != split:
                    left_out.append({**asdict(drawn.frame), "problem": _copied(first, taken_by)})
                    continue
                shards[split].add(_record(drawn, number))
                if split == "holdout":
                    self._write_holdout(prefix, drawn, number)
                used.append({
                    "number": number, **asdict(drawn.frame), "segment": drawn.frame.segment, "split": split,
                    "coverage": drawn.document.coverage, "layers": len(drawn.document.layers),
                    "sha256": sha256,
                    "layers_sha256": hashlib.sha256(drawn.document.to_json()).hexdigest(),
                })  # fmt: skip
        counts = dict.fromkeys(SPLITS, 0) | Counter(frame["split"] for frame in used)
        _check_enough(counts, left_out)
        manifest = {
            "schema": "firnline.dataset/1", "snapshot": snapshot, "counts": counts,
            "frames": used, "left_out": left_out,
            "segments": {frame["segment"]: frame["split"] for frame in used},
            "files": [file for split in SPLITS for file in shards[split].written],
        }  # fmt: skip
        self.bucket.write(f"{prefix}manifest.json", json.dumps(manifest, indent=1).encode(), "application/json")
        return manifest

    def _read(self, frames: list[AnnotatedFrame]) -> Iterator[Drawn]:
        """The frames in order, a few at a time, so that memory does not grow with the snapshot. Layers are unpacked one
        frame after another, since they take twenty times as much memory as their document."""
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(frames), 2 * _READERS):
                some = frames[start : start + 2 * _READERS]
                yield from map(_drawn, some, pool.map(self._fetch, some))

    def _fetch(self, frame: AnnotatedFrame) -> tuple[bytes, bytes] | str:
        """The bytes of a frame's echogram and of its layers document, or why they cannot be had."""
        try:
            png = self.bucket.read(keys.echogram(frame.frame_id, frame.revision), MAX_PICTURE_BYTES)
            return png, self.bucket.read(frame.layers_key, MAX_DOCUMENT_BYTES)
        except (FileNotFoundError, Refused) as error:
            return f"{type(error).__name__}: {error}"

    def _write_holdout(self, prefix: str, drawn: Drawn, number: int) -> None:
        assert drawn.document is not None  # noqa: S101 for the type checker
        self.bucket.write(f"{prefix}holdout-images/{number:06d}.png", drawn.png, "image/png", JUDGED)
        self.bucket.write(
            f"{prefix}holdout-truth/{number:06d}.json", drawn.document.to_json(), "application/json", JUDGED
        )

    def _clear(self, prefix: str) -> None:
        """A training job reads everything under a prefix, so nothing of an attempt that died may lie there."""
        found = ({"Key": key} for key in self.bucket.names(prefix))
        while some := list(islice(found, 1000)):
            answer = self.bucket.client.delete_objects(Bucket=self.bucket.name, Delete={"Objects": some, "Quiet": True})
            if answer.get("Errors"):
                raise RuntimeError(f"remains of an unfinished snapshot could not be removed: {answer['Errors'][:3]}")


def _drawn(frame: AnnotatedFrame, fetched: tuple[bytes, bytes] | str) -> Drawn:
    """The frame with its layers, if a training can take it: a record that it cannot take would end the training."""
    if isinstance(fetched, str):
        return Drawn(frame, problem=fetched)
    png, layers = fetched
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            size, mode = image.size, image.mode
        document = LayersDocument.model_validate_json(layers)
    except (UnidentifiedImageError, Image.DecompressionBombError, ValidationError) as error:
        return Drawn(frame, problem=f"{type(error).__name__}: {error}")
    if mode != "L" or size[0] * size[1] > MAX_PICTURE_PIXELS:
        return Drawn(frame, problem=f"the echogram is of mode {mode}, {size}; at most {MAX_PICTURE_PIXELS} grey pixels")
    if size != (document.image.width, document.image.height):
        return Drawn(frame, problem=f"the layers were drawn on {document.image}, the echogram has {size} pixels")
    if len(document.layers) * size[0] > MAX_ROW_VALUES:
        return Drawn(frame, problem=f"{len(document.layers)} polylines are too many for {size[0]} traces")
    return Drawn(frame, png, document)


def _record(drawn: Drawn, number: int) -> bytes:
    assert drawn.document is not None  # noqa: S101 for the type checker
    kinds = [KINDS[layer.label] for layer in drawn.document.layers]
    return pack_record(drawn.png, drawn.document.rows(), kinds, drawn.document.coverage == "complete", number)


def _copied(frame_id: str, split: Split) -> str:
    kept = {"holdout": "for judging", "validation": "for choosing the best weights"}[split]
    return f"its picture is that of {frame_id}, which is kept {kept}; upload a flight under one name only"


def _check_enough(counts: dict[str, int], left_out: list[dict[str, Any]]) -> None:
    unusable = ""
    if left_out:
        named, problem = left_out[0]["frame_id"], left_out[0]["problem"]
        unusable = f" {len(left_out)} frames could not be used, among them {named}: {problem}."
    if not counts["train"]:
        raise NotEnoughData(
            "No corrected or annotated frame lies in a flight segment for training, so there is nothing to learn from. "
            f"Correct or annotate frames of more segments.{unusable}"
        )
    if not counts["holdout"]:
        raise NotEnoughData(
            f"{counts['train']} frames could be learned from, but none lies in a flight segment kept for judging. "
            f"Correct or annotate frames of at least two segments.{unusable}"
        )
