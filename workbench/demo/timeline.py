"""What happened when, and what did not."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


class DidNotHappen(Exception):
    """A step of the loop did not take place; the message says which, and where to look."""


@dataclass
class Timeline:
    """What happened when, in seconds since the start, for the summary and the report."""

    console: Console
    started: float = field(default_factory=time.monotonic)
    steps: list[dict] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        end = time.monotonic()
        self.steps.append({"name": name, "start": round(begin - self.started, 1), "seconds": round(end - begin, 1)})
        self.console.print(f"[green]✓[/green] {name} ({end - begin:.0f} s)")

    def seconds(self) -> dict[str, float]:
        return {step["name"]: step["seconds"] for step in self.steps} | {
            "total": round(time.monotonic() - self.started, 1)
        }
