"""Annotations beside a frame: layers documents, tables of rows, masks and layer files.

`read_picks` reads any of them in traces and samples of the uploaded file; `document_of` turns rows into a layers document.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from pydantic import ValidationError

from firnline.documents.frame import FrameDocument
from firnline.documents.layer_lines import fitting
from firnline.documents.layers import ImageSize, Layer, LayersDocument, Source, Vertex, order_by_depth
from firnline.documents.origin import Origin
from firnline.documents.placement import on_picture, rows_on_picture
from firnline.errors import Refused
from firnline.geometry import corners, depth_order, first_crossing, majority_order, pieces
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_DOCUMENT_VERTICES, MAX_LAYERS, MAX_PICKS
from firnline.radar.formats import DAMAGED
from firnline.radar.guard import BeyondLimits, within_limits
from firnline.radar.layer_files import label_by_depth, on_traces, read_layer_file
from firnline.radar.pick_masks import read_mask
from firnline.radar.pick_tables import read_table
from firnline.radar.radar_frame import Picks

_LONGEST_BRIDGE = 5
"""A line goes straight over gaps of at most this many traces. `firnline.layers/1` has no mark for a gap: a layer with
longer gaps becomes one polyline of the same label for each of its pieces."""

_CONTRADICTING_SHARE = 0.1
_DECIMALS = 3
_TRACES_AT_ONCE = 2_048
_CPU_S, _MEMORY_BYTES = 10, 900_000_000
"""Computing time, s, and memory, bytes, that reading an annotation may take."""


@dataclass(frozen=True)
class Geometry:
    """What has to be known of the file that an annotation belongs to: its size, `traces` x `samples`, and how a time
    leads to one of its samples. `gps_time_s` is (traces,), NaN where unknown; `dt_s` and `time_zero_s` are those of the rows
    from which `origin` leads to the file's samples.
    """

    traces: int
    samples: int
    gps_time_s: np.ndarray | None = None
    dt_s: float | None = None
    time_zero_s: float | None = None
    origin: Origin = field(default_factory=Origin)

    @classmethod
    def of(cls, frame: FrameDocument) -> "Geometry":
        clock = None if frame.gps_time_s is None else np.array(frame.gps_time_s, dtype=float)
        origin = frame.origin.to_origin()
        return cls(frame.file_traces, frame.file_samples, clock, frame.dt_s, frame.time_zero_s, origin)


def read_annotation(
    content: bytes, suffix: str, frame: FrameDocument, created: datetime, organiser: bytes | None = None
) -> LayersDocument:
    """The annotation as a layers document of `frame`; nothing but `Refused` is raised over its content.

    `suffix` is one of `firnline.documents.upload_key.ANNOTATION_SUFFIXES`; `created` is when it was uploaded; `organiser` is the
    content of the `layer_<segment>.mat` beside a layer file. A layers document says itself what it covers; all other
    forms are partial.
    """
    if suffix == ".layers.json":
        with _in_a_sentence(suffix):
            return _document(content, frame, created)
    return annotation_of(read_picks(content, suffix, Geometry.of(frame), organiser), suffix, frame, created)


def annotation_of(picks: Picks, suffix: str, frame: FrameDocument, created: datetime) -> LayersDocument:
    """What `read_picks` found in an annotation as a layers document of `frame`; arguments as of `read_annotation`."""
    with _in_a_sentence(suffix):
        # Gaps are bridged in the file: on the picture, the columns of sparse picks would hold too few of them.
        reach = int(np.ceil(_LONGEST_BRIDGE * frame.framing.traces_per_column))
        rows = rows_on_picture(_bridged(picks.rows, reach), frame)
        if not np.isfinite(rows).any() and np.isfinite(picks.rows).any():
            raise Refused("its lines lie where the frame holds no echo, outside the part of it that is shown")
        return document_of(Picks(picks.labels, rows, picks.coverage), frame, created)


def read_picks(content: bytes, suffix: str, geometry: Geometry, organiser: bytes | None = None) -> Picks:
    """The annotation as rows of the uploaded file: sample indices at each of its traces.

    Nothing but `Refused` is raised over its content; arguments as of `read_annotation`.
    """
    if suffix in (".layers.csv", ".layers.json"):
        return _read_picks(content, suffix, geometry, organiser)
    try:  # libhdf5 and Pillow may hang over broken bytes, and only another process can end that
        return within_limits(lambda: _read_picks(content, suffix, geometry, organiser), _CPU_S, _MEMORY_BYTES)
    except BeyondLimits as beyond:
        raise Refused(
            f"The annotation *{suffix} was not taken: it is damaged, or holds far more than lines on {geometry.traces} "
            "traces can; save it again."
        ) from beyond


def _read_picks(content: bytes, suffix: str, geometry: Geometry, organiser: bytes | None) -> Picks:
    traces, samples = geometry.traces, geometry.samples
    with _in_a_sentence(suffix):
        if not content:
            raise Refused("it is empty; save it again")
        if suffix == ".layers.csv":
            return read_table(content, traces, samples)
        if suffix == ".layers.png":
            return read_mask(content, traces, samples)
        if suffix == ".layers.mat":
            return _layer_file(content, geometry, organiser)
        document = _checked_document(content, (traces, samples))
        return Picks([layer.label for layer in document.layers], document.rows(), document.coverage)


@contextmanager
def _in_a_sentence(suffix: str) -> Iterator[None]:
    """Turn whatever an annotation's content raises into `Refused`, with a sentence that begins with its suffix."""
    try:
        yield
    except Refused as refusal:
        raise Refused(f"The annotation *{suffix} was not taken: {str(refusal).rstrip('.')}.") from refusal
    except ValidationError as error:
        raise Refused(f"The annotation *{suffix} was not taken: {_first_problem(error)}.") from error
    except DAMAGED as error:
        raise Refused(f"The annotation *{suffix} is damaged and could not be read; save it again.") from error


