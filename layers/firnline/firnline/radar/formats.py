"""From an uploaded file's bytes to a radar frame, whatever the file is called."""

import struct
import zlib

from firnline.errors import Refused
from firnline.radar.pictures import is_picture, read_picture
from firnline.radar.radar_files import read_radar_file
from firnline.radar.radar_frame import Polarity, RadarFrame, check_content
from firnline.radar.variables import is_hdf5, is_matlab5, open_variables

DAMAGED = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, SyntaxError, EOFError,
    ArithmeticError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow, h5py, NumPy and our own readers raise over bytes that do not keep to their form."""


def read_frame(content: bytes, polarity: Polarity | None = None) -> RadarFrame:
    """Read and check a frame; nothing but `Refused` is raised over its content.

    `polarity` overrides the guess for pictures; numeric files say themselves what is strong.
    """
    try:
        frame = _read(content, polarity)
    except DAMAGED as error:
        raise Refused(
            f"The file is damaged or incomplete and could not be read ({_words(error)}). Export it again, and check "
            "that the upload was whole."
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
    if content.startswith(b"CDF"):
        raise Refused(
            "The file is in the classic NetCDF form; convert it to NetCDF-4 (nccopy -k nc4) and upload it again."
        )
    raise Refused(
        "The file is neither a PNG, JPEG or TIFF picture, nor a MATLAB file (-v7 or -v7.3), nor NetCDF-4; "
        "export the frame as one of these."
    )


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
