"""Files that mean harm, or look as if: each ends in a sentence, within seconds and a gigabyte."""

import io
import os
import random
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from firnline.documents.origin import Origin
from firnline.errors import Refused
from firnline.radar.formats import read_frame
from firnline.radar.guard import BeyondLimits, within_limits
from firnline.radar.parcel import array_at
from firnline.radar.radar_frame import Picks, RadarFrame
from tests.support.ingest_files import (
    TRACES,
    cresis_variables,
    echoes,
    grey,
    impdar,
    irsno1b,
    mat5,
    mat73,
    picture,
)

MEGABYTE = 1_000_000

# --------------------------------------------------------------------------------------------- the process of its own


def test_arrays_come_back_whole_and_writable() -> None:
    many, turned, none = within_limits(
        lambda: (np.arange(300_000.0), np.asfortranarray(np.eye(40)[:, :30]), np.zeros((0, 3))), 5, 10**9
    )
    np.testing.assert_array_equal(many, np.arange(300_000.0))
    np.testing.assert_array_equal(turned, np.eye(40)[:, :30])
    assert none.shape == (0, 3)
    many[:] = 1


def test_a_frame_comes_back_as_it_was_read() -> None:
    frame = RadarFrame(
        np.full((20, 30), np.float32(-90)),
        "cresis-mat-5",
        dt_s=2e-9,
        latitude=np.linspace(70, 71, 30),
        picks=Picks(["surface"], np.full((1, 30), np.nan)),
        origin=Origin(sample_shift=np.arange(30)),
        transforms=["a note"],
    )
    again = within_limits(lambda: frame, 5, 10**9)
    assert (again.format, again.dt_s, again.file_shape, again.transforms) == (
        "cresis-mat-5",
        2e-9,
        (20, 30),
        ["a note"],
    )
    assert again.power_db.dtype == np.float32
    np.testing.assert_array_equal(again.latitude, frame.latitude)
    np.testing.assert_array_equal(again.picks.rows, frame.picks.rows)
    assert again.picks.labels == ["surface"]
    np.testing.assert_array_equal(again.origin.sample_shift, np.arange(30))


def test_nothing_but_numbers_and_our_own_kinds_is_sent() -> None:
    with pytest.raises(RuntimeError, match="cannot be sent"):
        within_limits(lambda: np.array([object()]), 5, 10**9)
    with pytest.raises(ValueError, match="beyond the memory"):
        array_at(memoryview(bytes(64)), 8, "<f8", [8])
    with pytest.raises(ValueError, match="none of numbers"):
        array_at(memoryview(bytes(64)), 0, "|O", [1])


def _refuse() -> None:
    try:
        raise OSError("libhdf5 said something")
    except OSError as error:
        raise Refused("It cannot be read.") from error


def test_a_refusal_comes_back_with_its_cause() -> None:
    with pytest.raises(Refused, match=r"^It cannot be read\.$") as refused:
        within_limits(_refuse, 5, 10**9)
    assert "libhdf5 said something" in str(refused.value.__cause__)


def _loop() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("work", "limit"),
    [
        (_loop, "time"),
        (lambda: np.ones(10**8), "memory"),
        (lambda: os.kill(os.getpid(), 11), "crash"),
        (lambda: [b"x" * MEGABYTE for _ in range(1000)], "memory"),
    ],
    ids=["loop", "array", "segmentation fault", "list"],
)
def test_work_beyond_its_limits_is_ended(work: object, limit: str) -> None:
    with pytest.raises(BeyondLimits) as beyond:
        within_limits(work, 1, 300 * MEGABYTE)  # type: ignore[arg-type]
    assert beyond.value.limit == limit


def test_an_error_of_our_own_is_no_fault_of_the_file() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        within_limits(lambda: 1 / 0, 5, 10**9)


def test_nothing_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        within_limits(lambda: np.zeros(10), 5, 10**9)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# ------------------------------------------------------------------------------------------------------ hostile files


def _png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content


