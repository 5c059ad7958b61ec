"""Layer files of Open Polar Radar and the organiser that names their layers, as its toolbox and `xopr` read them.

MATLAB version 5, with the fields and shapes of genuine files: `Data_<segment>_<frame>.mat` holds the layers of a frame,
`layer_<segment>.mat` beside it their names, groups, order and ages.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.io import loadmat, savemat

from firnline.documents.upload_key import ORGANISER_PREFIX
from firnline.errors import Refused
from firnline.products.files import Unfinished
from firnline.products.frame_product import NUMBERING_MEANS, FrameProduct
from firnline.products.horizons import BED_NUMBER
from firnline.products.thickness import first_of

MANUAL, AUTOMATIC = 1, 2
GOOD, MODERATE = 1, 2
SURFACE_ID, BOTTOM_ID = 1, 2
FIRST_UNCOUNTED_ID = 10_000
"""Above it lie the ids of lines that are in too few frames to be counted along the segment."""
STANDARD_GROUP, OUR_GROUP = "standard", "firnline"

_FRAME = re.compile(r"(\d{8}_\d{2})_(\d{3,4})")


@dataclass(frozen=True)
class LayerFile:
    """The layers of one frame: per point `gps_time` s, `lat`, `lon` degrees, `elev` m; `id` (layers,); and (layers, points)
    `twtt` s two-way, NaN where not picked, `type` 1 by hand or 2 by a program, `quality` 1 good, 2 moderate, 3 derived.
    """

    gps_time: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    elev: np.ndarray
    id: np.ndarray
    twtt: np.ndarray
    type: np.ndarray
    quality: np.ndarray
    param: Mapping[str, Any] = field(default_factory=dict)

    def to_mat(self) -> bytes:
        return _mat({
            "elev": self.elev[None], "file_type": "layer", "file_version": "1", "gps_time": self.gps_time[None],
            "id": _counts(self.id)[None], "lat": self.lat[None], "lon": self.lon[None], "param": dict(self.param),
            "quality": np.asarray(self.quality, np.uint8), "twtt": self.twtt, "type": np.asarray(self.type, np.uint8),
        })  # fmt: skip

    @classmethod
    def of_mat(cls, content: bytes) -> Self:
        """What a file of version 5 holds; of `param` nothing."""
        found = loadmat(io.BytesIO(content))
        gps_time, lat, lon, elev = (
            np.asarray(found[name], float).ravel() for name in ("gps_time", "lat", "lon", "elev")
        )
        twtt, kind, quality = (np.atleast_2d(found[name]) for name in ("twtt", "type", "quality"))
        return cls(gps_time, lat, lon, elev, found["id"].ravel(), twtt, kind, quality)


@dataclass(frozen=True)
class Organiser:
    """What the layers of a segment are: `id` → (name, group, age in years or NaN, description), in order of depth."""

    layers: Mapping[int, tuple[str, str, float, str]]
    param: Mapping[str, Any] = field(default_factory=dict)

    def to_mat(self) -> bytes:
        names, groups, ages, told = zip(*self.layers.values(), strict=True) if self.layers else ((), (), (), ())
        nothing = np.empty((1, len(names)), dtype=object)
        for place in range(len(names)):
            nothing[0, place] = np.zeros((0, 0))
        return _mat({
            "file_type": "layer_organizer", "file_version": "1", "lyr_age": np.array(ages, float)[None],
            "lyr_age_source": nothing, "lyr_desc": _cells(told), "lyr_group_name": _cells(groups),
            "lyr_id": _counts(np.array(list(self.layers), int))[None], "lyr_name": _cells(names),
            "lyr_order": _counts(np.arange(1, len(names) + 1))[None], "param": dict(self.param),
        })  # fmt: skip

    @classmethod
    def of_mat(cls, content: bytes) -> Self:
        """What a file of version 5 holds; of `param` nothing."""
        found = loadmat(io.BytesIO(content), simplify_cells=True)
        texts = [
            [_text(one) for one in np.atleast_1d(found[name])] for name in ("lyr_name", "lyr_group_name", "lyr_desc")
        ]
        ages = np.atleast_1d(np.asarray(found["lyr_age"], float)).tolist()
        ids = np.atleast_1d(found["lyr_id"]).tolist()
        names, groups, told = texts
        return cls(dict(zip(ids, zip(names, groups, ages, told, strict=True), strict=True)))


class OprLayers:
    """`<campaign>/CSARP_layer/<segment>/Data_<segment>_<frame>.mat`, and at the end of each segment `layer_<segment>.mat`.

    The surface has id 1, the bottom 2, the layer of number n, in as many pieces as it is, n + 2. A model's lines are of type
    2, and of quality 2 as long as nobody accepted them; people's are of type 1. `param.firnline` says where a frame's layers come from.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: list[Path] = []
        self._segment = ""
        self._frames: dict[Path, str] = {}
        self._layers: dict[int, tuple[str, str, float, str]] = {}
        self._param: dict[str, Any] = {}

    def add(self, product: FrameProduct) -> None:
        made = layer_file(product)
        segment, name = name_of(product)
        key = f"{product.campaign}/{segment}"
        if key != self._segment:
            self._finish()
            self._segment = key
            self._param = _param_of(product, segment)
        path = self._folder / product.campaign / "CSARP_layer" / segment / name
        if path in self._frames:
            raise Refused(f"Open Polar Radar would call {self._frames[path]} {name} too, which is written already")
        self._frames[path] = product.frame_id
        file = Unfinished(path)
        file.part.write_bytes(made.to_mat())
        self._done.append(file.finish())
        for horizon, year in zip(product.horizons, product.years.tolist(), strict=True):
            self._layers.setdefault(_id(horizon.number), _described(horizon.name, year, product))

    def close(self) -> list[Path]:
        self._finish()
        return self._done

    def _finish(self) -> None:
        if self._layers:
            campaign, segment = self._segment.split("/")
            file = Unfinished(self._folder / campaign / "CSARP_layer" / segment / f"{ORGANISER_PREFIX}{segment}.mat")
            by_depth = sorted(self._layers.items(), key=lambda item: (item[0] == BOTTOM_ID, item[0]))
            file.part.write_bytes(Organiser(dict(by_depth), self._param).to_mat())
            self._done.append(file.finish())
        self._layers, self._frames = {}, {}


