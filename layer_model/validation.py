"""How good weights are on a channel of annotated frames, at which threshold, and what that says of their confidences."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import artefact
import calibration
import numpy as np
import tracker
from dataset import WINDOW_PIXELS, Channel, Frame, decode, labels_of, window_of
from lines import Layer, rows_of
from weights import Weights

from firnline.learning import scoring

Scores = Dict[str, Any]
Sample = Tuple[np.ndarray, float, float]
"""(features, share of traces within 2 px of the truth, weight)."""

RIDGES = (0.34, 0.4, 0.46, 0.52, 0.6)
"""Thresholds tried: what probability a layer reaches depends on how hard the frames are."""
LEAST_TRACES = 768
"""Of a window on a large frame that is validated on, however deep the frame is."""
ALIKE = 0.002
"""What frames of a validation channel can't tell apart."""
FEWEST_TRACES = 8
"""Of a tracked layer that an annotation can judge: fewer say little of it."""
WITHIN_PX = 2.0
"""What a confidence is the share of: traces whose row is off by so much at most."""


class Validation:
    """Scores weights of the network `symbol`, which takes `channels` input channels and gives a column for each `stride`
    traces, on the first `frames` frames of channels.
    """

    def __init__(self, symbol: Any, channels: int, stride: int, frames: int) -> None:
        self.symbol, self.channels, self.stride, self.frames = symbol, channels, stride, frames

    def scores_by_ridge(self, channel: Channel, weights: Weights, ridges: Sequence[float]) -> Dict[float, Scores]:
        """{ridge threshold: scores (see scoring.summarise)}."""
        tallies: Dict[float, List[Scores]] = {ridge: [] for ridge in ridges}
        for frame, probability in self._mapped(channel, weights):
            for ridge in ridges:
                tallies[ridge].append(tally(frame, self._tracked(frame, probability, ridge)))
        return {ridge: scoring.summarise(group) for ridge, group in tallies.items()}

    def calibrated(
        self, channel: Channel, weights: Weights, ridge: float, before: Dict[str, Any]
    ) -> Tuple[Dict[str, Any], Scores]:
        """(calibration curves, scores) of weights on a channel.

        The curves start from those `before`: few frames, or boundaries alone, tell little. A partial annotation says less
        of a frame than a complete one: it counts where there is no complete one.
        """
        layers: List[Sample] = []
        frames: Dict[bool, List[Sample]] = {True: [], False: []}
        tallies: List[Scores] = []
        for frame, probability in self._mapped(channel, weights):
            tracked = self._tracked(frame, probability, ridge)
            layers += layer_samples(frame, tracked)
            frames[frame.complete] += frame_samples(frame, tracked)
            tallies.append(tally(frame, tracked))
        samples = {"layer": layers, "frame": frames[True] or frames[False]}
        curves: Dict[str, Any] = {"ridge": ridge, "layers": len(samples["layer"]), "frames": len(samples["frame"])}
        for name, given in samples.items():
            prior = calibration.prior_curve(name, before)
            features, shares, counts = zip(*given) if given else ((), (), ())
            curves[name] = calibration.fit(features, shares, counts, prior)
        return curves, scoring.summarise(tallies)

    def _mapped(self, channel: Channel, weights: Weights) -> Iterator[Tuple[Frame, np.ndarray]]:
        """(frame, probability map) of a channel's first frames, of a large one of the same window each time; the rest is
        read past, for a pipe must be drained.
        """
        forward = artefact.forward_function(self.symbol, weights)
        for i, payload in enumerate(channel.payloads()):
            if i < self.frames:
                frame = decode(payload)
                traces = max(LEAST_TRACES, WINDOW_PIXELS // len(frame.grey))
                frame = window_of(frame, traces, np.random.RandomState(frame.number % 2**32))
                yield frame, tracker.probability_map(forward, frame.grey, self.channels, self.stride)

    def _tracked(self, frame: Frame, probability: np.ndarray, ridge: float) -> List[Layer]:
        return tracker.track_map(probability, frame.grey, self.stride, ridge)


def chosen_ridge(scores_by_ridge: Dict[float, Scores], before: float) -> float:
    """Of the thresholds that score alike, the highest: a reviewer sooner draws a layer than deletes three. Where the
    frames can't tell (partial annotations), it stays as it was.
    """
    if scores_by_ridge[before]["f1_2px"] is None:
        return before
    score = {ridge: selection_score(scores) for ridge, scores in scores_by_ridge.items()}
    known = [value for value in score.values() if value is not None]
    return max(ridge for ridge, value in score.items() if value is not None and value >= max(known) - ALIKE)


def selection_score(scores: Scores) -> Optional[float]:
    """What the best weights are chosen by: F1 of complete frames, and the share of surface and bed traces within 3
    pixels; the mean of those that the validation frames can tell, else recall.
    """
    boundaries = [scores[name] for name in ("surface_within_3px", "bed_within_3px") if scores[name] is not None]
    parts = [scores["f1_2px"]] if scores["f1_2px"] is not None else []
    parts += [sum(boundaries) / len(boundaries)] if boundaries else []
    return sum(parts) / len(parts) if parts else scores["recall_2px"]


def tally(frame: Frame, tracked: Sequence[Layer]) -> Scores:
    """`scoring.frame_tally` of what the endpoint would answer for a frame."""
    layers = tracker.layers_document(tracked, frame.grey.shape, calibration.UNCALIBRATED, {})["layers"]
    counts = scoring.frame_tally(
        scoring.rows_from_layers(layers, frame.grey.shape[1]),
        [layer["label"] for layer in layers],
        frame.rows,
        labels_of(frame),
        frame.complete,
    )
    return dict(counts, layers=len(layers), vertices=sum(len(layer["vertices"]) for layer in layers))


def layer_samples(frame: Frame, tracked: Sequence[Layer]) -> List[Sample]:
    """A sample of each tracked layer that the annotation can judge; its weight is the number of those traces."""
    samples, labels = [], np.array(labels_of(frame))
    for layer, features in zip(tracked, calibration.layer_features(tracked, calibration.unevenness(tracked))):
        if frame.complete:
            judged, truth = np.ones(layer.rows.size, bool), frame.rows[:, layer.traces]
        else:
            truth = frame.rows[labels == layer.label][:, layer.traces]
            judged = np.isfinite(truth).any(axis=0) & (layer.label != "layer")
        if judged.sum() >= FEWEST_TRACES:
            within = scoring.points_within(layer.rows[None], truth, WITHIN_PX)[0]
            samples.append((features, within[judged].mean(), judged.sum()))
    return samples


def frame_samples(frame: Frame, tracked: Sequence[Layer]) -> List[Sample]:
    """The sample of a frame: the share of layer traces, drawn or found, on which drawing and finding agree within 2 px; of
    a partial annotation, of drawn traces alone. None of a frame on which nothing is drawn.
    """
    if not np.isfinite(frame.rows).any():
        return []
    predicted = rows_of(tracked, frame.rows.shape[1])
    pairs = scoring.match_points(predicted, frame.rows)[0].sum()
    drawn, found = np.isfinite(frame.rows).sum(), np.isfinite(predicted).sum()
    whole = max(drawn, found) if frame.complete else drawn
    return [(calibration.frame_features(tracked, calibration.unevenness(tracked)), float(pairs) / whole, 1.0)]