def _claim5(name: str, rows: int, columns: int) -> bytes:
    header = struct.pack("<IIII", 6, 8, 6, 0) + struct.pack("<IIii", 5, 8, rows, columns)
    label = name.encode().ljust(-(-len(name) // 8) * 8, b"\0")
    payload = header + struct.pack("<II", 1, len(name)) + label + struct.pack("<II", 9, rows * columns * 8 % 2**32)
    packed = zlib.compress(struct.pack("<II", 14, 2**31) + payload + bytes(2 * MEGABYTE), 9)
    return struct.pack("<II", 15, len(packed)) + packed


def _claim73(name: str, shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO(mat73({key: value for key, value in cresis_variables().items() if key != name}))
    with h5py.File(file, "r+") as h5:
        h5.create_dataset(name, shape, "f8", chunks=tuple(min(side, 1000) for side in shape), compression="gzip")
    return file.getvalue()


def _without(name: str) -> bytes:
    return mat5({key: value for key, value in cresis_variables().items() if key != name})


def _zeros_tiff(side: int = 9_900, strips: int = 99) -> bytes:
    """Float64 zeros, each strip of which is the same few bytes of the file."""
    rows = side // strips
    packed = zlib.compress(bytes(rows * side * 8), 1)
    tables_at = 8 + len(packed) + len(packed) % 2
    entries = [
        (256, 3, 1, side),
        (257, 3, 1, side),
        (258, 3, 1, 64),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, strips, tables_at),
        (277, 3, 1, 1),
        (278, 3, 1, rows),
        (279, 4, strips, tables_at + 4 * strips),
        (339, 3, 1, 3),
    ]
    tables = struct.pack(f"<{strips}I", *[8] * strips) + struct.pack(f"<{strips}I", *[len(packed)] * strips)
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    head = b"II*\0" + struct.pack("<I", tables_at + len(tables))
    return head + packed + bytes(len(packed) % 2) + tables + directory


def _looping_pages() -> bytes:
    """A TIFF whose directory names itself as the next."""
    content = bytearray(picture(grey(), "TIFF"))
    first = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, first + 2 + 12 * entries, first)
    return bytes(content)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "palette without PLTE": (
        lambda: _png(struct.pack(">IIBBBBB", 24, 40, 8, 3, 0, 0, 0), (b"IDAT", zlib.compress(bytes(range(250)) * 4))),
        "damaged",
    ),
    "text bomb": (
        lambda: _png(
            struct.pack(">IIBBBBB", 24, 40, 8, 0, 0, 0, 0),
            (b"zTXt", b"x\0\0" + zlib.compress(bytes(80 * MEGABYTE), 1)),
            (b"IDAT", zlib.compress(bytes(25 * 40))),
        ),
        "damaged",
    ),
    "TIFF of zeros": (_zeros_tiff, "unpacks to far more"),
    "vector of 2e9, MATLAB 5": (
        lambda: _without("Time") + _claim5("Time", 1, 2_000_000_000),
        "'Time' claims to hold 2000000000",
    ),
    "vector of 1e8, MATLAB 5": (lambda: _without("Surface") + _claim5("Surface", 1, 100_000_000), "'Surface' claims"),
    "vector of 9e7, MATLAB 7.3": (
        lambda: _claim73("Elevation", (90_000_000, 1)),
        "'Elevation' claims to hold 90000000",
    ),
    "vector as a table, MATLAB 7.3": (lambda: _claim73("GPS_time", (9_000, 9_000)), "'GPS_time' claims"),
    "lines in millions": (
        lambda: mat5({"Data": echoes()}) + _claim5("layers_vector", 3_000_000, 24),
        "'layers_vector' claims",
    ),
    "picks in thousands": (lambda: impdar(picks={"samp2": np.zeros((1001, 1001))}), "at most 1000 lines"),
}


@pytest.mark.parametrize(("make", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_end_in_a_sentence(make: Callable[[], bytes], words: str) -> None:
    sentence = _sentence_or_frame(make())
    assert words in sentence
    assert sentence.endswith(".")


def _sentence_or_frame(content: bytes) -> str:
    """The sentence of a refusal, "" where the file was read after all; nothing else may happen."""
    try:
        read_frame(content)
    except Refused as refused:
        return str(refused)
    return ""


def test_pages_that_name_each_other_end() -> None:
    assert _sentence_or_frame(_looping_pages())[-1:] in ("", ".")


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**63])
def test_a_broken_global_heap_does_not_hold_the_reader_up(size: int) -> None:
    """The lists of dimension scales lie in HDF5's global heap, in which libhdf5 walks from object to object."""
    square = echoes(24, 24)
    content = bytearray(irsno1b(scales=True, power_db=square))
    heap = content.index(b"GCOL")
    # An object: index, references, reserved, size, data. The first follows the heap's own header of 16 bytes.
    struct.pack_into("<Q", content, heap + 16 + 8, size)
    assert _sentence_or_frame(bytes(content))[-1:] in ("", ".")


