"""The coasts that maps draw, in the polar projections: Natural Earth's at 1:10 million, thinned to 2 km.

`workbench.coastline` makes the files `coastline_files/<EPSG number>.json.gz`, and the README.md beside them says whose they are.
"""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np

FOLDER = Path(__file__).with_name("coastline_files")


@dataclass(frozen=True)
class Coasts:
    """Closed rings (n, 2) of kilometres to the right of the pole and above it on the map, land inside, the largest first;
    they are cut off `reach_km` away from the pole.
    """

    rings: tuple[np.ndarray, ...]
    reach_km: float

    @classmethod
    def of(cls, content: bytes) -> Self:
        """What `in_file` gives: corners are counted in `unit_km`, and each from the one before."""
        told = json.loads(gzip.decompress(content))
        steps = (np.reshape(ring, (-1, 2)) for ring in told["rings"])
        return cls(tuple(np.cumsum(ring, axis=0) * told["unit_km"] for ring in steps), told["reach_km"])

    def within(self, low: np.ndarray, high: np.ndarray) -> list[np.ndarray] | None:
        """The rings that may be seen between two corners (x, y); None where the map leaves what is known."""
        if np.hypot(*np.maximum(np.abs(low), np.abs(high))) > self.reach_km:
            return None
        return [ring for ring in self.rings if (ring.max(axis=0) > low).all() and (ring.min(axis=0) < high).all()]


@cache
def in_file(code: str) -> bytes:
    """The coasts of a projection as they lie in their file, JSON in gzip; KeyError for another than the two."""
    path = FOLDER / f"{code.removeprefix('EPSG:')}.json.gz"
    if path.parent != FOLDER or not path.is_file():
        raise KeyError(code)
    return path.read_bytes()


@cache
def coasts(code: str) -> Coasts:
    """Those of `EPSG:3413` or `EPSG:3031`."""
    return Coasts.of(in_file(code))
