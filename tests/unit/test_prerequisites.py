"""What `make setup` asks of a machine is looked at first, and what is missing is named with the command that brings it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import prerequisites

ROOT = Path(__file__).parents[2]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """One on which all is there; a test takes something away."""
    monkeypatch.setattr(prerequisites, "importable", lambda _: True)
    monkeypatch.setattr(prerequisites, "loadable", lambda _: True)
    monkeypatch.setattr(prerequisites, "free_gigabytes", lambda _: 100.0)
    return tmp_path


def test_nothing_is_said_where_nothing_is_missing(machine: Path) -> None:
    assert prerequisites.missing(machine, machine) == ([], [])


def test_this_machine_runs_the_check_with_any_python_from_3_8() -> None:
    ran = subprocess.run(
        [sys.executable, "-I", ROOT / "workbench" / "prerequisites.py"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ran.stderr
    assert (ran.returncode == 0) == (ran.stderr == "")


def test_libraries_and_venv_are_named_with_their_packages(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "importable", lambda _: False)
    monkeypatch.setattr(prerequisites, "loadable", lambda library: library != "libgomp.so.1")
    sentences, packages = prerequisites.missing(machine, machine)
    assert [sentence[-1] for sentence in sentences] == [".", "."]
    assert packages == ["python3-venv", "libgomp1"]


def test_pip_will_do_where_there_is_no_venv(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "importable", lambda module: module == "pip")
    assert prerequisites.missing(machine, machine) == ([], [])


def test_a_python_too_old_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 7, 3, "final", 0))
    sentences, packages = prerequisites.missing(machine, machine)
    assert sentences == ["python3 is Python 3.7, and 3.8 or newer is needed."]
    assert packages == ["python3"]


def test_a_full_disk_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "free_gigabytes", lambda _: 1.23)
    (sentence,), packages = prerequisites.missing(machine, machine)
    assert sentence == f"{machine} has 1.2 GB free, and about 4 GB are needed."
    assert packages == []


def test_a_home_on_a_disk_of_its_own_needs_room_for_the_caches(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = machine / "home"
    home.mkdir()
    monkeypatch.setattr(prerequisites, "device", lambda folder: folder == home)
    monkeypatch.setattr(prerequisites, "free_gigabytes", lambda folder: 1.0 if folder == home else 100.0)
    (sentence,), _ = prerequisites.missing(home, machine)
    assert sentence == f"{home} has 1.0 GB free, and about 2 GB are needed."


def test_a_home_that_is_not_there_or_not_writable_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sentence,), _ = prerequisites.missing(machine / "absent", machine)
    assert sentence == f"{machine / 'absent'} (the home folder, where caches go) cannot be written to."
    monkeypatch.setattr(os, "access", lambda *_: False)
    sentences, _ = prerequisites.missing(machine, machine)
    assert len(sentences) == 2


def test_the_command_ends_with_one_line_to_copy(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prerequisites, "missing", lambda *_: (["One thing is missing."], ["libgomp1", "libquadmath0"]))
    assert prerequisites.main() == 1
    said = capsys.readouterr().err.splitlines()
    assert said == ["One thing is missing.", "On Debian and Ubuntu: sudo apt install libgomp1 libquadmath0"]


def test_the_readme_names_every_package_that_the_check_does() -> None:
    line = next(text for text in (ROOT / "README.md").read_text().splitlines() if "apt install" in text)
    assert {"git", "make", "python3-venv", *prerequisites.LIBRARIES.values()} == set(
        line.partition("install")[2].split()
    )