def layer_file(product: FrameProduct) -> LayerFile:
    """The layers of a frame at its own traces; `Refused` where it has no GPS times or no travel times."""
    placed = np.isfinite(product.gps_time_s)
    if placed.sum() < 2 or not np.isfinite(product.twtt_s[:, placed]).any():
        raise Refused("it has no GPS times or no travel times, which layer files of Open Polar Radar are made of")
    ids = np.array([_id(number) for number in product.numbers.tolist()], dtype=int)
    own, times = np.unique(ids), product.twtt_s[:, placed]
    lines = np.array([first_of(times, ids == one) for one in own]).reshape(own.size, times.shape[1])
    by_model, accepted = product.by_model, product.provenance.status != "unreviewed"
    return LayerFile(
        gps_time=product.gps_time_s[placed],
        lat=product.latitude[placed],
        lon=product.longitude[placed],
        elev=product.platform_m[placed],
        id=own,
        twtt=lines,
        type=np.full(lines.shape, AUTOMATIC if by_model else MANUAL),
        quality=np.full(lines.shape, GOOD if accepted else MODERATE),
        param=_param_of(product, name_of(product)[0]) | {"firnline": _source_of(product)},
    )


def name_of(product: FrameProduct) -> tuple[str, str]:
    """(segment, file name) as Open Polar Radar would call a frame; its own names where they are of another form."""
    told = _FRAME.search(product.stem)
    segment, frame = (told[1], told[2]) if told else (product.segment, product.stem)
    return segment, f"Data_{segment}_{frame}.mat"


def _id(number: int) -> int:
    if number < BED_NUMBER:
        return FIRST_UNCOUNTED_ID + BED_NUMBER - number
    return BOTTOM_ID if number == BED_NUMBER else SURFACE_ID if number == 0 else number + BOTTOM_ID


def _described(name: str, year: float, product: FrameProduct) -> tuple[str, str, float, str]:
    """Name, group, age and description of a layer."""
    standard = name in ("surface", "bed")
    annual = product.assumptions.annual
    age = annual.surface_year - year if annual else np.nan
    told = "" if standard else NUMBERING_MEANS[product.numbering]
    return ("bottom" if name == "bed" else name), (STANDARD_GROUP if standard else OUR_GROUP), age, told


def _param_of(product: FrameProduct, segment: str) -> dict[str, Any]:
    radar = "rds" if (product.labels == "bed").any() else "snow"
    return {
        "radar_name": radar, "season_name": product.campaign, "day_seg": segment,
        "sw_version": {"ver": "1", "rev": "firnline.products.opr", "URL": ""},
    }  # fmt: skip


def _source_of(product: FrameProduct) -> dict[str, str]:
    origin = product.provenance
    return {
        "frame_id": product.frame_id, "revision": product.frame.revision, "status": origin.status,
        "source": origin.source, "correction": origin.correction or "", "date": origin.date.isoformat(),
        "physics": product.assumptions.statement,
    }  # fmt: skip


def _mat(variables: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=True, oned_as="row")
    return stream.getvalue()


def _cells(texts: tuple[str, ...]) -> np.ndarray:
    cells = np.empty((1, len(texts)), dtype=object)
    cells[0] = texts
    return cells


def _counts(numbers: np.ndarray) -> np.ndarray:
    """As MATLAB keeps small counts; more than 255 as its usual doubles."""
    return numbers.astype(np.uint8 if numbers.size and numbers.max() <= 255 else np.float64)


def _text(cell: Any) -> str:
    return cell.strip() if isinstance(cell, str) else ""
