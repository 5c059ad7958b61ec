"""Radar frames: what a key says of them, and the document that goes with the normalised echogram."""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from firnline.errors import Refused

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,99}\Z")
LOOP_NAME_PATTERN = r"^[a-z0-9](-*[a-z0-9])*$"
"""Amazon A2I's rule for the name of a human loop, of at most 63 characters."""
ANNOTATION_SUFFIXES = (".layers.json", ".layers.csv", ".layers.mat", ".layers.png")
ORGANISER_PREFIX = "layer_"
_ORGANISER = re.compile(r"layer_(.+)\.mat\Z")
_SEGMENT = re.compile(r"\d{8}_\d{2}\Z")
"""A flight segment as Open Polar Radar names it: the day, and the segment of that day."""
_FOREIGN_SUFFIXES = {
    ".dzt": ("GSSI", "gssi"), ".dt1": ("pulseEKKO", "pe"), ".hd": ("pulseEKKO", "pe"), ".rd3": ("MALA", "ramac"),
    ".rd7": ("MALA", "ramac"), ".rad": ("MALA", "ramac"), ".h5": ("gprMax", "gprMax"), ".sgy": ("SEG-Y", "segy"),
    ".segy": ("SEG-Y", "segy"),
}  # fmt: skip
"""Raw files of ground-penetrating radars, and ImpDAR's name for each form."""
FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".mat", ".nc")


class UploadKey(BaseModel):
    """An upload's key, `<campaign>/<segment>/<file>`, taken apart."""

    model_config = ConfigDict(frozen=True)

    campaign: str
    segment: str
    stem: str
    suffix: str

    @property
    def frame_id(self) -> str:
        return f"{self.campaign}/{self.segment}/{self.stem}"

    @property
    def is_annotation(self) -> bool:
        return self.suffix in ANNOTATION_SUFFIXES

    @property
    def is_organiser(self) -> bool:
        """Whether it names the layers of the segment's layer files, and holds no frame."""
        return organised_segment(self.stem + self.suffix, self.segment) is not None


def parse_upload_key(key: str) -> UploadKey:
    """Take an upload's key apart; `Refused` with a sentence where it cannot name a frame."""
    parts = key.split("/")
    if len(parts) != 3:
        raise Refused(
            f"'{key}' does not say which flight segment it belongs to: upload to <campaign>/<segment>/<file>."
        )
    for part in parts:
        if not _PART.match(part):
            raise Refused(
                f"'{part}' in '{key}' cannot be part of a frame's name: use letters, digits, '.', '_', '=' and '-', "
                "at most 100, starting with a letter or a digit."
            )
    campaign, segment, file = parts
    for suffix in (*ANNOTATION_SUFFIXES, *FRAME_SUFFIXES):
        if file.lower().endswith(suffix) and len(file) > len(suffix):
            return UploadKey(campaign=campaign, segment=segment, stem=file[: -len(suffix)], suffix=suffix)
    for suffix, (system, loader) in _FOREIGN_SUFFIXES.items():
        if file.lower().endswith(suffix):
            raise Refused(
                f"'{file}' is {system} data: convert it with ImpDAR (impdar load {loader}) and upload the .mat that it "
                "writes."
            )
    raise Refused(
        f"'{file}' is of no kind that Firnline reads: upload .nc, .mat, .png, .jpg or .tif frames, "
        "or annotations named <frame>.layers.json, .csv, .mat or .png."
    )


def organised_segment(file: str, folder: str) -> str | None:
    """The flight segment whose layers a file names, by its own name `layer_<segment>.mat`; None if it is no organiser.

    `folder` is the name of the folder that it lies in, which may be the segment's.
    """
    match = _ORGANISER.match(file)
    if not match or file.lower().endswith(ANNOTATION_SUFFIXES):
        return None
    return match[1] if match[1] == folder or _SEGMENT.match(match[1]) else None


def organiser_beside(stem: str, folder: str, files: Iterable[str]) -> str | None:
    """Which of the files that lie beside the layer file of the frame `stem` names its layers.

    It is the one of the frame's own segment, which OPR's names of frames hold, else the folder's, else the only one.
    """
    organisers = {segment: file for file in files if (segment := organised_segment(file, folder)) is not None}
    own = next((file for segment, file in sorted(organisers.items()) if segment in stem), None)
    only = next(iter(organisers.values())) if len(organisers) == 1 else None
    return own or organisers.get(folder) or only


def revision_of(content: bytes) -> str:
    """The revision that these bytes make: the first 12 hexadecimal digits of their SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]


def loop_name(frame_id: str, revision: str, model_version: str) -> str:
    """A human loop's name (`^[a-z0-9](-*[a-z0-9])*$`, at most 63): the same prediction always gives the same name."""
    slug = re.sub(r"[^a-z0-9]+", "-", frame_id.lower()).strip("-")[-40:].strip("-")
    digest = hashlib.sha256(f"{frame_id}\n{revision}\n{model_version}".encode()).hexdigest()[:8]
    return f"{slug}-{digest}"


class FrameDocument(BaseModel):
    """`frame.json`: everything that is needed to go from a pixel back to two-way travel time and a place on the ice.

    Lists over traces have `width` entries. `time_zero_s + row * dt_s` is the two-way travel time of a row in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["firnline.frame/1"] = Field(default="firnline.frame/1", alias="schema")
    frame_id: str
    revision: str
    width: Annotated[int, Field(ge=2)]
    height: Annotated[int, Field(ge=2)]
    format: str
    polarity: Literal["bright-strong", "dark-strong"]
    dt_s: float | None = None
    time_zero_s: float | None = None
    metres_per_row_ice: float | None = None
    gps_time_s: list[float] | None = None
    latitude: list[float | None] | None = None
    longitude: list[float | None] | None = None
    elevation_m: list[float | None] | None = None
    surface_twtt_s: list[float | None] | None = None
    bed_twtt_s: list[float | None] | None = None
    source_bucket: str
    source_key: str
    source_version: str | None = None
    checksum_sha256: str
    created: datetime
    transforms: list[str]

    def to_json(self) -> bytes:
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()