def test_only_square_frames_ask_for_their_dimension_scales() -> None:
    file = io.BytesIO(irsno1b(scales=True))
    with h5py.File(file, "r+") as h5:
        h5["time"].attrs["units"] = np.bytes_("seconds since 2012-03-30")
    content = bytearray(file.getvalue())
    heap = content.index(b"GCOL")
    content[heap : heap + 200] = b"\xff" * 200
    np.testing.assert_allclose(read_frame(bytes(content)).power_db, echoes(), atol=1e-4)


# ---------------------------------------------------------------------------------------------------------- mutations


def _tiff(**options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, grey().astype(np.float32), photometric="minisblack", **options)  # type: ignore[arg-type]
    return file.getvalue()


def _palette() -> bytes:
    file = io.BytesIO()
    Image.fromarray(grey()).convert("P").save(file, "PNG")
    return file.getvalue()


def _wholes() -> list[bytes]:
    return [
        mat5(cresis_variables(param={"radar": {"wfs": {"f0": 1e8, "f1": 2e8}}})),
        mat5(cresis_variables(), False), mat73(cresis_variables()), irsno1b(scales=True),
        irsno1b(scales=True, power_db=echoes(24, 24), lat=np.linspace(70, 71, TRACES)), impdar(), picture(grey()),
        picture(grey(), "JPEG"), picture(grey(), "TIFF"), picture(grey(), "TIFF", compression="tiff_lzw"), _tiff(),
        _tiff(compression="zlib"), _palette(),
    ]  # fmt: skip


_NUMBERS = [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**40, 2**63 - 1, 2**64 - 1]


def mutated(whole: bytes, chance: random.Random, wholes: list[bytes]) -> bytes:
    """`whole` with bytes, numbers or stretches changed, lost, doubled, or taken from another file."""
    content = bytearray(whole)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(content)) if chance.random() < 0.5 else chance.randrange(min(len(content), 1200))
        kind = chance.randrange(7)
        if kind == 0:
            content[at] = chance.randrange(256)
        elif kind == 1:
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            width = chance.choice("BHIQ")
            number = chance.choice(_NUMBERS) % 2 ** (8 * struct.calcsize(width))
            content[at : at + struct.calcsize(width)] = struct.pack(chance.choice("<>") + width, number)
        elif kind == 3:
            content[at : at + chance.randint(1, 64)] = b""
        elif kind == 4:
            content[at:at] = content[at : at + chance.randint(1, 64)]
        elif kind == 5:
            other = chance.choice(wholes)
            start = chance.randrange(len(other))
            content[at : at + 32] = other[start : start + 32]
        else:
            content[at : at + chance.randint(1, 200)] = bytes(chance.randint(1, 200))
        if not content:
            return whole
    return bytes(content[: chance.randrange(1, len(content) + 1)] if chance.random() < 0.1 else content)


def _survives(numbers: range) -> None:
    wholes = _wholes()
    for number in numbers:
        chance = random.Random(number)
        content = mutated(wholes[number % len(wholes)], chance, wholes)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        sentence = _sentence_or_frame(content)
        assert sentence[-1:] in ("", "."), (number, sentence)
        assert " object at " not in sentence, (number, sentence)
        assert "Traceback" not in sentence, (number, sentence)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10, number
        # A forked process begins with the memory of this one, which earlier tests may have filled.
        assert after.ru_maxrss < 1_000_000 + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, number  # kB


def test_mutated_files_end_in_a_frame_or_a_sentence() -> None:
    _survives(range(400))


@pytest.mark.slow
def test_many_mutated_files_end_in_a_frame_or_a_sentence() -> None:
    _survives(range(1_000, 11_000))
