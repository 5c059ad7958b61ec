"""One table of all lines and traces: CSV, and GeoParquet 1.1 with a point for each row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import shapely

from firnline.products.files import Unfinished
from firnline.products.frame_product import FrameProduct
from firnline.products.layer_rows import COLUMNS, rows_of

_ROWS_A_GROUP = 50_000
"""Of GeoParquet at least: the file's end lists all groups, so that one of each frame would fill memory, here and in readers."""
_TEXT = pa.dictionary(pa.int32(), pa.string())
_TYPES = {"text": _TEXT, "moment": pa.string(), "int": pa.int32(), "float": pa.float64()}
_SCHEMA = pa.schema(
    [pa.field(name, _TYPES[kind], metadata={"description": told}) for name, (kind, _, told) in COLUMNS.items()]
)
_GEOMETRY = pa.field("geometry", pa.binary())
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}},
}
"""Without a `crs` GeoParquet means OGC:CRS84, longitude and latitude on WGS-84."""


def table_of(product: FrameProduct) -> pa.Table:
    """The rows of `layer_rows`; null where unknown."""
    count, rows = rows_of(product)
    columns = []
    for name, (kind, _, _) in COLUMNS.items():
        values = rows[name]
        if values is None or isinstance(values, str):
            columns.append(_repeated(values, count))
        elif kind == "text":
            columns.append(pa.array(values, pa.string()).dictionary_encode())
        elif kind == "moment":
            columns.append(pa.array(values.astype(object), pa.string(), mask=values == ""))
        else:
            columns.append(pa.array(values, _TYPES[kind], from_pandas=True))
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


class CsvTable:
    """`layers.csv`, with a header; empty where a value is unknown."""

    def __init__(self, folder: Path) -> None:
        self._file = Unfinished(folder / "layers.csv")
        plain = pa.schema([pa.field(name, _plain(_TYPES[kind])) for name, (kind, _, _) in COLUMNS.items()])
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
