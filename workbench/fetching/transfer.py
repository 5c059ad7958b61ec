"""Bringing files: resumed where they broke off, checked, several at a time; then into uploads, each once.

The manifest beside the files says of each what came of it: address, size, ETag, SHA-256, and the key under which it was
uploaded. Whoever runs the same again goes on where it ended.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import requests
from requests.exceptions import ConnectionError, Timeout
from urllib3.exceptions import HTTPError

from firnline.errors import Refused
from firnline.limits import MAX_FILE_BYTES
from workbench.fetching.items import Item

MANIFEST = "fetched.jsonl"
_PART = ".part"
_CHUNK = 1 << 20
_SECONDS = (10, 60)
"""To connect, and between two pieces."""
ATTEMPTS = 5
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class NotFetched(Exception):
    """A file did not come; the message says why, and what to do."""


@dataclass
class Fetched:
    """A line of the manifest: what came, from where, and under which key it was uploaded (empty: not yet)."""

    address: str
    key: str
    bytes: int
    sha256: str
    etag: str = ""
    uploaded: str = ""


@dataclass
class Manifest:
    """`fetched.jsonl` in the folder: a line for each file, the last one of a key counts. Threads may write at once."""

    folder: Path
    _lines: dict[str, Fetched] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, folder: Path) -> "Manifest":
        """`Refused` where the folder holds a manifest that is none."""
        manifest = cls(folder)
        path = folder / MANIFEST
        whole = path.read_text().splitlines(keepends=True) if path.exists() else []
        for number, line in enumerate(whole):
            try:
                told = Fetched(**json.loads(line))
            except (ValueError, TypeError) as error:
                if number == len(whole) - 1 and not line.endswith("\n"):
                    break  # the process ended while it wrote this line
                raise Refused(
                    f"{path}, line {number + 1}, is none of `firnline fetch`: choose another folder."
                ) from error
            manifest._lines[told.key] = told
        return manifest

    def get(self, key: str) -> Fetched | None:
        return self._lines.get(key)

    def put(self, fetched: Fetched) -> None:
        with self._lock:
            self._lines[fetched.key] = fetched
            with (self.folder / MANIFEST).open("a") as stream:
                stream.write(json.dumps(asdict(fetched)) + "\n")
                stream.flush()
                os.fsync(stream.fileno())


@dataclass
class Report:
    """What came of a fetch: keys that are in uploads, those that were there before, and why others are not."""

    uploaded: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def fetch(
    items: Iterable[Item],
    folder: Path,
    upload: Callable[[Path, Item], None],
    session: Any = None,
    at_once: int = 4,
    keep: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Bring each item and upload it; what was uploaded before is left alone.

    folder : for what is on its way, and the manifest; what was uploaded goes, unless `keep`
    upload : of a file that is whole
    session : for addresses of the web, as `requests.Session`; a plain one with the user's netrc if nothing is said
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest, report = Manifest.of(folder), Report()
    web = session or requests.Session()

    def one(item: Item) -> None:
        known = manifest.get(item.key)
        if known and known.uploaded and known.address == item.address:
            report.before.append(item.key)
        else:
            try:
                _bring(item, folder, manifest, web, upload, keep)
                report.uploaded.append(item.key)
            except (NotFetched, OSError) as error:
                report.failed[item.key] = str(error)
        tell(item.key)

    with ThreadPoolExecutor(at_once) as workers:
        try:
            list(workers.map(one, items))
        except KeyboardInterrupt:
            workers.shutdown(wait=False, cancel_futures=True)
            raise
    return report


def _bring(
    item: Item, folder: Path, manifest: Manifest, web: Any, upload: Callable[[Path, Item], None], keep: bool
) -> None:
    path = folder / item.key
    known = manifest.get(item.key)
    if item.is_remote and not (known and path.exists() and _sha256(path) == known.sha256):
        path.parent.mkdir(parents=True, exist_ok=True)
        etag = _download(item, path, web)
        manifest.put(Fetched(item.address, item.key, path.stat().st_size, _sha256(path), etag))
    elif not item.is_remote:
        path = Path(item.address)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise NotFetched(_too_large(path.stat().st_size))
        manifest.put(Fetched(item.address, item.key, path.stat().st_size, _sha256(path)))
    told = manifest.get(item.key)
    assert told is not None  # noqa: S101 (it was just written)
    if item.sha256 and told.sha256 != item.sha256:
        if item.is_remote:
            path.unlink()
        raise NotFetched(
            f"its SHA-256 is {told.sha256}, and not {item.sha256} as was said: the file at {item.address} is another one"
        )
    upload(path, item)
    told.uploaded = item.key
    manifest.put(told)
    if item.is_remote and not keep:
        path.unlink()


def _download(item: Item, path: Path, web: Any) -> str:
    """Bring a file whole to `path`; returns its ETag. Breaks are gone on from by Range, as long as the ETag stays."""
    part = path.with_name(path.name + _PART)
    etag_file = part.with_name(part.name + ".etag")
    reason = "the server does not answer"
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(min(_PAUSE_S * 2 ** (attempt - 1), _LONGEST_PAUSE_S))
        try:
            return _attempt(item, path, part, etag_file, web)
        except (ConnectionError, Timeout, HTTPError) as error:
            reason = str(error)
        except _Again as again:
            reason = str(again)
    raise NotFetched(
        f"{item.address} did not come in {ATTEMPTS} attempts ({reason}): run the same again, it goes on where it ended"
    )


class _Again(Exception):
    """The server asks to come again, or the transfer broke off."""


def _attempt(item: Item, path: Path, part: Path, etag_file: Path, web: Any) -> str:
    has = part.stat().st_size if part.exists() else 0
    etag = etag_file.read_text() if etag_file.exists() else ""
    headers = {"Accept-Encoding": "identity"}
    if has and etag:
        headers |= {"Range": f"bytes={has}-", "If-Range": etag}
    with web.get(item.address, headers=headers, stream=True, timeout=_SECONDS) as answer:
        if answer.status_code in _TRY_AGAIN:
            raise _Again(f"the server said {answer.status_code}")
        if answer.status_code == 416:  # there is no more to come, or the file is another one
            part.unlink(missing_ok=True)
            raise _Again("the server has no such range")
        if answer.status_code not in (200, 206):
            raise NotFetched(_refused(item.address, answer.status_code))
        goes_on = answer.status_code == 206
        if goes_on and not answer.headers.get("Content-Range", "").startswith(f"bytes {has}-"):
            part.unlink()
            raise _Again("the server went on at another place")
        begin = has if goes_on else 0
        length = int(answer.headers.get("Content-Length", -1))
        if begin + max(length, 0) > MAX_FILE_BYTES:
            raise NotFetched(_too_large(begin + length))
        found = answer.headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes: nothing can be appended to it.
        etag_file.write_text("" if found.startswith("W/") else found)
        with part.open("ab" if goes_on else "wb") as stream:
            while chunk := answer.raw.read1(_CHUNK):  # what came before a break is written, not only whole chunks
                begin += len(chunk)
                if begin > MAX_FILE_BYTES:
                    raise NotFetched(_too_large(begin))
                stream.write(chunk)
    whole = (has if goes_on else 0) + length
    if length >= 0 and part.stat().st_size != whole:
        raise _Again(f"it broke off after {part.stat().st_size} of {whole} bytes")
    part.replace(path)
    etag_file.unlink(missing_ok=True)
    return str(found)


def _refused(address: str, status: int) -> str:
    if status in (401, 403):
        return f"{address} is not for you ({status}): have the server's login in your ~/.netrc, and accept its terms in a browser once"
    if status in (404, 410):
        return f"there is no {address} ({status}): look up its address again"
    return f"{address} was answered with {status}"


def _too_large(size: int) -> str:
    return (
        f"it has {size / 1e6:.0f} MB, and a frame may have {MAX_FILE_BYTES / 1e6:.0f} MB: cut it, and upload the pieces"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
