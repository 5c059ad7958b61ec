"""The training loop: steps, averaged weights, validation, early stop, checkpoints."""

from __future__ import annotations

import math
import os
import time
from argparse import Namespace
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import calibration
import checkpoint
import mxnet as mx
import numpy as np
from dataset import Channel, batches
from losses import deep_supervision_loss
from mxnet import autograd
from network import inference_symbol
from validation import RIDGES, Scores, Validation, chosen_ridge, selection_score
from weights import Weights, copied, drawn_back, followed, take_over

WEIGHT_DECAY = 1e-5
WARM_UP_STEPS = 15
"""Over which the learning rate rises, while Adam gets to know the gradients."""
LOWEST_RATE = 0.02
"""Share of the learning rate at which the cosine ends."""
REPORT_SECONDS = 10.0


class Progress:
    """How far a training has come; what a checkpoint holds beside the weights."""

    def __init__(self, ridge: float) -> None:
        self.epochs = self.steps = self.seen = 0
        self.seconds = 0.0
        """Spent on steps, without validation."""
        self.elapsed = 0.0
        """Since the start, time between two attempts left out."""
        self.worse = 0
        """Validations since the best one."""
        self.ridge = ridge
        self.best_score: Optional[float] = None
        self.best_epoch = 0
        self.history: List[Dict[str, Any]] = []

    def as_state(self) -> Dict[str, Any]:
        return dict(vars(self))

    def take_over(self, state: Dict[str, Any]) -> None:
        """Raises KeyError for a state of another form."""
        vars(self).update({name: state[name] for name in vars(self)})


class Channels(NamedTuple):
    """What a training learns from, is judged by, and is scored on for the history alone: that chooses nothing."""

    train: Channel
    validation: Channel
    followed: Optional[Channel] = None


