"""The numeric variables of MATLAB and NetCDF-4 files, read by name and only as large as an echogram may be.

These files are untrusted, and both forms compress. What a variable claims to hold is checked before it is unpacked,
unpacking stops at that size, and only plain numbers are made of it.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import h5py
import numpy as np

from firnline.errors import Refused
from firnline.limits import MAX_SAMPLES
from firnline.radar.packing import packing_of, text_of

MAX_VARIABLES = 2_000
_MAX_STRUCT_BYTES = 64_000_000
_MAX_STRUCT_FIELDS = 20_000
_STRUCT_DEPTH = 8
_AT_ONCE = 2_000_000
"""Values that are converted at a time, so that the echogram is never in memory twice."""
_PACKED_AT_ONCE = 1 << 18
_MATRIX, _COMPRESSED = 14, 15
_STRUCT_CLASS, _SPARSE_CLASS, _NUMERIC_CLASSES, _COMPLEX_FLAG = 2, 5, range(6, 16), 0x0800
_FILTERS = {
    1: "gzip", 2: "shuffle", 3: "a checksum", 4: "szip", 5: "nbit", 6: "scale-offset", 307: "bzip2", 32000: "LZF",
    32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP", 32015: "Zstandard (zstd)", 32016: "SZ3",
    32017: "SZ", 32018: "FCI", 32019: "JPEG", 32022: "granular bit rounding", 32026: "Blosc2", 32028: "SPERR",
}  # fmt: skip
"""Names of HDF5's registered filters (The HDF Group, registered filter plugins)."""
_MAT5_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}


