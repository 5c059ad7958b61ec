"""Radar frames: what a key says of them, and the document that goes with the normalised echogram."""

import hashlib
import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from firnline.errors import Refused

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,99}\Z")
LOOP_NAME_PATTERN = r"^[a-z0-9](-*[a-z0-9])*$"
"""Amazon A2I's rule for the name of a human loop, of at most 63 characters."""
ANNOTATION_SUFFIXES = (".layers.json", ".layers.csv", ".layers.mat", ".layers.png")
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
    raise Refused(
        f"'{file}' is of no kind that Firnline reads: upload .nc, .mat, .png, .jpg or .tif frames, "
        "or annotations named <frame>.layers.json, .csv, .mat or .png."
    )


def refusal_id(key: str) -> str:
    """Under which id the register holds the refusal of an upload that can have no frame of its own."""
    return f"_keys/refused/{hashlib.sha256(key.encode()).hexdigest()[:16]}"


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
