"""Annotations beside a frame: layers documents, tables of rows, masks and Open Polar Radar layer files."""

import csv
import io
import itertools
import re
import warnings
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import numpy as np
from PIL import Image
from pydantic import ValidationError

from firnline.errors import Refused
from firnline.frames import FrameDocument
from firnline.layers import MAX_LAYERS, ImageSize, Label, Layer, LayersDocument, Source, Vertex, order_by_depth
from firnline.radar.formats import DAMAGED
from firnline.radar.radar_frame import Picks
from firnline.radar.variables import is_hdf5, is_matlab5, open_variables

MAX_ANNOTATION_BYTES = 50_000_000

_LONGEST_BRIDGE = 5
"""A line goes straight over gaps of at most this many traces. `firnline.layers/1` has no mark for a gap: a layer with
longer gaps becomes one polyline of the same label for each of its pieces."""

_CONTRADICTING_SHARE = 0.1
_COLUMN = re.compile(r"(surface|bed|layer)(?:_?(\d{1,4}))?_row\Z")
_OPR_LABELS: dict[int, Label] = {1: "surface", 2: "bed"}


def read_annotation(content: bytes, suffix: str, frame: FrameDocument, created: datetime) -> LayersDocument:
    """The annotation as a layers document of `frame`; nothing but `Refused` is raised over its content.

    `suffix` is one of `firnline.frames.ANNOTATION_SUFFIXES`; `created` is when it was uploaded. A layers document says
    itself what it covers; all other forms are partial.
    """
    readers: dict[str, Callable[[bytes, FrameDocument], Picks]] = {
        ".layers.csv": _table, ".layers.png": _mask, ".layers.mat": _layer_file,
    }  # fmt: skip
    try:
        if not content:
            raise Refused("it is empty; save it again")
        if suffix == ".layers.json":
            return _document(content, frame, created)
        return document_of(readers[suffix](content, frame), frame, created)
    except Refused as refusal:
        raise Refused(f"The annotation *{suffix} was not taken: {str(refusal).rstrip('.')}.") from refusal
    except ValidationError as error:
        raise Refused(f"The annotation *{suffix} was not taken: {_first_problem(error)}.") from error
    except DAMAGED as error:
        raise Refused(f"The annotation *{suffix} is damaged and could not be read; save it again.") from error


def document_of(picks: Picks, frame: FrameDocument, created: datetime) -> LayersDocument:
    """The partial layers document that picked rows make. Raises ValidationError where the layers cross, `Refused` for
    too many.

    Where two picks contradict each other in a few traces (the bed above the surface), neither is taken there. A pick
    without a neighbour within reach is no line, and is left out.
    """
    rows = np.array([_bridged(row) for row in picks.rows]).reshape(len(picks.labels), frame.width)
    layers = [
        Layer(label=label, vertices=[Vertex(x=float(x), y=float(row[x])) for x in _corners(run, row)])
        for label, row in zip(picks.labels, _without_contradictions(rows), strict=True)
        for run in _runs(row)
    ]
    if not layers:
        raise Refused("it has no line of at least two traces; draw at least one layer")
    if len(layers) > MAX_LAYERS:
        raise Refused(f"it has {len(layers)} pieces of lines; at most {MAX_LAYERS} can be taken, so draw longer ones")
    return LayersDocument(
        frame_id=frame.frame_id,
        image=ImageSize(width=frame.width, height=frame.height),
        source=Source(kind="import", created=created),
        coverage="partial",
        layers=order_by_depth(layers, frame.width),
    )


def _document(content: bytes, frame: FrameDocument, created: datetime) -> LayersDocument:
    document = LayersDocument.model_validate_json(content)
    if document.frame_id not in ("", frame.frame_id):
        raise Refused(f"it belongs to the frame '{document.frame_id}'; upload it beside that one")
    if (document.image.width, document.image.height) != (frame.width, frame.height):
        raise Refused(
            f"it was drawn on {document.image.width} x {document.image.height} pixels, but the frame has "
            f"{frame.width} x {frame.height}; draw it on the frame as it was uploaded"
        )
    return document.model_copy(
        update={"frame_id": frame.frame_id, "source": Source(kind="import", created=created)}, deep=True
    )


