"""Progress of long work, on a terminal and in a log, and how long something is waited for."""

import io

import pytest
from rich.console import Console

from workbench.progress import Stages
from workbench.waiting import Pace, wait_until


def drawn(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with Stages(console) as stages:
        for number in stages.track(range(1000), "simulating"):
            stages.console.print(f"frame {number}") if number == 500 else None
        training = stages.begin("training")
        for epoch in range(1000):
            training.note(f"epoch {epoch}")
    return console.file.getvalue()


def test_a_log_has_a_line_where_a_stage_begins_and_one_where_it_ends() -> None:
    assert drawn(terminal=False).splitlines() == [
        "· simulating: 0 of 1000",
        "frame 500",
        "· simulating: 1000 of 1000, 0 s",
        "· training …",
        "· training: 0 s",
    ]


def test_a_terminal_has_bars() -> None:
    said = drawn(terminal=True)
    assert "━" in said
    assert "1000/1000" in said
    assert "· simulating" not in said


def test_a_stage_that_fails_does_not_end() -> None:
    console = Console(file=io.StringIO())

    def read() -> None:
        with Stages(console) as stages:
            stages.begin("reading", total=3)
            raise ValueError("the second is damaged")

    with pytest.raises(ValueError, match="damaged"):
        read()
    assert console.file.getvalue() == "· reading: 0 of 3\n"


def test_what_happens_is_waited_for_and_each_pause_is_told() -> None:
    answers, pauses = iter(["", "", "there"]), []
    found = wait_until(lambda: next(answers), 60, TimeoutError, Pace.PROCESS, pauses.append)
    assert found == "there"
    assert len(pauses) == 2
    assert pauses[0] < pauses[1]


def test_what_does_not_happen_raises_what_the_caller_says() -> None:
    with pytest.raises(TimeoutError, match="no layers"):
        wait_until(lambda: None, 0, lambda: TimeoutError("no layers"), Pace.PROCESS)


def test_an_error_while_asking_is_raised_at_once() -> None:
    def ask() -> bool:
        raise ConnectionError("nobody listens")

    with pytest.raises(ConnectionError, match="nobody listens"):
        wait_until(ask, None, TimeoutError, Pace.PROCESS)
