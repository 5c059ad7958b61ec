"""Collects what both models answered on the holdout, judges, and writes the judgement down."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict

from firnline.errors import Refused, legible
from firnline.learning.judgement import HoldoutFrame, judge
from firnline.limits import MAX_DOCUMENT_BYTES
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.models import Models

MAX_MANIFEST_BYTES = 256_000_000
TOLERATED_MISSING = 0.1
"""The share of the holdout, or one frame, that may lack a model's answer."""
_READERS = 8
_ANSWER = re.compile(r"(\d{6})\.png\.out$")


class ComparisonRequest(BaseModel):
    """`snapshot` names the data and, being the execution's name too, where the answers lie; a failure is what the
    transform job of a model said, if it failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    snapshot: str
    execution: str
    candidate: str
    candidate_model_data: str
    champion: str
    candidate_failure: str = ""
    champion_failure: str = ""


class TooFewAnswers(Exception):
    """A model gave so few answers that they judge the run and not the model; the message says what became of its job."""


class Comparer:
    def __init__(self, bucket: Bucket, models: Models, margin: float, mae_tolerance_px: float) -> None:
        self.bucket = bucket
        self.models = models
        self.margin = margin
        self.mae_tolerance_px = mae_tolerance_px

    def compare(self, request: ComparisonRequest) -> dict[str, Any]:
        """Judge, write `comparison.json` and the model's record, and say whether to promote, why, and both scores.

        Raises `TooFewAnswers`.
        """
        dataset, comparison = keys.dataset_prefix(request.snapshot), keys.comparison_prefix(request.snapshot)
        manifest = json.loads(self.bucket.read(f"{dataset}manifest.json", MAX_MANIFEST_BYTES))
        holdout = {frame["number"]: frame for frame in manifest["frames"] if frame["split"] == "holdout"}
        answers = {
            "candidate": self._answers(request.snapshot, "candidate", len(holdout), request.candidate_failure),
            "champion": self._answers(request.snapshot, "champion", len(holdout), request.champion_failure),
        }
        frames = self._frames(sorted(holdout), f"{dataset}holdout-truth/", answers)
        verdict = judge(frames, request.candidate, request.champion, self.margin, self.mae_tolerance_px)
        for frame in verdict.frames:
            frame |= {name: holdout[frame["number"]][name] for name in ("frame_id", "revision", "segment")}
        document = {
            "schema": "firnline.comparison/1", **request.model_dump(),
            "margin": self.margin, "mae_tolerance_px": self.mae_tolerance_px, **asdict(verdict),
        }  # fmt: skip
        if verdict.promote:
            self._keep(dataset)
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

    def _answers(self, snapshot: str, role: str, frames: int, failure: str) -> dict[int, str]:
        """Keys of a model's answers by the number of the frame, wherever below the prefix SageMaker put them.

        A frame on which the model fails is answered with an error (`inference.transform_fn`). An answer that is not there
        at all may be the frame's fault, if it takes the container with it, or the job's: few are held against the model.
        """
        found = {}
        for key in self.bucket.names(f"{keys.answers_prefix(snapshot)}{role}"):
            if match := _ANSWER.search(key):
                found[int(match[1])] = key
        missing = frames - len(found)
        if missing == frames or missing > max(1, int(frames * TOLERATED_MISSING)):
            raise TooFewAnswers(
                f"The {role} answered {len(found)} of {frames} holdout frames, too few to judge by. Its transform job "
                + legible(f"said: {failure}" if failure else "did not fail; look at where it wrote its answers.")
            )
        return found

    def _keep(self, dataset: str) -> None:
        """Take the tag off by which a snapshot expires: what a promoted model was trained and judged by stays."""
        with ThreadPoolExecutor(_READERS) as pool:
            for _ in pool.map(self._untag, self.bucket.names(dataset)):
                pass

    def _untag(self, key: str) -> None:
        self.bucket.client.delete_object_tagging(Bucket=self.bucket.name, Key=key)

    def _frames(self, numbers: list[int], truth: str, answers: dict[str, dict[int, str]]) -> Iterator[HoldoutFrame]:
        """The holdout's frames in order, read a few at a time."""
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(numbers), _READERS):
                some = numbers[start : start + _READERS]
                wanted = [
                    key
                    for number in some
                    for key in (
                        f"{truth}{number:06d}.json",
                        answers["candidate"].get(number),
                        answers["champion"].get(number),
                    )
                ]
                bodies = list(pool.map(self._read_one, wanted))
                yield from map(HoldoutFrame, some, bodies[::3], bodies[1::3], bodies[2::3])

    def _read_one(self, key: str | None) -> bytes | None:
        if key is None:
            return None
        try:
            return self.bucket.read(key, MAX_DOCUMENT_BYTES)
        except (FileNotFoundError, Refused):
            # Missing, or larger than any document: where it is an answer, that counts against the model.
            return None
