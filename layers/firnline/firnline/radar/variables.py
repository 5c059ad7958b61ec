"""The numeric variables of MATLAB and NetCDF-4 files, read by name and only as large as an echogram may be.

These files come from anywhere, and both forms compress: what a variable claims to hold is checked before it is
unpacked, unpacking stops at that size, and nothing but plain numbers is ever made of it.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import h5py
import numpy as np

from firnline.errors import Refused
from firnline.limits import MAX_SAMPLES

MAX_VARIABLES = 2_000
_MAX_STRUCT_BYTES = 64_000_000
_MATRIX, _COMPRESSED = 14, 15
_STRUCT_CLASS, _NUMERIC_CLASSES, _COMPLEX_FLAG = 2, range(6, 16), 0x0800
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

    def text_attribute(self, name: str, attribute: str) -> str:
        """A variable's attribute, "" where there is none."""

    def trace_axis(self, name: str, traces: str) -> int | None:
        """The axis of `name` along which the dimension scale `traces` lies; None where the file does not say."""


def is_hdf5(content: bytes) -> bool:
    """HDF5's signature stands at 0, or behind a user block (MATLAB's has 512 bytes)."""
    return any(content.startswith(b"\x89HDF\r\n\x1a\n", offset) for offset in (0, 512))


def is_matlab5(content: bytes) -> bool:
    return len(content) >= 128 and content[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def _refuse_size(name: str, shape: tuple[int, ...]) -> None:
    if int(np.prod(shape, dtype=object)) > MAX_SAMPLES:
        raise Refused(
            f"The variable '{name}' claims to hold {' x '.join(map(str, shape))} values; at most "
            f"{MAX_SAMPLES // 1_000_000} million can be read. Split the frame along the track and upload the parts."
        )


def _not_numeric(name: str) -> Refused:
    return Refused(f"The variable '{name}' does not hold plain real numbers; save it as a real numeric array.")


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
        _refuse_size(name, header.shape)
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

    def _values(self, data: bytes, header: _Matrix, name: str) -> np.ndarray | None:
        if header.kind not in _NUMERIC_CLASSES or header.complex:
            raise _not_numeric(name)
        count = int(np.prod(header.shape))
        if not count:
            return None
        kind, start, size, _ = next(self._parts(data, header.body), (0, 0, 0, 0))
        if kind not in _MAT5_TYPES:
            raise ValueError(f"the variable '{name}' has no values")
        dtype = np.dtype(self._order + _MAT5_TYPES[kind])
        if size != count * dtype.itemsize:
            raise ValueError(f"the variable '{name}' holds another number of values than its size says")
        return np.frombuffer(data, dtype, count, start).reshape(header.shape, order="F")

    def _field(self, data: bytes, header: _Matrix, wanted: str) -> np.ndarray | None:
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
        for name, (kind, start, size, _) in zip(names, self._parts(data, fields_at), strict=False):
            if name == wanted and kind == _MATRIX and size:
                field_data = data[start : start + size]
                field_header = self._matrix(field_data)
                _refuse_size(wanted, field_header.shape)
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
        dataset = self._dataset(name)
        value = "" if dataset is None else dataset.attrs.get(attribute, "")
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)

    def array(self, name: str) -> np.ndarray | None:
        dataset = self._dataset(name)
        if dataset is None or not dataset.size or dataset.attrs.get("MATLAB_empty", 0):
            return None
        if dataset.dtype.kind not in "fiub":
            raise _not_numeric(name)
        _refuse_size(name, dataset.shape)
        # A chunk is unpacked whole, so it must be no larger than the array itself may be.
        _refuse_size(name, dataset.chunks or ())
        if dataset.external or dataset.is_virtual:
            raise Refused(f"The variable '{name}' lies in another file; save everything in one file.")
        values = dataset[()]
        fill, scale, offset = (_number(dataset.attrs.get(key)) for key in ("_FillValue", "scale_factor", "add_offset"))
        if fill is not None:
            values = np.where(values == fill, np.nan, values)
        if scale is not None or offset is not None:
            values = values * (1.0 if scale is None else scale) + (offset or 0.0)
        return values.T if self._matlab else values

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
        return node if isinstance(node, h5py.Dataset) else None


def _number(value: object) -> float | None:
    if value is None:
        return None
    number = np.asarray(value)
    return float(number.ravel()[0]) if number.size == 1 and number.dtype.kind in "fiu" else None


def open_variables(content: bytes) -> Variables:
    """The variables of a file that `is_matlab5` or `is_hdf5` knows."""
    return Matlab5(content) if is_matlab5(content) else Hdf5(content)