def _table(content: bytes, frame: FrameDocument) -> Picks:
    """CSV with a column `<label>_row` for each layer: surface_row, bed_row, layer_row, layer1_row, layer_2_row ...

    Blank or NaN = not picked. A column `col` numbers the traces from 0; without it, the lines do. Other columns are
    ignored.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("it is no text in UTF-8; save it as CSV (UTF-8)") from None
    lines = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        columns = [(place, match) for place, name in enumerate(header) if (match := _COLUMN.match(name))]
        if not columns or len(columns) > MAX_LAYERS:
            raise Refused(
                f"its first line names no column like surface_row, bed_row or layer1_row, or over {MAX_LAYERS}"
            )
        rows = np.full((len(columns), frame.width), np.nan)
        seen: set[int] = set()
        trace_place = header.index("col") if "col" in header else None
        for number, line in enumerate(line for line in lines if any(cell.strip() for cell in line)):
            where = f"line {lines.line_num}"
            trace = number if trace_place is None else _integer(line, trace_place, where)
            if not 0 <= trace < frame.width:
                raise Refused(f"{where} is for trace {trace}, but the frame has traces 0 to {frame.width - 1}")
            if trace in seen:
                raise Refused(f"{where} is for trace {trace}, which had a line before; keep one of them")
            seen.add(trace)
            for index, (place, match) in enumerate(columns):
                rows[index, trace] = _row(line, place, f"{where}, {match.group()}", frame.height)
    except csv.Error as error:
        raise Refused(f"it is no CSV table ({error}); save it as CSV with commas") from error
    return Picks([match.group(1) for _, match in columns], rows)  # type: ignore[misc]


def _integer(line: list[str], place: int, where: str) -> int:
    try:
        return int(line[place])
    except (IndexError, ValueError):
        raise Refused(f"{where} has no whole number under 'col'; number the traces from 0") from None


def _row(line: list[str], place: int, where: str, height: int) -> float:
    cell = line[place].strip() if place < len(line) else ""
    try:
        row = float(cell or "nan")
    except ValueError:
        raise Refused(
            f"{where} holds '{cell[:20]}'; a row must be a number, or blank where nothing was picked"
        ) from None
    if not (np.isnan(row) or -0.5 <= row <= height - 0.5):
        raise Refused(f"{where} is row {row:g}, but the frame has rows 0 to {height - 1}")
    return row


def _mask(content: bytes, frame: FrameDocument) -> Picks:
    """Every connected line of a mask (> 0) as one row per trace: the middle of its pixels there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(content), formats=["PNG"])
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
            raise Refused(
                "it unpacks to far more pixels than the frame has; save the mask in the frame's size"
            ) from bomb
    with image:
        if image.size != (frame.width, frame.height):
            raise Refused(
                f"the mask has {image.width} x {image.height} pixels, but the frame has {frame.width} x "
                f"{frame.height}; save it in the frame's size"
            )
        grey = image.mode in ("1", "L") or image.mode.startswith("I")
        drawn = np.asarray(image if grey else image.convert("RGB").convert("L")) > 0
    if drawn.mean() > 0.5:
        raise Refused("more than half of the mask is drawn; only the lines may be brighter than 0")
    crowded = int((np.diff(drawn.astype(np.int8), axis=0, prepend=0) > 0).sum(axis=0).max())
    if crowded > MAX_LAYERS:
        raise Refused(f"the mask has {crowded} lines over one another; at most {MAX_LAYERS} can be taken")
    lines = _follow_lines(drawn)
    if len(lines) > MAX_LAYERS:
        raise Refused(f"the mask has {len(lines)} lines; at most {MAX_LAYERS} can be taken, so join or remove some")
    rows = np.full((len(lines), frame.width), np.nan)
    for row, line in zip(rows, lines, strict=True):
        for trace, middle in line:
            row[trace] = middle
    return Picks(["layer"] * len(lines), rows)


def _follow_lines(drawn: np.ndarray) -> list[list[tuple[int, float]]]:
    """Lines of a (rows, traces) mask as lists of (trace, middle row), at least two traces long.

    In each trace the drawn rows form runs; a run continues the line of the run that it touches in the trace before,
    diagonals included. Where lines meet or part, they end and new ones begin, so that none runs through the middle
    between two.
    """
    lines: list[list[tuple[int, float]]] = []
    before: list[tuple[int, int, list[tuple[int, float]]]] = []
    for trace in range(drawn.shape[1]):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], drawn[:, trace].astype(np.int8), [0])))).tolist()
        tops, bottoms = [top for top, _, _ in before], [bottom for _, bottom, _ in before]
        runs = [(top, end - 1) for top, end in zip(edges[::2], edges[1::2], strict=True)]
        touching = [range(bisect_left(bottoms, top - 1), bisect_right(tops, bottom + 1)) for top, bottom in runs]
        touched = Counter(number for numbers in touching for number in numbers)
        here = []
        for (top, bottom), numbers in zip(runs, touching, strict=True):
            if len(numbers) == 1 and touched[numbers[0]] == 1:
                line = before[numbers[0]][2]
            else:
                lines.append(line := [])
            line.append((trace, (top + bottom) / 2))
            here.append((top, bottom, line))
        before = here
    return [line for line in lines if len(line) >= 2]


