"""What `firnline inspect` says of a file: how Firnline reads it, without a stack.

A file goes through the same functions as in `ingest_frame`, from its name to its `frame.json`.
"""

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import ImageSize, LayersDocument, now
from firnline.documents.placement import samples_in_file
from firnline.documents.polarity import PICTURE_FORMATS, Polarity
from firnline.documents.upload_key import (
    ANNOTATION_SUFFIXES,
    UploadKey,
    organiser_beside,
    parse_upload_key,
    revision_of,
)
from firnline.errors import Refused
from firnline.geometry import Label, depth_order
from firnline.limits import MAX_ANNOTATION_BYTES, MAX_DOCUMENT_BYTES, MAX_FILE_BYTES
from firnline.radar.annotations import Geometry, annotation_of, read_annotation, read_picks
from firnline.radar.description import Source, described, picked_inside
from firnline.radar.formats import read_frame
from firnline.radar.picture import Picture
from firnline.radar.radar_frame import Picks, RadarFrame
from firnline.store.bucket import SPLIT_FRAME, too_large
from workbench.uploads import key_of

_STOOD_STILL = "Reading the file stood still, which is no fault of the file: inspect it again when less is running."


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InspectedFraming(_Told):
    """`firnline.documents.framing.Framing`, counted in the file's own traces and samples."""

    first_sample: float
    samples_per_row: float
    first_trace: float
    traces_per_column: float
    rows: int
    columns: int


class InspectedLayer(_Told):
    """A layer in the file's own traces and samples; `traces` counts those with a pick."""

    label: Label
    traces: int
    first_trace: int
    last_trace: int
    mean_sample: float


class Inspection(_Told):
    """What Firnline makes of a file; None for what the file does not tell, or what a refusal left unread."""

    file: str
    outcome: Literal["accepted", "refused"]
    sentence: str | None = None
    format: str | None = None
    traces: int | None = None
    samples: int | None = None
    polarity: Polarity | None = None
    dt_s: float | None = None
    time_zero_s: float | None = None
    gps_time_first_s: float | None = None
    gps_time_last_s: float | None = None
    latitude_min: float | None = None
    latitude_max: float | None = None
    longitude_min: float | None = None
    longitude_max: float | None = None
    positions_unknown: bool | None = None
    missing_samples: int | None = None
    notes: list[str] = []
    framing: InspectedFraming | None = None
    layers: list[InspectedLayer] = []


@dataclass(frozen=True)
class Inspected:
    """An inspection and what it rests on; `frame`, `picture` and `document` are None where the frame was refused.

    `drawn` are the annotation's layers as they lie on the picture.
    """

    told: Inspection
    frame: RadarFrame | None = None
    picture: Picture | None = None
    document: FrameDocument | None = None
    drawn: LayersDocument | None = None


class _Drawn(BaseModel):
    """What must be known of a layers document before it is read."""

    frame_id: str = ""
    image: ImageSize


def inspect(file: Path, polarity: Polarity | None = None, layer_file: Path | None = None) -> Inspected:
    """Read a frame as `ingest_frame` would, and the annotation `layer_file` as if it lay beside the frame.

    Never raises over what the files hold.
    """
    try:
        key, content = _read(file)
        frame = read_frame(content, polarity)
    except Refused as refusal:
        return Inspected(Inspection(file=_printable(file), outcome="refused", sentence=str(refusal)))
    except TimeoutError:
        return Inspected(Inspection(file=_printable(file), outcome="refused", sentence=_STOOD_STILL))
    source = Source("", str(file), None, now(), hashlib.sha256(content).hexdigest())
    picture, document = described(frame, key.frame_id, revision_of(content, polarity), source)
    del content
    told = _of_frame(file, frame, document)
    notes = list(told.notes)
    if polarity and frame.format not in PICTURE_FORMATS:
        notes.append("the polarity given makes no difference: its numbers say themselves what is strong")
    try:
        if layer_file is None:
            picks, drawn = _inside(frame, document, notes), None
        else:
            picks, drawn = _beside(layer_file, key.stem, document, notes)
    except (Refused, TimeoutError) as error:
        sentence = str(error) if isinstance(error, Refused) else _STOOD_STILL
        told = told.model_copy(update={"outcome": "refused", "sentence": sentence, "notes": notes})
        return Inspected(told, frame, picture, document)
    told = told.model_copy(update={"notes": notes, "layers": _layers(picks)})
    return Inspected(told, frame, picture, document, drawn)


