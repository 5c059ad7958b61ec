"""Fetching many files at a time, and uploading each as soon as it is there."""

import hashlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import requests

from firnline.documents.upload_key import UploadKey
from firnline.errors import Refused
from firnline.limits import MAX_FILE_BYTES
from workbench import uploads
from workbench.connection import Connection
from workbench.fetching.download import CannotBeFetched, Stopped, download, session
from workbench.fetching.journal import Fetched, Journal
from workbench.fetching.remote import CannotFetch, Remote

AHEAD = 4
"""Files waiting for each that is being fetched: enough to keep all busy, few enough to stop soon."""


@dataclass
class Account:
    """What became of the files. `refused` has sentences by address."""

    uploaded: list[Fetched] = field(default_factory=list)
    known: int = 0
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return len(self.uploaded) + self.known + len(self.refused)


@dataclass(frozen=True)
class Plan:
    """`again`: fetch also what the journal says was uploaded. `keep`: leave the files in `folder`."""

    campaign: str
    folder: Path
    parallel: int
    keep: bool
    again: bool


def fetch(connection: Connection, remotes: Iterable[Remote], plan: Plan, tell: Callable[[Account], None]) -> Account:
    """Fetch and upload; `tell` is called after each file. Whatever ends it, the same call goes on from there.

    Raises CannotFetch where two files would have the same key.
    """
    account, journal = Account(), _journal(plan.folder)
    keys = _keys(remotes, plan, account)
    worker = _Worker(connection, plan, journal)
    pool = ThreadPoolExecutor(plan.parallel, thread_name_prefix="fetch")
    running: dict[Future[Fetched], Remote] = {}
    try:
        for remote, key in keys.items():
            if not plan.again and journal.has(remote.address, connection.frames.name, worker.key(key)):
                account.known += 1
                tell(account)
                continue
            running[pool.submit(worker.bring, remote, key)] = remote
            if len(running) >= AHEAD * plan.parallel:
                _collect(running, account, tell)
        while running:
            _collect(running, account, tell)
    finally:
        worker.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    return account


def _journal(folder: Path) -> Journal:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotFetch(f"{folder} cannot be made ({error.strerror}): choose another one with --folder.") from error
    return Journal(folder)


def _keys(remotes: Iterable[Remote], plan: Plan, account: Account) -> dict[Remote, UploadKey]:
    """Where each file is uploaded; those whose names cannot be frames' go to the refused ones."""
    found: dict[Remote, UploadKey] = {}
    meant_for: dict[str, str] = {}
    for remote in remotes:
        try:
            key = remote.key(plan.campaign)
        except Refused as refusal:
            account.refused[remote.address] = str(refusal)
            continue
        name = _Worker.key(key)
        if meant_for.setdefault(name, remote.address) != remote.address:
            raise CannotFetch(
                f"{meant_for[name]} and {remote.address} would both be uploaded as {name}: "
                "fetch them one by one, each with a --segment of its own. Nothing was fetched."
            )
        found.setdefault(remote, key)
    return found


def _collect(running: dict[Future[Fetched], Remote], account: Account, tell: Callable[[Account], None]) -> None:
    """Take in what is ready, waiting for the first; an error that is not of one file ends it all."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        remote = running.pop(future)
        try:
            account.uploaded.append(future.result())
        except (CannotBeFetched, CannotFetch) as error:
            account.refused[remote.address] = str(error)
        tell(account)


class _Worker:
    def __init__(self, connection: Connection, plan: Plan, journal: Journal) -> None:
        self.stop = threading.Event()
        self._connection, self._plan, self._journal = connection, plan, journal
        self._of_thread = threading.local()

    @staticmethod
    def key(key: UploadKey) -> str:
        return f"{key.frame_id}{key.suffix}"

    def bring(self, remote: Remote, key: UploadKey) -> Fetched:
        if self.stop.is_set():
            raise Stopped
        file = self._here(remote, key)
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        uploads.upload(self._connection, file, key.campaign, key.segment)
        entry = Fetched(
            address=remote.address,
            bucket=self._connection.frames.name,
            key=self.key(key),
            bytes=file.stat().st_size,
            sha256=sha256,
            fetched=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._journal.note(entry)
        if not remote.is_local and not self._plan.keep:
            file.unlink()
        return entry

    def _here(self, remote: Remote, key: UploadKey) -> Path:
        """The file on this machine."""
        if remote.is_local:
            file = Path(remote.address)
            if file.stat().st_size > MAX_FILE_BYTES:
                raise CannotBeFetched(
                    f"It is larger than {MAX_FILE_BYTES // 1_000_000} MB: cut it along the track first."
                )
            return file
        file = self._plan.folder / key.campaign / key.segment / remote.name
        if file.exists() and not self._plan.again and (remote.digest is None or remote.digest.matches(file)):
            return file  # it has its name, so it came whole; the upload was not confirmed
        file.parent.mkdir(parents=True, exist_ok=True)
        download(self._client, remote, file, stopped=self.stop.is_set)
        return file

    @property
    def _client(self) -> requests.Session:
        """A session for each thread: requests does not say that threads may share one."""
        if not hasattr(self._of_thread, "session"):
            self._of_thread.session = session()
        made: requests.Session = self._of_thread.session
        return made
