import io
import struct

import mxnet as mx
import numpy as np
import pytest

from firnline.learning import records

ROWS = np.array([[1.5, 2.0, np.nan], [4.0, np.nan, 6.25]])
MAGIC = struct.pack("<I", 0xCED7230A)
AWKWARD = [
    b"",
    b"x",
    MAGIC,
    b"ab" + MAGIC,
    b"abcd" + MAGIC + b"e",
    MAGIC + MAGIC + b"tail",
    MAGIC[:3] + MAGIC + b"\0" * 9,
    b"1234" + MAGIC[:2] + MAGIC,
]


def test_a_record_comes_back_as_it_went():
    record = records.unpack_record(
        next(records.iterate_records(io.BytesIO(records.pack_record(b"png", ROWS, [0, 2], False, 7))))
    )
    np.testing.assert_array_equal(record.rows, ROWS.astype(np.float32))
    assert (record.png, list(record.kinds), record.complete, record.number) == (b"png", [0, 2], False, 7)


@pytest.mark.parametrize("payload", AWKWARD)
def test_framing_is_mxnets_byte_for_byte(tmp_path, payload):
    path = str(tmp_path / "a.rec")
    writer = mx.recordio.MXRecordIO(path, "w")
    writer.write(payload)
    writer.close()
    theirs = (tmp_path / "a.rec").read_bytes()
    assert records.frame(payload) == theirs
    assert list(records.iterate_records(io.BytesIO(theirs))) == [payload]


def test_mxnet_reads_what_we_write(tmp_path):
    path = tmp_path / "a.rec"
    path.write_bytes(
        records.pack_record(b"first", ROWS, [0, 1], True, 3) + records.pack_record(b"", ROWS[:0], [], True, 4)
    )
    reader = mx.recordio.MXRecordIO(str(path), "r")
    header, png = mx.recordio.unpack(reader.read())
    np.testing.assert_array_equal(header.label, np.float32([1, 1, 2, 3, 0, 1, 1.5, 2, np.nan, 4, np.nan, 6.25]))
    assert (png, header.id, header.flag) == (b"first", 3, 12)
    assert records.unpack_record(reader.read()).rows.shape == (0, 3)
    assert reader.read() is None


def test_we_read_what_mxnet_packs():
    label = np.float32([1, 0, 1, 3, 2, 5, np.nan, 7])
    record = records.unpack_record(mx.recordio.pack(mx.recordio.IRHeader(0, label, 9, 0), b"png"))
    assert (record.png, record.number, record.complete, list(record.kinds)) == (b"png", 9, False, [2])


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-8], lambda b: b[:6], lambda b: b"nonsense" + b, lambda b: b[:4] + b"\xff" * 4 + b[8:]]
)
def test_damaged_files_are_refused(damage):
    whole = records.pack_record(b"png", ROWS, [0, 1], True, 3)
    with pytest.raises(records.RecordError):
        list(records.iterate_records(io.BytesIO(damage(whole))))


@pytest.mark.parametrize("label", [[2, 1, 0, 0], [1, 1, 2, 3, 0], [1, 1, -1, 3], [1, 1, np.nan, 0], [1, 1, 1, 1, 5, 0]])
def test_labels_of_another_form_are_refused(label):
    with pytest.raises(records.RecordError):
        records.unpack_record(mx.recordio.pack(mx.recordio.IRHeader(0, np.float32(label), 1, 0), b""))


def test_rows_and_kinds_must_agree():
    with pytest.raises(records.RecordError, match="one kind per layer"):
        records.pack_record(b"", ROWS, [0], True, 1)
