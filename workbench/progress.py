"""How far long work is: bars on a terminal, elsewhere a line where a stage begins and one where it ends."""

import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

Item = TypeVar("Item")
LONGEST_NOTE = 90


class _Counted(MofNCompleteColumn):
    """How many of how many; nothing for a stage of which nobody knows how long it is."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is not None else Text()


class Stages:
    """The stages of one piece of work, as a context: `with Stages(console) as stages`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Counted(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._begun: list[Stage] = []

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for stage in self._begun:
                stage.end()
        self._bars.stop()

    def begin(self, name: str, total: int | None = None) -> "Stage":
        """A stage of `total` steps; None: nobody knows of how many."""
        stage = Stage(self.console, self._bars, name, total)
        self._begun.append(stage)
        return stage

    def track(self, items: Iterable[Item], name: str, total: int | None = None) -> Iterator[Item]:
        """The items, each a step of a stage."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        stage = self.begin(name, total)
        for item in items:
            yield item
            stage.advance()
        stage.end()


class Stage:
    """A stage that has begun; `Stages` makes it."""

    def __init__(self, console: Console, bars: Progress, name: str, total: int | None) -> None:
        self._console, self._bars, self._name, self._total = console, bars, name, total
        self._began, self._done, self._ended = time.monotonic(), 0, False
        self._bar = bars.add_task(name, total=total, note="")
        self._write("" if total is None else f"0 of {total}")

    def advance(self, steps: int = 1) -> None:
        self.reach(self._done + steps)

    def reach(self, done: int) -> None:
        """So many steps are done in all."""
        self._done = done
        self._bars.update(self._bar, completed=done)

    def note(self, text: str) -> None:
        """What is being done just now; only a terminal shows it."""
        self._bars.update(self._bar, note=text[:LONGEST_NOTE])

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        counted = f"{self._done} of {self._total}, " if self._total is not None else ""
        self._bars.update(self._bar, total=self._total or 1, completed=self._done if self._total else 1, note="")
        self._write(f"{counted}{time.monotonic() - self._began:.0f} s")

    def _write(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(f"· {self._name}{': ' if text else ' …'}{text}", markup=False, soft_wrap=True)
