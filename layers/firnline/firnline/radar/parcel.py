"""Radar frames and picks as bytes between two processes: JSON for what is small, plain memory for arrays.

Nothing is pickled, since the process that sends them has just read untrusted bytes.
"""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from firnline.documents.origin import Origin
from firnline.radar.radar_frame import Picks, RadarFrame

_KINDS = {kind.__name__: kind for kind in (RadarFrame, Picks, Origin)}
_NUMERIC = "biuf"
_ALIGNMENT = 64


def packed(value: Any) -> tuple[bytes, list[np.ndarray]]:
    """A value as JSON, and the arrays that it speaks of by number.

    Values are None, numbers, texts, lists, tuples, numeric arrays, and dataclasses of `_KINDS` that hold such. Raises
    TypeError for anything else.
    """
    arrays: list[np.ndarray] = []
    return json.dumps(_plain(value, arrays)).encode(), arrays


def unpacked(body: bytes, arrays: list[np.ndarray]) -> Any:
    """The value from which `packed` made `body` and `arrays`; raises KeyError, TypeError or ValueError for other bytes."""
    return _made(json.loads(body), arrays)


def places(arrays: list[np.ndarray]) -> Iterator[tuple[int, str, list[int]]]:
    """Where each array lies in one stretch of memory: its offset, dtype and shape."""
    offset = 0
    for array in arrays:
        yield offset, array.dtype.str, list(array.shape)
        offset += array.nbytes + -array.nbytes % _ALIGNMENT


def array_at(memory: memoryview, offset: int, dtype: str, shape: list[int]) -> np.ndarray:
    """The array at a place of that memory, which it shares. Raises ValueError beyond its end or for other than numbers."""
    kind = np.dtype(dtype)
    if kind.kind not in _NUMERIC:
        raise ValueError(f"an array of {dtype} is none of numbers")
    count = int(np.prod(shape, dtype=object))
    if offset < 0 or count < 0 or offset + count * kind.itemsize > len(memory):
        raise ValueError("an array lies beyond the memory that was sent")
    return np.frombuffer(memory, kind, count, offset).reshape(shape) if count else np.empty(shape, kind)


def _plain(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in _NUMERIC:
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in _NUMERIC:
        arrays.append(np.ascontiguousarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_plain(entry, arrays) for entry in value]}
    if is_dataclass(value) and type(value).__name__ in _KINDS:
        return {
            "kind": type(value).__name__,
            "fields": {each.name: _plain(getattr(value, each.name), arrays) for each in fields(value)},
        }
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _made(plain: Any, arrays: list[np.ndarray]) -> Any:
    if not isinstance(plain, dict):
        return plain
    if "array" in plain:
        return arrays[plain["array"]]
    if "list" in plain:
        return [_made(entry, arrays) for entry in plain["list"]]
    if "tuple" in plain:
        return tuple(_made(entry, arrays) for entry in plain["tuple"])
    return _KINDS[plain["kind"]](**{name: _made(entry, arrays) for name, entry in plain["fields"].items()})