class Variables(Protocol):
    """The variables of one file; `a.b` names the field `b` of the struct `a`."""

    def names(self) -> set[str]:
        """The names on the top level."""

    def array(self, name: str) -> np.ndarray | None:
        """The variable as MATLAB or NetCDF shows its axes, at least 2-D from MATLAB; None if it is absent or empty.

        `Refused` if it is too large, complex or not numeric; ValueError, struct.error or zlib.error if the file is
        damaged.
        """

    def matrix(self, name: str) -> np.ndarray | None:
        """As `array`, but for an echogram: in single precision, with values that are marked as missing NaN."""

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape that `array` would give; None if the variable is absent or no array."""

    def text_attribute(self, name: str, attribute: str) -> str:
        """A variable's attribute, or the file's own for the name "", as text; "" where there is none."""

    def numbers_in(self, name: str) -> Iterator[tuple[str, float]]:
        """Path and value of every single number in a struct, struct arrays and structs in structs included."""

    def trace_axis(self, name: str, traces: str) -> int | None:
        """The axis of `name` along which the dimension scale `traces` lies; None where the file does not say."""


def is_hdf5(content: bytes) -> bool:
    """HDF5's signature stands at 0, or behind a user block (MATLAB's has 512 bytes)."""
    return any(content.startswith(b"\x89HDF\r\n\x1a\n", offset) for offset in (0, 512))


def is_matlab5(content: bytes) -> bool:
    return len(content) >= 128 and content[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def check_claim(name: str, shape: tuple[int, ...]) -> None:
    """`Refused` for a variable that claims to be larger than an echogram may be."""
    if int(np.prod(shape, dtype=object)) > MAX_SAMPLES:
        raise Refused(
            f"The variable '{name}' claims to hold {' x '.join(map(str, shape))} values; at most "
            f"{MAX_SAMPLES // 1_000_000} million can be read. Split the frame along the track and upload the parts."
        )


def _not_numeric(name: str) -> Refused:
    return Refused(f"The variable '{name}' does not hold plain real numbers; save it as a real numeric array.")


def _complex(name: str) -> Refused:
    return Refused(
        f"The variable '{name}' is complex, not plain real numbers: save its power, abs({name})**2, as a real array."
    )


def _sparse(name: str) -> Refused:
    return Refused(f"The variable '{name}' is a sparse matrix: save it as full({name}).")


@dataclass(frozen=True)
class _Matrix:
    """The header of one array; its values (or fields) begin at `body`."""

    kind: int
    complex: bool
    shape: tuple[int, ...]
    name: str
    body: int


class Matlab5:
    """A MATLAB file of version 5 to 7 (`-v7`).

    scipy.io.loadmat is not used: it allocates whatever a header claims, and unpacks without a limit.
    Form: "MAT-File Format", MathWorks, level 5.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._order = "<" if content[126:128] == b"IM" else ">"
        self._elements: dict[str, tuple[int, int, bool]] = {}
        offset = 128
        while offset + 8 <= len(content):
            kind, size = struct.unpack_from(self._order + "II", content, offset)
            start = offset + 8
            if start + size > len(content):
                raise ValueError("it ends in the middle of a variable")
            if kind in (_MATRIX, _COMPRESSED):
                head = self._unpack(start, size, kind == _COMPRESSED, limit=4096)
                name = self._matrix(head, complete=False).name
                self._elements[name] = (start, size, kind == _COMPRESSED)
            if len(self._elements) > MAX_VARIABLES:
                raise Refused(f"The file holds more than {MAX_VARIABLES} variables; save only those of the echogram.")
            offset = start + size

    def names(self) -> set[str]:
        return set(self._elements)

    def text_attribute(self, name: str, attribute: str) -> str:
        return ""

    def trace_axis(self, name: str, traces: str) -> int | None:
        return None

    def shape(self, name: str) -> tuple[int, ...] | None:
        name, _, field_name = name.partition(".")
        if name not in self._elements:
            return None
        header = self._matrix(self._unpack(*self._elements[name], limit=4096), complete=False)
        if field_name:
            if header.kind != _STRUCT_CLASS or header.shape != (1, 1):
                return None
            fields = self._fields(self._unpack(*self._elements[name], limit=_MAX_STRUCT_BYTES), header)
            found = next((data for field, data in fields if field == field_name), None)
            if found is None:
                return None
            header = self._matrix(found)
        return header.shape if header.kind in (_SPARSE_CLASS, *_NUMERIC_CLASSES) else None

    def matrix(self, name: str) -> np.ndarray | None:
        if name not in self._elements:
            return None
        start, size, compressed = self._elements[name]
        head = self._unpack(start, size, compressed, limit=4096)
        header = self._matrix(head, complete=False)
        self._check_numeric(header, name)
        check_claim(name, header.shape)
        count = int(np.prod(header.shape))
        if not count:
            return None
        dtype, values_at, _ = self._values_element(head, header, name, complete=False)
        values = np.empty(count, np.float32)
        filled, rest = 0, b""
        with np.errstate(over="ignore", invalid="ignore"):
            for piece in self._pieces(start, size, compressed, values_at, count * dtype.itemsize):
                piece = rest + piece
                whole = len(piece) // dtype.itemsize
                values[filled : filled + whole] = np.frombuffer(piece, dtype, whole)
                filled, rest = filled + whole, piece[whole * dtype.itemsize :]
        if filled != count:
            raise ValueError(f"the variable '{name}' holds fewer values than its size says")
        return values.reshape(header.shape, order="F")

    def _pieces(self, start: int, size: int, compressed: bool, skip: int, wanted: int) -> Iterator[bytes]:
        """`wanted` bytes of an array's payload, from `skip` bytes behind its tag on, some megabytes at a time."""
        limit = _AT_ONCE * 4
        if not compressed:
            end = min(start + size, start + skip + wanted)
            for place in range(start + skip, end, limit):
                yield self._content[place : min(place + limit, end)]
            return
        unpacker = zlib.decompressobj()
        skip += 8
        for place in range(start, start + size, _PACKED_AT_ONCE):
            packed = self._content[place : min(place + _PACKED_AT_ONCE, start + size)]
            while packed and wanted > 0:
                piece = unpacker.decompress(packed, limit)
                packed = unpacker.unconsumed_tail
                skipped = min(skip, len(piece))
                piece = piece[skipped : skipped + wanted]
                skip -= skipped
                wanted -= len(piece)
                if piece:
                    yield piece
            if wanted <= 0 or unpacker.eof:
                return

    def numbers_in(self, name: str) -> Iterator[tuple[str, float]]:
        if name not in self._elements:
            return iter(())
        data = self._unpack(*self._elements[name], limit=_MAX_STRUCT_BYTES)
        return islice(self._numbers(data, name, 0), _MAX_STRUCT_FIELDS)

    def _numbers(self, data: bytes, path: str, depth: int) -> Iterator[tuple[str, float]]:
        header = self._matrix(data)
        if header.kind == _STRUCT_CLASS and depth < _STRUCT_DEPTH:
            for field_name, field_data in self._fields(data, header):
                yield from self._numbers(field_data, f"{path}.{field_name}", depth + 1)
        elif header.kind in _NUMERIC_CLASSES and not header.complex and int(np.prod(header.shape, dtype=object)) == 1:
            value = self._values(data, header, path)
            if value is not None:
                yield path, float(value.ravel()[0])

    def array(self, name: str) -> np.ndarray | None:
        name, _, field_name = name.partition(".")
        if name not in self._elements:
            return None
        start, size, compressed = self._elements[name]
        header = self._matrix(self._unpack(start, size, compressed, limit=4096), complete=False)
        if field_name:
            if header.kind != _STRUCT_CLASS or header.shape != (1, 1):
                return None
            return self._field(self._unpack(start, size, compressed, _MAX_STRUCT_BYTES), header, field_name)
        check_claim(name, header.shape)
        limit = int(np.prod(header.shape)) * 8 + header.body + 64
        return self._values(self._unpack(start, size, compressed, limit), header, name)

    def _unpack(self, start: int, size: int, compressed: bool, limit: int) -> bytes:
        """At most `limit` bytes of an array's payload, behind its tag."""
        if not compressed:
            return self._content[start : start + min(size, limit)]
        packed = memoryview(self._content)[start : start + size]
        return zlib.decompressobj().decompress(packed, limit + 8)[8:]

    def _parts(self, data: bytes, offset: int, complete: bool = True) -> Iterator[tuple[int, int, int, int]]:
        """(type, start, size, next) of the elements that follow each other in an array's payload."""
        while offset + 8 <= len(data):
            kind, size = struct.unpack_from(self._order + "II", data, offset)
            if kind >> 16:  # a small element: type and size share the first word, the data is the second
                kind, size, start, after = kind & 0xFFFF, kind >> 16, offset + 4, offset + 8
            else:
                start = offset + 8
                after = start + size + -size % 8
            if complete and start + size > len(data):
                raise ValueError("it ends in the middle of a variable")
            yield kind, start, size, after
            offset = after

    def _matrix(self, data: bytes, offset: int = 0, complete: bool = True) -> _Matrix:
        parts = self._parts(data, offset, complete)
        try:
            _, flags, _, _ = next(parts)
            _, dims, dims_size, _ = next(parts)
            _, name, name_size, body = next(parts)
        except StopIteration:
            raise ValueError("a variable has no header") from None
        word = struct.unpack_from(self._order + "I", data, flags)[0]
        shape = struct.unpack_from(f"{self._order}{min(dims_size, 128) // 4}i", data, dims)
        if not shape or min(shape) < 0:
            raise ValueError("a variable has an impossible size")
        text = data[name : name + name_size].decode("latin-1")
        return _Matrix(word & 0xFF, bool(word & _COMPLEX_FLAG), shape, text, body)

    @staticmethod
    def _check_numeric(header: _Matrix, name: str) -> None:
        if header.kind == _SPARSE_CLASS:
            raise _sparse(name)
        if header.kind not in _NUMERIC_CLASSES:
            raise _not_numeric(name)
        if header.complex:
            raise _complex(name)

    def _values_element(
        self, data: bytes, header: _Matrix, name: str, complete: bool = True
    ) -> tuple[np.dtype, int, int]:
        """The type of an array's values, where in its payload they begin, and their bytes."""
        kind, start, size, _ = next(self._parts(data, header.body, complete), (0, 0, 0, 0))
        if kind not in _MAT5_TYPES:
            raise ValueError(f"the variable '{name}' has no values")
        dtype = np.dtype(self._order + _MAT5_TYPES[kind])
        if size != int(np.prod(header.shape)) * dtype.itemsize:
            raise ValueError(f"the variable '{name}' holds another number of values than its size says")
        return dtype, start, size

    def _values(self, data: bytes, header: _Matrix, name: str) -> np.ndarray | None:
        self._check_numeric(header, name)
        count = int(np.prod(header.shape))
        if not count:
            return None
        dtype, start, _ = self._values_element(data, header, name)
        return np.frombuffer(data, dtype, count, start).reshape(header.shape, order="F")

    def _fields(self, data: bytes, header: _Matrix) -> Iterator[tuple[str, bytes]]:
        """Name and payload of the fields of a struct; of a struct array, of its elements one after the other."""
        parts = self._parts(data, header.body)
        _, length_at, _, _ = next(parts, (0, 0, 0, 0))
        _, names_at, names_size, fields_at = next(parts, (0, 0, 0, 0))
        length = struct.unpack_from(self._order + "i", data, length_at)[0]
        if not 0 < length <= 64:
            raise ValueError("a struct's field names have an impossible length")
        names = [
            data[at : at + length].split(b"\0")[0].decode("latin-1")
            for at in range(names_at, names_at + names_size, length)
        ]
        if not names:
            return
        for number, (kind, start, size, _) in enumerate(self._parts(data, fields_at)):
            if kind == _MATRIX and size:
                yield names[number % len(names)], data[start : start + size]

    def _field(self, data: bytes, header: _Matrix, wanted: str) -> np.ndarray | None:
        for name, field_data in self._fields(data, header):
            if name == wanted:
                field_header = self._matrix(field_data)
                check_claim(wanted, field_header.shape)
                return self._values(field_data, field_header, wanted)
        return None


