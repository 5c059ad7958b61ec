"""Collects what both models answered on the holdout, judges, and writes the judgement down."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict

from firnline.errors import Refused
from firnline.learning.judgement import HoldoutFrame, judge
from firnline.limits import MAX_DOCUMENT_BYTES
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.models import Models

MAX_MANIFEST_BYTES = 256_000_000
_READERS = 8


class ComparisonRequest(BaseModel):
    """`snapshot` names the data and, being the execution's name too, where the answers lie."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    snapshot: str
    execution: str
    candidate: str
    candidate_model_data: str
    champion: str


class Comparer:
    def __init__(self, bucket: Bucket, models: Models, margin: float, mae_tolerance_px: float) -> None:
        self.bucket = bucket
        self.models = models
        self.margin = margin
        self.mae_tolerance_px = mae_tolerance_px

    def compare(self, request: ComparisonRequest) -> dict[str, Any]:
        """Judge, write `comparison.json` and the model's record, and say whether to promote, why, and both scores."""
        dataset, comparison = keys.dataset_prefix(request.snapshot), keys.comparison_prefix(request.snapshot)
        manifest = json.loads(self.bucket.read(f"{dataset}manifest.json", MAX_MANIFEST_BYTES))
        holdout = {frame["number"]: frame for frame in manifest["frames"] if frame["split"] == "holdout"}
        frames = self._frames(sorted(holdout), f"{dataset}holdout-truth/", comparison)
        verdict = judge(frames, request.candidate, request.champion, self.margin, self.mae_tolerance_px)
        for frame in verdict.frames:
            frame |= {name: holdout[frame["number"]][name] for name in ("frame_id", "revision", "segment")}
        document = {
            "schema": "firnline.comparison/1", **request.model_dump(),
            "margin": self.margin, "mae_tolerance_px": self.mae_tolerance_px, **asdict(verdict),
        }  # fmt: skip
        key = f"{comparison}comparison.json"
        self.bucket.write(key, json.dumps(document, indent=1).encode(), "application/json")
        decision: dict[str, Any] = {
            "promote": verdict.promote, "reason": verdict.reason, "metric": verdict.metric,
            "candidate": verdict.candidate, "champion": verdict.champion, "comparison_uri": self.bucket.uri(key),
        }  # fmt: skip
        self.models.record(
            request.candidate, decision="better" if verdict.promote else "kept", reason=verdict.reason,
            scores=verdict.candidate, champion=request.champion, champion_scores=verdict.champion,
            snapshot=request.snapshot, execution=request.execution, model_data=request.candidate_model_data,
            comparison=decision["comparison_uri"],
        )  # fmt: skip
        return decision

    def _frames(self, numbers: list[int], truth: str, answers: str) -> Iterator[HoldoutFrame]:
        """The holdout's frames in order, read a few at a time."""
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(numbers), _READERS):
                some = numbers[start : start + _READERS]
                keys = [
                    key
                    for number in some
                    for key in (
                        f"{truth}{number:06d}.json",
                        f"{answers}candidate/{number:06d}.png.out",
                        f"{answers}champion/{number:06d}.png.out",
                    )
                ]
                bodies = list(pool.map(self._read_one, keys))
                yield from map(HoldoutFrame, some, bodies[::3], bodies[1::3], bodies[2::3])

    def _read_one(self, key: str) -> bytes | None:
        try:
            return self.bucket.read(key, MAX_DOCUMENT_BYTES)
        except (FileNotFoundError, Refused):
            # Missing, or larger than any document: where it is an answer, that counts against the model.
            return None
