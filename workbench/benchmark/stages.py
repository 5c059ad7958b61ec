"""The stages of the benchmark. Each takes the plan and fills in a dict; none needs another's results."""

import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from firnline.documents.echogram import encode_png, to_grey
from firnline.geometry import kinds_of
from firnline.learning import records
from workbench.benchmark import genuine as genuine_frames
from workbench.benchmark import sides
from workbench.benchmark.classical import BOUNDARIES, TRACKERS, Boundaries
from workbench.benchmark.frames import (
    SHARD,
    Fold,
    Frame,
    RealFrame,
    frame_of,
    leave_transects_out,
    other_picks,
    read_channel,
    real_frames,
    thinned,
    without_thin_ice,
    write_shard,
)
from workbench.benchmark.measures import Truth, line_scores
from workbench.benchmark.plan import FINE_TUNING_RATE, REFERENCE_RATE, REFERENCE_RATES, SEED, Plan
from workbench.benchmark.tune import boundary_score
from workbench.first_model import UNSEEN, frames_of, training_frames, validation_frames, write_channel
from workbench.progress import Stages
from workbench.simulator import campaigns, simulate_frame

Found = dict[str, Any]
Tell = Callable[[str], None]
"""Hears what a stage does just now."""
UNSEEN_SEGMENT, FRAMES_PER_SEGMENT = 3000, 2
LARGE_TRACES, LARGE_ROWS = 2787, 1845
LARGE_CAMPAIGN = "greenland_sounder_2012"
FOLD_GRID = [
    replace(BOUNDARIES, surface_cost=surface, below=below, above_weight=weight, bed_cost=bed)
    for surface, below, weight, bed in product([0.1, 0.5], [24, 48], [0.8, 1.2], [0.05, 0.1, 0.3])
]
"""Tried on the training transects of each fold, for the classical trackers: the counterpart of our fine-tuning."""


