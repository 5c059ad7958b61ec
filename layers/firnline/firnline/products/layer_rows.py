"""The rows that tables of all lines and traces have, whatever writes them."""

from typing import Literal

import numpy as np

from firnline.products.files import utc_texts
from firnline.products.frame_product import STATUS_MEANS, FrameProduct

Kind = Literal["text", "moment", "int", "float"]
COLUMNS: dict[str, tuple[Kind, int | None, str]] = {
    "frame_id": ("text", None, "<campaign>/<segment>/<frame>"),
    "revision": ("text", None, "first 12 hexadecimal digits of the SHA-256 of the uploaded file"),
    "trace": ("int", None, "of the uploaded file, from 0"),
    "time_utc": ("moment", None, "when the trace was recorded, ISO 8601"),
    "gps_time_s": ("float", 4, "GPS seconds since 1970-01-01"),
    "latitude": ("float", 7, "degrees north, WGS-84"),
    "longitude": ("float", 7, "degrees east, WGS-84"),
    "distance_m": ("float", 2, "along the track from the frame's first position, on the ellipsoid"),
    "platform_m": ("float", 3, "elevation of the antenna"),
    "surface_m": ("float", 3, "elevation of the surface"),
    "horizon": (
        "text",
        None,
        "surface, bed, or layer_<number>: along the segment if that is known, else within the frame",
    ),
    "number": ("int", None, "of a layer within its frame, from the surface, which is 0; -1 for the bed"),
    "layer_number": ("int", None, "of a layer along its flight segment; empty for what is in too few frames"),
    "join_confidence": ("float", 4, "that it is the layer of that number in the frame before that shows it"),
    "year": ("float", 3, "of the layer, where layers are taken as annual"),
    "sample": ("float", 3, "of the uploaded file, from 0"),
    "twtt_s": ("float", None, "two-way travel time"),
    "depth_m": ("float", 4, "below the surface"),
    "depth_sigma_m": ("float", 4, "half width that holds 68 % of the errors"),
    "depth_95_m": ("float", 4, "half width that holds 95 % of the errors"),
    "elevation_m": ("float", 3, "of the line"),
    "thickness_m": ("float", 4, "down to the next line below in this trace"),
    "thickness_sigma_m": ("float", 4, "68 %"),
    "thickness_95_m": ("float", 4, "95 %"),
    "accumulation_m_we_a": ("float", 5, "between this line and the next, metres of water equivalent a year"),
    "accumulation_sigma_m_we_a": ("float", 5, "68 %"),
    "accumulation_95_m_we_a": ("float", 5, "95 %"),
    "accumulation_years": ("float", 3, "that the accumulation is the mean of"),
    "confidence": ("float", 4, "expected share of the line's traces within two rows of the truth"),
    "status": ("text", None, "; ".join(f"{status}: {meaning}" for status, meaning in STATUS_MEANS.items())),
    "source": ("text", None, "model version or review that the line comes from"),
    "model_version": ("text", None, "that drew the line, or whose line was corrected"),
    "correction": ("text", None, "id of the correction"),
    "date": ("text", None, "when the line was drawn"),
    "physics": ("text", None, "from time to depth"),
}
"""Kind, decimals and meaning of each column."""


def rows_of(product: FrameProduct) -> tuple[int, dict[str, np.ndarray | str | None]]:
    """How many rows, and each of `COLUMNS`: a row for each line and each trace that it passes, line by line from above to below.

    A column is an array, or a text that all rows share, or None where none has a value. NaN and "" are no values. Numbers
    are rounded as their column says.
    """
    line, trace = np.nonzero(np.isfinite(product.sample))
    depth, thickness, accumulation = product.depth_interval, product.thickness_interval, product.accumulation_interval
    origin = product.provenance
    per_trace = {
        "time_utc": utc_texts(product.utc_s), "gps_time_s": product.gps_time_s, "latitude": product.latitude,
        "longitude": product.longitude, "distance_m": product.distance_m, "platform_m": product.platform_m,
        "surface_m": product.surface_m,
    }  # fmt: skip
    per_line = {
        "horizon": np.array([horizon.name for horizon in product.horizons], dtype=object),
        "number": np.array([horizon.in_frame for horizon in product.horizons], dtype=int),
        "layer_number": _along(product), "year": product.years,
        "join_confidence": np.array([horizon.join for horizon in product.horizons], dtype=float),
    }  # fmt: skip
    per_place = {
        "sample": product.sample, "twtt_s": product.twtt_s, "depth_m": product.depth_m, "depth_sigma_m": depth.sigma,
        "depth_95_m": depth.wide, "elevation_m": product.elevation_m, "thickness_m": product.thickness_m,
        "thickness_sigma_m": thickness.sigma, "thickness_95_m": thickness.wide,
        "accumulation_m_we_a": product.accumulation_m_we_a, "accumulation_sigma_m_we_a": accumulation.sigma,
        "accumulation_95_m_we_a": accumulation.wide, "accumulation_years": product.accumulation_years,
        "confidence": product.confidence,
    }  # fmt: skip
    of_frame: dict[str, np.ndarray | str | None] = {
        "frame_id": product.frame_id, "revision": product.frame.revision, "status": origin.status,
        "source": origin.source, "model_version": origin.model_version, "correction": origin.correction,
        "date": origin.date.isoformat(timespec="seconds"), "physics": product.assumptions.medium.statement,
    }  # fmt: skip
    values: dict[str, np.ndarray] = {"trace": trace}
    values |= {name: value[trace] for name, value in per_trace.items()}
    values |= {name: value[line] for name, value in per_line.items()}
    values |= {name: value[line, trace] for name, value in per_place.items()}
    for name, value in values.items():
        decimals = COLUMNS[name][1]
        if decimals is not None:
            values[name] = np.round(value, decimals)
    return line.size, {name: of_frame[name] if name in of_frame else values[name] for name in COLUMNS}


def _along(product: FrameProduct) -> np.ndarray:
    """(lines,) numbers along the segment, NaN of what has none."""
    numbers = product.numbers.astype(float)
    counted = (product.labels == "layer") & (numbers > 0) & (product.numbering == "segment")
    return np.where(counted | (product.labels == "surface"), numbers, np.nan)
