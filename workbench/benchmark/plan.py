"""What a run of the benchmark does, for how long, and on what; where its results go."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

from workbench.first_model import HYPERPARAMETERS, ROOT

SCHEMA = "firnline.benchmark/1"
SEED = 7
PACKAGES = ("numpy", "scipy", "scikit-image", "pillow")
REFERENCE_RATE = 0.0003
REFERENCE_RATES = (0.001, 0.0003, 0.0001)
"""A full run tries each; the network has no batch norm, and our own rate is too much for it."""
FINE_TUNING_RATE = 0.001
"""Half of a retraining's (see docs/decisions.md): a dozen frames are learnt in the first minute."""
OUT = ROOT / "build" / "benchmark"


def real_data() -> Path:
    """Where the real frames lie, which are no part of the project."""
    return Path(os.environ.get("FIRNLINE_REAL_DATA", ROOT.parent / "shared" / "data" / "real"))


@dataclass(frozen=True)
class Plan:
    """Sizes and times, in frames and seconds of training. `full` runs for hours."""

    out: Path
    full: bool = False
    workers: int = 2
    train_frames: int = 400
    """The first of those that the model in the box learns from."""
    unseen_frames: int = 60
    ours_seconds: int = 210
    reference_seconds: int = 210
    rate_seconds: int = 0
    """For each of `REFERENCE_RATES`; 0: take `REFERENCE_RATE`."""
    patience: int = 1000
    """Validations without a better score, after which a training stops."""
    validation_frames: int = 24
    validation_seconds: int = 0
    """Training between validations; 0: a pass over the data."""
    folds: int = 2
    fold_seconds: int = 90
    halving_epochs: int = 0
    """Passes over the data for each of three trainings, in place of seconds, so that other work on the machine decides
    nothing; 0: leave the experiment out."""
    real: Path = field(default_factory=real_data)
    go_on: bool = False
    """Finished trainings are not repeated; interrupted ones go on from their last checkpoint, with their full time."""

    @property
    def data(self) -> Path:
        return self.out / "data"

    def hyperparameters(self, seconds: int, **others: Any) -> dict[str, Any]:
        """Of a training of `seconds`; batches, crops and seed are the same for every network."""
        limits = {"max-seconds": seconds, "epochs": 1000, "patience": self.patience, "seed": SEED}
        validation = {"validation-frames": self.validation_frames, "validation-seconds": self.validation_seconds}
        return HYPERPARAMETERS | limits | validation | others


FULL = {
    "train_frames": 10_000,
    "ours_seconds": 1440,
    "reference_seconds": 7200,
    "rate_seconds": 600,
    "patience": 6,
    "validation_frames": 28,
    "validation_seconds": 600,
    "folds": 5,
    "fold_seconds": 150,
    "halving_epochs": 2,
}
"""The fields of a full run. Ours gets a fifth of the reference's time."""


def plan_of(full: bool = False, out: Path | None = None, go_on: bool = False, **sizes: int | None) -> Plan:
    """The short or the full plan, with the `sizes` that were given in place of its own."""
    given: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
    own: dict[str, Any] = {"workers": len(os.sched_getaffinity(0))} | (FULL if full else {})
    return Plan(out=out or OUT, full=full, go_on=go_on, **(own | given))


class Results:
    """`benchmark.json`, written whole after each stage, so that a killed run keeps what it measured."""

    def __init__(self, plan: Plan, command: str, keep: bool) -> None:
        self.path = plan.out / "benchmark.json"
        kept = json.loads(self.path.read_text())["stages"] if keep and self.path.exists() else {}
        sizes = {name: value for name, value in asdict(plan).items() if not isinstance(value, Path)}
        self.content: dict[str, Any] = {
            "schema": SCHEMA,
            "command": command,
            "date": datetime.now(UTC).date().isoformat(),
            "plan": sizes,
            "seed": SEED,
            "machine": machine(),
            "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "stages": kept,
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """A dict to fill with what the stage measures; kept, with the stage's seconds, however the stage ends."""
        found: dict[str, Any] = {}
        began = monotonic()
        finished = False
        try:
            yield found
            finished = True
        finally:
            if found:
                self._keep(name, found | {"finished": finished, "stage_seconds": round(monotonic() - began, 1)})

    def _keep(self, name: str, found: dict[str, Any]) -> None:
        self.content["stages"][name] = found | {"command": self.content["command"]}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.content, indent=1) + "\n")
        new.replace(self.path)


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, and memory in GB."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"processor": model, "cores": len(os.sched_getaffinity(0)), "memory_gb": round(memory)}
