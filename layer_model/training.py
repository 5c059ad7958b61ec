"""The training loop: steps, averaged weights, validation, early stop, checkpoints."""

import json
import math
import os
import time

import artefact
import calibration
import mxnet as mx
import numpy as np
import tracker
from dataset import WINDOW_PIXELS, batches, decode, labels_of, window_of
from lines import rows_of
from losses import deep_supervision_loss
from mxnet import autograd
from network import inference_symbol

from firnline.learning import scoring

WARM_UP_STEPS = 15
AVERAGE_DECAY = 0.97
REPORT_SECONDS = 10.0
RIDGES = (0.34, 0.4, 0.46, 0.52, 0.6)
"""Thresholds tried: what probability a layer reaches depends on how hard the frames are."""
ANCHOR_FRAMES = 24
"""Frames that must be learnt from before what they teach weighs as much as what the model knew."""
LEAST_TRACES = 768
"""Of a window on a large frame that is validated on, however deep the frame is."""
ALIKE = 0.002
"""What frames of a validation channel can't tell apart."""


class Training:
    """One training of `model`.

    What is validated and kept is the running average of the weights (Polyak & Juditsky 1992), which a short training
    gains much from; of a model that is trained on, drawn back towards where it started (see `_kept`). `best` holds the
    weights with the best validation score, the last ones without validation frames.

    The learning rate falls along a cosine, by the share of epochs or of time that is used up, whichever is larger.
    """

    def __init__(self, model, options, arrays=None, curves=None, rehearsal=()):
        self.model, self.options = model, options
        self.symbol = inference_symbol(model)
        self.parameters = dict(model.collect_params().items())
        if arrays is not None:
            self._set(arrays)
        self.curves = dict(calibration.UNCALIBRATED, **(curves or {}))
        self.ridge = self.curves["ridge"]
        self.start, self.average = self._copy(), self._copy()
        self.best, self.best_score, self.best_epoch = self.average, None, 0
        self.epochs_done, self.stopped, self.history = 0, False, []
        self.seconds, self.worse = 0.0, 0
        self.warm, self.rehearsal = arrays is not None, rehearsal
        self.rng = np.random.RandomState(options.seed)

    def stop(self):
        """Finish the current step, then save (a spot interruption, SIGTERM)."""
        self.stopped = True

    def run(self, train, validation, followed=None):
        """Train on the channel `train` until the epochs, the time or the patience are used up.

        A `followed` channel is scored whenever the validation channel is, for the history alone: it chooses nothing.
        """
        options = self.options
        self.train, self.validation, self.followed = train, validation, followed
        self.model.hybridize(static_alloc=True, static_shape=True)
        trainer = mx.gluon.Trainer(
            self.model.collect_params(), "adam", {"learning_rate": options.learning_rate, "wd": 1e-5}
        )
        self._resume()
        if self.warm and not self.epochs_done:
            self._validated(None)
        began = time.monotonic()
        steps = 0
        while self.epochs_done < options.epochs and not self._done(began):
            taken = self._epoch(train, trainer, began, steps)
            if not taken:
                break
            steps += taken
            self.epochs_done += 1
            self._checkpoint()
        if validation.present and self.worse >= options.patience:
            print(f"no better validation score {self.worse} times: stopping", flush=True)

    def _epoch(self, train, trainer, began, steps_before):
        """Steps of one pass over the data, validated at its end and, in a long one, on the way; 0 if the pass gave
        nothing to learn from.
        """
        options, model = self.options, self.model
        losses, size, steps = [], (options.crop_rows, options.crop_traces), 0
        told = resumed = time.monotonic()
        self._steps_per_epoch = steps_before / self.epochs_done if self.epochs_done and steps_before else None
        for step, batch in enumerate(
            batches(train, options.batch_size, size, model.trace_stride, self.rng, self.rehearsal)
        ):
            trainer.set_learning_rate(options.learning_rate * self._schedule(began, step, steps_before + step))
            data, target, weight = (mx.nd.array(part) for part in batch)
            with autograd.record():
                loss = deep_supervision_loss(model(data[:, : model.channels]), target, weight)
            loss.backward()
            trainer.step(1)
            self._follow(steps_before + step)
            losses.append(loss)
            steps += 1
            if len(losses) > 1:
                losses[-2].wait_to_read()
            if time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                print(
                    f"epoch {self.epochs_done + 1}: {steps} steps, loss {float(losses[-1].asscalar()):.4f}",
                    flush=True,
                )
            if options.validation_seconds and time.monotonic() - resumed > options.validation_seconds:
                mean = _mean(losses)
                self.seconds += time.monotonic() - resumed
                self._validated(mean)
                losses, resumed = [], time.monotonic()
            if self._done(began):
                break
        if losses:
            mean = _mean(losses)
            self.seconds += time.monotonic() - resumed
            self._validated(mean)
        return steps

    def _done(self, began):
        """Whether the training is to stop: told so, out of time or out of patience."""
        late = bool(self.options.max_seconds) and time.monotonic() - began > self.options.max_seconds
        return self.stopped or late or (self.validation.present and self.worse >= self.options.patience)

    def _schedule(self, began, step, steps):
        done = (self.epochs_done + (step / self._steps_per_epoch if self._steps_per_epoch else 0)) / self.options.epochs
        if self.options.max_seconds:
            done = max(done, (time.monotonic() - began) / self.options.max_seconds)
        return min(1.0, (steps + 1) / WARM_UP_STEPS) * max(0.02, 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))

    def _follow(self, steps):
        """Move the average towards the current weights; faster at first, when there is little to average."""
        decay = min(AVERAGE_DECAY, (1.0 + steps) / (10.0 + steps))
        for name, parameter in self.parameters.items():
            self.average[name] = decay * self.average[name] + (1 - decay) * parameter.data()

    def _kept(self):
        """The averaged weights; of a model that is trained on, a mean of these and of the weights that it started from, which
        count as much as `ANCHOR_FRAMES` frames (weight-space ensembling, Wortsman et al. 2022).

        A dozen frames of one region teach what its surface and bed look like, and unteach it for others.
        """
        if not self.warm:
            return dict(self.average)
        share = self.train.seen / float(self.train.seen + ANCHOR_FRAMES)
        return {name: share * array + (1 - share) * self.start[name] for name, array in self.average.items()}

    def _copy(self):
        return {name: parameter.data().copy() for name, parameter in self.parameters.items()}

    def _set(self, arrays):
        """Take over weights by name. Every network's parameter must be there in its shape, or for fewer input channels:
        what a model of an earlier Firnline did not see weighs nothing at first, and its answers stay as they were.
        """
        for name, parameter in self.parameters.items():
            array = arrays.get(name)
            if array is not None and parameter.shape[1:2] == (self.model.channels,):
                array = _widened(array, parameter.shape)
            if array is None or array.shape != parameter.shape:
                raise artefact.ArtefactError(
                    f"The model to start from does not fit the network {self.options.network!r}: {name} differs."
                )
            parameter.set_data(array)

    def _validated(self, loss):
        """Score the weights at the ridge threshold that suits them best, print the metrics, keep them if they are the best."""
        validation, followed, weights = self.validation, None, self._kept()
        ridge, scores, value = self.ridge, None, None
        if validation.present:
            at = self.scores_by_ridge(validation, weights, sorted({*RIDGES, self.ridge}))
            ridge = chosen_ridge(at, self.ridge)
            scores, value = at[ridge], selection_score(at[ridge])
        if self.followed is not None and self.followed.present:
            followed = self.scores_by_ridge(self.followed, weights, [ridge])[ridge]
        epoch = self.epochs_done + (loss is not None)
        self.history.append(
            {
                "epoch": epoch,
                "seconds": round(self.seconds, 1),
                "train_loss": loss,
                "validation": scores,
                "followed": followed,
                "score": value,
                "ridge": ridge,
            }
        )
        line = f"epoch={epoch}" + ("" if loss is None else f" train_loss={loss:.5f};")
        for name, score in (scores or {}).items():
            if score is not None:
                line += f" validation_{name}={score:.5f};"
        print(line + ("" if value is None else f" validation_score={value:.5f};"), flush=True)
        better = value is None or self.best_score is None or value > self.best_score
        if better:
            self.ridge = ridge
            self.best, self.best_score, self.best_epoch = weights, value, epoch
        self.worse = 0 if better else self.worse + 1

    def _mapped(self, channel, arrays):
        """(frame, probability map) of a channel's first frames, of a large one of the same window each time; the rest is read
        past, for a pipe must be drained.
        """
        forward = artefact.forward_function(self.symbol, arrays)
        for i, payload in enumerate(channel.payloads()):
            if i < self.options.validation_frames:
                frame = decode(payload)
                traces = max(LEAST_TRACES, WINDOW_PIXELS // len(frame.grey))
                frame = window_of(frame, traces, np.random.RandomState(frame.number % 2**32))
                stride = self.model.trace_stride
                yield frame, tracker.probability_map(forward, frame.grey, self.model.channels, stride)

    def _tracked(self, frame, probability, ridge):
        return tracker.track_map(probability, frame.grey, self.model.trace_stride, ridge)

    def scores_by_ridge(self, channel, arrays, ridges):
        """{ridge threshold: scores (see scoring.summarise)} of weights on a channel."""
        tallies = {ridge: [] for ridge in ridges}
        for frame, probability in self._mapped(channel, arrays):
            for ridge in ridges:
                tallies[ridge].append(tally(frame, self._tracked(frame, probability, ridge)))
        return {ridge: scoring.summarise(group) for ridge, group in tallies.items()}

    def score(self, channel):
        """Scores of the best weights on a channel."""
        return self.scores_by_ridge(channel, self.best, [self.ridge])[self.ridge]

    def calibrate(self, validation):
        """(calibration curves, scores) of the best weights on a validation channel; if absent, as before and None.

        The curves start from those of the model that was trained on: few frames, or boundaries alone, tell little.
        A partial annotation says less of a frame than a complete one: it counts where there is no complete one.
        """
        if not validation.present:
            return self.curves, None
        layers, frames, tallies = [], {True: [], False: []}, []
        for frame, probability in self._mapped(validation, self.best):
            tracked = self._tracked(frame, probability, self.ridge)
            layers += layer_samples(frame, tracked)
            frames[frame.complete] += frame_samples(frame, tracked)
            tallies.append(tally(frame, tracked))
        samples = {"layer": layers, "frame": frames[True] or frames[False]}
        curves = {"ridge": self.ridge, "layers": len(samples["layer"]), "frames": len(samples["frame"])}
        for name, given in samples.items():
            prior = calibration.prior_curve(name, self.curves)
            curves[name] = calibration.fit(*zip(*given), prior=prior) if given else prior
        return curves, scoring.summarise(tallies)

    def _checkpoint(self):
        """Current, averaged and best weights, and where we are, so that an interrupted job goes on; written whole or
        not at all.

        Adam's moments start anew after an interruption: MXNet stores them as a pickle only.
        """
        folder = self.options.checkpoint_dir
        if not os.path.isdir(folder):
            return
        sets = {"current": self._copy(), "average": self.average, "best": self.best}
        arrays = {f"{kind}:{name}": array for kind, group in sets.items() for name, array in group.items()}
        path = os.path.join(folder, f"weights-{self.epochs_done}.params")
        mx.nd.save(path, arrays)
        state = {
            "weights": os.path.basename(path),
            "epochs_done": self.epochs_done,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "ridge": self.ridge,
            "history": self.history,
            "seconds": self.seconds,
            "worse": self.worse,
            "network": self.options.network,
        }
        with open(os.path.join(folder, "state.json.new"), "w") as stream:
            json.dump(state, stream)
        os.replace(os.path.join(folder, "state.json.new"), os.path.join(folder, "state.json"))
        for name in os.listdir(folder):
            if name.startswith("weights-") and name != state["weights"]:
                os.remove(os.path.join(folder, name))

    def _resume(self):
        path = os.path.join(self.options.checkpoint_dir, "state.json")
        if not os.path.exists(path):
            return
        with open(path) as stream:
            state = json.load(stream)
        saved = mx.nd.load(os.path.join(self.options.checkpoint_dir, os.path.basename(state["weights"])))
        sets = {
            kind: {name.split(":", 1)[1]: array for name, array in saved.items() if name.startswith(kind + ":")}
            for kind in ("current", "average", "best")
        }
        self._set(sets["current"])
        self.average, self.best = sets["average"], sets["best"]
        self.epochs_done, self.best_epoch = state["epochs_done"], state["best_epoch"]
        self.best_score, self.history, self.ridge = state["best_score"], state["history"], state["ridge"]
        self.seconds, self.worse = state["seconds"], state["worse"]
        print(f"going on after epoch {self.epochs_done} from a checkpoint", flush=True)


def _widened(array, shape):
    """Weights (outputs, inputs, h, w) of a convolution with zeros for the inputs that `shape` has more."""
    missing = shape[1] - array.shape[1]
    if missing <= 0 or array.shape[:1] + array.shape[2:] != shape[:1] + shape[2:]:
        return array
    return mx.nd.concat(array, mx.nd.zeros((shape[0], missing, *shape[2:])), dim=1)


def _mean(losses):
    """Mean of scalar NDArrays. Raises ArithmeticError if it is none."""
    mean = float(np.mean([float(loss.asscalar()) for loss in losses]))
    if not math.isfinite(mean):
        raise ArithmeticError("The training loss is no longer a number; try a lower --learning-rate.")
    return mean


def chosen_ridge(scores_by_ridge, before):
    """Of the thresholds that score alike, the highest: a reviewer sooner draws a layer than deletes three. Where the
    frames can't tell (partial annotations), it stays as it was.
    """
    if scores_by_ridge[before]["f1_2px"] is None:
        return before
    score = {ridge: selection_score(scores) for ridge, scores in scores_by_ridge.items()}
    return max(ridge for ridge in score if score[ridge] >= max(score.values()) - ALIKE)


def selection_score(scores):
    """What the best weights are chosen by: F1 of complete frames, and the share of surface and bed traces within 3
    pixels; the mean of those that the validation frames can tell, else recall.
    """
    boundaries = [scores[name] for name in ("surface_within_3px", "bed_within_3px") if scores[name] is not None]
    parts = [scores["f1_2px"]] if scores["f1_2px"] is not None else []
    parts += [sum(boundaries) / len(boundaries)] if boundaries else []
    return sum(parts) / len(parts) if parts else scores["recall_2px"]


def tally(frame, tracked):
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


def layer_samples(frame, tracked):
    """[(features, share of traces within 2 px of the truth, traces)] of each tracked layer that the annotation can
    judge.
    """
    samples, labels = [], np.array(labels_of(frame))
    for layer, features in zip(tracked, tracker.layer_features(tracked, calibration.unevenness(tracked))):
        if frame.complete:
            judged, truth = np.ones(layer.rows.size, bool), frame.rows[:, layer.traces]
        else:
            truth = frame.rows[labels == layer.label][:, layer.traces]
            judged = np.isfinite(truth).any(axis=0) & (layer.label != "layer")
        if judged.sum() >= 8:
            within = scoring.points_within(layer.rows[None], truth, 2.0)[0]
            samples.append((features, within[judged].mean(), judged.sum()))
    return samples


def frame_samples(frame, tracked):
    """[(features, share, 1)]: the share of layer traces, drawn or found, on which drawing and finding agree within 2
    px; of a partial annotation, of drawn traces alone.
    """
    if not np.isfinite(frame.rows).any():
        return []
    predicted = rows_of(tracked, frame.rows.shape[1])
    pairs = scoring.match_points(predicted, frame.rows)[0].sum()
    drawn, found = np.isfinite(frame.rows).sum(), np.isfinite(predicted).sum()
    whole = max(drawn, found) if frame.complete else drawn
    return [(tracker.frame_features(tracked, calibration.unevenness(tracked)), float(pairs) / whole, 1.0)]
