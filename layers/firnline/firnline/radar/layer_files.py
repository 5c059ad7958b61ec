"""Layer files of Open Polar Radar and of the older CReSIS toolbox, and the organiser that names their layers."""

from dataclasses import dataclass

import numpy as np

from firnline.errors import Refused
from firnline.geometry import Label, mostly_below
from firnline.limits import MAX_LAYERS, MAX_PICKS
from firnline.radar.formats import DAMAGED
from firnline.radar.matlab_nested import Value, read_nested

_BY_ID: dict[int, Label] = {1: "surface", 2: "bed"}
"""What the ids mean in every season of Open Polar Radar, as long as nobody has changed them."""
_BY_NAME: dict[str, Label] = {"surface": "surface", "bottom": "bed", "bed": "bed"}
_HOLE = 10
"""A line goes straight over holes between its points of up to this many times their usual distance."""


@dataclass(frozen=True)
class LayerPoints:
    """Layers as their file samples them: `twtt_s` is (layers, points), two-way and in seconds, NaN where not picked.

    `gps_time_s` is (points,), growing. `labels` are None where neither the file nor an organiser names the layer.
    `named`: the labels come from names, not from ids.
    """

    gps_time_s: np.ndarray
    twtt_s: np.ndarray
    labels: list[Label | None]
    named: bool


def read_layer_file(content: bytes, organiser: bytes | None = None) -> LayerPoints:
    """The layers of `Data_<segment>_<frame>.mat`; `organiser` is the content of the `layer_<segment>.mat` beside it."""
    found = read_nested(content, ("gps_time", "twtt", "id", "GPS_time", "layerData"))
    if "layerData" in found:
        return _older(found)
    if "twtt" not in found and "lyr_name" in read_nested(content, ("lyr_name",)):
        raise Refused("it is an organiser, which names layers and holds none; upload the layer file under this name")
    gps_time, twtt, ids = (_numbers(found.get(name), name) for name in ("gps_time", "twtt", "id"))
    gps_time, ids, twtt = gps_time.ravel(), ids.ravel(), np.atleast_2d(twtt)
    if twtt.shape == (gps_time.size, ids.size) and gps_time.size != ids.size:
        twtt = twtt.T
    if twtt.ndim != 2 or twtt.shape != (ids.size, gps_time.size) or ids.size > MAX_LAYERS:
        raise Refused(
            f"'twtt' is {' x '.join(map(str, twtt.shape))}, but there are {ids.size} layers (at most {MAX_LAYERS}) and "
            f"{gps_time.size} times; save them so that they belong together"
        )
    numbers = [int(number) if np.isfinite(number) and abs(number) < 2**31 else -1 for number in ids]
    names = {} if organiser is None else _names(organiser)
    labels = [_label(names[number]) if number in names else None for number in numbers]
    if names:
        return _in_time(gps_time, twtt, labels, named=True)
    return _in_time(gps_time, twtt, [_BY_ID.get(number) for number in numbers], named=False)


def read_organiser(content: bytes) -> dict[int, str]:
    """Layer id → name, of an organiser `layer_<segment>.mat`; `Refused` if it is none."""
    found = read_nested(content, ("lyr_id", "lyr_name"))
    ids, names = found.get("lyr_id"), found.get("lyr_name")
    names = [names] if isinstance(names, str) else names
    if not isinstance(ids, np.ndarray) or not isinstance(names, list) or ids.size != len(names):
        raise Refused("'lyr_id' and 'lyr_name' do not belong together, so the organiser names no layer; save it again")
    return {
        int(number): name.strip()
        for number, name in zip(ids.ravel(order="F"), names, strict=True)
        if np.isfinite(number) and isinstance(name, str)
    }


def label_by_depth(labels: list[Label | None], rows: np.ndarray, named: bool) -> list[Label]:
    """What each layer is, by its name or id and by where it lies.

    Parameters
    ----------
    labels : what the name or the id says; None where it says nothing
    rows : (layers, traces) of row indices, NaN in gaps
    named : True if names say it, False if ids do

    Returns
    -------
    One label for each layer. Ids are not names: the surface and the bed are often stored the other way round, and the
    id of either may be an internal layer's. So the upper one of a surface and a bed is the surface, whatever names or
    ids say. By ids alone, the surface is the uppermost line, and the lower one of the pair is the bed only if nothing
    lies below it.
    """
    surfaces, beds = ([i for i, label in enumerate(labels) if label == kind] for kind in ("surface", "bed"))
    given: list[Label] = [label or "layer" for label in labels]
    below = mostly_below(rows)
    for upper in surfaces:
        for lower in beds:
            if below[upper, lower] < 0 and given[upper] == "surface" and given[lower] == "bed":
                given[upper], given[lower] = "bed", "surface"
    if named:
        return given
    for index in [i for i, label in enumerate(given) if label == "surface"]:
        above = np.flatnonzero(below[:, index] > 0)
        if above.size:
            given[index] = "layer"
            uppermost = [i for i in above if not (below[:, i] > 0).any()]
            for other in uppermost[:1]:
                given[int(other)] = "surface"
    for index in [i for i, label in enumerate(given) if label == "bed"]:
        if (below[index] > 0).any():
            given[index] = "layer"
    return given


