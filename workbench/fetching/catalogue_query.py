"""Asks an archive's catalogue which files it has, and prints each as a line of JSON.

Runs in an environment of its own (`make fetch-tools`), whose libraries want other versions than the application. It
only asks: the files are fetched by `workbench.fetching.download`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

Line = dict[str, Any]
_HASHLIB_NAMES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
"""Names of algorithms in the archive's metadata (UMM-G's ChecksumAlgorithmEnum), and in Python."""


def nsidc(
    short_name: str, version: str | None, box: tuple[float, ...] | None, dates: tuple[str, str] | None
) -> Iterator[Line]:
    """Files of a dataset at the National Snow and Ice Data Center, as NASA's catalogue (CMR) lists them."""
    import earthaccess

    wanted: dict[str, Any] = {"short_name": short_name}
    if version:
        wanted["version"] = version
    if box:
        wanted["bounding_box"] = box
    if dates:
        wanted["temporal"] = dates
    for granule in earthaccess.search_data(count=-1, **wanted):
        told = _told_of_files(granule)
        for address in granule.data_links(access="external"):
            yield {"address": address, **told.get(PurePosixPath(urlsplit(address).path).name, {})}


def _told_of_files(granule: Any) -> dict[str, Line]:
    """Sizes and checksums by the name of the file."""
    archive = granule["umm"].get("DataGranule", {}).get("ArchiveAndDistributionInformation", [])
    found = {}
    for file in archive:
        checksum = file.get("Checksum", {})
        algorithm = _HASHLIB_NAMES.get(checksum.get("Algorithm", ""))
        digest = {"algorithm": algorithm, "value": checksum["Value"]} if algorithm else None
        found[file.get("Name", "")] = {"size": file.get("SizeInBytes"), "digest": digest}
    return found


def opr(
    collection: str,
    product: str,
    segments: list[str],
    box: tuple[float, ...] | None,
    dates: tuple[str, str] | None,
    catalogue: str | None,
) -> Iterator[Line]:
    """Frames of a season in Open Polar Radar's catalogue; `product` is `CSARP_standard` or another of its products."""
    import xopr

    connection = xopr.OPRConnection(stac_parquet_href=catalogue, sync_catalogs=catalogue is None)
    frames = connection.query_frames(
        collections=[collection],
        segment_paths=segments or None,
        geometry=_outline(*box) if box else None,
        date_range="/".join(dates) if dates else None,
    )
    for _, frame in (frames if frames is not None else _Nothing()).iterrows():
        asset = frame["assets"].get(product)
        if asset:
            told = frame["properties"]
            yield {"address": asset["href"], "segment": f"{told['opr:date']}_{int(told['opr:segment']):02d}"}


def _outline(west: float, south: float, east: float, north: float) -> Any:
    """A box, or the two halves of one that lies across the date line."""
    import shapely

    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.MultiPolygon([shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)])


class _Nothing:
    def iterrows(self) -> Iterator[tuple[Any, Any]]:
        return iter(())


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", choices=("nsidc", "opr"))
    parser.add_argument("dataset")
    parser.add_argument("--version")
    parser.add_argument("--product", default="CSARP_standard")
    parser.add_argument("--segment", action="append", default=[])
    parser.add_argument("--box", type=float, nargs=4)
    parser.add_argument("--dates", nargs=2)
    parser.add_argument("--catalogue")
    wanted = parser.parse_args(arguments)
    box, dates = tuple(wanted.box) if wanted.box else None, tuple(wanted.dates) if wanted.dates else None
    if wanted.archive == "nsidc":
        found = nsidc(wanted.dataset, wanted.version, box, dates)
    else:
        found = opr(wanted.dataset, wanted.product, wanted.segment, box, dates, wanted.catalogue)
    for line in found:
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
