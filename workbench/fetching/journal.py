"""What has been fetched and uploaded already: a line of JSON a file, written when its upload has been confirmed."""

import os
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

FILE = "fetched.jsonl"


class Fetched(BaseModel):
    """`bucket` and `key` say where the file was uploaded; `sha256` is of its bytes as they were uploaded."""

    model_config = ConfigDict(frozen=True)

    address: str
    bucket: str
    key: str
    bytes: int
    sha256: str
    fetched: str


class Journal:
    """The journal in a folder of fetched files. Several threads may write to it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._lock = threading.Lock()
        self._known = {(entry.address, entry.bucket, entry.key) for entry in self.entries()}

    def entries(self) -> list[Fetched]:
        """A line that cannot be read is one that was being written when the machine stopped: its file is fetched again."""
        if not self._file.exists():
            return []
        found = []
        for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(Fetched.model_validate_json(line))
            except ValidationError:
                continue
        return found

    def has(self, address: str, bucket: str, key: str) -> bool:
        return (address, bucket, key) in self._known

    def note(self, entry: Fetched) -> None:
        """Keep a line for good. It begins on a line of its own, whatever a process left behind when it died."""
        with self._lock, self._file.open("a+b") as stream:
            if stream.tell() and not self._ends_a_line():
                stream.write(b"\n")
            stream.write(entry.model_dump_json().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
            self._known.add((entry.address, entry.bucket, entry.key))

    def _ends_a_line(self) -> bool:
        with self._file.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"
