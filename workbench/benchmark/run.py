"""A run of the benchmark: its stages one after another, and what they found.

`<out>/benchmark.json` is written after each stage.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from workbench.benchmark import tables
from workbench.benchmark.plan import Plan, Results
from workbench.benchmark.stages import STAGES, prepare
from workbench.progress import Stages


class NoResults(Exception):
    """There is nothing to show yet; the message says what to do."""


class NoSuchStage(Exception):
    """The message says which stages there are."""


def run(plan: Plan, only: Sequence[str], command: str, console: Console) -> None:
    """Measure the stages of `plan`, or those named in `only`, and print the tables; `command` is noted.

    Raises NoSuchStage.
    """
    if unknown := [name for name in only if name not in STAGES]:
        raise NoSuchStage(f"There is no stage '{unknown[0]}': choose among {', '.join(STAGES)}.")
    keep = bool(only or plan.go_on)
    if not keep:
        shutil.rmtree(plan.out, ignore_errors=True)
    results = Results(plan, command, keep=keep)
    with Stages(console) as stages:
        prepare(plan, stages)
        for name in only or STAGES:
            stage = stages.begin(name)
            with results.stage(name) as found:
                STAGES[name](plan, found, stage.note)
            if "skipped" in found:
                console.print(found["skipped"])
            stage.end()
    for table in tables.tables(results.content):
        console.print(tables.for_terminal(table))
    console.print(f"Written to {results.path}. Next: `firnline bench --markdown` for docs/benchmarks.md.")


def last_tables(out: Path) -> str:
    """The tables of the last run, in Markdown. Raises NoResults."""
    path = out / "benchmark.json"
    if not path.exists():
        raise NoResults(f"There are no results at {path}; run `make bench` first.")
    return tables.markdown(json.loads(path.read_text()))
