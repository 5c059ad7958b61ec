"""Measures our tracker, the reference network and classical trackers in one run: `make bench`, `make bench FULL=1`.

Writes `<out>/benchmark.json` after each stage, and prints the tables.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from workbench.benchmark import tables
from workbench.benchmark.plan import FULL, Plan, Results
from workbench.benchmark.stages import STAGES, prepare
from workbench.first_model import ROOT

TIMES = ("ours_seconds", "reference_seconds", "rate_seconds", "fold_seconds")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workbench.benchmark", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="train the reference to convergence, all folds, halving: hours"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmark")
    parser.add_argument(
        "--only",
        action="append",
        choices=STAGES,
        help="this stage alone (may be given again); the others' results are kept",
    )
    parser.add_argument(
        "--go-on", action="store_true", help="after an interrupted run: keep its data, results and finished trainings"
    )
    parser.add_argument("--markdown", action="store_true", help="measure nothing: print the tables of the last run")
    parser.add_argument("--frames", type=int, dest="unseen_frames", help="frames of the unseen campaign")
    parser.add_argument("--train-frames", type=int, help="simulated frames to train on, at most")
    parser.add_argument("--folds", type=int, help="folds of the real frames to run, 5 at most")
    parser.add_argument(
        "--halving-epochs", type=int, help="passes of each training with half of the annotation removed"
    )
    parser.add_argument("--workers", type=int, help="processes for what runs in parallel")
    for name in TIMES:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help="seconds of training")
    return parser.parse_args(argv)


def plan_of(options: argparse.Namespace) -> Plan:
    """The short or the full plan, with what was given on the command line in place of its own."""
    sizes = ("unseen_frames", "train_frames", "folds", "halving_epochs", "workers", *TIMES)
    given = {name: getattr(options, name) for name in sizes if getattr(options, name) is not None}
    own = {"workers": len(os.sched_getaffinity(0))} | (FULL if options.full else {})
    return Plan(out=options.out, full=options.full, go_on=options.go_on, **(own | given))


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    console = Console() if sys.stdout.isatty() else Console(width=180)
    path = options.out / "benchmark.json"
    if options.markdown:
        if not path.exists():
            sys.exit(f"There are no results at {path}; run `make bench` first.")
        print(tables.markdown(json.loads(path.read_text())))
        return
    plan = plan_of(options)
    keep = bool(options.only or options.go_on)
    if not keep:
        shutil.rmtree(plan.out, ignore_errors=True)
    results = Results(plan, " ".join(["python -m workbench.benchmark", *(argv or sys.argv[1:])]), keep=keep)
    console.rule("simulating")
    prepare(plan)
    for name in options.only or STAGES:
        console.rule(name)
        with results.stage(name) as found:
            STAGES[name](plan, found)
        if "skipped" in found:
            console.print(found["skipped"])
    for table in tables.tables(results.content):
        console.print(tables.for_terminal(table))
    console.print(
        f"Written to {results.path}. Next: `python -m workbench.benchmark --markdown` for docs/benchmarks.md."
    )


if __name__ == "__main__":
    main()
