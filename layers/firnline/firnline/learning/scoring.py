"""How close predicted layers come to drawn ones.

Layers are dense rows: float array (layers, traces), the row index of each layer in each trace, NaN in gaps.
NumPy and `firnline.geometry` only, nothing of its siblings: Lambdas, the command line and training jobs score alike.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from firnline.geometry import dense_rows, pieces

WITHIN = (3, 5)


Document = Mapping[str, Any]
Layers = Sequence[Mapping[str, Any]]
Tally = Dict[str, Any]
Scores = Dict[str, Any]


def rows_from_layers(layers: Layers, width: int) -> np.ndarray:
    """Rows (L, width) of layers ``[{"vertices": [{"x", "y"}, ...]}, ...]``; see `firnline.geometry.dense_rows`."""
    return dense_rows([[(vertex["x"], vertex["y"]) for vertex in layer["vertices"]] for layer in layers], width)


def layers_from_rows(rows: np.ndarray, labels: Sequence[str]) -> List[Dict[str, Any]]:
    """Layers with a vertex in every trace; a layer with gaps becomes one polyline for each of its pieces."""
    return [
        {"label": label, "vertices": [{"x": int(x), "y": float(row[x])} for x in piece]}
        for row, label in zip(np.asarray(rows, dtype=float), labels)
        for piece in pieces(row)
    ]


def match_points(predicted: np.ndarray, truth: np.ndarray, tolerance: float = 2.0) -> Tuple[np.ndarray, np.ndarray]:
    """One-to-one matching of layer points in each trace: as many pairs as possible, then as close as possible.

    Points are on a line, so the best matching keeps their order and is found as an alignment (Needleman & Wunsch
    1970), for all traces at once.

    Parameters
    ----------
    predicted, truth : (P, W) and (T, W) float arrays, NaN in gaps
    tolerance : largest distance of a pair, in pixels

    Returns
    -------
    pairs : (W,) int array, pairs in each trace
    error : (W,) float array, their summed absolute distance in pixels
    """
    predicted = np.sort(np.asarray(predicted, dtype=float), axis=0)
    truth = np.sort(np.asarray(truth, dtype=float), axis=0)
    width = truth.shape[1]
    bonus = tolerance * (min(len(predicted), len(truth)) + 1) + 1.0
    best: np.ndarray = np.zeros((len(predicted) + 1, width))
    for row in truth:
        distance = np.abs(predicted - row)
        gain = np.where(distance <= tolerance, bonus - distance, -np.inf)
        step = best.copy()
        np.maximum(step[1:], best[:-1] + gain, out=step[1:])
        best = np.maximum.accumulate(step, axis=0)
    pairs = np.ceil(best[-1] / bonus - 1e-9).astype(int)
    return pairs, np.maximum(pairs * bonus - best[-1], 0.0)


def match_layers(predicted: np.ndarray, truth: np.ndarray, tolerance: float = 2.0) -> np.ndarray:
    """For each true layer the predicted layer that follows it best, each used once; -1 where none does.

    Returns (T,) int array. Greedy over the number of traces within `tolerance` pixels.
    """
    chosen = np.full(len(truth), -1)
    if not len(predicted) or not len(truth):
        return chosen
    with np.errstate(invalid="ignore"):
        agreement = np.stack([(np.abs(predicted - row) <= tolerance).sum(axis=1) for row in truth])
    while agreement.max() > 0:
        t, p = np.unravel_index(agreement.argmax(), agreement.shape)
        chosen[t] = p
        agreement[t] = agreement[:, p] = 0
    return chosen


def points_within(predicted: np.ndarray, truth: np.ndarray, tolerance: float) -> np.ndarray:
    """(P, W) bool: the predicted point has a true point within `tolerance` pixels in its trace."""
    if not len(truth):
        return np.zeros(np.shape(predicted), dtype=bool)
    within = np.zeros(np.shape(predicted), dtype=bool)
    with np.errstate(invalid="ignore"):
        for row in truth:
            within |= np.abs(predicted - row) <= tolerance
    return within


def frame_tally(
    predicted: np.ndarray,
    predicted_labels: Sequence[str],
    truth: np.ndarray,
    truth_labels: Sequence[str],
    complete: bool,
    tolerance: float = 2.0,
) -> Tally:
    """Counts and sums of one frame, which `summarise` pools.

    Parameters
    ----------
    predicted, truth : (P, W) and (T, W) float arrays, NaN in gaps
    predicted_labels, truth_labels : their labels, `firnline.geometry.LABELS`
    complete : bool; False: only drawn layers are judged, and a prediction without a line is never counted as false
    tolerance : pixels

    Returns
    -------
    dict of numbers
    """
    predicted, truth = (np.asarray(rows, dtype=float) for rows in (predicted, truth))
    if predicted.ndim != 2 or truth.ndim != 2 or (len(predicted) and predicted.shape[1] != truth.shape[1]):
        raise ValueError(
            f"Predicted and true rows must be (layers, traces) with the same number of traces; got {predicted.shape} and {truth.shape}."
        )
    if not len(predicted):
        predicted = np.zeros((0, truth.shape[1]))
    tally: Tally = {"frames": 1, "truth_points": int(np.isfinite(truth).sum())}
    chosen = match_layers(predicted, truth, max(tolerance, max(WITHIN)))
    if complete:
        pairs, error = match_points(predicted, truth, tolerance)
        tally.update(
            matched=int(pairs.sum()),
            error=float(error.sum()),
            precision_matched=int(pairs.sum()),
            predicted_points=int(np.isfinite(predicted).sum()),
            complete_truth_points=tally["truth_points"],
        )
    else:
        paired = np.abs(
            np.where((chosen >= 0)[:, None], predicted[chosen] if len(predicted) else np.nan, np.nan) - truth
        )
        within = paired <= tolerance
        tally.update(matched=int(within.sum()), error=float(paired[within].sum()))
    for kind in ("surface", "bed"):
        p = predicted[[i for i, label in enumerate(predicted_labels) if label == kind]]
        t = truth[[i for i, label in enumerate(truth_labels) if label == kind]]
        if np.isfinite(t).any():
            tally[kind + "_points"] = int(np.isfinite(t).sum())
            for distance in WITHIN:
                tally[f"{kind}_within_{distance}px"] = int(points_within(t, p, distance).sum())
    both = np.flatnonzero((chosen[:-1] >= 0) & (chosen[1:] >= 0)) if len(chosen) else chosen
    thickness = (predicted[chosen[both + 1]] - predicted[chosen[both]]) - (truth[both + 1] - truth[both])
    thickness = thickness[np.isfinite(thickness)]
    tally.update(thickness_points=int(thickness.size), thickness_error=float(np.abs(thickness).sum()))
    return tally


def summarise(tallies: Iterable[Tally]) -> Scores:
    """Scores pooled over frames; None where no frame could say.

    `precision_2px` and `f1_2px` come from completely annotated frames only (named for the default tolerance).
    `recall_2px` and `mae_px` (of matched points) use every drawn line. `surface_within_3px` and its like are shares
    of the traces that have truth. `thickness_mae_px` is over neighbouring true layers which both have a predicted
    layer.
    """
    total: Dict[str, Any] = {}
    for tally in tallies:
        for name, value in tally.items():
            total[name] = total.get(name, 0) + value

    def share(part: str, whole: str) -> Optional[float]:
        return round(total.get(part, 0) / total[whole], 6) if total.get(whole) else None

    f1_points = total.get("predicted_points", 0) + total.get("complete_truth_points", 0)
    scores = {
        "frames": total.get("frames", 0),
        "f1_2px": round(2 * total["precision_matched"] / f1_points, 6) if f1_points else None,
        "precision_2px": share("precision_matched", "predicted_points"),
        "recall_2px": share("matched", "truth_points"),
        "mae_px": share("error", "matched"),
        "thickness_mae_px": share("thickness_error", "thickness_points"),
        "vertices_per_layer": share("vertices", "layers"),
    }
    for kind in ("surface", "bed"):
        for distance in WITHIN:
            name = f"{kind}_within_{distance}px"
            scores[name] = share(name, kind + "_points")
    return scores


def document_tally(predicted: Document, truth: Document, tolerance: float = 2.0) -> Tally:
    """`frame_tally` of two layers documents (``firnline.layers/1``) of one image."""
    width = truth["image"]["width"]
    if predicted["image"] != truth["image"]:
        raise ValueError(
            "The two layers documents describe images of different sizes: {} and {}.".format(
                predicted["image"], truth["image"]
            )
        )
    tally = frame_tally(
        rows_from_layers(predicted["layers"], width),
        [layer["label"] for layer in predicted["layers"]],
        rows_from_layers(truth["layers"], width),
        [layer["label"] for layer in truth["layers"]],
        truth["coverage"] == "complete",
        tolerance,
    )
    tally.update(layers=len(predicted["layers"]), vertices=sum(len(layer["vertices"]) for layer in predicted["layers"]))
    return tally


def score_frames(pairs: Iterable[Tuple[Document, Document]], tolerance: float = 2.0) -> Scores:
    """Scores pooled over `pairs` of (predicted, true) layers documents. The same names as `summarise`.

    `truth["coverage"]` decides how a frame counts: ``partial`` never makes a prediction false.
    """
    return summarise(document_tally(predicted, truth, tolerance) for predicted, truth in pairs)
