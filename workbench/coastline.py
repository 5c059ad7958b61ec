"""`python -m workbench.coastline land-10m.json`: makes the coasts anew that the maps draw, `firnline/portal/coastline_files/`.

The argument is Natural Earth's land at 1:10 million as TopoJSON, which the npm package `world-atlas` 2.0.2 carries
(`npm pack world-atlas@2.0.2`). It is projected as the maps are, cut off where no polar map reaches, and thinned: the file
stands for what a map of a flight line needs, and no more.
"""

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry import Point, Polygon

from firnline.portal.coastline import FOLDER
from firnline.portal.polar import ANTARCTIC, ARCTIC, Projection

REACH_DEGREES = 52.0
"""From the equator: polar maps of flight lines begin beyond it."""
THINNED_KM = 2.0
SMALLEST_KM2 = 40.0
"""Islands that are smaller are left out."""
UNIT_KM = 0.25
"""What the files count in."""
MOST_BYTES = 150_000
"""Of both files."""
_GRID_KM = 0.01
"""Halves of what the date line cuts meet within it."""


def land(topology: dict[str, Any]) -> Iterator[np.ndarray]:
    """The outer rings, (n, 2) longitude and latitude, of a TopoJSON's object `land`."""
    scale, origin = (np.array(topology["transform"][name]) for name in ("scale", "translate"))
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + origin for arc in topology["arcs"]]
    for geometry in topology["objects"]["land"]["geometries"]:
        polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
        for outer, *_ in polygons:
            # arcs meet in a point that both have; of ~n it is arc n, backwards
            yield np.concatenate([(arcs[n] if n >= 0 else arcs[~n][::-1])[:-1] for n in outer])


def reach_km(projection: Projection) -> float:
    _, below = projection.xy(np.array(projection.pole * REACH_DEGREES), np.array(projection.straight_down))
    return abs(float(below)) / 1000


def coasts(rings: Sequence[np.ndarray], projection: Projection) -> list[np.ndarray]:
    """Closed rings (n, 2) of whole `UNIT_KM` on the map of a hemisphere, the largest first."""
    project = Transformer.from_crs("EPSG:4326", projection.code, always_xy=True)
    polygons = []
    for ring in rings:
        near = ring[projection.pole * ring[:, 1] > 0]  # beyond the equator the circle cuts all off
        if len(near) > 3 and (projection.pole * near[:, 1]).max() > REACH_DEGREES:
            polygons.append(shapely.make_valid(Polygon(np.column_stack(project.transform(*near.T)) / 1000)))
    # the union takes out the seam along the date line, which runs to the south pole
    whole = shapely.union_all(polygons, grid_size=_GRID_KM).intersection(Point(0, 0).buffer(reach_km(projection), 64))
    pieces = (piece for piece in shapely.get_parts(whole) if isinstance(piece, Polygon))
    found = []
    for piece in sorted((one for one in pieces if one.area >= SMALLEST_KM2), key=lambda one: -one.area):
        corners = np.round(np.array(piece.exterior.simplify(THINNED_KM).coords) / UNIT_KM).astype(int)
        corners = corners[np.append(True, (np.diff(corners, axis=0) != 0).any(axis=1))]
        if len(corners) > 3:
            found.append(corners)
    return found


def packed(rings: Sequence[np.ndarray], projection: Projection) -> bytes:
    """The file of a projection: of each ring x and y of its first corner, and of each other the steps from the one before."""
    steps = [np.diff(ring, axis=0, prepend=0 * ring[:1]).ravel().tolist() for ring in coasts(rings, projection)]
    told = {
        "projection": projection.code,
        "unit_km": UNIT_KM,
        "reach_km": round(reach_km(projection), 3),
        "rings": steps,
    }
    return gzip.compress(json.dumps(told, separators=(",", ":")).encode(), mtime=0)


def main() -> None:
    rings = list(land(json.loads(Path(sys.argv[1]).read_text())))
    made = {projection.code: packed(rings, projection) for projection in (ARCTIC, ANTARCTIC)}
    total = sum(map(len, made.values()))
    if total > MOST_BYTES:
        raise SystemExit(f"{total / 1000:.0f} kB are more than {MOST_BYTES / 1000:.0f}: thin the coasts more.")
    for code, content in made.items():
        path = FOLDER / f"{code.removeprefix('EPSG:')}.json.gz"
        path.write_bytes(content)
        print(f"{path}: {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
