"""What can be fetched: files at addresses or in a folder, and the lists that name them."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from firnline.documents.upload_key import UploadKey, parse_upload_key
from firnline.errors import Refused
from workbench import uploads

_ALGORITHM_OF_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_LISTED = re.compile(r"(?:([0-9a-fA-F]{32,128})\s+\*?)?(\S+)\Z")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_LIST_BYTES = 50_000_000
"""About half a million addresses."""


class CannotFetch(Exception):
    """Nothing was begun; the message says what to do."""


@dataclass(frozen=True)
class Digest:
    """A checksum in hexadecimal digits, by hashlib's name of its algorithm."""

    algorithm: str
    value: str

    def matches(self, file: Path) -> bool:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, self.algorithm).hexdigest() == self.value.lower()


@dataclass(frozen=True)
class Remote:
    """A file to fetch: `address` is an https address, or the path of a local file.

    `segment` None: what the file's name tells, or the folder that it lies in.
    """

    address: str
    segment: str | None = None
    digest: Digest | None = None
    size: int | None = None

    @property
    def is_local(self) -> bool:
        return "://" not in self.address

    @property
    def name(self) -> str:
        return Path(self._path).name

    def key(self, campaign: str) -> UploadKey:
        """Where it is uploaded; `Refused` if its name cannot be a frame's or an annotation's."""
        return parse_upload_key(uploads.key_of(Path(self._path), campaign, self.segment))

    @property
    def _path(self) -> str:
        return self.address if self.is_local else unquote(urlsplit(self.address).path)


def checked(address: str) -> str:
    """An address that may be fetched: https, or http on this machine, and without a password in it.

    Raises CannotFetch.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise CannotFetch(f"'{address}' is no https address: others could change what is fetched on its way.")
    if parts.username or parts.password:
        raise CannotFetch(
            f"An address of {parts.hostname} has a name or a password in it: put them into ~/.netrc, from where they are "
            "read and never stored, and leave them out of the address."
        )
    return address


def listed(file: Path, segment: str | None) -> list[Remote]:
    """The files that a list names: on each line an address, or a checksum and an address as `sha256sum` prints them.

    Empty lines and what follows a `#` at the beginning of a line are left out. Raises CannotFetch with the line.
    """
    if file.stat().st_size > MAX_LIST_BYTES:
        raise CannotFetch(f"{file} is longer than {MAX_LIST_BYTES // 1_000_000} MB: split the list.")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CannotFetch(f"{file} is no list of addresses: it is not text.") from error
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        parsed = _LISTED.match(text)
        if parsed is None or (parsed[1] and len(parsed[1]) not in _ALGORITHM_OF_LENGTH):
            raise CannotFetch(
                f"Line {number} of {file} is neither an address nor a checksum and an address, as sha256sum prints them."
            )
        digest = Digest(_ALGORITHM_OF_LENGTH[len(parsed[1])], parsed[1].lower()) if parsed[1] else None
        try:
            found.append(Remote(checked(parsed[2]), segment, digest))
        except CannotFetch as error:
            raise CannotFetch(f"Line {number} of {file}: {error}") from error
    return found


def in_folder(folder: Path, segment: str | None) -> Iterator[Remote]:
    """Every file below a folder that is a frame's or an annotation's by its name, in the order of their paths."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and _is_ours(path):
            yield Remote(str(path.resolve()), segment, size=path.stat().st_size)


def _is_ours(path: Path) -> bool:
    try:
        parse_upload_key(f"any/any/{path.name}")
    except Refused:
        return False
    return True
