"""Archives are unpacked inside their folder, within limits, or refused; by code that asks no newer Python than 3.8."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from firnline import archives
from firnline.archives import ArchiveError


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def archive_of(path: Path, *members: tuple) -> Path:
    """A `.tar.gz` of (TarInfo or name, content)."""
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info = member(info) if isinstance(info, str) else info
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_files_and_folders_come_out_as_they_went_in(tmp_path: Path) -> None:
    packed = archive_of(
        tmp_path / "a.tar.gz",
        (member(".", tarfile.DIRTYPE), b""),
        (member("./code", tarfile.DIRTYPE), b""),
        ("./code/train.py", b"pass"),
        ("model.params", b"\0" * 3_000_000),
        ("empty", b""),
    )
    assert archives.unpack(packed, tmp_path / "out") == ["code/train.py", "model.params", "empty"]
    expected = {"code/train.py": b"pass", "model.params": b"\0" * 3_000_000, "empty": b""}
    assert contents(tmp_path / "out") == expected


@pytest.mark.parametrize(
    "stray",
    [
        member("../evil"),
        member("/evil"),
        member("code/../../evil"),
        member("code//evil"),
        member("..\\evil"),
        member("soft", tarfile.SYMTYPE, "/etc/passwd"),
        member("inside", tarfile.SYMTYPE, "good"),
        member("hard", tarfile.LNKTYPE, "good"),
        member("pipe", tarfile.FIFOTYPE),
        member("disk", tarfile.BLKTYPE),
        member("tty", tarfile.CHRTYPE),
        member("../out2", tarfile.DIRTYPE),
        member("good"),
        member("good/below"),
    ],
    ids=lambda info: f"{info.name} {info.type.decode()}",
)
def test_what_leads_out_or_is_no_file_is_refused(tmp_path: Path, stray: tarfile.TarInfo) -> None:
    packed = archive_of(tmp_path / "a.tar.gz", ("good", b"1"), (stray, b""), ("later", b"2"))
    with pytest.raises(ArchiveError, match=r"a\.tar\.gz holds"):
        archives.unpack(packed, tmp_path / "out")
    assert contents(tmp_path / "out") == {"good": b"1"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar.gz", "out"]


def test_a_file_never_goes_through_a_link_of_the_same_archive(tmp_path: Path) -> None:
    link = member("code", tarfile.SYMTYPE, str(tmp_path / "elsewhere"))
    packed = archive_of(tmp_path / "a.tar.gz", (link, b""), ("code/evil", b"x"))
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ArchiveError, match="no plain file"):
        archives.unpack(packed, tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_members_that_were_not_asked_for_are_passed_over_unjudged(tmp_path: Path) -> None:
    link = member("other", tarfile.SYMTYPE, "/etc")
    packed = archive_of(tmp_path / "a.tar.gz", ("../evil", b"x"), (link, b""), ("card", b"{}"), ("big", b"x" * 9))
    assert archives.unpack(packed, tmp_path / "out", {"card": 2}.get) == ["card"]
    assert contents(tmp_path / "out") == {"card": b"{}"}
    with pytest.raises(ArchiveError, match="too large"):
        archives.unpack(packed, tmp_path / "out", {"big": 8}.get)


def test_the_size_of_all_is_bounded_passed_over_or_not(tmp_path: Path) -> None:
    packed = archive_of(tmp_path / "a.tar.gz", ("a", b"x" * 600_000), ("b", b"x" * 600_000))
    with pytest.raises(ArchiveError, match="more than 1 MB"):
        archives.unpack(packed, tmp_path / "out", most_bytes=1 << 20)
    with pytest.raises(ArchiveError, match="more than 1 MB"):
        archives.unpack(packed, tmp_path / "out", {}.get, most_bytes=1 << 20)
    assert archives.unpack(packed, tmp_path / "out", most_bytes=1_200_000) == ["a", "b"]


def test_the_count_is_bounded(tmp_path: Path) -> None:
    packed = archive_of(tmp_path / "a.tar.gz", *((str(number), b"") for number in range(6)))
    assert len(archives.unpack(packed, tmp_path / "out", most_members=6)) == 6
    with pytest.raises(ArchiveError, match="more than 5 files"):
        archives.unpack(packed, tmp_path / "out", most_members=5)


def test_headers_are_not_read_without_a_limit(tmp_path: Path) -> None:
    """An extended header of 200 MB, 200 kB when packed, would be held in memory."""
    packed = archive_of(tmp_path / "a.tar.gz", (member("name", tarfile.XHDTYPE), b"0" * 200_000_000), ("a", b""))
    with pytest.raises(ArchiveError, match="more than it may"):
        archives.unpack(packed, tmp_path / "out")


def test_what_follows_the_archive_is_not_read_without_a_limit(tmp_path: Path) -> None:
    packed = archive_of(tmp_path / "a.tar.gz", ("a", b"1"))
    packed.write_bytes(gzip.compress(gzip.decompress(packed.read_bytes()) + b"\0" * 100_000_000))
    with pytest.raises(ArchiveError, match="more than it may"):
        archives.unpack(packed, tmp_path / "out")


def test_damaged_archives_are_refused_with_a_sentence(tmp_path: Path) -> None:
    packed = archive_of(tmp_path / "a.tar.gz", ("a", bytes(range(256)) * 400), ("b", b"2"))
    whole = packed.read_bytes()
    flipped = whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:]
    for damaged in (b"", b"no archive", whole[:40], whole[:-9], flipped, gzip.compress(b"no tar" * 999)):
        packed.write_bytes(damaged)
        with pytest.raises(ArchiveError, match="not a readable model archive"):
            archives.unpack(packed, tmp_path / "out")
    with pytest.raises(ArchiveError, match="not a readable model archive"):
        archives.unpack(tmp_path / "absent.tar.gz", tmp_path / "out")


def test_a_disk_that_takes_no_more_is_not_taken_for_a_bad_archive(tmp_path: Path) -> None:
    packed = archive_of(tmp_path / "a.tar.gz", ("a", b"1"))
    (tmp_path / "out" / "a").mkdir(parents=True)
    with pytest.raises(OSError, match="Is a directory"):
        archives.unpack(packed, tmp_path / "out")
