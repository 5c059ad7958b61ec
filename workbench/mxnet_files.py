"""Reads what MXNet wrote, without MXNet: its parameter files and its symbol graphs. Nothing in them is trusted."""

import struct
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

MAX_NODES = 20_000
_LIST, _DENSE_ARRAYS = 0x112, (0xF993FAC9, 0xF993FACA)
_FLOAT32 = 0
_MOST_DIMENSIONS = 8


class NotReadable(ValueError):
    """The file is damaged, or holds what a Firnline model does not; the message says which, for people."""


class Node(BaseModel):
    """An operation, or with op `null` a variable; `inputs` are (node, output of that node, version)."""

    op: str
    name: str
    attrs: dict[str, str] = {}
    inputs: list[tuple[int, int, int]]


class SymbolGraph(BaseModel):
    """The nodes, each after its inputs, and the one output of the network."""

    nodes: list[Node] = Field(min_length=1, max_length=MAX_NODES)
    heads: list[tuple[int, int, int]] = Field(min_length=1, max_length=1)


def read_symbol(data: bytes) -> SymbolGraph:
    """The graph of a `model-symbol.json` of MXNet 1.x. Raises NotReadable."""
    try:
        graph = SymbolGraph.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotReadable(
            f"The symbol is not a graph as MXNet 1.9 writes it ({where or 'file'}: {first['msg']})."
        ) from error
    for number, node in enumerate(graph.nodes):
        if any(not 0 <= source < number for source, _, _ in node.inputs):
            raise NotReadable(f"The symbol is damaged: '{node.name}' takes what is not computed before it.")
    if not 0 <= graph.heads[0][0] < len(graph.nodes):
        raise NotReadable("The symbol is damaged: its output is none of its nodes.")
    return graph


def read_parameters(data: bytes) -> dict[str, np.ndarray]:
    """Arrays by name, without MXNet's prefixes `arg:` and `aux:`, of a `.params` file (`mx.nd.save` of a dict).

    The form is that of NDArray::Save and NDArray::Load in MXNet 1.x, src/ndarray/ndarray.cc. The arrays are views of
    `data`: no more memory is taken, whatever the sizes in the file say. Raises NotReadable.
    """
    file = _Bytes(data)
    magic, _, count = file.unpack("<QQQ")
    if magic != _LIST:
        raise NotReadable("The parameters are not in the form in which MXNet saves arrays.")
    arrays = [_read_array(file) for _ in range(count)]
    (named,) = file.unpack("<Q")
    if named != count:
        raise NotReadable(f"The parameter file has {count} arrays and {named} names; save them as a dictionary.")
    names = [_read_name(file) for _ in range(count)]
    if len(set(names)) != count or file.at != len(data):
        raise NotReadable("The parameter file has a name twice, or goes on after its end.")
    return dict(zip(names, arrays, strict=True))


def _read_array(file: "_Bytes") -> np.ndarray:
    magic, storage, dimensions = file.unpack("<Iii")
    if magic not in _DENSE_ARRAYS or storage != 0 or not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise NotReadable("The parameter file holds an array that is damaged, empty, sparse, or of an older MXNet.")
    shape = file.unpack(f"<{dimensions}q")
    _device, _number, kind = file.unpack("<iii")
    if kind != _FLOAT32 or min(shape) < 1:
        raise NotReadable(
            "The parameter file holds an array that is empty or not of 32-bit floats; export takes no other."
        )
    size = 4
    for length in shape:
        size *= length
    return np.frombuffer(file.take(size), dtype="<f4").reshape(shape)


def _read_name(file: "_Bytes") -> str:
    (length,) = file.unpack("<Q")
    try:
        return bytes(file.take(length)).decode().split(":", 1)[-1]
    except UnicodeDecodeError as error:
        raise NotReadable("The parameter file has a name that is no text; it is damaged.") from error


class _Bytes:
    """Bytes that are read in order, and never beyond their end."""

    def __init__(self, data: bytes) -> None:
        self._view = memoryview(data)
        self.at = 0

    def take(self, size: int) -> memoryview:
        if size > len(self._view) - self.at:
            raise NotReadable("The parameter file ends too early; it was cut off, or is damaged.")
        self.at += size
        return self._view[self.at - size : self.at]

    def unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))
