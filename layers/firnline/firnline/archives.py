"""Reading `.tar.gz` archives that somebody else may have written: regular files, inside the folder, within limits.

The standard library's own filter came with Python 3.11.4 and 3.8.17, and it bounds nothing. Everything here that opens
an archive does so through `files`; the module imports none of its siblings.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from contextlib import contextmanager
from typing import IO, Any, Callable, Iterator, List, Optional, Set, Tuple, Union

AnyPath = Union[str, "os.PathLike[str]"]
MostOf = Callable[[str], Optional[int]]
MOST_BYTES = 1 << 30
MOST_MEMBERS = 10000
_COPIED_AT_ONCE = 1 << 20
# tarfile holds a member's extended headers in memory; ours have none, and whole headers with padding of 1536 bytes.
_MOST_HEADER, _MOST_HEADERS = 1 << 20, 16 << 20


class ArchiveError(ValueError):
    """The archive is damaged, or holds what no archive of ours does; the message says which of the two and what."""


class _Bounded:
    """A stream that ends in an error after so many bytes, whatever the headers promise."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream, self._left, self._left_in_all = stream, 0, most

    def allow(self, most: int) -> None:
        self._left = min(most, self._left_in_all)

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self._left -= len(data)
        self._left_in_all -= len(data)
        if self._left < 0:
            raise ArchiveError("it unpacks to more than it may")
        return data


def files(
    path: AnyPath, most_of: Optional[MostOf] = None, most_bytes: int = MOST_BYTES, most_members: int = MOST_MEMBERS
) -> Iterator[Tuple[str, IO[bytes]]]:
    """Each regular file of an archive, in its order: yields (name, stream).

    `name` is relative, in normal form with `/`, and leads nowhere outside. `stream` is to be read before the next file
    is asked for. Raises ArchiveError for a damaged archive, one over the limits, and, among the members that are taken,
    for links, devices, pipes, names that lead outside and names that are there twice.

    Parameters
    ----------
    path : the `.tar.gz`
    most_of : function name -> the most bytes that this member may have, or None for a member to pass over. By default
        every member is taken, up to `most_bytes`.
    most_bytes : most bytes of the whole archive, unpacked
    most_members : most members, those passed over included
    """
    taken: Set[str] = set()
    folders: Set[str] = set()
    count = total = 0
    for member, archive in _members(path, most_bytes):
        count, total = count + 1, total + max(member.size, 0)
        if count > most_members:
            raise ArchiveError(f"{path} holds more than {most_members} files.")
        if total > most_bytes:
            raise ArchiveError(f"{path} unpacks to more than {most_bytes >> 20} MB.")
        name = member.name[2:] if member.name.startswith("./") else member.name
        most = most_bytes if most_of is None else most_of(name)
        if most is None or (member.isdir() and name in ("", ".")):
            continue
        parts = name.split("/")
        if os.path.isabs(name) or {"", ".", ".."} & set(parts) or "\0" in name or "\\" in name:
            raise ArchiveError(f"{path} holds '{name[:100]}', which leads out of its folder.")
        above = {"/".join(parts[:end]) for end in range(1, len(parts))}
        if member.isdir():
            above.add(name)
        elif not member.isreg() or not 0 <= member.size <= most or name in taken:
            raise ArchiveError(f"{path} holds a {name[:100]} that is no plain file, too large, or there twice.")
        if above & taken or name in folders:
            raise ArchiveError(f"{path} holds {name[:100]} as a file and as a folder.")
        folders |= above
        if not member.isdir():
            taken.add(name)
            stream = archive.extractfile(member)
            assert stream is not None  # noqa: S101 - a regular file has one
            yield name, stream


def unpack(
    path: AnyPath,
    folder: AnyPath,
    most_of: Optional[MostOf] = None,
    most_bytes: int = MOST_BYTES,
    most_members: int = MOST_MEMBERS,
) -> List[str]:
    """Write the files of an archive below `folder`, which is made if need be; returns their names.

    The limits are those of `files`. Modes, owners and times of the archive are not taken over. Raises ArchiveError, with
    what came before it left in `folder`, and OSError where that can't be written.
    """
    names = []
    os.makedirs(folder, exist_ok=True)
    for name, stream in files(path, most_of, most_bytes, most_members):
        target = os.path.join(folder, *name.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as written:
            for block in _blocks(path, stream):
                written.write(block)
        names.append(name)
    return names


def read(path: AnyPath, stream: IO[bytes]) -> bytes:
    """The whole of a stream that `files` gave for the archive `path`. Raises ArchiveError."""
    return b"".join(_blocks(path, stream))


def _members(path: AnyPath, most_bytes: int) -> Iterator[Tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """(member, archive) of each member, in order; the stream is read once, and never further than the limit."""
    with _sentences(path), gzip.open(path, "rb") as plain:
        bounded: Any = _Bounded(plain, most_bytes + _MOST_HEADERS)
        bounded.allow(_MOST_HEADER)
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for member in archive:
                bounded.allow(max(member.size, 0) + _MOST_HEADER)
                yield member, archive
            while bounded.read(tarfile.RECORDSIZE):  # to the checksum at the end
                pass


def _blocks(path: AnyPath, stream: IO[bytes]) -> Iterator[bytes]:
    with _sentences(path):
        block = stream.read(_COPIED_AT_ONCE)
    while block:
        yield block
        with _sentences(path):
            block = stream.read(_COPIED_AT_ONCE)


@contextmanager
def _sentences(path: AnyPath) -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        raise ArchiveError(f"{path} can't be unpacked: {error}.") from error
    except (OSError, EOFError, ValueError, RecursionError, zlib.error, tarfile.TarError) as error:
        raise ArchiveError(f"{path} is not a readable model archive ({error}).") from error