def _printable(file: Path) -> str:
    """A path as text, even if its name is no valid text."""
    return str(file).encode(errors="surrogateescape").decode(errors="replace")


def _read(file: Path) -> tuple[UploadKey, bytes]:
    """What a file's name says, and its bytes; `Refused` for what ingest would not open."""
    size = _size(file)
    key = parse_upload_key(key_of(file, "inspected"))
    if key.is_annotation:
        raise Refused(f"'{file.name}' is an annotation: give the frame that it belongs to, and this file with --with.")
    if key.is_organiser:
        raise Refused(
            f"'{file.name}' names the layers of layer files and holds no frame: it is read where it lies beside the "
            "layer file that is given with --with."
        )
    return key, _content(file, size, MAX_FILE_BYTES)


def _size(file: Path) -> int:
    """The size of a file in bytes; `Refused` for what is no file."""
    try:
        found = file.stat()
    except FileNotFoundError:
        raise Refused(f"There is no file '{file}': check its name and folder.") from None
    except OSError as error:
        raise Refused(f"'{file}' cannot be opened ({error.strerror}): check its name and permissions.") from error
    if stat.S_ISDIR(found.st_mode):
        raise Refused(f"'{file}' is a folder: give the files in it.")
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"'{file}' is a device or a pipe: save what it gives as a file.")
    return found.st_size


def _content(file: Path, size: int, limit: int) -> bytes:
    if size > limit:
        raise too_large(file.name, size, limit, SPLIT_FRAME)
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"'{file}' cannot be opened ({error.strerror}): check its permissions.") from error


def _of_frame(file: Path, frame: RadarFrame, document: FrameDocument) -> Inspection:
    gps_first, gps_last = _ends(frame.gps_time_s)
    latitude, longitude = _range(frame.latitude), _range(frame.longitude)
    framing = document.framing
    return Inspection(
        file=_printable(file),
        outcome="accepted",
        format=document.format,
        traces=document.file_traces,
        samples=document.file_samples,
        polarity=document.polarity,
        dt_s=document.dt_s,
        time_zero_s=document.time_zero_s,
        gps_time_first_s=gps_first,
        gps_time_last_s=gps_last,
        latitude_min=latitude[0],
        latitude_max=latitude[1],
        longitude_min=longitude[0],
        longitude_max=longitude[1],
        positions_unknown=frame.positions_unknown,
        missing_samples=frame.missing_samples,
        notes=document.transforms,
        framing=InspectedFraming(
            first_sample=document.origin.first_sample + framing.first_sample,
            samples_per_row=framing.samples_per_row,
            first_trace=document.origin.first_trace + framing.first_trace,
            traces_per_column=framing.traces_per_column,
            rows=framing.rows,
            columns=framing.columns,
        ),
    )


def _known(values: np.ndarray | None) -> np.ndarray:
    values = np.empty(0) if values is None else np.asarray(values, float)
    return values[np.isfinite(values)]


def _ends(values: np.ndarray | None) -> tuple[float | None, float | None]:
    """The first and the last known value."""
    known = _known(values)
    return (float(known[0]), float(known[-1])) if known.size else (None, None)


def _range(values: np.ndarray | None) -> tuple[float | None, float | None]:
    known = _known(values)
    return (float(known.min()), float(known.max())) if known.size else (None, None)


