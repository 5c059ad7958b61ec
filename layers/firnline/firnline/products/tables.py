"""One table of all lines and traces: CSV, and GeoParquet 1.1 with a point for each row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import shapely

from firnline.products.files import Unfinished, utc_texts
from firnline.products.frame_product import STATUS_MEANS, FrameProduct

_ROWS_A_GROUP = 50_000
"""Of GeoParquet at least: the file's end lists all groups, so that one of each frame would fill memory, here and in readers."""
_TEXT = pa.dictionary(pa.int32(), pa.string())
COLUMNS: dict[str, tuple[pa.DataType, int | None, str]] = {
    "frame_id": (_TEXT, None, "<campaign>/<segment>/<frame>"),
    "revision": (_TEXT, None, "first 12 hexadecimal digits of the SHA-256 of the uploaded file"),
    "trace": (pa.int32(), None, "of the uploaded file, from 0"),
    "time_utc": (pa.string(), None, "when the trace was recorded, ISO 8601"),
    "gps_time_s": (pa.float64(), 4, "GPS seconds since 1970-01-01"),
    "latitude": (pa.float64(), 7, "degrees north, WGS-84"),
    "longitude": (pa.float64(), 7, "degrees east, WGS-84"),
    "distance_m": (pa.float64(), 2, "along the track from the frame's first position, on the ellipsoid"),
    "platform_m": (pa.float64(), 3, "elevation of the antenna"),
    "surface_m": (pa.float64(), 3, "elevation of the surface"),
    "horizon": (
        _TEXT,
        None,
        "surface, bed, or layer_<number>: along the segment if that is known, else within the frame",
    ),
    "number": (pa.int32(), None, "of a layer within its frame, from the surface, which is 0; -1 for the bed"),
    "layer_number": (pa.int32(), None, "of a layer along its flight segment; empty for what is in too few frames"),
    "join_confidence": (pa.float64(), 4, "that it is the layer of that number in the frame before that shows it"),
    "year": (pa.float64(), 3, "of the layer, where layers are taken as annual"),
    "sample": (pa.float64(), 3, "of the uploaded file, from 0"),
    "twtt_s": (pa.float64(), None, "two-way travel time"),
    "depth_m": (pa.float64(), 4, "below the surface"),
    "depth_sigma_m": (pa.float64(), 4, "half width that holds 68 % of the errors"),
    "depth_95_m": (pa.float64(), 4, "half width that holds 95 % of the errors"),
    "elevation_m": (pa.float64(), 3, "of the line"),
    "thickness_m": (pa.float64(), 4, "down to the next line below in this trace"),
    "thickness_sigma_m": (pa.float64(), 4, "68 %"),
    "thickness_95_m": (pa.float64(), 4, "95 %"),
    "accumulation_m_we_a": (pa.float64(), 5, "between this line and the next, metres of water equivalent a year"),
    "accumulation_sigma_m_we_a": (pa.float64(), 5, "68 %"),
    "accumulation_95_m_we_a": (pa.float64(), 5, "95 %"),
    "accumulation_years": (pa.float64(), 3, "that the accumulation is the mean of"),
    "confidence": (pa.float64(), 4, "expected share of the line's traces within two rows of the truth"),
    "status": (_TEXT, None, "; ".join(f"{status}: {meaning}" for status, meaning in STATUS_MEANS.items())),
    "source": (_TEXT, None, "model version or review that the line comes from"),
    "model_version": (_TEXT, None, "that drew the line, or whose line was corrected"),
    "correction": (_TEXT, None, "id of the correction"),
    "date": (_TEXT, None, "when the line was drawn"),
    "physics": (_TEXT, None, "from time to depth"),
}
"""Type, decimals and meaning of each column."""

_SCHEMA = pa.schema([pa.field(name, kind, metadata={"description": told}) for name, (kind, _, told) in COLUMNS.items()])
_GEOMETRY = pa.field("geometry", pa.binary())
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}},
}
"""Without a `crs` GeoParquet means OGC:CRS84, longitude and latitude on WGS-84."""


