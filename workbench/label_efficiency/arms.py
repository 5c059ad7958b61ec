"""One seed's frames, and one arm's rounds: predict, choose, correct, train, score. Each step's result is a file, and a step
whose file is there is not repeated.
"""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from firnline import archives
from firnline.documents.echogram import encode_png
from firnline.documents.layers import LayersDocument, now
from firnline.geometry import kinds_of
from firnline.learning import records, scoring
from firnline.review.diversity import Diversity, look_of
from firnline.review.policy import Policy
from firnline.store.rows import Look
from workbench.benchmark.frames import Frame, read_channel, write_shard
from workbench.benchmark.sides import NETWORK_SIDE
from workbench.first_model import MXNET, OUTPUT, ROOT, model_environment
from workbench.first_model.archive import pack_model
from workbench.first_model.channels import simulated_record
from workbench.first_model.frames import Asked
from workbench.first_model.places import LAYER_MODEL
from workbench.simulated_review import Drawn, correct

from .choosing import Candidate, as_review_does, stratified

OUT = ROOT / "build" / "label_efficiency"
Arm = Literal["ours", "stratified"]
ARMS: tuple[Arm, ...] = ("ours", "stratified")
FIRST_CAMPAIGN = 8000
"""Drawn campaigns from this number on are no other run's: see first_model.frames."""
KINDS = ("snow", "snow", "firn")
"""Of a seed's campaigns, in turn."""
JUDGED_SEGMENTS = 500
"""Segments from this number on judge, and are never reviewed."""


@dataclass(frozen=True)
class Plan:
    """Sizes of the experiment. `per_round` corrections make a round, as `RetrainEvery` does in a stack."""

    out: Path = OUT
    seeds: int = 5
    rounds: int = 3
    per_round: int = 100
    campaigns: int = 3
    segments: int = 8
    """Of each campaign, in the pool."""
    frames: int = 30
    """Of each segment, along the track."""
    validation: int = 4
    """Frames of each campaign that choose among the epochs."""
    holdout: int = 16
    """Frames of each campaign that judge."""
    epochs: int = 4
    confidence: float = 0.85
    audit_rate: float = 0.05
    apart: int = 3
    difference: float = 0.15

    @property
    def policy(self) -> Policy:
        return Policy(self.confidence, self.audit_rate)

    @property
    def diversity(self) -> Diversity:
        return Diversity(self.apart, self.difference)

    def names(self, seed: int) -> list[str]:
        """The seed's campaigns."""
        first = FIRST_CAMPAIGN + seed * self.campaigns
        return [f"varied_{KINDS[i % len(KINDS)]}_{first + i:04d}" for i in range(self.campaigns)]

    def pool(self, seed: int) -> list[Asked]:
        return [Asked(name, segment, number) for name in self.names(seed) for segment in range(self.segments)
                for number in range(1, self.frames + 1)]  # fmt: skip

    def judged(self, seed: int) -> dict[str, list[Asked]]:
        """Frames of the channels that choose and judge; each is of a segment of its own."""
        sizes = {
            "validation": range(self.validation),
            "holdout": range(self.validation, self.validation + self.holdout),
        }
        return {channel: [Asked(name, JUDGED_SEGMENTS + i, 1) for name in self.names(seed) for i in numbers]
                for channel, numbers in sizes.items()}  # fmt: skip

    def check(self) -> None:
        """Raises ValueError for a plan whose pool runs out, or for another than the one whose results are in `out`."""
        wanted, there = self.rounds * self.per_round, self.campaigns * self.segments * self.frames
        if wanted > there:
            raise ValueError(
                f"{self.rounds} rounds of {self.per_round} need {wanted} frames, and the pool has {there}."
            )
        sizes = {name: value for name, value in asdict(self).items() if name not in ("out", "seeds", "rounds")}
        noted = self.out / "plan.json"
        if noted.exists() and json.loads(noted.read_text()) != sizes:
            raise ValueError(f"{self.out} holds results of another plan ({noted}): give another --out, or remove it.")
        self.out.mkdir(parents=True, exist_ok=True)
        _write(noted, sizes)

    def folder(self, seed: int) -> Path:
        return self.out / f"seed{seed}"


def frame_id(asked: Asked) -> str:
    return f"{asked.campaign}/{asked.segment:03d}/{asked.number:03d}"


def prepare(plan: Plan, seed: int) -> None:
    """Simulate a seed's frames, lay out the model in the box, and predict the pool with it: what the arms share."""
    folder = plan.folder(seed)
    for channel, asked in {"pool": plan.pool(seed), **plan.judged(seed)}.items():
        if not (folder / channel / "part-00000.rec").exists():
            framed = [simulated_record(one, number) for number, one in enumerate(asked)]
            write_shard(folder / f"{channel}.new", framed)
            (folder / f"{channel}.new").rename(folder / channel)
    box = folder / "box"
    if not (box / "model").exists():
        archives.unpack(str(OUTPUT / "model.tar.gz"), str(box / "new"))
        (box / "new").rename(box / "model")
    predict(box / "model", folder / "pool", box / "pool.json")
    score(box / "model", folder, box / "scores.json")