class Hdf5:
    """A NetCDF-4 file, or a MATLAB file of version 7.3, whose arrays lie transposed and are turned back here."""

    def __init__(self, content: bytes) -> None:
        self._file = h5py.File(io.BytesIO(content), "r")
        self._matlab = content.startswith(b"MATLAB")

    def names(self) -> set[str]:
        if len(self._file) > MAX_VARIABLES:
            raise Refused(f"The file holds more than {MAX_VARIABLES} variables; save only those of the echogram.")
        return set(self._file)

    def text_attribute(self, name: str, attribute: str) -> str:
        node = self._dataset(name) if name else self._file
        if node is None or attribute not in node.attrs or _attribute_shape(node, attribute) not in ((), (1,)):
            return ""
        return text_of(node.attrs[attribute])

    def shape(self, name: str) -> tuple[int, ...] | None:
        dataset = self._dataset(name)
        if dataset is None or dataset.shape is None:
            return None
        shape: tuple[int, ...] = dataset.shape
        return shape[::-1] if self._matlab else shape

    def array(self, name: str) -> np.ndarray | None:
        return self._read(name, None)

    def matrix(self, name: str) -> np.ndarray | None:
        return self._read(name, np.dtype(np.float32))

    def _read(self, name: str, as_type: np.dtype | None) -> np.ndarray | None:
        """The unpacked values in `as_type`, or in a type that holds them: their own or double precision."""
        dataset = self._dataset(name)
        if dataset is None or not dataset.size or dataset.attrs.get("MATLAB_empty", 0):
            return None
        _check_readable(dataset, name)
        packing = packing_of(
            dataset.dtype,
            lambda attribute: dataset.attrs.get(attribute),
            lambda attribute: _attribute_shape(dataset, attribute),
            netcdf=not self._matlab,
        )
        if as_type is None:
            plain = packing.scale is None and packing.offset is None and packing.stored.kind != "f"
            as_type = packing.stored if packing.stored.kind == "f" else np.dtype(np.float64)
            if plain and not packing.missing and packing.low is None and packing.high is None:
                as_type = packing.stored
        if not dataset.shape:
            return np.asarray(packing.unpack(np.asarray(dataset[()])[None], as_type)[0])
        values = np.empty(dataset.shape, as_type)
        for rows in _slabs(dataset):
            values[rows] = packing.unpack(dataset[rows], as_type)
        return values.T if self._matlab else values

    def numbers_in(self, name: str) -> Iterator[tuple[str, float]]:
        link = self._file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            return iter(())
        return islice(self._numbers(self._file[name], name, 0), _MAX_STRUCT_FIELDS)

    def _numbers(self, node: Any, path: str, depth: int) -> Iterator[tuple[str, float]]:
        if isinstance(node, h5py.Group) and depth < _STRUCT_DEPTH:
            for name in islice(node, MAX_VARIABLES):
                if isinstance(node.get(name, getlink=True), h5py.HardLink):
                    yield from self._numbers(node[name], f"{path}.{name}", depth + 1)
        elif isinstance(node, h5py.Dataset) and node.shape is not None and not (node.external or node.is_virtual):
            if node.dtype.kind in "fiu" and node.size == 1:
                yield path, float(np.asarray(node[()]).ravel()[0])
            elif node.dtype == h5py.ref_dtype and 0 < node.size <= MAX_VARIABLES and depth < _STRUCT_DEPTH:
                # MATLAB keeps the elements of a struct array as references to values elsewhere.
                for reference in np.asarray(node[()]).ravel():
                    if reference:
                        yield from self._numbers(self._file[reference], path, depth + 1)

    def trace_axis(self, name: str, traces: str) -> int | None:
        """The axis of `name` along which the dimension scale `traces` lies; None where the file does not say."""
        dataset = self._dataset(name)
        if dataset is None:
            return None
        axes = [
            axis
            for axis, dimension in enumerate(dataset.dims)
            if any((scale.name or "").rpartition("/")[2] == traces for _, scale in dimension.items())
        ]
        return axes[0] if len(axes) == 1 else None

    def _dataset(self, name: str) -> h5py.Dataset | None:
        node = self._file
        for part in name.split("."):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise Refused(f"The variable '{name}' is only a link; save everything in one file.")
            node = node[part]
        if isinstance(node, h5py.Group) and "MATLAB_sparse" in node.attrs:
            raise _sparse(name)
        return node if isinstance(node, h5py.Dataset) else None