def table_of(product: FrameProduct) -> pa.Table:
    """A row for each line and each trace that it passes, line by line from above to below; null where unknown."""
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
    of_frame = {
        "frame_id": product.frame_id, "revision": product.frame.revision, "status": origin.status,
        "source": origin.source, "model_version": origin.model_version, "correction": origin.correction,
        "date": origin.date.isoformat(timespec="seconds"), "physics": product.assumptions.medium.statement,
    }  # fmt: skip
    values: dict[str, np.ndarray] = {"trace": trace}
    values |= {name: value[trace] for name, value in per_trace.items()}
    values |= {name: value[line] for name, value in per_line.items()}
    values |= {name: value[line, trace] for name, value in per_place.items()}
    columns = []
    for name, (kind, decimals, _) in COLUMNS.items():
        if name in of_frame:
            columns.append(_repeated(of_frame[name], line.size))
        elif name == "horizon":
            columns.append(pa.array(values[name], pa.string()).dictionary_encode())
        elif name == "time_utc":
            columns.append(pa.array(values[name].astype(object), pa.string(), mask=values[name] == ""))
        else:
            rounded = values[name] if decimals is None else np.round(values[name], decimals)
            columns.append(pa.array(rounded, kind, from_pandas=True))
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _along(product: FrameProduct) -> np.ndarray:
    """(lines,) numbers along the segment, NaN of what has none."""
    numbers = product.numbers.astype(float)
    counted = (product.labels == "layer") & (numbers > 0) & (product.numbering == "segment")
    return np.where(counted | (product.labels == "surface"), numbers, np.nan)


class CsvTable:
    """`layers.csv`, with a header; empty where a value is unknown."""

    def __init__(self, folder: Path) -> None:
        self._file = Unfinished(folder / "layers.csv")
        plain = pa.schema([pa.field(name, _plain(kind)) for name, (kind, _, _) in COLUMNS.items()])
        self._schema = plain
        options = pyarrow.csv.WriteOptions(quoting_style="needed")
        self._writer = pyarrow.csv.CSVWriter(self._file.part, plain, write_options=options)

    def add(self, product: FrameProduct) -> None:
        self._writer.write_table(table_of(product).cast(self._schema))

    def close(self) -> list[Path]:
        self._writer.close()
        return [self._file.finish()]


class GeoParquet:
    """`layers.parquet`, some frames in a row group, the same columns and `geometry`, null where a trace has no position."""

    def __init__(self, folder: Path, physics: str) -> None:
        self._file = Unfinished(folder / "layers.parquet")
        schema = _SCHEMA.append(_GEOMETRY).with_metadata({"geo": json.dumps(_GEO), "firnline": physics})
        self._writer = pyarrow.parquet.ParquetWriter(self._file.part, schema, compression="zstd")
        self._schema = schema
        self._waiting: list[pa.Table] = []

    def add(self, product: FrameProduct) -> None:
        table = table_of(product)
        trace = table["trace"].to_numpy()
        longitude, latitude = product.longitude[trace], product.latitude[trace]
        known = np.isfinite(longitude) & np.isfinite(latitude)
        points = np.full(trace.size, None, dtype=object)
        points[known] = shapely.to_wkb(shapely.points(longitude[known], latitude[known]))
        self._waiting.append(table.append_column(_GEOMETRY, pa.array(points, pa.binary())).cast(self._schema))
        if sum(one.num_rows for one in self._waiting) >= _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).unify_dictionaries().combine_chunks())
            self._waiting = []

    def close(self) -> list[Path]:
        self._flush()
        self._writer.close()
        return [self._file.finish()]


def _repeated(value: str | None, count: int) -> pa.Array:
    indices = np.zeros(count, np.int32)
    if value is None:
        return pa.DictionaryArray.from_arrays(pa.array(indices, mask=np.ones(count, bool)), pa.array([""]))
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array([value]))


def _plain(kind: Any) -> Any:
    return pa.string() if kind == _TEXT else kind
