"""Radar frames: what a key says of them, and the document that goes with the normalised echogram."""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from firnline.documents.framing import Framing
from firnline.documents.origin import Origin
from firnline.documents.polarity import Polarity
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


def refusal_id(key: str) -> str:
    """Under which id the register holds the refusal of an upload that can have no frame of its own."""
    return f"_keys/refused/{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def revision_of(content: bytes, polarity: Polarity | None = None) -> str:
    """The revision that these bytes make: the first 12 hexadecimal digits of their SHA-256.

    The same bytes under an instruction for their polarity are another one.
    """
    digest = hashlib.sha256(content)
    if polarity:
        digest.update(f"\npolarity={polarity}".encode())
    return digest.hexdigest()[:12]


def loop_name(workspace: str, frame_id: str, revision: str, model_version: str) -> str:
    """A human loop's name (`^[a-z0-9](-*[a-z0-9])*$`, at most 63): the same prediction always gives the same name.

    Names are the account's. `workspace`, the bucket that the prediction lies in, tells stacks apart, and a stack from an
    earlier one of its name, whose loops A2I still knows.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", frame_id.lower()).strip("-")[-40:].strip("-")
    digest = hashlib.sha256(f"{workspace}\n{frame_id}\n{revision}\n{model_version}".encode()).hexdigest()[:8]
    return f"{slug}-{digest}"


class FileOrigin(BaseModel):
    """`firnline.documents.origin.Origin` as it stands in `frame.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_trace: float = 0.0
    first_sample: float = 0.0
    sample_shift: list[float] | None = None
    sample_of_row: list[float] | None = None

    @classmethod
    def of(cls, origin: Origin) -> "FileOrigin":
        return cls(
            first_trace=origin.first_trace,
            first_sample=origin.first_sample,
            sample_shift=None if origin.sample_shift is None else np.asarray(origin.sample_shift, float).tolist(),
            sample_of_row=None if origin.sample_of_row is None else np.asarray(origin.sample_of_row, float).tolist(),
        )

    def to_origin(self) -> Origin:
        return Origin(
            self.first_trace,
            self.first_sample,
            None if self.sample_shift is None else np.array(self.sample_shift),
            None if self.sample_of_row is None else np.array(self.sample_of_row),
        )


class FrameDocument(BaseModel):
    """`frame.json`: everything that is needed to go from a pixel back to the uploaded file, to two-way travel time and to
    a place on the ice.

    Three grids lie over each other: the picture (`width` columns x `height` rows), the echogram that the reader made of
    the file (`traces` x `samples`), and the echogram as it lies in the file (`file_traces` x `file_samples`). `framing`
    leads from the picture to the echogram, `origin` from there to the file; where nothing was cut from the file,
    shifted or resampled, the last two are the same. Lists over traces have `traces` entries.
    `time_zero_s + sample * dt_s` is the two-way travel time of an echogram's sample in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["firnline.frame/2"] = Field(default="firnline.frame/2", alias="schema")
    frame_id: str
    revision: str
    width: Annotated[int, Field(ge=2)]
    height: Annotated[int, Field(ge=2)]
    traces: Annotated[int, Field(ge=2)]
    samples: Annotated[int, Field(ge=2)]
    file_traces: Annotated[int, Field(ge=2)]
    file_samples: Annotated[int, Field(ge=2)]
    framing: Framing
    origin: FileOrigin = FileOrigin()
    format: str
    polarity: Polarity
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

    @model_validator(mode="before")
    @classmethod
    def _of_before_framing(cls, data: Any) -> Any:
        """`firnline.frame/1` had one grid for picture, echogram and file."""
        if not isinstance(data, dict) or data.get("schema") != "firnline.frame/1":
            return data
        width, height = data.get("width"), data.get("height")
        return data | {
            "schema": "firnline.frame/2", "traces": width, "samples": height, "file_traces": width,
            "file_samples": height, "framing": {"rows": height, "columns": width},
        }  # fmt: skip

    @model_validator(mode="after")
    def _sizes_agree(self) -> "FrameDocument":
        if (self.framing.columns, self.framing.rows) != (self.width, self.height):
            raise ValueError("the framing speaks of a picture of another size")
        for name in ("gps_time_s", "latitude", "longitude", "elevation_m", "surface_twtt_s", "bed_twtt_s"):
            values = getattr(self, name)
            if values is not None and len(values) != self.traces:
                raise ValueError(f"{name} has {len(values)} values for {self.traces} traces")
        return self

    @classmethod
    def of_whole_file(cls, width: int, height: int, **others: Any) -> "FrameDocument":
        """A frame whose picture is the uploaded file, pixel by pixel."""
        framing = Framing(rows=height, columns=width)
        sizes: dict[str, Any] = {"traces": width, "samples": height, "file_traces": width, "file_samples": height}
        return cls(width=width, height=height, framing=framing, **sizes, **others)

    def in_file(self, column: np.ndarray | float, row: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """(trace, sample) in the uploaded file of positions in the picture; floats, zero-based, whole at centres."""
        return self.origin.to_origin().to_file(self.framing.trace_of(column), self.framing.sample_of(row))

    def on_picture(self, trace: np.ndarray | float, sample: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """(column, row) in the picture of positions in the uploaded file: the inverse of `in_file`."""
        trace, sample = self.origin.to_origin().from_file(trace, sample)
        return self.framing.column_of(trace), self.framing.row_of(sample)

    def to_json(self) -> bytes:
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()
