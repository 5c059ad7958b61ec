"""From an uploaded file's bytes to a radar frame, whatever the file is called."""

import struct
import zlib

from firnline.documents.polarity import Polarity
from firnline.errors import Refused
from firnline.radar.guard import BeyondLimits, within_limits
from firnline.radar.pictures import is_picture, read_picture
from firnline.radar.radar_files import read_radar_file
from firnline.radar.radar_frame import RadarFrame, check_content
from firnline.radar.variables import is_hdf5, is_matlab5, open_variables

DAMAGED = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, SyntaxError, EOFError,
    ArithmeticError, AssertionError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow, tifffile, h5py, NumPy and our own readers raise over malformed bytes."""

_CPU_S, _BYTES_PER_CPU_S = 7, 2_000_000
"""Computing time that any file gets, and how many of its bytes earn another second."""
_MEMORY_BYTES, _MEMORY_PER_BYTE = 700_000_000, 8
"""Memory that any file gets, and that each of its bytes earns: 2.3 GB for the largest, of Lambda's 3,008 MB."""

_OTHERS = (
    (
        b"*** Burst Header ***",
        "a raw ApRES burst: process it to range profiles, and save their power, abs(profile)**2, "
        "with its axes in a CReSIS-like .mat file",
    ),
    (b"CDF\x01", "in the classic NetCDF form; convert it to NetCDF-4 (nccopy -k nc4) and upload it again"),
    (b"CDF\x02", "in the classic NetCDF form; convert it to NetCDF-4 (nccopy -k nc4) and upload it again"),
    (b"CDF\x05", "in the classic NetCDF form; convert it to NetCDF-4 (nccopy -k nc4) and upload it again"),
    (b"\x0e\x03\x13\x01", "in HDF4; convert it to NetCDF-4 and upload it again"),
    (b"%PDF", "a PDF; save the echogram as PNG, without axes, or upload its numbers"),
    (b"GIF8", "a GIF; save it as PNG, in grey"),
    (b"BM", "a BMP picture; save it as PNG, in grey"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000; save it as PNG or TIFF, in grey"),
    (b"\xff\x4f\xff\x51", "JPEG 2000; save it as PNG or TIFF, in grey"),
    (b"\x93NUMPY", "a NumPy array without axes; save it as MATLAB file or NetCDF-4 with its time axis and positions"),
    (b"PK\x03\x04", "a ZIP archive; unpack it and upload the frames in it"),
    (b"\x1f\x8b", "packed with gzip; unpack it and upload what is in it"),
)
"""(first bytes, what the file is and what to do about it)."""


def read_frame(content: bytes, polarity: Polarity | None = None) -> RadarFrame:
    """Read and check a frame; nothing but `Refused` is raised over its content.

    `polarity` overrides the guess for pictures; numeric files say themselves what is strong. The file is read in a
    process of its own, which may take as much time and memory as a file of its size needs. TimeoutError if that process
    hung without computing, which is no fault of the file.
    """
    size = len(content)
    try:
        return within_limits(
            lambda: read_here(content, polarity),
            cpu_s=_CPU_S + size // _BYTES_PER_CPU_S,
            memory_bytes=_MEMORY_BYTES + size * _MEMORY_PER_BYTE,
        )
    except BeyondLimits as beyond:
        raise Refused(_BEYOND[beyond.limit]) from beyond


_BEYOND = {
    "time": "The file is damaged or unreasonably packed: reading it took longer than a file of its size can need. "
    "Export it again, or split the frame along the track.",
    "memory": "The file unpacks to far more than a frame of its size can hold, so it is damaged or too large. Export "
    "it again, or split the frame along the track.",
    "crash": "The file is damaged: reading it broke the program that unpacks it. Export it again, and check that the "
    "upload was whole.",
}


def read_here(content: bytes, polarity: Polarity | None = None) -> RadarFrame:
    """As `read_frame`, in this process and without a limit of time and memory: for files that one made oneself."""
    try:
        frame = _read(content, polarity)
    except DAMAGED as error:
        raise Refused(
            f"The {_kind(content)} is damaged or incomplete and could not be read. Export it again, and check that "
            "the upload was whole."
        ) from error
    check_content(frame)
    return frame


def _read(content: bytes, polarity: Polarity | None) -> RadarFrame:
    if not content:
        raise Refused("The file is empty. Export it again, and check that the upload was whole.")
    if is_picture(content):
        return read_picture(content, polarity)
    if is_matlab5(content) or is_hdf5(content):
        return read_radar_file(open_variables(content))
    for first, what in _OTHERS:
        if content.startswith(first):
            raise Refused(f"The file is {what}.")
    if foreign := _radar_system(content):
        raise Refused(f"The file is {foreign}")
    raise Refused(
        "The file is neither a PNG, JPEG or TIFF picture, nor a MATLAB file (-v7 or -v7.3), nor NetCDF-4; "
        "export the frame as one of these."
    )


def _radar_system(content: bytes) -> str | None:
    """The end of a sentence about a raw file of a ground-penetrating radar, which ImpDAR converts; None for others."""
    into_impdar = "convert it with ImpDAR (impdar load {}) and upload the .mat that it writes."
    if len(content) < 128:
        return None
    tag, data_at = struct.unpack_from("<HH", content)
    samples, bits = struct.unpack_from("<HH", content, 4)
    # GSSI: rh_tag 0x0NFF, samples of a scan, bits of a sample (rgpr and readgssi read the same header).
    if tag & 0xFF == 0xFF and tag >> 8 <= 0x0F and bits in (8, 16, 32) and samples >= 16 and data_at:
        return "GSSI's (.DZT): " + into_impdar.format("gssi")
    # pulseEKKO: each trace begins with 25 floats, its number, its position, its samples, ..., bytes of a sample.
    number, _, points, _, _, width = struct.unpack_from("<6f", content)
    if number in (0.0, 1.0) and points == int(points or 0) and 16 <= points <= 100_000 and width in (2.0, 4.0):
        return "pulseEKKO's (.DT1): " + into_impdar.format("pe")
    # MATLAB 4: type, rows, columns, imaginary, length of the name (MAT-File Format, level 4).
    kind, rows, columns, imaginary, name = struct.unpack_from("<5i", content)
    if 0 <= kind <= 52 and kind % 10 <= 2 and rows > 0 and columns > 0 and imaginary in (0, 1) and 1 < name <= 64:
        return "of MATLAB's version 4: save it with -v7 or -v7.3."
    # SEG-Y: 40 lines of text in EBCDIC or ASCII that begin with "C 1".
    if content[:3] in (b"C 1", b"C01", b"\xc3\x40\xf1", b"\xc3\xf0\xf1"):
        return "SEG-Y: " + into_impdar.format("segy")
    return None


def _kind(content: bytes) -> str:
    if is_picture(content):
        return "picture"
    if is_matlab5(content) or content.startswith(b"MATLAB"):
        return "MATLAB file"
    return "NetCDF-4 file" if is_hdf5(content) else "file"