def on_traces(points: LayerPoints, trace_times_s: np.ndarray) -> np.ndarray:
    """Two-way times (layers, traces) at the traces' GPS times; NaN outside the points, and in holes between them."""
    steps = np.diff(points.gps_time_s)
    spacing = np.median(np.diff(trace_times_s)) if trace_times_s.size > 1 else 0.0
    hole = steps > _HOLE * max(float(np.median(steps)), abs(float(spacing)))
    place = np.clip(np.searchsorted(points.gps_time_s, trace_times_s, side="right") - 1, 0, steps.size - 1)
    in_hole = hole[place] & (trace_times_s > points.gps_time_s[place]) & (trace_times_s < points.gps_time_s[place + 1])
    # Beside a point that was not picked, interpolation knows nothing, even in the very trace of one that was.
    place_of_time = np.clip(np.searchsorted(points.gps_time_s, trace_times_s), 0, points.gps_time_s.size - 1)
    met = points.gps_time_s[place_of_time] == trace_times_s
    twtt = np.empty((len(points.twtt_s), trace_times_s.size))
    for row, layer in zip(twtt, points.twtt_s, strict=True):
        row[:] = np.interp(trace_times_s, points.gps_time_s, layer, left=np.nan, right=np.nan)
        row[met] = layer[place_of_time[met]]
    twtt[:, in_hole] = np.nan
    return twtt


def _names(organiser: bytes) -> dict[int, str]:
    try:
        return read_organiser(organiser)
    except Refused as refusal:
        raise Refused(f"the organiser beside it cannot be used: {refusal}") from refusal
    except DAMAGED as error:
        raise Refused("the organiser beside it is damaged; upload it again, or delete it") from error


def _older(found: dict[str, Value]) -> LayerPoints:
    """`layerData{i}.value{1}.data` (picked by hand) and `.value{2}.data` (processed), at `GPS_time`."""
    gps_time = _numbers(found.get("GPS_time", found.get("gps_time")), "GPS_time").ravel()
    layers = found["layerData"]
    layers = [layers] if isinstance(layers, dict) else layers
    if not isinstance(layers, list) or not layers or len(layers) > MAX_LAYERS:
        raise Refused(f"'layerData' is no list of 1 to {MAX_LAYERS} layers; save the layer file again")
    if len(layers) * gps_time.size > MAX_PICKS:
        raise Refused(f"it has {len(layers)} layers of {gps_time.size} points; at most {MAX_PICKS} can be read")
    twtt = np.full((len(layers), gps_time.size), np.nan)
    names: list[str | None] = []
    for number, (row, layer) in enumerate(zip(twtt, layers, strict=True), start=1):
        if not isinstance(layer, dict):
            raise Refused(f"'layerData{{{number}}}' is no struct; save the layer file again")
        for data in reversed(_picked_and_traced(layer.get("value"))):
            if data is None or not data.size:
                continue
            if data.size != gps_time.size:
                raise Refused(
                    f"layer {number} of 'layerData' has {data.size} points, but there are {gps_time.size} times; save "
                    "them so that they belong together"
                )
            values = np.array(data, dtype=float).ravel()
            row[:] = np.where(np.isfinite(values), values, row)
        name = layer.get("name")
        names.append(name.strip() if isinstance(name, str) and name.strip() else None)
    if any(_label(name) for name in names):
        return _in_time(gps_time, twtt, [_label(name) for name in names], named=True)
    return _in_time(gps_time, twtt, [_BY_ID.get(number) for number in range(1, len(layers) + 1)], named=False)


def _picked_and_traced(value: Value) -> list[np.ndarray | None]:
    """`value` is a cell of structs, a struct array, or (in 7.3) a struct of a cell."""
    if isinstance(value, dict):
        parts = value.get("data")
        datas = parts if isinstance(parts, list) else [parts]
    elif isinstance(value, list):
        datas = [part.get("data") if isinstance(part, dict) else None for part in value]
    else:
        datas = []
    return [data if isinstance(data, np.ndarray) else None for data in datas[:2]]


def _in_time(gps_time: np.ndarray, twtt: np.ndarray, labels: list[Label | None], named: bool) -> LayerPoints:
    """Points in order of time. Those without a time are left out, those of the same time averaged."""
    known = np.isfinite(gps_time)
    times, where = np.unique(gps_time[known], return_inverse=True)
    if times.size < 2:
        raise Refused("'gps_time' holds fewer than two different times; save the layer file again")
    twtt = np.where(np.isfinite(twtt), twtt, np.nan)[:, known]
    merged = np.empty((len(twtt), times.size))
    for row, layer in zip(merged, twtt, strict=True):
        picked = np.isfinite(layer)
        counts = np.bincount(where[picked], minlength=times.size)
        sums = np.bincount(where[picked], weights=layer[picked], minlength=times.size)
        row[:] = np.divide(sums, counts, out=np.full(times.size, np.nan), where=counts > 0)
    return LayerPoints(times, merged, labels, named)


def _label(name: str | None) -> Label | None:
    return _BY_NAME.get((name or "").casefold())


def _numbers(value: Value, name: str) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        raise Refused(f"the variable '{name}' is missing or empty; save the layer file with it")
    return np.array(value, dtype=float)
