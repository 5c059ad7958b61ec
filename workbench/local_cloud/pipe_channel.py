"""Pipe mode: a channel's objects as one stream through a FIFO per epoch, `<channel>_<n>`."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

from .s3_paths import list_objects, split_uri

CHUNK = 1 << 20
READER_PAUSE = 0.05
"""Seconds between two looks whether somebody has opened the FIFO: the system does not tell."""


class PipeChannel:
    """Feeds `<folder>/<name>_0`, `_1`, ... for as long as somebody opens the next one.

    Objects follow each other byte for byte, as SageMaker sends RecordIO without a record wrapper.
    """

    def __init__(self, s3: Any, uri: str, folder: Path, name: str):
        self._s3, self._uri, self._folder, self._name = s3, uri, folder, name
        self._ended = threading.Event()
        self.failure: str | None = None
        os.mkfifo(self._fifo(0))
        self._thread = threading.Thread(target=self._feed, daemon=True, name=f"pipe {name}")
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(timeout=10)

    def _fifo(self, epoch: int) -> Path:
        return self._folder / f"{self._name}_{epoch}"

    def _feed(self) -> None:
        epoch = 0
        try:
            while (descriptor := self._await_reader(self._fifo(epoch))) is not None:
                # The next epoch's FIFO must be there before this one ends, or a quick reader finds nothing to open.
                os.mkfifo(self._fifo(epoch + 1))
                self._send(descriptor)
                epoch += 1
        except Exception as error:
            self.failure = f"channel '{self._name}', epoch {epoch}: {error}"
            raise

    def _await_reader(self, fifo: Path) -> int | None:
        while not self._ended.is_set():
            try:
                descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                self._ended.wait(READER_PAUSE)
            else:
                os.set_blocking(descriptor, True)
                return descriptor
        return None

    def _send(self, descriptor: int) -> None:
        bucket = split_uri(self._uri)[0]
        with os.fdopen(descriptor, "wb", buffering=0) as pipe:
            for key, _, _ in list_objects(self._s3, self._uri):
                for chunk in self._s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK):
                    try:
                        pipe.write(chunk)
                    except BrokenPipeError:
                        return  # the reader has seen enough of this epoch