def prepare(plan: Plan, stages: Stages) -> None:
    """Simulate the channels, unless they are there already."""
    if (plan.data / "unseen" / SHARD).exists():
        return
    shutil.rmtree(plan.data, ignore_errors=True)
    known = sorted(name for name in campaigns if name != UNSEEN)
    unseen = range(UNSEEN_SEGMENT, UNSEEN_SEGMENT + -(-plan.unseen_frames // FRAMES_PER_SEGMENT))
    channels = {
        "train": training_frames(known)[: plan.train_frames],
        "validation": validation_frames(),
        "unseen": frames_of([UNSEEN], unseen, FRAMES_PER_SEGMENT)[: plan.unseen_frames],
    }
    for name, frames in channels.items():
        stage = stages.begin(f"simulating {name}", total=len(frames))
        write_channel(plan.data / name, frames, plan.workers, stage.advance)
        stage.end()


def classical(plan: Plan, found: Found, tell: Tell) -> None:
    """Both classical trackers on the unseen campaign."""
    frames = read_channel(plan.data / "unseen")
    for name in TRACKERS:
        found[name] = sides.measure_classical(plan, name, frames)


def box(plan: Plan, found: Found, tell: Tell) -> None:
    """The model in the box on the unseen campaign."""
    found["box"] = _measured(plan, "box", sides.box_model(plan))


def ours(plan: Plan, found: Found, tell: Tell) -> None:
    """Our network, trained from scratch."""
    trained = sides.train(plan, "ours", _from_scratch(plan, plan.ours_seconds, "layers"), _channels(plan), tell)
    found["ours"] = trained.summary()
    found["ours"] |= _measured(plan, "ours", trained.model)


def reference(plan: Plan, found: Found, tell: Tell) -> None:
    """The authors' network, trained from scratch, at the learning rate that does best on the validation frames."""
    rates = {}
    if plan.rate_seconds:
        for rate in REFERENCE_RATES:
            options = _from_scratch(plan, plan.rate_seconds, "reference") | {"learning-rate": rate, "follow-holdout": 0}
            history = sides.train(plan, f"reference-rate-{rate}", options, _channels(plan), tell).history
            rates[str(rate)] = max((entry["score"] for entry in history if entry["score"] is not None), default=0.0)
        found["validation_score_by_rate"] = rates
    rate = float(max(rates, key=lambda one: rates[one])) if rates else REFERENCE_RATE
    options = _from_scratch(plan, plan.reference_seconds, "reference") | {"learning-rate": rate}
    trained = sides.train(plan, "reference", options, _channels(plan), tell)
    found["reference"] = trained.summary()
    found["reference"] |= _measured(plan, "reference", trained.model)


def large(plan: Plan, found: Found, tell: Tell) -> None:
    """Memory and time on one large frame, in a process of its own."""
    frame = simulate_frame(campaigns[LARGE_CAMPAIGN], UNSEEN_SEGMENT, 0, traces=LARGE_TRACES, samples=LARGE_ROWS)
    kinds = kinds_of(frame.labels)
    record = records.pack_record(encode_png(to_grey(frame.echogram_db)), frame.rows, kinds, frame.complete, 0)
    write_shard(plan.data / "large", [record])
    ran = sides.run_network(sides.box_model(plan), plan.data / "large", plan.out / "outputs" / "large")
    found.update({name: ran[name] for name in ("peak_memory_mb", "ms_per_frame", "threads")})
    found.update(traces=LARGE_TRACES, rows=LARGE_ROWS, layers=len(ran["documents"][0]["layers"]))


def genuine(plan: Plan, found: Found, tell: Tell) -> None:
    """The model in the box on files of genuine size, in the file's own samples, beside the same ice at 256 x 512."""
    cases = genuine_frames.cases()
    every_ice = list(dict.fromkeys(case.ice for case in cases))
    with ProcessPoolExecutor(plan.workers) as pool:
        framed = list(pool.map(genuine_frames.framed, cases))
        plain = list(pool.map(genuine_frames.plain_record, every_ice))
    documents = {}
    for name, framed_records in (("genuine", [one.record for one in framed]), ("plain", plain)):
        channel = plan.data / f"genuine-{name}"
        write_shard(channel, framed_records)
        documents[name] = sides.run_network(sides.box_model(plan), channel, plan.out / "outputs" / channel.name)[
            "documents"
        ]
    truth = [frame_of(record, sounder=False).truth for record in plain]
    at_256 = dict(zip(every_ice, zip(documents["plain"], truth, strict=True), strict=True))
    found["groups"] = genuine_frames.by_group(cases, framed, documents["genuine"], at_256)
    found["frames"] = len(cases)


def real(plan: Plan, found: Found, tell: Tell) -> None:
    """Surface and bed of real frames, leave-transects-out."""
    folder = plan.real / "utig"
    if not folder.is_dir():
        found["skipped"] = "The real frames (utig) are not on this machine; set FIRNLINE_REAL_DATA to their folder."
        return
    folds = leave_transects_out(real_frames(folder))[: plan.folds]
    untuned = sides.box_model(plan)
    pairs: dict[str, list[tuple[dict, Truth]]] = {}
    found["folds"] = []
    for number, fold in enumerate(folds):
        tell(f"fold {number + 1} of {len(folds)}")
        here = _real_fold(plan, number, fold, untuned, tell)
        for name, some in here.items():
            pairs.setdefault(name, []).extend(some)
        scores = {name: line_scores(some)["within"] for name, some in here.items()}
        found["folds"].append({"transects": sorted({frame.transect for frame in fold.test}), "within": scores})
    found["sides"] = {name: line_scores(some) | {"bed_under_ice": _under_ice(some)} for name, some in pairs.items()}
    found["frames"] = len(pairs["tuned"])


def _under_ice(pairs: list[tuple[dict, Truth]]) -> dict[str, float]:
    """Shares of the bed's picks that have ice above them: experts also draw a bed on the surface where there is none."""
    return line_scores([(document, without_thin_ice(truth)) for document, truth in pairs])["within"]["bed"]


def _real_fold(plan: Plan, number: int, fold: Fold, untuned: Path, tell: Tell) -> dict[str, list[tuple[dict, Truth]]]:
    """(document, truth) of each test frame, by side."""
    data = plan.data / f"fold-{number}"
    for name, frames in fold._asdict().items():
        write_shard(data / name, [frame.record for frame in frames])
    channels = {name: data / name for name in ("train", "validation")} | {"model": sides.box_channel(plan)}
    # A few frames choose: their scores jump, and a patience that suits a long training would give up too soon.
    options = {"learning-rate": FINE_TUNING_RATE, "validation-seconds": 0, "patience": 1000}
    hyperparameters = plan.hyperparameters(plan.fold_seconds, **options)
    tuned = sides.train(plan, f"fold-{number}", hyperparameters, channels, tell).model
    truth = [frame.truth for frame in _real(fold.test)]
    found = {"experts": other_picks(fold.test)}
    for name, model in (("tuned", tuned), ("box", untuned)):
        documents = sides.run_network(model, data / "test", plan.out / "outputs" / f"fold-{number}-{name}")["documents"]
        found[name] = list(zip(documents, truth, strict=True))
    with ProcessPoolExecutor(plan.workers) as pool:
        known = _real(fold.train + fold.validation)[::2]
        scores = list(pool.map(partial(boundary_score, known), FOLD_GRID))
        settings = FOLD_GRID[int(np.argmax(scores))]
        for name in TRACKERS:
            documents = list(pool.map(partial(_tracked, name, settings), _real(fold.test)))
            found[name] = list(zip(documents, truth, strict=True))
    return found


def _tracked(name: str, settings: Boundaries, frame: Frame) -> dict:
    return TRACKERS[name](frame.grey, frame.sounder, settings=settings).document  # type: ignore[call-arg]


def _real(frames: list[RealFrame]) -> list[Frame]:
    return [frame_of(frame.record, sounder=True) for frame in frames]


def halving(plan: Plan, found: Found, tell: Tell) -> None:
    """Half of the internal layers' lines taken away: our loss, which knows, against the plain one, which does not."""
    if not plan.halving_epochs:
        found["skipped"] = "Only a full run trains with half of the annotation removed (make bench FULL=1)."
        return
    arms = {"whole": "train", "half, marked partial": "half-marked-partial", "half, plain loss": "half-plain-loss"}
    for name, partial_ in (("half, marked partial", True), ("half, plain loss", False)):
        rng = np.random.default_rng(SEED)
        with (plan.data / "train" / SHARD).open("rb") as stream:
            framed = [thinned(payload, rng, partial_) for payload in records.iterate_records(stream)]
        write_shard(plan.data / arms[name], framed)
    for name, folder in arms.items():
        channels = {"train": plan.data / folder, "validation": plan.data / "validation"}
        hyperparameters = plan.hyperparameters(0, epochs=plan.halving_epochs, network="layers")
        trained = sides.train(plan, f"halving-{folder}", hyperparameters, channels, tell)
        measured = _measured(plan, f"halving-{folder}", trained.model)
        found[name] = {"training_seconds": trained.history[-1]["seconds"], "layers": measured["layers"]}


def _from_scratch(plan: Plan, seconds: int, network: str) -> dict[str, Any]:
    return plan.hyperparameters(seconds, network=network) | {"follow-holdout": 1}


def _channels(plan: Plan) -> dict[str, Path]:
    return {"train": plan.data / "train", "validation": plan.data / "validation", "holdout": plan.data / "unseen"}


def _measured(plan: Plan, name: str, model: Path) -> Found:
    unseen = plan.data / "unseen"
    return sides.measure_network(plan, name, model, unseen, read_channel(unseen))


STAGES: dict[str, Callable[[Plan, Found, Tell], None]] = {
    "classical": classical,
    "box": box,
    "large": large,
    "genuine": genuine,
    "ours": ours,
    "reference": reference,
    "real": real,
    "halving": halving,
}