def _attribute_shape(node: h5py.Dataset | h5py.Group, attribute: str) -> tuple[int, ...] | None:
    """The shape of an attribute, without reading its value; None where there is none."""
    return node.attrs.get_id(attribute).shape if attribute in node.attrs else None


def _check_readable(dataset: h5py.Dataset, name: str) -> None:
    """`Refused` unless a variable holds real numbers, in this file, in a form that can be unpacked, and not too many."""
    if dataset.dtype.kind == "c" or (dataset.dtype.names and len(dataset.dtype.names) == 2):
        raise _complex(name)
    if dataset.dtype.kind not in "fiub":
        raise _not_numeric(name)
    check_claim(name, dataset.shape)
    # A chunk is unpacked whole, so it must be no larger than the array itself may be.
    check_claim(name, dataset.chunks or ())
    if dataset.external or dataset.is_virtual:
        raise Refused(f"The variable '{name}' lies in another file; save everything in one file.")
    properties = dataset.id.get_create_plist()
    for number in range(properties.get_nfilters()):
        code, _, _, own_name = properties.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            called = _FILTERS.get(code) or re.sub(r"[^ -~]", "", text_of(own_name))[:40].strip() or "an unknown method"
            raise Refused(
                f"The variable '{name}' is compressed with {called} (HDF5 filter {code}), which Firnline cannot "
                "unpack: save it with gzip compression (nccopy -F none, h5repack -f GZIP=4) or with none."
            )


def _slabs(dataset: h5py.Dataset) -> Iterator[slice]:
    """Slices along the first axis, each of whole chunks, so that none is unpacked twice."""
    per_row = max(1, dataset.size // dataset.shape[0])
    chunk = dataset.chunks[0] if dataset.chunks else 1
    rows = max(chunk, _AT_ONCE // per_row // chunk * chunk)
    return (slice(start, start + rows) for start in range(0, dataset.shape[0], rows))


def open_variables(content: bytes) -> Variables:
    """The variables of a file that `is_matlab5` or `is_hdf5` knows."""
    return Matlab5(content) if is_matlab5(content) else Hdf5(content)
