"""Collects what both models answered on the holdout, judges, and writes the judgement down."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict

from compare_models.judgement import Answers, judge
from firnline import keys
from firnline.champion import Models
from firnline.errors import Refused
from firnline.layers import LayersDocument
from firnline.limits import MAX_DOCUMENT_BYTES
from firnline.workspace import Bucket

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
        truth = {
            number: LayersDocument.model_validate_json(body or b"")
            for number, body in self._read(holdout, dataset + "holdout-truth/{:06d}.json")
        }
        candidate, champion = (
            Answers(version, dict(self._read(holdout, f"{comparison}{role}/{{:06d}}.png.out")))
            for role, version in (("candidate", request.candidate), ("champion", request.champion))
        )
        verdict = judge(truth, candidate, champion, self.margin, self.mae_tolerance_px)
        for frame in verdict.frames:
            frame |= {name: holdout[frame["number"]][name] for name in ("frame_id", "revision", "segment")}
        document = {
            "schema": "firnline.comparison/1", **request.model_dump(),
            "margin": self.margin, "mae_tolerance_px": self.mae_tolerance_px, **asdict(verdict),
        }  # fmt: skip
        key = f"{comparison}comparison.json"
        self.bucket.write(key, json.dumps(document, indent=1).encode(), "application/json")
        decision = {
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

    def _read(self, numbers: dict[int, Any], pattern: str) -> Iterator[tuple[int, bytes | None]]:
        with ThreadPoolExecutor(_READERS) as pool:
            yield from zip(numbers, pool.map(self._read_one, map(pattern.format, numbers)), strict=True)

    def _read_one(self, key: str) -> bytes | None:
        try:
            return self.bucket.read(key, MAX_DOCUMENT_BYTES)
        except (FileNotFoundError, Refused):
            # Missing, or larger than any document: where it is an answer, that counts against the model.
            return None
