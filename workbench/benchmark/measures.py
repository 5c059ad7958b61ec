"""What the benchmark measures: response maps as edge detection is judged, finished layers as a glaciologist uses them.

Rows are dense: float (layers, traces), NaN in gaps. "Documents" are layers documents (`firnline.layers/1`) as dicts.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from firnline.geometry import LABELS
from firnline.learning import scoring

TOLERANCES = (2, 3, 5)
THRESHOLDS = 33
BINS = 10


class Points(NamedTuple):
    """Ridge points of a response map: `rows`, `columns` (n,) int, `strength` (n,) float."""

    rows: np.ndarray
    columns: np.ndarray
    strength: np.ndarray


class Truth(NamedTuple):
    """A frame's annotation: `rows` (L, W), their `labels`, and whether every layer has a line."""

    rows: np.ndarray
    labels: list[str]
    complete: bool
    height: int


def ridge_points(response: np.ndarray, least: float = 0.0) -> Points:
    """Maxima along the columns of a response map (rows, columns), above `least`; of a plateau its last row."""
    inner = response[1:-1]
    rows, columns = np.nonzero((inner > least) & (inner >= response[:-2]) & (inner > response[2:]))
    return Points(rows + 1, columns, response[rows + 1, columns])


def dense_points(points: Points, width: int) -> np.ndarray:
    """Rows (P, width) float of ridge points, NaN where a column has fewer than P."""
    order = np.argsort(points.columns, kind="stable")
    columns = points.columns[order]
    counts = np.bincount(columns, minlength=width)
    rank = np.arange(columns.size) - np.repeat(np.cumsum(counts) - counts, counts)
    dense = np.full((int(counts.max(initial=0)), width), np.nan)
    dense[rank, columns] = points.rows[order]
    return dense


def response_counts(points: Points, truth: np.ndarray, thresholds: np.ndarray, tolerance: float) -> np.ndarray:
    """(thresholds, 3) int: matched pairs, points at or above the threshold, true points.

    In each trace a point answers for one true point at most, within `tolerance` pixels (`scoring.match_points`, exact).
    """
    counts = np.zeros((len(thresholds), 3), int)
    counts[:, 2] = np.isfinite(truth).sum()
    for count, threshold in zip(counts, thresholds, strict=True):
        strong = points.strength >= threshold
        if strong.any():
            kept = Points(*(values[strong] for values in points))
            count[0] = scoring.match_points(dense_points(kept, truth.shape[1]), truth, tolerance)[0].sum()
            count[1] = strong.sum()
    return counts


def thresholds_for(frames: Sequence[Points], count: int = THRESHOLDS) -> np.ndarray:
    """Thresholds at equal steps of rank among the strengths of all frames, (count,) ascending; the same whatever the
    response's scale.
    """
    strengths = np.concatenate([points.strength for points in frames])
    return np.quantile(strengths, np.linspace(0, 1, count + 1)[:-1]) if strengths.size else np.zeros(count)


def edge_scores(counts: np.ndarray) -> dict[str, float]:
    """ODS, OIS and AP (Arbelaez et al. 2011) from `response_counts` of frames, stacked: (frames, thresholds, 3).

    ODS: F of all frames' counts at the one threshold that suits them best; OIS: F of the counts of each frame at its own
    best threshold; AP: area under precision against recall, precision taken as the best at that recall or more.
    """
    best = f_measure(counts).argmax(axis=1)
    each = counts[np.arange(len(counts)), best].sum(axis=0)
    pooled = counts.sum(axis=0)
    matched, found, true = pooled.T
    recall = matched / np.maximum(true, 1)
    order = np.argsort(recall, kind="stable")
    precision = np.maximum.accumulate((matched / np.maximum(found, 1))[order][::-1])[::-1]
    area = (np.diff(recall[order], prepend=0.0) * precision).sum()
    return {"ods": float(f_measure(pooled).max()), "ois": float(f_measure(each)), "ap": float(area)}


def f_measure(counts: np.ndarray) -> np.ndarray:
    """F1 of (..., 3) counts: matched, found, true."""
    return 2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1)


def response_scores(frames: Sequence[tuple[Points, Truth]], each: Callable = map) -> dict[str, dict[str, float]]:
    """`edge_scores` within 2 px and within 0.0075 of the image's diagonal. `each`: a `map`, of a process pool perhaps."""
    thresholds = thresholds_for([points for points, _ in frames])
    counts = np.stack(list(each(partial(_counts, thresholds=thresholds), frames)))
    names = ("2px", "0.0075_diagonal")
    scores = {name: edge_scores(counts[:, number]) for number, name in enumerate(names)}
    return {name: {key: round(value, 4) for key, value in found.items()} for name, found in scores.items()}


def _counts(frame: tuple[Points, Truth], thresholds: np.ndarray) -> np.ndarray:
    """(tolerances, thresholds, 3)."""
    points, truth = frame
    diagonal = float(np.hypot(truth.height, truth.rows.shape[1]))
    return np.stack([response_counts(points, truth.rows, thresholds, reach) for reach in (2.0, 0.0075 * diagonal)])