class Training:
    """One training of `model`.

    What is validated and kept is the running average of the weights, which a short training gains much from; of a model
    that is trained on, drawn back towards where it started. `best` holds the weights with the best validation score, the
    last ones without validation frames; `on_best` is called whenever there are new ones.

    The learning rate falls along a cosine, by the share of epochs or of time that is used up, whichever is larger.
    """

    def __init__(
        self,
        model: Any,
        options: Namespace,
        arrays: Optional[Weights] = None,
        curves: Optional[Dict[str, Any]] = None,
        rehearsal: Sequence[bytes] = (),
        on_best: Optional[Callable[[Training], None]] = None,
    ) -> None:
        self.model, self.options, self.rehearsal, self.on_best = model, options, rehearsal, on_best
        self.symbol = inference_symbol(model)
        self.parameters: Dict[str, Any] = dict(model.collect_params().items())
        if arrays is not None:
            take_over(self.parameters, arrays, model.channels, options.network)
        self.warm = arrays is not None
        self.curves = dict(calibration.UNCALIBRATED, **(curves or {}))
        self.start, self.average = copied(self.parameters), copied(self.parameters)
        self.best = self.start
        self.progress = Progress(self.curves["ridge"])
        self.scores: Optional[Scores] = None
        """Of `best`, on the validation channel."""
        self.stopped = False
        self.rng = np.random.RandomState(options.seed)
        self.judge = Validation(self.symbol, model.channels, model.trace_stride, options.validation_frames)

    def stop(self) -> None:
        """Finish the current step, then save (a spot interruption, SIGTERM where it comes through)."""
        self.stopped = True

    def run(self, channels: Channels) -> None:
        """Train until the epochs, the time or the patience are used up, from the checkpoint if there is one."""
        self.channels = channels
        self.model.hybridize(static_alloc=True, static_shape=True)
        self.trainer = mx.gluon.Trainer(
            self.model.collect_params(), "adam", {"learning_rate": self.options.learning_rate, "wd": WEIGHT_DECAY}
        )
        self._resume()
        self.began = time.monotonic() - self.progress.elapsed
        if self.warm and not self.progress.history:
            self._validate(None)
        while self.progress.epochs < self.options.epochs and not self._done():
            if not self._epoch():
                break
            self.progress.epochs += 1
            self._save_checkpoint()
        if self._out_of_patience():
            print(f"no better validation score {self.progress.worse} times: stopping", flush=True)

    def _epoch(self) -> int:
        """Steps of one pass over the data, validated at its end and, in a long one, on the way; 0 if the pass gave
        nothing to learn from.
        """
        losses: List[Any] = []
        steps, before = 0, self.progress.steps
        steps_per_epoch = before / self.progress.epochs if self.progress.epochs and before else None
        told = resumed = time.monotonic()
        for batch in self._batches():
            share = steps / steps_per_epoch if steps_per_epoch else 0.0
            losses.append(self._step(batch, before + steps, share))
            steps += 1
            self.progress.steps = before + steps
            if len(losses) > 1:
                losses[-2].wait_to_read()
            if time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                self._report(steps, losses[-1])
            if self.options.validation_seconds and time.monotonic() - resumed > self.options.validation_seconds:
                mean = _mean(losses)
                self.progress.seconds += time.monotonic() - resumed
                self._validate(mean)
                self._save_checkpoint()
                losses, resumed = [], time.monotonic()
            if self._done():
                break
        if losses:
            mean = _mean(losses)
            self.progress.seconds += time.monotonic() - resumed
            self._validate(mean)
        return steps

    def _batches(self) -> Iterator[Tuple[np.ndarray, ...]]:
        options = self.options
        size = (options.crop_rows, options.crop_traces)
        stride = self.model.trace_stride
        return batches(self.channels.train, options.batch_size, size, stride, self.rng, self.rehearsal)

    def _step(self, batch: Tuple[np.ndarray, ...], before: int, share: float) -> Any:
        """Learn from a batch, after `before` steps and this share of the pass; returns the loss, not yet computed."""
        self.trainer.set_learning_rate(self.options.learning_rate * self._schedule(before, share))
        data, target, weight = (mx.nd.array(part) for part in batch)
        with autograd.record():
            loss = deep_supervision_loss(self.model(data[:, : self.model.channels]), target, weight)
        loss.backward()
        self.trainer.step(1)
        self.average = followed(self.average, self.parameters, before)
        return loss

    def _report(self, steps: int, loss: Any) -> None:
        line = "epoch {}: {} steps, loss {:.4f}"
        print(line.format(self.progress.epochs + 1, steps, float(loss.asscalar())), flush=True)

    def _schedule(self, steps: int, share: float) -> float:
        """Share of the learning rate after `steps` steps and this share of the current pass."""
        done = (self.progress.epochs + share) / self.options.epochs
        if self.options.max_seconds:
            done = max(done, (time.monotonic() - self.began) / self.options.max_seconds)
        cosine = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return min(1.0, (steps + 1) / WARM_UP_STEPS) * max(LOWEST_RATE, cosine)

    def _done(self) -> bool:
        """Whether the training is to stop: told so, out of time or out of patience."""
        limit = self.options.max_seconds
        late = bool(limit) and time.monotonic() - self.began > limit
        return self.stopped or late or self._out_of_patience()

    def _out_of_patience(self) -> bool:
        return self.channels.validation.present and self.progress.worse >= self.options.patience

    def _kept(self) -> Weights:
        """The weights that are validated: see the class."""
        if not self.warm:
            return self.average
        return drawn_back(self.average, self.start, max(self.channels.train.seen, self.progress.seen))

    def _validate(self, loss: Optional[float]) -> None:
        """Score the weights at the ridge threshold that suits them best, tell the scores, keep the weights if they are
        the best.
        """
        progress, weights = self.progress, self._kept()
        ridge, scores, value = progress.ridge, None, None
        if self.channels.validation.present:
            tried = sorted({*RIDGES, progress.ridge})
            at = self.judge.scores_by_ridge(self.channels.validation, weights, tried)
            ridge = chosen_ridge(at, progress.ridge)
            scores, value = at[ridge], selection_score(at[ridge])
        epoch = progress.epochs + (loss is not None)
        progress.history.append(
            {
                "epoch": epoch,
                "seconds": round(progress.seconds, 1),
                "train_loss": loss,
                "validation": scores,
                "followed": self._followed(weights, ridge),
                "score": value,
                "ridge": ridge,
            }
        )
        _tell(epoch, loss, scores, value)
        better = value is None or progress.best_score is None or value > progress.best_score
        progress.worse = 0 if better else progress.worse + 1
        if better:
            progress.ridge, progress.best_score, progress.best_epoch = ridge, value, epoch
            self.best, self.scores = weights, scores
            if self.on_best:
                self.on_best(self)

    def _followed(self, weights: Weights, ridge: float) -> Optional[Scores]:
        channel = self.channels.followed
        if channel is None or not channel.present:
            return None
        return self.judge.scores_by_ridge(channel, weights, [ridge])[ridge]

    def score(self, channel: Channel) -> Scores:
        """Scores of the best weights on a channel."""
        ridge = self.progress.ridge
        return self.judge.scores_by_ridge(channel, self.best, [ridge])[ridge]

    def calibrate(self, channel: Channel) -> Tuple[Dict[str, Any], Optional[Scores]]:
        """(calibration curves, scores) of the best weights on a channel; if it is absent, as before and None."""
        if not channel.present:
            return self.curves, None
        return self.judge.calibrated(channel, self.best, self.progress.ridge, self.curves)

    def _save_checkpoint(self) -> None:
        """All that another attempt needs to go on as if nothing had happened, if there is a folder for it. Saved in the midst
        of a long pass over the data, it goes on with that pass from its start.
        """
        folder, progress = self.options.checkpoint_dir, self.progress
        if not os.path.isdir(folder):
            return
        progress.elapsed = time.monotonic() - self.began
        progress.seen = max(progress.seen, self.channels.train.seen)
        drawn: Any = self.rng.get_state()
        state = {
            "network": self.options.network,
            "progress": progress.as_state(),
            "scores": self.scores,
            "rng": [drawn[0], drawn[1].tolist(), *drawn[2:]],
        }
        groups = {"current": copied(self.parameters), "average": self.average, "best": self.best}
        groups.update(checkpoint.moments(self.trainer))
        checkpoint.save(folder, checkpoint.Checkpoint(groups, state))

    def _resume(self) -> None:
        """Go on from the checkpoint; from the start, and saying so, where it is of no use."""
        try:
            saved = checkpoint.load(self.options.checkpoint_dir)
            if saved is not None:
                self._take_over(saved)
        except (checkpoint.CheckpointError, KeyError) as error:
            print(f"not going on from the checkpoint: {error}", flush=True)

    def _take_over(self, saved: checkpoint.Checkpoint) -> None:
        if saved.state["network"] != self.options.network:
            raise checkpoint.CheckpointError("it is of the network {!r}.".format(saved.state["network"]))
        current, average, best = (saved.groups[kind] for kind in ("current", "average", "best"))
        shapes = {name: parameter.shape for name, parameter in self.parameters.items()}
        for group in (current, average, best):
            if {name: array.shape for name, array in group.items()} != shapes:
                raise checkpoint.CheckpointError("it is of another form of the network.")
        scores, drawn = saved.state["scores"], tuple(saved.state["rng"])
        self.progress.take_over(saved.state["progress"])
        self.rng.set_state(drawn)
        take_over(self.parameters, current, self.model.channels, self.options.network)
        self.average, self.best, self.scores = average, best, scores
        checkpoint.set_moments(self.trainer, saved.groups, self.progress.steps)
        print(f"going on after epoch {self.progress.epochs} from a checkpoint", flush=True)
        if self.on_best:
            self.on_best(self)


def _tell(epoch: int, loss: Optional[float], scores: Optional[Scores], value: Optional[float]) -> None:
    """Print what SageMaker reads metrics from."""
    line = f"epoch={epoch}" + ("" if loss is None else f" train_loss={loss:.5f};")
    for name, score in (scores or {}).items():
        if score is not None:
            line += f" validation_{name}={score:.5f};"
    print(line + ("" if value is None else f" validation_score={value:.5f};"), flush=True)


def _mean(losses: Sequence[Any]) -> float:
    """Mean of scalar NDArrays. Raises ArithmeticError if it is none."""
    mean = float(np.mean([float(loss.asscalar()) for loss in losses]))
    if not math.isfinite(mean):
        raise ArithmeticError("The training loss is no longer a number; try a lower --learning-rate.")
    return mean
