"""Ice thickness as Bedmap has it: CSV with a commented header of ACDD attributes (Fremand et al. 2023, ESSD 15, 2695).

One file for each flight segment and kind of layers, since a file has no column that would tell them apart.
"""

from pathlib import Path

import numpy as np

from firnline.errors import Refused
from firnline.ice import LIGHT_SPEED_M_S
from firnline.products.credits import Credits
from firnline.products.files import Unfinished, utc_texts
from firnline.products.frame_product import STATUS_MEANS, FrameProduct, Status

MISSING = "-9999"
COLUMNS = (
    "trajectory_id", "trace_number", "longitude (degree_east)", "latitude (degree_north)", "date", "time_UTC",
    "surface_altitude (m)", "land_ice_thickness (m)", "bedrock_altitude (m)", "two_way_travel_time (s)",
    "aircraft_altitude (m)", "along_track_distance (m)",
)  # fmt: skip
"""Bedmap's own files say "two_way_travel_time (m)"; its description, and this one, seconds."""


class BedmapTables:
    """`bedmap/<campaign>_<segment>_<status>.csv`: a line for each trace with a position that has a surface or a bed.

    The trajectory is the frame. The travel time is the one within the ice, from surface to bed.
    """

    def __init__(self, folder: Path, credits: Credits = Credits()) -> None:  # noqa: B008 (it is frozen)
        self._folder = folder / "bedmap"
        self._credits = credits
        self._open: dict[Path, Unfinished] = {}
        self._done: list[Path] = []
        self._segment = ""

    def add(self, product: FrameProduct) -> None:
        bed = [horizon for horizon, label in zip(product.twtt_s, product.labels, strict=True) if label == "bed"]
        in_ice = (bed[0] if bed else np.full(product.frame.file_traces, np.nan)) - product.surface_twtt_s
        placed = np.isfinite(product.latitude) & np.isfinite(product.longitude)
        told = np.flatnonzero(placed & (np.isfinite(product.surface_m) | np.isfinite(product.ice_thickness_m)))
        if not told.size:
            raise Refused("it has no trace with a position and a surface or a bed, which Bedmap's tables are made of")
        segment = f"{product.campaign}_{product.segment}"
        if segment != self._segment:
            self._finish()
            self._segment = segment
        path = self._folder / f"{segment}_{product.provenance.status}.csv"
        if path not in self._open:
            self._open[path] = Unfinished(path)
            self._open[path].part.write_text(
                "".join(f"#{line}\n" for line in header(product, self._credits)) + ",".join(COLUMNS) + "\n"
            )
        moments = utc_texts(product.utc_s)[told]
        columns = [
            np.full(told.size, product.stem), told.astype(str),
            _texts(product.longitude[told], 7), _texts(product.latitude[told], 7),
            np.where(moments == "", MISSING, moments.astype("U10")),
            np.where(moments == "", MISSING, [text[11:-1] for text in moments]),
            _texts(product.surface_m[told], 2), _texts(product.ice_thickness_m[told], 2),
            _texts((product.surface_m - product.ice_thickness_m)[told], 2), _texts(in_ice[told], 12),
            _texts(product.platform_m[told], 2), _texts(product.distance_m[told], 2),
        ]  # fmt: skip
        with self._open[path].part.open("a") as stream:
            stream.writelines(",".join(line) + "\n" for line in zip(*columns, strict=True))

    def close(self) -> list[Path]:
        self._finish()
        return self._done

    def _finish(self) -> None:
        self._done += [unfinished.finish() for unfinished in self._open.values()]
        self._open = {}


def header(product: FrameProduct, credits: Credits) -> list[str]:
    """`key: value` lines, without the `#`."""
    medium, status = product.assumptions.medium, product.provenance.status
    deep_speed = LIGHT_SPEED_M_S / float(medium.index_at(medium.depth_m[-1]))
    day = "-9999" if product.date is None else f"{product.date:%Y}"
    return [
        f"project: {product.campaign}",
        f"time_coverage_start: {day}",
        f"time_coverage_end: {day}",
        f"creator_name: {credits.creator}",
        f"institution: {credits.institution}",
        f"license: {credits.licence}",
        f"source: airborne or ground radar, flight segment {product.segment}; layers by Firnline: {status}",
        f"electromagnetic_wave_speed_in_ice: {deep_speed / 1e6:.3f} (m/microseconds)",
        f"firn_correction: {medium.firn_correction_m(float(medium.index_at(medium.depth_m[-1]))):.2f} (m)",
        f"comment: {_meaning(status)}; altitudes above the ellipsoid; {product.assumptions.statement}; {_uncertainty(product)}",
        f"history: {product.provenance.source}, {product.provenance.date:%Y-%m-%d}",
        "Conventions: ACDD-1.3",
    ]


def _meaning(status: Status) -> str:
    return f"{status}: {STATUS_MEANS[status]}"


def _uncertainty(product: FrameProduct) -> str:
    bed = product.labels == "bed"
    sigma = product.depth_interval.sigma[bed]
    if not np.isfinite(sigma).any():
        return "no bed in the first frame"
    return f"ice thickness of the first frame within {np.nanmedian(sigma):.1f} m (68 %, median)"


def _texts(values: np.ndarray, decimals: int) -> np.ndarray:
    return np.array([f"{value:.{decimals}f}" if np.isfinite(value) else MISSING for value in values])
