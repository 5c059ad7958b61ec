"""`frame.json`, the document that goes with a frame's picture (`firnline.frame/2`)."""

from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from firnline.documents.framing import Framing
from firnline.documents.origin import Origin
from firnline.documents.polarity import Polarity


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
