"""Tools that run long: their output lies in a log, and their end is told."""

import os
import sys
from pathlib import Path

import pytest

from workbench.first_model import training
from workbench.logged import last_lines, run_logged


def test_what_a_tool_says_is_logged_and_heard_line_by_line(tmp_path: Path) -> None:
    heard: list[str] = []
    command = [sys.executable, "-c", "import sys; print('one\\n'); print('two', file=sys.stderr); sys.exit(3)"]
    assert run_logged(command, tmp_path / "log", heard.append, os.environ, tmp_path) == 3
    assert sorted(heard) == ["one", "two"]
    assert sorted((tmp_path / "log").read_text().split()) == ["one", "two"]


def test_a_tool_ends_with_whoever_waits_for_it(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt(line)

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt) as ended:
        run_logged([sys.executable, "-c", code], tmp_path / "log", interrupt, os.environ, tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(ended.value)), 0)


def test_the_last_lines_leave_tracebacks_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('one\ntwo\n\nTraceback (most recent call last):\n  File "x.py", line 1\nOSError: it broke\n')
    assert last_lines(log, 2) == "two\nOSError: it broke"


def test_a_training_tells_its_epochs_and_why_it_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolkit = tmp_path / "bin" / "train"
    toolkit.parent.mkdir()
    toolkit.write_text("#!/bin/sh\necho epoch=1 train_loss=0.5\necho much else\necho no memory\nexit 1\n")
    toolkit.chmod(0o755)
    monkeypatch.setattr(training, "MXNET", toolkit.parent)
    epochs: list[str] = []
    with pytest.raises(training.TrainingFailed, match=r"exit code 1; its log is .*training\.log") as failed:
        training.run_training(tmp_path, {"epochs": 1}, ["train"], epochs.append)
    assert epochs == ["epoch 1 · train_loss 0.5000"]
    assert str(failed.value).endswith("much else\nno memory")