def _layer_file(content: bytes, frame: FrameDocument) -> Picks:
    """An Open Polar Radar layer file: `twtt` (layers x points) at `gps_time`, interpolated to the frame's traces.

    `id` 1 is the surface and 2 the bed, as in every season of Open Polar Radar; the others are internal layers.
    """
    if not (is_matlab5(content) or is_hdf5(content)):
        raise Refused("it is no MATLAB file; save it with -v7 or -v7.3")
    if frame.gps_time_s is None or frame.dt_s is None or frame.time_zero_s is None:
        raise Refused("the frame says nothing of its GPS times or fast time, so layer times cannot be placed on it")
    variables = open_variables(content)
    arrays = {name: variables.array(name) for name in ("gps_time", "twtt", "id")}
    for name, values in arrays.items():
        if values is None:
            raise Refused(f"the variable '{name}' is missing or empty; save the layer file with it")
    gps_time, twtt, ids = (np.array(values, dtype=float) for values in arrays.values())
    gps_time, ids, twtt = gps_time.ravel(), ids.ravel(), np.atleast_2d(twtt)
    if twtt.shape != (ids.size, gps_time.size) or ids.size > MAX_LAYERS:
        raise Refused(
            f"'twtt' is {twtt.shape[0]} x {twtt.shape[1]}, but there are {ids.size} layers (at most {MAX_LAYERS}) and "
            f"{gps_time.size} times; save them so that they belong together"
        )
    if not np.isfinite(gps_time).all() or (np.diff(gps_time) <= 0).any():
        raise Refused("'gps_time' does not grow from point to point; save the layer file again")
    rows = np.array([
        np.interp(frame.gps_time_s, gps_time, layer, left=np.nan, right=np.nan) for layer in twtt
    ])  # fmt: skip
    rows = (rows - frame.time_zero_s) / frame.dt_s
    rows = np.where((rows >= -0.5) & (rows <= frame.height - 0.5), rows, np.nan)
    if not np.isfinite(rows).any():
        raise Refused("none of its layers lies on the frame: its times are another flight's or outside the fast time")
    return Picks([_OPR_LABELS.get(int(number), "layer") if np.isfinite(number) else "layer" for number in ids], rows)


def _bridged(row: np.ndarray) -> np.ndarray:
    """A layer's row (traces,) with straight lines over gaps of at most `_LONGEST_BRIDGE` traces."""
    picked = np.flatnonzero(np.isfinite(row))
    bridged = row.copy()
    for left, right in itertools.pairwise(picked):
        if 1 < right - left <= _LONGEST_BRIDGE + 1:
            bridged[left:right] = np.interp(np.arange(left, right), [left, right], [row[left], row[right]])
    return bridged


def _without_contradictions(rows: np.ndarray) -> np.ndarray:
    """Blank both of two layers (layers, traces) in the few traces where the one that is mostly above lies below the
    other."""
    kept = rows.copy()
    for first in range(len(rows)):
        for second in range(first + 1, len(rows)):
            difference = rows[second] - rows[first]
            shared = np.isfinite(difference)
            if not shared.any():
                continue
            contradicting = shared & (difference * np.sign(np.median(difference[shared]) or 1.0) < 0)
            if contradicting.mean(where=shared) <= _CONTRADICTING_SHARE:
                kept[[first, second]] = np.where(contradicting, np.nan, kept[[first, second]])
    return kept


def _runs(row: np.ndarray) -> list[np.ndarray]:
    """Trace indices of each piece of a layer, parted by gaps longer than `_LONGEST_BRIDGE`."""
    picked = np.flatnonzero(np.isfinite(row))
    pieces = np.split(picked, np.flatnonzero(np.diff(picked) > _LONGEST_BRIDGE + 1) + 1)
    return [piece for piece in pieces if len(piece) >= 2]


def _corners(run: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The traces at which a line changes its direction: the others lie exactly on it."""
    slopes = np.diff(row[run]) / np.diff(run)
    return run[np.concatenate(([True], np.diff(slopes) != 0, [True]))]


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