def document_of(picks: Picks, frame: FrameDocument, created: datetime) -> LayersDocument:
    """The layers document that rows of `frame`'s picture make, partial unless the picks say otherwise. Raises
    ValidationError where the layers cross, `Refused` for too many.

    Where picks contradict each other in a few traces (the bed above the surface), none of them is taken there. A pick
    without a neighbour near enough makes no line, and is left out. The document is small enough for all who read it.
    """
    if len(picks.labels) > MAX_LAYERS or picks.rows.size > MAX_PICKS:
        raise Refused(
            f"it has {len(picks.labels)} lines; at most {min(MAX_LAYERS, MAX_PICKS // frame.width)} can be taken"
        )
    rows = picks.rows.reshape(len(picks.labels), frame.width)
    rows = _without_contradictions(_bridged(rows, _LONGEST_BRIDGE))
    drawn = [
        (label, np.column_stack([run, row[run]]))
        for label, row in zip(picks.labels, rows, strict=True)
        for run in pieces(row, _LONGEST_BRIDGE)
    ]
    if not drawn and not (picks.coverage == "complete" and not picks.labels):
        raise Refused("it has no line of at least two traces; draw at least one layer")
    if len(drawn) > MAX_LAYERS:
        raise Refused(f"it has {len(drawn)} pieces of lines; at most {MAX_LAYERS} can be taken, so draw longer ones")
    lines = [line[corners(line)].round(_DECIMALS) for _, line in drawn]
    if sum(map(len, lines)) > MAX_DOCUMENT_VERTICES:
        _check_order([line for _, line in drawn], frame.width)
    lines = fitting(lines)
    layers = [
        Layer(label=label, vertices=[Vertex(x=x, y=y) for x, y in line.tolist()])
        for (label, _), line in zip(drawn, lines, strict=True)
    ]
    return LayersDocument(
        frame_id=frame.frame_id,
        image=ImageSize(width=frame.width, height=frame.height),
        source=Source(kind="import", created=created),
        coverage=picks.coverage,
        layers=order_by_depth(layers, frame.width),
    )


def _check_order(lines: list[np.ndarray], width: int) -> None:
    """`Refused` if lines cross, before time is spent on making them simpler."""
    if len(lines) * width > MAX_PICKS:
        raise Refused(
            f"it has {len(lines)} pieces of lines; at most {MAX_PICKS // width} can be taken on {width} traces"
        )
    rows = np.full((len(lines), width), np.nan)
    for row, line in zip(rows, lines, strict=True):
        row[line[:, 0].astype(int)] = line[:, 1]
    order = depth_order(rows)
    crossing = first_crossing(rows[order])
    if crossing is not None:
        raise Refused(f"lines cross at trace {crossing[2]}; layers must lie in one order of depth all along")


