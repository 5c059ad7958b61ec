"""Of mutated files, annotations and answers each is taken, or refused in a sentence, within the limits of a Lambda."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mutants import mutant, seeds

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 250


def failures(first: int, count: int) -> list[dict]:
    """What was wrong with the mutants of these seeds.

    They are read in a process of its own. If one kills it, that is its failure, and another goes on behind it.
    """
    found: list[dict] = []
    end = first + count
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "layers/firnline", "services")),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    while first < end:
        command = [sys.executable, "-m", "tests.support.mutants", str(first), str(end - first)]
        process = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, timeout=900
        )
        lines = [json.loads(line) for line in process.stdout.splitlines()]
        found += [line for line in lines if "wrong" in line]
        if process.returncode == 0:
            break
        read = [line["reading"] for line in lines if "reading" in line]
        assert read, process.stderr
        wrong = f"the process ended with {process.returncode}: {process.stderr[-300:]}"
        found.append({"seed": read[-1], "name": mutant(read[-1])[0], "wrong": wrong})
        first = read[-1] + 1
    return found


def test_the_files_that_mutants_are_made_of_are_taken():
    for name, content, read in seeds():
        assert read(content) is not None, name


@pytest.mark.parametrize("part", range(4))
def test_mutants_are_taken_or_refused_in_a_sentence(part):
    assert failures(part * AT_ONCE, AT_ONCE) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(40))
def test_ten_thousand_mutants_are_taken_or_refused_in_a_sentence(part):
    assert failures(1_000_000 + part * AT_ONCE, AT_ONCE) == []
