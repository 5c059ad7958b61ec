"""GeoPackage: the frames' tracks and their traces, with styles that QGIS applies on opening.

QGIS looks for the table `layer_styles`, which it writes itself under "Save style in data source".
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import geopandas
import numpy as np
import pandas as pd
import shapely

from firnline.geodesy import wrapped
from firnline.products.files import Unfinished, utc_texts
from firnline.products.frame_product import FrameProduct, Status
from firnline.products.thickness import first_of
from firnline.products.tracks import parts_of, properties_of

TRACKS, TRACES = "tracks", "traces"
_GEOGRAPHIC = "EPSG:4326"
_FRAMES_AT_ONCE = 32
_COLOURS: dict[Status, str] = {
    "reviewed": "0,114,178", "accepted": "0,158,115", "unreviewed": "230,159,0", "imported": "204,121,167",
}  # fmt: skip
"""Red, green, blue: of Okabe and Ito's palette, which people see apart whatever their eyes."""


class GeoPackage:
    """`layers.gpkg`: `tracks`, a line a frame, and `traces`, a point a trace with what lies below it."""

    def __init__(self, folder: Path) -> None:
        self._file = Unfinished(folder / "layers.gpkg")
        self._tracks: list[dict[str, Any]] = []
        self._traces: list[pd.DataFrame] = []
        self._begun = False

    def add(self, product: FrameProduct) -> None:
        parts = parts_of(product)
        line = shapely.multilinestrings([shapely.linestrings(part) for part in parts])
        self._tracks.append(properties_of(product) | {"geometry": line})
        self._traces.append(traces_of(product))
        if len(self._tracks) >= _FRAMES_AT_ONCE:
            self._flush()

    def close(self) -> list[Path]:
        self._flush()
        if not self._begun:
            return []
        with closing(sqlite3.connect(self._file.part)) as database, database:
            _add_styles(database)
        return [self._file.finish()]

    def _flush(self) -> None:
        if not self._tracks:
            return
        tracks = geopandas.GeoDataFrame(pd.DataFrame(self._tracks), geometry="geometry", crs=_GEOGRAPHIC)
        tracks = tracks.astype(dict.fromkeys(_numeric(self._tracks[0]), "float64"))
        traces = geopandas.GeoDataFrame(
            pd.concat(self._traces, ignore_index=True), geometry="geometry", crs=_GEOGRAPHIC
        )
        for name, rows in ((TRACKS, tracks), (TRACES, traces)):
            rows.to_file(
                self._file.part,
                layer=name,
                driver="GPKG",
                engine="pyogrio",
                mode="a" if self._begun or name == TRACES else "w",
            )
        self._begun, self._tracks, self._traces = True, [], []


def traces_of(product: FrameProduct) -> pd.DataFrame:
    """A row for each trace with a position: depth of the first layer and of the bed, and their half widths."""
    placed = np.flatnonzero(np.isfinite(product.latitude) & np.isfinite(product.longitude))
    depth, bed, first = product.depth_interval, product.labels == "bed", product.numbers == 1
    widths = {
        "snow_depth_sigma_m": first_of(depth.sigma, first), "snow_depth_95_m": first_of(depth.wide, first),
        "ice_thickness_sigma_m": first_of(depth.sigma, bed), "ice_thickness_95_m": first_of(depth.wide, bed),
    }  # fmt: skip
    origin = product.provenance
    return pd.DataFrame({
        "frame_id": product.frame_id, "trace": placed, "time_utc": utc_texts(product.utc_s)[placed].astype(object),
        "distance_m": product.distance_m[placed], "surface_m": product.surface_m[placed],
        "snow_depth_m": product.snow_depth_m[placed], "ice_thickness_m": product.ice_thickness_m[placed],
        **{name: values[placed] for name, values in widths.items()},
        "layers": np.isfinite(product.depth_m[product.labels == "layer"]).sum(axis=0)[placed],
        "status": origin.status, "source": origin.source, "correction": origin.correction or "",
        "geometry": shapely.points(wrapped(product.longitude[placed]), product.latitude[placed]),
    })  # fmt: skip


def _numeric(properties: dict[str, Any]) -> list[str]:
    return [name for name in properties if name.endswith(("_m", "_m_we_a")) or name == "confidence"]


def _add_styles(database: sqlite3.Connection) -> None:
    """The styles of both layers, each the default of its own."""
    database.execute(
        "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), "
        "f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, "
        "styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
        "update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
    )
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description) "
        "VALUES ('layer_styles', 'attributes', 'layer_styles', 'styles of QGIS')"
    )
    for layer, kind in ((TRACKS, "line"), (TRACES, "marker")):
        (column,) = database.execute(
            "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
        ).fetchone()
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML, "
            "styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, 'by status', ?, '', 1, 'by status', '')",
            (layer, column, _style(kind)),
        )


def _style(kind: str) -> str:
    """A style of QGIS that colours by `status`."""
    categories, symbols = "", ""
    for number, (status, colour) in enumerate(_COLOURS.items()):
        categories += f'<category symbol={quoteattr(str(number))} value={quoteattr(status)} label={quoteattr(status)} render="true"/>'
        if kind == "line":
            inner = f'<layer class="SimpleLine"><Option type="Map"><Option type="QString" name="line_color" value="{colour},255"/>' \
                    '<Option type="QString" name="line_width" value="0.8"/></Option></layer>'  # fmt: skip
        else:
            inner = f'<layer class="SimpleMarker"><Option type="Map"><Option type="QString" name="color" value="{colour},255"/>' \
                    '<Option type="QString" name="outline_style" value="no"/><Option type="QString" name="size" value="1"/>' \
                    "</Option></layer>"  # fmt: skip
        symbols += f'<symbol type="{kind}" name="{number}" alpha="1">{inner}</symbol>'
    return (
        '<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM">\n<qgis version="3.28.0" styleCategories="Symbology">'
        f'<renderer-v2 type="categorizedSymbol" attr="status" enableorderby="0"><categories>{categories}</categories>'
        f"<symbols>{symbols}</symbols></renderer-v2></qgis>"
    )