def _document(content: bytes, frame: FrameDocument, created: datetime) -> LayersDocument:
    file, picture = (frame.file_traces, frame.file_samples), (frame.width, frame.height)
    document = _checked_document(content, file, picture)
    if document.frame_id not in ("", frame.frame_id):
        raise Refused(f"it belongs to the frame '{document.frame_id[:200]}'; upload it beside that one")
    document = document.model_copy(
        update={"frame_id": frame.frame_id, "source": Source(kind="import", created=created)}, deep=True
    )
    if (document.image.width, document.image.height) == file:
        document = on_picture(document, frame)
    if sum(len(layer.vertices) for layer in document.layers) <= MAX_DOCUMENT_VERTICES // 2:
        return document
    lines = fitting([np.array([(v.x, v.y) for v in layer.vertices]).round(_DECIMALS) for layer in document.layers])
    layers = [
        Layer(label=layer.label, confidence=layer.confidence, vertices=[Vertex(x=x, y=y) for x, y in line.tolist()])
        for layer, line in zip(document.layers, lines, strict=True)
    ]
    return LayersDocument.model_validate({**dict(document), "layers": layers})


def _checked_document(content: bytes, *sizes: tuple[int, int]) -> LayersDocument:
    """A document drawn on one of `sizes`, each (traces, samples): the file's, or the picture's that Firnline shows."""
    if not content:
        raise Refused("it is empty; save it again")
    if len(content) > MAX_DOCUMENT_BYTES:
        raise Refused(
            f"it has {len(content) / 1e6:.1f} MB, and a layers document at most {MAX_DOCUMENT_BYTES / 1e6:.1f}; leave out "
            "vertices on straight parts of the lines"
        )
    document = LayersDocument.model_validate_json(content)
    if (document.image.width, document.image.height) not in sizes:
        shown = " and its picture ".join(f"{traces} x {samples}" for traces, samples in dict.fromkeys(sizes))
        raise Refused(
            f"it was drawn on {document.image.width} x {document.image.height} pixels, but the frame has "
            f"{shown}; draw it on the frame as it was uploaded"
        )
    return document


def _layer_file(content: bytes, geometry: Geometry, organiser: bytes | None) -> Picks:
    """A layer file's lines, interpolated on GPS time to the frame's traces."""
    points = read_layer_file(content, organiser)
    if geometry.gps_time_s is None or geometry.dt_s is None or geometry.time_zero_s is None:
        raise Refused("the frame says nothing of its GPS times or fast time, so layer times cannot be placed on it")
    if len(points.labels) * geometry.traces > MAX_PICKS:
        raise Refused(
            f"it has {len(points.labels)} layers; at most {MAX_PICKS // geometry.traces} can be taken on "
            f"{geometry.traces} traces"
        )
    rows = on_traces(points, np.asarray(geometry.gps_time_s, dtype=float))
    rows -= geometry.time_zero_s
    rows /= geometry.dt_s
    rows = geometry.origin.to_file(np.arange(rows.shape[1]), rows)[1]
    with np.errstate(invalid="ignore"):
        rows[~((rows >= -0.5) & (rows <= geometry.samples - 0.5))] = np.nan
    if not np.isfinite(rows).any():
        raise Refused("none of its layers lies on the frame: its times are another flight's or outside the fast time")
    return Picks(label_by_depth(points.labels, rows, points.named), rows)


def _bridged(rows: np.ndarray, longest: int) -> np.ndarray:
    """Rows (layers, traces) with straight lines over gaps of at most `longest` traces."""
    bridged = rows.copy()
    traces = np.arange(rows.shape[1])
    for row in bridged:
        picked = np.flatnonzero(np.isfinite(row))
        if picked.size < 2:
            continue
        place = np.clip(np.searchsorted(picked, traces, side="right"), 1, picked.size - 1)
        gap = (picked[place] - picked[place - 1] <= longest + 1) & (traces > picked[0]) & (traces < picked[-1])
        gap &= ~np.isfinite(row)
        row[gap] = np.interp(traces[gap], picked, row[picked])
    return bridged


def _without_contradictions(rows: np.ndarray) -> np.ndarray:
    """Blank picks (layers, traces) in the few traces where two layers are out of their usual order.

    Out of order is a pick above a layer that mostly lies above it, or below one that mostly lies below it. A layer that
    would lose more than a share of its picks is left as it is.
    """
    if len(rows) < 2:
        return rows
    order = majority_order(rows)
    contradicting = np.empty(rows.shape, dtype=bool)
    for start in range(0, rows.shape[1], _TRACES_AT_ONCE):
        block = slice(start, start + _TRACES_AT_ONCE)
        ordered = rows[order, block]
        deepest_above = np.fmax.accumulate(ordered, axis=0)
        highest_below = np.fmin.accumulate(ordered[::-1], axis=0)[::-1]
        contradicting[order, block] = (ordered < deepest_above) | (ordered > highest_below)
    few = contradicting.sum(axis=1) <= _CONTRADICTING_SHARE * np.isfinite(rows).sum(axis=1)
    contradicting[~few] = False
    return np.where(contradicting, np.nan, rows)


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
