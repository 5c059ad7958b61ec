"""How numbers are packed in NetCDF and HDF5 variables, after the CF conventions 1.11 (2.5.1 and 8.1) and the NetCDF
Users' Guide, appendix A.

xarray would do the same, but it and pandas do not fit into a Lambda layer together with the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_DEFAULT_FILL = {"i2": -32767, "u2": 65535, "i4": -2147483647, "u4": 4294967295, "i8": -9223372036854775806}
"""What the NetCDF library leaves where integers were never written (netcdf.h: NC_FILL_SHORT ...). Its fill for floats,
9.97e36, is beyond every limit of what an echo can be."""


@dataclass(frozen=True)
class Packing:
    """How one variable is packed. `stored` is the type in which its bits are to be read.

    missing : values that stand for no data, compared as packed numbers
    low, high : the valid range, compared as packed numbers, or as unpacked ones where `range_is_unpacked`
    scale, offset : unpacked = packed * scale + offset
    """

    stored: np.dtype
    missing: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    range_is_unpacked: bool = False
    scale: float | None = None
    offset: float | None = None

    def unpack(self, packed: np.ndarray, as_type: np.dtype) -> np.ndarray:
        """Unpacked values of a part of the variable, missing ones NaN where anything is missing."""
        values = packed.view(self.stored) if packed.dtype != self.stored else packed
        invalid = np.zeros(values.shape, bool)
        for fill in self.missing:
            invalid |= values == self.stored.type(fill)
        if not self.range_is_unpacked:
            invalid |= self._outside(values)
        with np.errstate(over="ignore", invalid="ignore"):
            unpacked = values.astype(as_type)
            if self.scale is not None:
                unpacked *= as_type.type(self.scale)
            if self.offset is not None:
                unpacked += as_type.type(self.offset)
        if self.range_is_unpacked:
            invalid |= self._outside(unpacked)
        if invalid.any():
            unpacked[invalid] = np.nan
        return unpacked

    def _outside(self, values: np.ndarray) -> np.ndarray:
        outside = np.zeros(values.shape, bool)
        if self.low is not None:
            outside |= values < self.low
        if self.high is not None:
            outside |= values > self.high
        return outside


def packing_of(
    dtype: np.dtype, attribute: Callable[[str], Any], shape_of: Callable[[str], tuple[int, ...] | None], netcdf: bool
) -> Packing:
    """The packing that a variable's attributes describe.

    `attribute` gives an attribute's value and `shape_of` its shape before it is read, None where there is none; only
    short ones are read. `netcdf` says whether the library's own fill values mark what was never written.
    """
    found: Mapping[str, np.ndarray] = {
        name: numbers
        for name in (
            "_FillValue",
            "missing_value",
            "valid_range",
            "valid_min",
            "valid_max",
            "scale_factor",
            "add_offset",
        )
        if (numbers := _numbers(name, attribute, shape_of)) is not None
    }
    unsigned = str(text_of(attribute("_Unsigned")) if shape_of("_Unsigned") in ((), (1,)) else "").lower()
    stored = dtype
    if dtype.kind == "i" and unsigned == "true":
        stored = np.dtype(dtype.str.replace("i", "u"))
    elif dtype.kind == "u" and unsigned == "false":
        stored = np.dtype(dtype.str.replace("u", "i"))
    missing = [value for name in ("_FillValue", "missing_value") for value in found.get(name, ())]
    if netcdf and "_FillValue" not in found and dtype.str[1:] in _DEFAULT_FILL and stored == dtype:
        missing.append(_DEFAULT_FILL[dtype.str[1:]])
    limits = found.get("valid_range")
    low, high = (limits[0], limits[1]) if limits is not None and limits.size == 2 else (None, None)
    low = found["valid_min"][0] if "valid_min" in found else low
    high = found["valid_max"][0] if "valid_max" in found else high
    packed = "scale_factor" in found or "add_offset" in found
    limit = next((found[name] for name in ("valid_range", "valid_min", "valid_max") if name in found), None)
    unpacked_range = packed and dtype.kind in "iu" and limit is not None and limit.dtype.kind == "f"
    if not unpacked_range:
        low, high = _as_stored(low, stored), _as_stored(high, stored)
    return Packing(
        stored=stored,
        missing=tuple(value for value in (_as_stored(value, stored) for value in missing) if _marks(value, stored)),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        range_is_unpacked=bool(unpacked_range),
        scale=float(found["scale_factor"][0]) if "scale_factor" in found else None,
        offset=float(found["add_offset"][0]) if "add_offset" in found else None,
    )


def _numbers(
    name: str, attribute: Callable[[str], Any], shape_of: Callable[[str], tuple[int, ...] | None]
) -> np.ndarray | None:
    """A short numeric attribute as (n,), n >= 1; numbers that were written as text count too."""
    shape = shape_of(name)
    if shape is None or int(np.prod(shape, dtype=object)) > 16:
        return None
    value = attribute(name)
    numbers: np.ndarray = np.atleast_1d(np.asarray(value)).ravel()
    if numbers.dtype.kind in "OSU":
        try:
            numbers = np.array([float(word) for word in text_of(value).replace(",", " ").split()])
        except ValueError:
            return None
    return numbers if numbers.size and numbers.dtype.kind in "iuf" else None


def _as_stored(value: Any, stored: np.dtype) -> Any:
    """A number in the type that the data are stored in; None where that type cannot hold it, so that it marks nothing.

    A fill value of an unsigned variable is often written in the signed type of the same bits.
    """
    if value is None or np.isnan(value):
        return None
    if stored.kind not in "iu":
        return value
    limits = np.iinfo(stored)
    if stored.kind == "u" and value < 0:
        value = value + 2.0 ** (8 * stored.itemsize)
    return value if limits.min <= value <= limits.max else None


def _marks(value: Any, stored: np.dtype) -> bool:
    return value is not None and (stored.kind not in "iu" or value == int(value))


def text_of(value: Any) -> str:
    value = value.ravel()[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return str(value)
