"""Layer records in RecordIO, the form in which frames travel to a training job.

A record is MXNet's image record: the header ``IRHeader(flag, label, id, id2)``, the label's float32 values, the PNG.
``label = [1, complete, L, W, kind_0 .. kind_{L-1}, rows (L*W, row-major, NaN in gaps)]``; see docs/contracts.md.
Written and read here in plain Python and NumPy, byte for byte as ``mx.recordio`` does, so that a Lambda needs no MXNet.
"""

from __future__ import annotations

import struct
from typing import IO, Iterator, List, NamedTuple, Sequence, Union

import numpy as np

from firnline.geometry import LABELS

LABEL_VERSION = 1
MAX_RECORD_BYTES = (1 << 29) - 1

_MAGIC = struct.pack("<I", 0xCED7230A)
_FRAME = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_FIXED_LABEL = 4


class LayerRecord(NamedTuple):
    """The PNG of an echogram, rows (L, W) float32 with NaN in gaps, kinds (L,) int, whether every layer has a line, and the
    record's id.
    """

    png: bytes
    rows: np.ndarray
    kinds: np.ndarray
    complete: bool
    number: int


class RecordError(ValueError):
    """The bytes are not a layer record."""


def pack_record(
    png: bytes, rows: np.ndarray, kinds: Union[np.ndarray, Sequence[int]], complete: bool, number: int
) -> bytes:
    """One framed record.

    Parameters
    ----------
    png : bytes, the 8-bit grey echogram
    rows : (L, W) float array, row of each layer in each trace, NaN in gaps
    kinds : (L,) int array, index into `firnline.geometry.LABELS`
    complete : bool, False if layers without a line exist
    number : int, the record's id, 0 <= number < 2**64
    """
    rows = np.asarray(rows, dtype="<f4")
    kinds = np.asarray(kinds, dtype=int)
    if rows.ndim != 2 or kinds.shape != rows.shape[:1]:
        raise RecordError(
            f"rows must be (layers, traces) with one kind per layer; got {rows.shape} rows and {kinds.shape} kinds."
        )
    if kinds.size and not (kinds.min() >= 0 and kinds.max() < len(LABELS)):
        raise RecordError("Layer kinds must be 0 (surface), 1 (layer) or 2 (bed).")
    head = np.array([LABEL_VERSION, bool(complete), rows.shape[0], rows.shape[1]], dtype="<f4")
    label = np.concatenate([head, kinds.astype("<f4"), rows.ravel()])
    return frame(_HEADER.pack(label.size, 0.0, number, 0) + label.tobytes() + png)


def unpack_record(payload: bytes) -> LayerRecord:
    """The `LayerRecord` in an unframed payload, as `iterate_records` or ``MXRecordIO.read`` gives it.

    Raises RecordError if the payload is cut short or its label is not of this form.
    """
    if len(payload) < _HEADER.size:
        raise RecordError("The record is shorter than its header.")
    flag, _, number, _ = _HEADER.unpack_from(payload)
    if flag < _FIXED_LABEL or _HEADER.size + 4 * flag > len(payload):
        raise RecordError(f"The record's label has {flag} values, which does not fit the record.")
    label = np.frombuffer(payload, "<f4", flag, _HEADER.size)
    version, complete, count, width = label[:_FIXED_LABEL]
    if version != LABEL_VERSION or complete not in (0, 1):
        raise RecordError(f"The record's label is of version {version:g}; this code reads version 1.")
    if not (0 <= count <= flag and 0 <= width <= flag) or _FIXED_LABEL + count + count * width != flag:
        raise RecordError(f"The record says {count:g} layers of {width:g} traces, but holds {flag} values.")
    count, width = int(count), int(width)
    kinds = label[_FIXED_LABEL : _FIXED_LABEL + count].astype(int)
    if count and not (kinds.min() >= 0 and kinds.max() < len(LABELS)):
        raise RecordError("The record holds a layer of unknown kind.")
    rows = label[_FIXED_LABEL + count :].reshape(count, width).astype(np.float32)
    return LayerRecord(bytes(payload[_HEADER.size + 4 * flag :]), rows, kinds, bool(complete), number)


def frame(payload: bytes) -> bytes:
    """RecordIO framing of one payload.

    The format marks records by a magic word; where the payload holds that word itself (at a multiple of four bytes)
    it is cut out and the record continues in another part, as dmlc-core's ``RecordIOWriter::WriteRecord`` does.
    """
    if len(payload) > MAX_RECORD_BYTES:
        raise RecordError(f"A record holds at most {MAX_RECORD_BYTES} bytes; this one has {len(payload)}.")
    cuts: List[int] = []
    at = payload.find(_MAGIC)
    while at >= 0:
        if at % 4 == 0:
            cuts.append(at)
        at = payload.find(_MAGIC, at + (4 if at % 4 == 0 else 1))
    starts = [0] + [cut + 4 for cut in cuts]
    parts: List[bytes] = []
    for i, (start, end) in enumerate(zip(starts, [*cuts, len(payload)])):
        part_flag = 0 if not cuts else 1 if i == 0 else 3 if i == len(cuts) else 2
        parts += [_MAGIC, struct.pack("<I", part_flag << 29 | end - start), payload[start:end]]
    return b"".join(parts) + b"\0" * (-len(payload) % 4)


def iterate_records(stream: IO[bytes]) -> Iterator[bytes]:
    """Payloads of a RecordIO byte stream (a file or a pipe), one at a time."""
    parts: List[bytes] = []
    while True:
        head = _read(stream, _FRAME.size)
        if not head:
            if parts:
                raise RecordError("The record file ends inside a record.")
            return
        if len(head) < _FRAME.size or head[:4] != _MAGIC:
            raise RecordError("This is not a RecordIO file, or it is damaged: no record starts where one should.")
        word = _FRAME.unpack(head)[1]
        part_flag, length = word >> 29, word & MAX_RECORD_BYTES
        if part_flag > 3 or (part_flag in (0, 1)) != (not parts):
            raise RecordError("The record file is damaged: its parts are out of order.")
        data = _read(stream, length + -length % 4)
        if len(data) < length + -length % 4:
            raise RecordError("The record file ends inside a record.")
        parts += ([_MAGIC] if parts else []) + [data[:length]]
        if part_flag in (0, 3):
            yield b"".join(parts)
            parts = []


def _read(stream: IO[bytes], count: int) -> bytes:
    """`count` bytes, or fewer only at the end: a pipe may give less at a time."""
    chunks = []
    while count:
        chunk = stream.read(count)
        if not chunk:
            break
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)
