"""Cells, structs and texts of MATLAB files, of version 5 to 7 and of 7.3, as plain Python, within limits.

`variables` reads single numeric arrays, which is what an echogram consists of. Layer files nest them.
"""

import io
import struct
from collections.abc import Iterable, Iterator

import h5py
import numpy as np

from firnline.errors import Refused
from firnline.limits import MAX_PICKS
from firnline.radar.variables import Matlab5, is_hdf5, is_matlab5

Value = np.ndarray | str | list | dict | None
"""A numeric array as MATLAB shows its axes, a text, a cell (or struct array), a struct, or nothing."""

_MAX_NUMBERS = MAX_PICKS + 1_000_000
"""The picks, and what stands beside them."""
_MAX_NESTED_BYTES = 64_000_000
_MAX_PARTS = 50_000
_MAX_DEPTH = 8
_CELL, _STRUCT, _CHAR, _MATRIX = 1, 2, 4, 14
_NUMERIC = range(6, 16)
_TEXT_CODES = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}


def read_nested(content: bytes, names: Iterable[str]) -> dict[str, Value]:
    """The variables of these names, as far as the file has them, and nothing else of it.

    `Refused` for what is no MATLAB file or is larger than a layer file can be; what `formats.DAMAGED` lists if the file
    is damaged.
    """
    if not (is_matlab5(content) or is_hdf5(content)):
        raise Refused("it is no MATLAB file; save it with -v7 or -v7.3")
    if is_matlab5(content):
        return _Nested5(content).read(names)
    with h5py.File(io.BytesIO(content), "r") as file:
        return _Nested73(file).read(names)


class _Budget:
    """Counts what has been read, so that no file makes more of it than the limits allow."""

    def __init__(self) -> None:
        self.numbers, self.parts = 0, 0

    def take(self, shape: tuple[int, ...], name: str) -> int:
        count = int(np.prod(shape, dtype=object))
        self.numbers += count
        if self.numbers > _MAX_NUMBERS:
            raise Refused(
                f"the variable '{name[:60]}' claims to hold {' x '.join(map(str, shape))} values; "
                f"at most {_MAX_NUMBERS // 1_000_000} million can be read"
            )
        return count

    def enter(self, count: int, depth: int, name: str) -> None:
        self.parts += count
        if self.parts > _MAX_PARTS or depth > _MAX_DEPTH:
            raise Refused(f"the variable '{name[:60]}' is nested too deeply or has too many parts for layers")


class _Nested5(Matlab5):
    """Form: "MAT-File Format", MathWorks, level 5."""

    def read(self, names: Iterable[str]) -> dict[str, Value]:
        self._budget = _Budget()
        return {name: self._variable(name) for name in names if name in self._elements}

    def _variable(self, name: str) -> Value:
        start, size, compressed = self._elements[name]
        header = self._matrix(self._unpack(start, size, compressed, limit=4096), complete=False)
        nested = header.kind in (_CELL, _STRUCT)
        count = 0 if nested else self._budget.take(header.shape, name)
        data = self._unpack(start, size, compressed, _MAX_NESTED_BYTES if nested else count * 8 + header.body + 64)
        return self._value(data, name, depth=0)

    def _value(self, data: bytes, name: str, depth: int) -> Value:
        if not data:
            return None
        header = self._matrix(data)
        if header.kind == _CHAR:
            return self._text(data, header.body)
        if header.kind in (_CELL, _STRUCT):
            count = int(np.prod(header.shape, dtype=object))
            self._budget.enter(count, depth, name)
            parts = self._parts(data, header.body)
            if header.kind == _CELL:
                return [self._next(data, parts, name, depth) for _ in range(count)]
            fields = self._field_names(data, parts)
            self._budget.enter(count * len(fields), depth, name)
            structs = [{field: self._next(data, parts, field, depth) for field in fields} for _ in range(count)]
            return structs[0] if count == 1 else structs
        if header.kind not in _NUMERIC or header.complex:
            return None
        if depth:
            self._budget.take(header.shape, name)
        return self._values(data, header, name)

    def _next(self, data: bytes, parts: Iterator[tuple[int, int, int, int]], name: str, depth: int) -> Value:
        kind, start, size, _ = _following(parts)
        if kind != _MATRIX:
            raise ValueError(f"a part of '{name}' is no array")
        return self._value(data[start : start + size], name, depth + 1)

    def _field_names(self, data: bytes, parts: Iterator[tuple[int, int, int, int]]) -> list[str]:
        _, length_at, _, _ = _following(parts)
        _, names_at, size, _ = _following(parts)
        length = struct.unpack_from(self._order + "i", data, length_at)[0]
        if not 0 < length <= 64:
            raise ValueError("a struct's field names have an impossible length")
        ends = range(names_at, names_at + size, length)
        return [data[at : at + length].split(b"\0")[0].decode("latin-1") for at in ends]

    def _text(self, data: bytes, body: int) -> str:
        kind, start, size, _ = next(self._parts(data, body), (16, 0, 0, 0))
        if kind not in _TEXT_CODES:
            raise ValueError("a text is of an unknown kind")
        order = "le" if self._order == "<" else "be"
        code = _TEXT_CODES[kind]
        return data[start : start + min(size, 4096)].decode(f"{code}-{order}" if code == "utf-16" else code, "replace")


def _following(parts: Iterator[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    part = next(parts, None)
    if part is None:
        raise ValueError("it ends in the middle of a variable")
    return part


class _Nested73:
    """HDF5 as MATLAB writes it: cells are arrays of references, structs are groups, and every array lies transposed."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._budget = _Budget()

    def read(self, names: Iterable[str]) -> dict[str, Value]:
        return {name: self._member(self._file, name, 0) for name in names if self._file.get(name, getlink=True)}

    def _member(self, group: h5py.Group, name: str, depth: int) -> Value:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise Refused(f"the variable '{name[:60]}' is only a link; save everything in one file")
        return self._value(group[name], name, depth)

    def _value(self, node: h5py.HLObject, name: str, depth: int) -> Value:
        if isinstance(node, h5py.Group):
            self._budget.enter(len(node), depth, name)
            return {field: self._member(node, field, depth + 1) for field in node}
        if not isinstance(node, h5py.Dataset) or not node.size or _attribute(node, "MATLAB_empty"):
            return None
        if node.external or node.is_virtual:
            raise Refused(f"the variable '{name[:60]}' lies in another file; save everything in one file")
        count = self._budget.take(node.shape, name)
        if int(np.prod(node.chunks or (), dtype=object)) > _MAX_NUMBERS:
            raise ValueError(f"the variable '{name}' is stored in parts that are too large")
        if node.dtype.kind == "O" and h5py.check_ref_dtype(node.dtype) is h5py.Reference:
            self._budget.enter(count, depth, name)
            return [self._value(self._file[to], name, depth + 1) if to else None for to in node[()].T.ravel(order="F")]
        if node.dtype.kind not in "fiub":
            return None
        values: np.ndarray = node[()].T
        if _attribute(node, "MATLAB_class") == b"char":
            return "".join(map(chr, values.ravel(order="F")[:4096].astype(np.uint16)))
        return values


def _attribute(node: h5py.Dataset, name: str) -> object:
    """An attribute of fixed size; None for any other, since libhdf5 may never come back from a damaged heap."""
    if name not in node.attrs:
        return None
    attribute = node.attrs.get_id(name)
    if attribute.dtype.kind not in "iufS" or attribute.get_storage_size() > 64:
        return None
    return node.attrs[name]