def run_arm(plan: Plan, seed: int, arm: Arm) -> None:
    """All rounds of one arm; `prepare` comes before."""
    folder = plan.folder(seed)
    ids = [frame_id(one) for one in plan.pool(seed)]
    pool = read_channel(folder / "pool")
    model, taken = folder / "box" / "model", list[str]()
    looks: dict[str, list[Look]] = {}
    framed: list[bytes] = []
    for number in range(1, plan.rounds + 1):
        here = folder / arm / f"round{number}"
        here.mkdir(parents=True, exist_ok=True)
        documents = _documents(model, folder, here, number)
        left = [place for place, one in enumerate(ids) if one not in set(taken)]
        chosen = _chosen(plan, seed, arm, number, [(ids[i], documents[i], pool[i].grey) for i in left], looks, taken)
        _corrections(here, seed, [(ids.index(one), pool[ids.index(one)]) for one in chosen], documents)
        for one in chosen:
            place = ids.index(one)
            looks.setdefault(one.rpartition("/")[0], []).append(_look(one, documents[place], pool[place].grey))
        taken += chosen
        with (here / "corrected.rec").open("rb") as stream:
            framed += [stream.read()]
        model = _train(plan, seed, folder, here, model, framed)
        score(model, folder, here / "scores.json")


def _documents(model: Path, folder: Path, here: Path, number: int) -> list[dict[str, Any]]:
    """What the model of the moment says of the pool."""
    where = folder / "box" / "pool.json" if number == 1 else here / "pool.json"
    predict(model, folder / "pool", where)
    documents: list[dict[str, Any]] = json.loads(where.read_text())["documents"]
    return documents


def _look(one: str, document: dict[str, Any], grey: np.ndarray) -> Look:
    source = {"kind": "model", "created": now().isoformat()}
    whole = LayersDocument.model_validate(document | {"source": source})
    return look_of(one.rpartition("/")[2], one, document["confidence"], whole, grey)


def _chosen(
    plan: Plan, seed: int, arm: Arm, number: int, left: Sequence[tuple[str, dict[str, Any], np.ndarray]],
    looks: dict[str, list[Look]], taken: Sequence[str],
) -> list[str]:  # fmt: skip
    if arm == "ours":
        candidates = [Candidate(one, _look(one, document, grey)) for one, document, grey in left]
        return as_review_does(candidates, looks, plan.per_round, plan.policy, plan.diversity)
    segments = Counter(one.rpartition("/")[0] for one in taken)
    rng = np.random.default_rng([seed, number])
    return stratified([one for one, *_ in left], segments, plan.per_round, rng)


def _corrections(
    here: Path, seed: int, chosen: Sequence[tuple[int, Frame]], documents: Sequence[dict[str, Any]]
) -> None:
    """Correct the chosen frames: `corrected.rec`, and in `effort.json` each frame's operations, from the proposal
    and from an empty page.
    """
    if (here / "effort.json").exists():
        return
    framed, effort = [], []
    for place, frame in chosen:
        layers = documents[place]["layers"]
        proposal = Drawn(scoring.rows_from_layers(layers, frame.grey.shape[1]), [layer["label"] for layer in layers])
        truth = Drawn(frame.truth.rows, list(frame.truth.labels))
        found, anew = (
            correct(frame.grey, start, truth, np.random.default_rng([seed, place]), frame.truth.complete)
            for start in (proposal, Drawn(proposal.rows[:0], []))
        )
        rows, kinds = found.lines.rows.astype(np.float32), kinds_of(found.lines.labels)
        framed.append(records.pack_record(encode_png(frame.grey), rows, kinds, frame.truth.complete, place))
        effort.append({"place": place, "confidence": documents[place]["confidence"], "operations": found.operations,
                       "from_empty": anew.operations})  # fmt: skip
    (here / "corrected.rec").write_bytes(b"".join(framed))
    _write(here / "effort.json", effort)


def _train(plan: Plan, seed: int, folder: Path, here: Path, before: Path, framed: list[bytes]) -> Path:
    """Train on from the model before on all corrections so far, with the loop's own hyperparameters; only the passes over
    the data are fewer, and no clock ends it.
    """
    model = here / "model"
    if (here / "seconds.json").exists():
        return model
    shutil.rmtree(model, ignore_errors=True)
    write_shard(here / "train", framed)
    channel = here / "from"
    channel.mkdir(exist_ok=True)
    pack_model(before, channel / "model.tar.gz")
    given = {"epochs": plan.epochs, "max-seconds": 0, "patience": plan.epochs, "seed": seed + 1}
    options = [f"--{name}={value}" for name, value in given.items()]
    options += [f"--train={here / 'train'}", f"--validation={folder / 'validation'}", f"--model={channel}"]
    options += [f"--{name}={here / 'none'}" for name in ("calibration", "holdout", "checkpoint-dir", "output-data-dir")]
    began = time.monotonic()
    with (here / "training.log").open("w") as log:
        command = [str(MXNET / "python"), str(LAYER_MODEL / "train.py"), *options, f"--model-dir={model}"]
        subprocess.run(command, env=_one_thread(), check=True, stdout=log, stderr=subprocess.STDOUT)
    _write(here / "seconds.json", {"training_seconds": round(time.monotonic() - began, 1)})
    return model


def predict(model: Path, channel: Path, out: Path) -> None:
    """The serving code's documents of a channel's frames, in a file."""
    if out.exists():
        return
    new = out.with_suffix("")
    command = [str(MXNET / "python"), str(NETWORK_SIDE), str(model), str(channel), str(new.with_suffix(".new"))]
    subprocess.run(command, env=_one_thread(), check=True, stdout=subprocess.DEVNULL)
    Path(f"{new.with_suffix('.new')}.json").rename(out)


def score(model: Path, folder: Path, out: Path) -> None:
    """Scores of a model on the seed's holdout, by the serving code."""
    if out.exists():
        return
    command = [str(MXNET / "python"), str(LAYER_MODEL / "evaluate.py"), str(model), f"holdout={folder / 'holdout'}"]
    told = subprocess.run(command, env=_one_thread(), check=True, capture_output=True, text=True).stdout
    _write(out, json.loads(told.splitlines()[-1])["holdout"])


def _one_thread() -> dict[str, str]:
    return model_environment() | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _write(path: Path, content: Any) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content) + "\n")
    new.replace(path)
