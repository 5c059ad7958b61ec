"""One table a horizon, tab-separated, as deposits of internal horizons have it (AntArchitecture; TC 19, 4611, 2025).

No column standard has been published. Names follow the deposits at the UK Polar Data Centre: Line_name, Horizon_name, X, Y,
TraceNr, Z, Depth(m), IceThickness(m), with X and Y in the polar stereographic projection of the hemisphere.
"""

from pathlib import Path

import numpy as np
from pyproj import Transformer

from firnline.errors import Refused
from firnline.products.files import Unfinished
from firnline.products.frame_product import NUMBERING_MEANS, STATUS_MEANS, FrameProduct
from firnline.products.track import ANTARCTIC, ARCTIC, projection_of

COLUMNS = (
    "Line_name", "Horizon_name", "X", "Y", "TraceNr", "Z(us)", "Depth(m)", "IceThickness(m)", "DepthSigma(m)",
    "Depth95(m)", "Year", "Latitude", "Longitude", "Confidence", "Status", "Source", "Correction", "Date",
)  # fmt: skip


class HorizonTables:
    """`horizons/<campaign>_<segment>/<horizon>.tab`: the lines of that name of all frames of the segment.

    Z is the two-way travel time from the surface, in microseconds. What a layer's number counts from, the header
    says.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "horizons"
        self._open: dict[Path, Unfinished] = {}
        self._done: list[Path] = []
        self._segment = ""
        self._projections = {
            name: Transformer.from_crs("EPSG:4326", name, always_xy=True) for name in (ARCTIC, ANTARCTIC)
        }

    def add(self, product: FrameProduct) -> None:
        placed = np.isfinite(product.latitude) & np.isfinite(product.longitude)
        if not placed.any():
            raise Refused("it has no positions, which tables of horizons are made of")
        segment = f"{product.campaign}_{product.segment}"
        if segment != self._segment:
            self._finish()
            self._segment = segment
        projection = projection_of(product.latitude)
        east, north = self._projections[projection].transform(product.longitude, product.latitude)
        origin = product.provenance
        told = (origin.status, origin.source, origin.correction or "", f"{origin.date:%Y-%m-%d}")
        sigma, wide = product.depth_interval
        below_s = (product.twtt_s - product.surface_twtt_s) * 1e6
        for line, horizon in enumerate(product.horizons):
            traces = np.flatnonzero(np.isfinite(horizon.sample) & placed)
            columns = [
                _texts(east[traces], 2), _texts(north[traces], 2), traces.astype(str), _texts(below_s[line, traces], 6),
                _texts(product.depth_m[line, traces], 3), _texts(product.ice_thickness_m[traces], 2),
                _texts(sigma[line, traces], 3), _texts(wide[line, traces], 3),
                [_text(product.years[line], 3)] * traces.size, _texts(product.latitude[traces], 7),
                _texts(product.longitude[traces], 7), _texts(horizon.confidence[traces], 4),
            ]  # fmt: skip
            with self._table(segment, horizon.name, projection, product).open("a") as stream:
                for place in zip(*columns, strict=True):
                    stream.write("\t".join((product.stem, horizon.name, *place, *told)) + "\n")

    def close(self) -> list[Path]:
        self._finish()
        return self._done

    def _table(self, segment: str, horizon: str, projection: str, product: FrameProduct) -> Path:
        """The table of a horizon, with its header where it is new."""
        path = self._folder / segment / f"{horizon}.tab"
        if path not in self._open:
            self._open[path] = Unfinished(path)
            said = [
                f"horizon {horizon} of flight segment {product.segment}, campaign {product.campaign}",
                NUMBERING_MEANS[product.numbering],
                f"X, Y: {projection}, m; Z: two-way travel time below the surface, us; empty: unknown",
                f"physics: {product.assumptions.statement}",
                *[f"status {status}: {meaning}" for status, meaning in STATUS_MEANS.items()],
            ]
            text = "".join(f"# {line}\n" for line in said) + "\t".join(COLUMNS) + "\n"
            self._open[path].part.write_text(text)
        return self._open[path].part

    def _finish(self) -> None:
        self._done += [unfinished.finish() for unfinished in self._open.values()]
        self._open = {}


def _text(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if np.isfinite(value) else ""


def _texts(values: np.ndarray, decimals: int) -> list[str]:
    return [_text(value, decimals) for value in values.tolist()]
