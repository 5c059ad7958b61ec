"""Everything that the state machine needs to know to train, judge and deploy one candidate."""

import hashlib
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from firnline.learning.annotated import annotated_frames
from firnline.learning.snapshot import NotEnoughData, SnapshotBuilder, digest_of_learning
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.models import Models
from firnline.store.splits import Splits


class AlreadyRetraining(Exception):
    """Another execution holds the right to retrain, of which there is one."""


class NoChampion(Exception):
    """There is no model to start from and to compare with: the stack has not been provisioned."""


class PlanRequest(BaseModel):
    """`execution` is the ARN of the state machine's execution; `batch` is 0 for one that an operator started."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    execution: str = Field(pattern=r"^arn:[^:]+:states:[^:]*:[^:]*:execution:[^:]+:[A-Za-z0-9_-]{1,80}$")
    batch: int = Field(ge=0)
    attempt: int = Field(ge=1)


class Planner:
    def __init__(
        self,
        register: FrameRegister,
        corrections: Corrections,
        splits: Splits,
        models: Models,
        bucket: Bucket,
        pinned_holdout: tuple[str, ...],
        job_prefix: str,
    ) -> None:
        self.register = register
        self.corrections = corrections
        self.splits = splits
        self.models = models
        self.bucket = bucket
        self.pinned_holdout = pinned_holdout
        self.job_prefix = job_prefix

    def plan(self, request: PlanRequest) -> dict[str, Any]:
        """Build the snapshot named after the execution, or find it built, and say what follows from it."""
        if not self.corrections.hold_retraining(request.execution):
            raise AlreadyRetraining(
                "Another retraining is running. Wait for it, or ask with `firnline retrain`, which waits in line."
            )
        champion = self.models.champion()
        if champion is None:
            raise NoChampion("No model serves yet, so there is none to improve on. Deploy the stack again.")
        snapshot = request.execution.rpartition(":")[2]
        builder = SnapshotBuilder(self.bucket)
        manifest = builder.existing(snapshot) or self._build(builder, snapshot)
        prefix = keys.dataset_prefix(snapshot)
        digest = hashlib.sha256(request.execution.encode()).hexdigest()[:8]
        counts = manifest["counts"]
        return {
            "snapshot": snapshot,
            "prefix": prefix,
            "counts": counts,
            "left_out": len(manifest["left_out"]),
            "job_name": f"{self.job_prefix}-{request.batch}-{request.attempt}-{digest}",
            "channels": [
                {"name": split, "uri": self.bucket.uri(f"{prefix}{split}/")}
                for split in ("train", "validation", "holdout")
                if counts[split]
            ]
            + [{"name": "model", "uri": champion.model_data}],
            "holdout_images_uri": self.bucket.uri(f"{prefix}holdout-images/"),
            "answers_uri": self.bucket.uri(keys.answers_prefix(snapshot)),
            "checkpoints_uri": self.bucket.uri(
                keys.checkpoints_prefix(
                    self._asked_for(request, snapshot), f"{champion.model_version}-{digest_of_learning(manifest)}"
                )
            ),
            "champion": champion.model_dump(include={"model_version", "model_name", "model_data"}),
        }

    def _asked_for(self, request: PlanRequest, snapshot: str) -> str:
        """A name that all attempts at a request share. Batch 0 is every operator's: the time of asking tells them apart.

        An execution that was started by hand is no attempt at the batch that it names, and has a name of its own.
        """
        batch = self.corrections.batch(request.batch)
        if batch is None or batch.execution_arn != request.execution:
            return snapshot
        return f"{request.batch}-" + re.sub(r"\D", "", batch.claimed_at)

    def _build(self, builder: SnapshotBuilder, snapshot: str) -> dict[str, Any]:
        frames = annotated_frames(self.register, self.corrections)
        if not frames:
            raise NotEnoughData("Nobody has corrected or annotated a frame yet, so there is nothing to learn from.")
        segments: dict[str, int] = {}
        for frame in frames:
            segments[frame.segment] = segments.get(frame.segment, 0) + 1
        return builder.build(snapshot, frames, self.splits.assign(segments, self.pinned_holdout))
