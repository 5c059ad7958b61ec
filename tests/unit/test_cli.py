"""The one command line: its groups, what it imports, what it refuses; and that importing the workbench does nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.benchmark import run
from workbench.benchmark.plan import FULL, Plan
from workbench.cli import app

SLOW = ("boto3", "matplotlib", "ministack", "sagemaker", "scipy", "starlette", "uvicorn", "onnx")
IN_OTHER_ENVIRONMENTS = (
    "workbench.benchmark.network_side",
    "workbench.documentation",
    "workbench.local_cloud.serving_worker",
)


def firnline(*arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return ran.exit_code, " ".join(ran.output.split())


def python(code: str, *arguments: str) -> dict:
    ran = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def test_the_commands_are_shown_in_their_groups() -> None:
    code, said = firnline("--help")
    assert code == 0
    groups = ["Frames", "Review", "Models", "Training", "The stack on this machine", "For developers"]
    assert sorted(groups, key=said.index) == groups
    assert said.index("Training") < said.index("retrain") < said.index("The stack on this machine")
    assert "polarity-fit" not in said


def test_a_wrong_option_is_told_with_those_that_are_meant() -> None:
    code, said = firnline("bench", "--ful")
    assert code == 2
    assert "--full" in said


def test_help_waits_for_no_heavy_package() -> None:
    code = "import json, sys, workbench.cli; print(json.dumps([n for n in sys.argv[1:] if n in sys.modules]))"
    assert python(code, *SLOW) == []


def test_the_options_of_bench_change_its_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr(run, "run", lambda plan, only, command, console: plans.append(plan))
    assert firnline("bench", "--full", "--reference-seconds", "60", "--folds", "1", "--out", str(tmp_path))[0] == 0
    assert (plans[0].full, plans[0].reference_seconds, plans[0].folds, plans[0].out) == (True, 60, 1, tmp_path)
    assert plans[0].halving_epochs == FULL["halving_epochs"]


def test_a_stage_that_is_none_and_results_that_are_not_there_are_sentences(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.touch()
    code, said = firnline("bench", "--only", "fast", "--out", str(tmp_path))
    assert (code, "There is no stage 'fast'" in said) == (1, True)
    assert kept.exists()
    code, said = firnline("bench", "--markdown", "--out", str(tmp_path))
    assert (code, "run `make bench` first" in said) == (1, True)


def test_a_campaign_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    code, said = firnline("simulate", "atlantis", str(tmp_path / "frames"))
    assert (code, "there is no campaign 'atlantis'" in said) == (1, True)


def test_importing_the_workbench_changes_nothing() -> None:
    """Given a fresh Python, when every module is imported, then environment, path and threads are as they were."""
    code = """
import importlib, json, os, pkgutil, sys, threading
import workbench
# What other people's packages change is theirs.
import boto3, h5py, liquid, matplotlib, numpy, onnx, onnxruntime, rich, scipy.ndimage, typer
before, path = dict(os.environ), list(sys.path)
names = [found.name for found in pkgutil.walk_packages(workbench.__path__, "workbench.")]
left_out = (*sys.argv[1:], *(name for name in names if name.endswith("__main__")))
for name in names:
    if name not in left_out:
        importlib.import_module(name)
changed = {name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}
print(json.dumps({"modules": len(names), "environment": sorted(changed), "path": sys.path == path,
                  "threads": threading.active_count()}))
"""
    found = python(code, *IN_OTHER_ENVIRONMENTS)
    assert found.pop("modules") > 80
    assert found == {"environment": [], "path": True, "threads": 1}
