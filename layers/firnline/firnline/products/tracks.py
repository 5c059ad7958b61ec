"""Frames on a map: a line and what is known of it, as GeoJSON and as a feature for other forms."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from firnline.errors import Refused
from firnline.geodesy import wrapped
from firnline.products.files import Unfinished
from firnline.products.frame_product import FrameProduct

_DECIMALS = 7
_DATE_LINE = 180.0


def parts_of(product: FrameProduct) -> list[np.ndarray]:
    """The track as (points, 2) arrays of longitude and latitude, parted where it crosses the date line (RFC 7946, 3.1.9);
    `Refused` where fewer than two traces have a position.
    """
    placed = np.isfinite(product.latitude) & np.isfinite(product.longitude)
    line = np.column_stack([wrapped(product.longitude[placed]), product.latitude[placed]])
    if len(line) < 2:
        raise Refused("it has no two traces with a position, so it has no track")
    parts = np.split(line, np.flatnonzero(np.abs(np.diff(line[:, 0])) > _DATE_LINE) + 1)
    return [np.repeat(part, 2, axis=0) if len(part) == 1 else part for part in parts]


def properties_of(product: FrameProduct) -> dict[str, Any]:
    """What a track tells of its frame: medians over its traces, None where unknown."""
    origin = product.provenance
    return {
        "frame_id": product.frame_id, "campaign": product.campaign, "segment": product.segment,
        "time_utc": None if product.date is None else product.date.isoformat(timespec="seconds"),
        "status": origin.status, "source": origin.source, "model_version": origin.model_version,
        "correction": origin.correction, "date": origin.date.isoformat(timespec="seconds"),
        "layers": int((product.labels == "layer").sum()), "confidence": _median(product.confidence),
        "snow_depth_m": _median(product.snow_depth_m), "ice_thickness_m": _median(product.ice_thickness_m),
        "accumulation_m_we_a": _median(product.accumulation_m_we_a),
        "length_m": _last(product.distance_m), "physics": product.assumptions.statement,
    }  # fmt: skip


class GeoJsonTracks:
    """`tracks.geojson` (RFC 7946): a feature a frame, written one by one."""

    def __init__(self, folder: Path) -> None:
        self._file = Unfinished(folder / "tracks.geojson")
        self._append('{"type": "FeatureCollection", "features": [')
        self._first = True

    def add(self, product: FrameProduct) -> None:
        parts = [part.round(_DECIMALS).tolist() for part in parts_of(product)]
        geometry = (
            {"type": "LineString", "coordinates": parts[0]}
            if len(parts) == 1
            else {"type": "MultiLineString", "coordinates": parts}
        )
        feature = {"type": "Feature", "geometry": geometry, "properties": properties_of(product)}
        self._append(("\n" if self._first else ",\n") + json.dumps(feature, allow_nan=False))
        self._first = False

    def close(self) -> list[Path]:
        self._append("\n]}\n")
        return [self._file.finish()]

    def _append(self, text: str) -> None:
        """No file is left open between frames: an export may end early, and its function goes on to the next."""
        with self._file.part.open("a") as stream:
            stream.write(text)


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(np.median(known)), 4) if known.size else None


def _last(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(known[-1]), 2) if known.size else None