def _inside(frame: RadarFrame, document: FrameDocument, notes: list[str]) -> Picks:
    """The picks inside the file, at its own traces and samples; a note where they could not be taken."""
    if frame.picks is None:
        return Picks([], np.empty((0, document.file_traces)))
    rows = np.atleast_2d(frame.picks.rows)
    first = round(frame.origin.first_trace)
    samples = np.full((len(rows), document.file_traces), np.nan)
    samples[:, first : first + rows.shape[1]] = frame.origin.to_file(np.arange(rows.shape[1]), rows)[1]
    try:
        picked_inside(frame, document)
    except Refused as refusal:
        notes.append(str(refusal))
    return Picks(frame.picks.labels, samples)


def _beside(
    layer_file: Path, frame_stem: str, document: FrameDocument, notes: list[str]
) -> tuple[Picks, LayersDocument]:
    """An annotation's layers in the file's own traces and samples, and on the picture. Raises `Refused`."""
    suffix = annotation_suffix(layer_file)
    content = _content(layer_file, _size(layer_file), MAX_ANNOTATION_BYTES)
    if layer_file.name.lower() != f"{frame_stem}{suffix}".lower():
        notes.append(f"the annotation counts under the name {frame_stem}{suffix}: give it that name for the upload")
    if suffix == ".layers.json":
        return _drawn_layers(content, document, frame_stem)
    organiser = _organiser(layer_file, notes) if suffix == ".layers.mat" else None
    picks = read_picks(content, suffix, Geometry.of(document), organiser)
    return picks, annotation_of(picks, suffix, document, document.created)


def annotation_suffix(layer_file: Path) -> str:
    """The one of `ANNOTATION_SUFFIXES` that a file's name ends with; `Refused` if there is none."""
    name = layer_file.name.lower()
    for shortened in ("", ".layers"):
        for suffix in ANNOTATION_SUFFIXES:
            if name.endswith(suffix.removeprefix(shortened)):
                return suffix
    raise Refused(
        f"'{layer_file.name}' is of no kind of annotation that Firnline reads: give a .json, .csv, .mat or .png."
    )


def _drawn_layers(content: bytes, document: FrameDocument, frame_stem: str) -> tuple[Picks, LayersDocument]:
    """A layers document, drawn on the file or on its picture.

    Which campaign and segment the frame will be uploaded to is not known here: the document may name any.
    """
    try:
        stated = _Drawn.model_validate_json(content[: MAX_DOCUMENT_BYTES + 1])
    except ValidationError:
        stated = None
    if stated and stated.frame_id.rpartition("/")[2] == frame_stem:
        document = document.model_copy(update={"frame_id": stated.frame_id})
    drawn = read_annotation(content, ".layers.json", document, document.created)
    if stated and (stated.image.width, stated.image.height) == (document.file_traces, document.file_samples):
        return read_picks(content, ".layers.json", Geometry.of(document)), drawn
    return Picks([layer.label for layer in drawn.layers], samples_in_file(drawn, document)), drawn


def _organiser(layer_file: Path, notes: list[str]) -> bytes | None:
    """The content of the organiser that lies beside a layer file, found as ingest finds it."""
    folder = layer_file.resolve().parent
    try:
        files = sorted(file.name for file in folder.iterdir() if file.is_file() and file.name != layer_file.name)
    except OSError as error:
        raise Refused(f"The folder of '{layer_file}' cannot be listed ({error.strerror}).") from error
    found = organiser_beside(layer_file.name, folder.name, files)
    if found is None:
        return None
    notes.append(f"the layers are named by {found} beside the layer file")
    return _content(folder / found, _size(folder / found), MAX_ANNOTATION_BYTES)


def _layers(picks: Picks) -> list[InspectedLayer]:
    """The layers that have a pick, from above to below."""
    samples = np.atleast_2d(picks.rows)
    picked = [index for index in range(len(picks.labels)) if np.isfinite(samples[index]).any()]
    if not picked:
        return []
    layers = []
    for index in (picked[place] for place in depth_order(samples[picked])):
        where = np.flatnonzero(np.isfinite(samples[index]))
        layers.append(
            InspectedLayer(
                label=picks.labels[index],
                traces=int(where.size),
                first_trace=int(where[0]),
                last_trace=int(where[-1]),
                mean_sample=float(samples[index, where].mean()),
            )
        )
    return layers
