"""RecordIO files of bounded size, written to disk first so that a snapshot of any size needs little memory."""

import hashlib
import tempfile
from typing import Any

from firnline.store.bucket import Bucket

SHARD_BYTES = 64_000_000
JUDGED = "firnline-snapshot=judged"
"""On what a snapshot holds besides its manifest: the template lets such objects expire. What a promoted model was trained
and judged by loses the tag (`compare_models`)."""


class ShardWriter:
    """Writes `<prefix>part-00000.rec`, `part-00001.rec`, ...; a context manager, which writes the last one."""

    def __init__(self, bucket: Bucket, prefix: str, shard_bytes: int = SHARD_BYTES) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._shard_bytes = shard_bytes
        self._file: Any = None
        self.written: list[dict[str, Any]] = []
        """Key, bytes and sha256 of every file."""

    def add(self, record: bytes) -> None:
        if self._file and self._file.tell() + len(record) > self._shard_bytes:
            self._upload()
        self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 closed when it is uploaded
        self._file.write(record)

    def _upload(self) -> None:
        key = f"{self._prefix}part-{len(self.written):05d}.rec"
        size = self._file.tell()
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.seek(0)
        # upload_fileobj closes what it is given; it streams in parts above 8 MB.
        self._bucket.client.upload_fileobj(self._file, self._bucket.name, key, ExtraArgs={"Tagging": JUDGED})
        self._file = None
        self.written.append({"key": key, "bytes": size, "sha256": digest})

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._file and kind is None:
            self._upload()
        elif self._file:
            self._file.close()
