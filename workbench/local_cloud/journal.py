"""A journal of accepted writes, each on disk before its answer leaves; replayed over the last snapshot."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Numbered files of JSON lines. `rotate` begins the next one; a snapshot keeps the number it begins with."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.lock = threading.RLock()  # held by a write and its entry, and while a snapshot is taken
        self.number = max(self._numbers(), default=0)
        self._file: Any = None
        self.rotate()

    def append(self, entry: dict) -> None:
        with self.lock:
            self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
            self._file.flush()
            os.fdatasync(self._file.fileno())
            self.empty = False

    def close(self) -> None:
        """Let go of the file; nothing can be appended any more."""
        with self.lock:
            self._file.close()

    def rotate(self) -> int:
        """Begin a new file and return its number: entries from it on are those that a snapshot taken now lacks."""
        with self.lock:
            if self._file is not None:
                self._file.close()
            self.number += 1
            self._file = self._path(self.number).open("a", encoding="utf-8")
            _sync_folder(self._folder)
            self.empty = True
            return self.number

    def entries(self) -> Iterator[tuple[int, dict]]:
        """Every entry with the number of its file, in order; a line that a kill cut off was never answered."""
        for number in sorted(self._numbers()):
            with self._path(number).open(encoding="utf-8") as lines:
                for line in lines:
                    try:
                        yield number, json.loads(line)
                    except ValueError:
                        break

    def forget_before(self, number: int) -> None:
        for old in self._numbers():
            if old < number:
                self._path(old).unlink()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:09d}.jsonl"

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self._folder.glob("*.jsonl")]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
