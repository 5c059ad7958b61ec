"""The forms of export, each with what writes it. A writer's packages are loaded with the first file of its form."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from firnline.products.credits import Credits
from firnline.products.files import Writer
from firnline.products.frame_product import Assumptions

if TYPE_CHECKING:
    from firnline.products.annotations import Form as Suffix

MakesWriter = Callable[[Path, Assumptions, Credits], Writer]

ANNOTATION = "layers-"
"""Begins the names of the forms that Firnline reads as annotations."""


def _csv(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.tables import CsvTable

    return CsvTable(out)


def _plain_csv(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.plain_csv import PlainCsvTable

    return PlainCsvTable(out)


def _geoparquet(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.tables import GeoParquet

    return GeoParquet(out, physics.statement)


def _bedmap(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.bedmap import BedmapTables

    return BedmapTables(out, credits)


def _horizons(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.horizon_tables import HorizonTables

    return HorizonTables(out)


def _opr(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.opr import OprLayers

    return OprLayers(out)


def _netcdf(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.netcdf import NetcdfFrames

    return NetcdfFrames(out, credits)


def _geopackage(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.geopackage import GeoPackage

    return GeoPackage(out)


def _geojson(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.tracks import GeoJsonTracks

    return GeoJsonTracks(out)


def _crossovers(out: Path, physics: Assumptions, credits: Credits) -> Writer:
    from firnline.products.crossovers import Crossovers

    return Crossovers(out, physics)


def _annotations(suffix: "Suffix") -> MakesWriter:
    def made(out: Path, physics: Assumptions, credits: Credits) -> Writer:
        from firnline.products.annotations import Annotations

        return Annotations(out, suffix)

    return made


WRITERS: dict[str, MakesWriter] = {
    "csv": _csv,
    "geoparquet": _geoparquet,
    "bedmap": _bedmap,
    "horizons": _horizons,
    "opr": _opr,
    "netcdf": _netcdf,
    "geopackage": _geopackage,
    "geojson": _geojson,
    "crossovers": _crossovers,
    "layers-csv": _annotations("csv"),
    "layers-json": _annotations("json"),
    "layers-mat": _annotations("mat"),
}
"""By the name of their form, on a person's machine."""

NOT_IN_CLOUD: dict[str, str] = {
    "geoparquet": "pyarrow does not fit into a Lambda beside SciPy",
    "netcdf": "xarray and pandas do not fit into a Lambda beside SciPy",
    "geopackage": "it is one file of all frames, and GDAL does not fit into a Lambda beside SciPy",
    "crossovers": "lines of two segments meet in them, and each segment is written by itself",
}
"""Why a form is written on a machine only."""

WRITERS_IN_CLOUD: dict[str, MakesWriter] = {
    form: _plain_csv if form == "csv" else writer for form, writer in WRITERS.items() if form not in NOT_IN_CLOUD
}
"""Of one segment each; `csv` without pyarrow, byte for byte the same."""