def line_scores(frames: Sequence[tuple[dict, Truth]]) -> dict:
    """Scores of finished layers, pooled over frames: those of `scoring.summarise`, and

    - `within`: share of the true points of each kind that have a layer of their kind within 2, 3, 5 px, one to one
    - `layer_mae_px`: of each true layer which a predicted one follows on most of their common traces, the mean distance;
      mean over layers
    - `ice_thickness_mae_px`: bed less surface, where truth and prediction have both
    - `calibration`: see `calibration`; only of documents that carry confidences and of complete truth
    """
    tallies, distances, thickness = [], [], []
    within = {kind: {d: [0, 0] for d in TOLERANCES} for kind in LABELS}
    layer_samples, frame_samples = [], []
    for document, truth in frames:
        predicted = scoring.rows_from_layers(document["layers"], truth.rows.shape[1])
        labels = [layer["label"] for layer in document["layers"]]
        tally = scoring.frame_tally(predicted, labels, truth.rows, truth.labels, truth.complete)
        tallies.append(
            tally | {"layers": len(labels), "vertices": sum(len(layer["vertices"]) for layer in document["layers"])}
        )
        for kind in LABELS:
            ours, theirs = _of_kind(predicted, labels, kind), _of_kind(truth.rows, truth.labels, kind)
            for distance, count in within[kind].items():
                count[0] += int(scoring.match_points(ours, theirs, distance)[0].sum())
                count[1] += int(np.isfinite(theirs).sum())
        distances += layer_distances(predicted, truth.rows)
        ice = _ice(predicted, labels) - _ice(truth.rows, truth.labels)
        thickness.append(np.abs(ice[np.isfinite(ice)]))
        if truth.complete and document.get("confidence") is not None:
            layer_samples += [
                (layer["confidence"], scoring.points_within(row[None], truth.rows, 2.0).sum() / n, n)
                for layer, row, n in zip(document["layers"], predicted, np.isfinite(predicted).sum(axis=1), strict=True)
            ]
            whole = max(tally["predicted_points"], tally["truth_points"])
            frame_samples.append((document["confidence"], tally["matched"] / whole if whole else 1.0, 1))
    thick = np.concatenate(thickness) if thickness else np.zeros(0)
    return scoring.summarise(tallies) | {
        "within": {
            kind: {f"{distance}px": round(hit / of, 4) for distance, (hit, of) in counts.items() if of}
            for kind, counts in within.items()
            if counts[TOLERANCES[0]][1]
        },
        "layer_mae_px": round(float(np.mean(distances)), 4) if distances else None,
        "ice_thickness_mae_px": round(float(thick.mean()), 3) if thick.size else None,
        "calibration": {"layer": calibration(layer_samples), "frame": calibration(frame_samples)}
        if frame_samples
        else None,
    }


def layer_distances(predicted: np.ndarray, truth: np.ndarray) -> list[float]:
    """Mean distance in pixels between each true layer and the predicted one that follows it within 2 px on at least half
    of the traces that both have.
    """
    distances = []
    for row, chosen in zip(truth, scoring.match_layers(predicted, truth, 2.0), strict=True):
        if chosen >= 0:
            distance = np.abs(predicted[chosen] - row)
            distance = distance[np.isfinite(distance)]
            if (distance <= 2.0).mean() >= 0.5:
                distances.append(float(distance.mean()))
    return distances


def calibration(samples: Sequence[tuple[float, float, float]]) -> dict:
    """Expected calibration error (Guo et al. 2017) of (confidence, share that was right, weight) samples, and its table.

    Ten bins of equal width; the distance between the mean confidence and the mean share of each, weighed by its weight.
    """
    confidence, share, weight = np.array(samples, dtype=float).reshape(-1, 3).T
    if not weight.sum():
        return {"ece": None, "bins": []}
    bins = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    table = []
    for number in np.unique(bins):
        inside = bins == number
        mass = weight[inside].sum()
        mean, right = (float(np.average(values[inside], weights=weight[inside])) for values in (confidence, share))
        table.append({"from": number / BINS, "confidence": mean, "share": right, "weight": float(mass / weight.sum())})
    error = sum(row["weight"] * abs(row["confidence"] - row["share"]) for row in table)
    return {"ece": round(error, 4), "bins": [{name: round(value, 4) for name, value in row.items()} for row in table]}


def _of_kind(rows: np.ndarray, labels: Sequence[str], kind: str) -> np.ndarray:
    return rows[np.flatnonzero(np.array(labels, dtype=object) == kind)]


def _ice(rows: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(W,) rows from surface to bed, NaN where either has no line."""
    surface, bed = (_merged(_of_kind(rows, labels, kind)) for kind in ("surface", "bed"))
    return bed - surface


def _merged(rows: np.ndarray) -> np.ndarray:
    """The one line that polylines (n, W) of one label make."""
    line = np.full(rows.shape[1], np.nan)
    for row in rows:
        line = np.where(np.isfinite(line), line, row)
    return line
