"""A training that SageMaker ends without asking: SIGTERM does not reach train.py there, and SIGKILL asks nobody."""

import json
import os
import subprocess
import sys

import artefact
import checkpoint
import mxnet as mx
import numpy as np
import pytest
import train
from conftest import LAYER_MODEL, LIBRARY, draw_frame, write_channel
from inference import model_fn

EPOCHS = 8


@pytest.fixture
def data(tmp_path):
    write_channel(tmp_path / "train", range(4), height=64, width=96, layers=2)
    write_channel(tmp_path / "validation", [9, 10], height=64, width=96, layers=2)
    return tmp_path


def command(data, name, checkpoints, **changes):
    given = {"train": "train", "validation": "validation", "calibration": "none", "holdout": "none", "model": "none"}
    options = {key: data / value for key, value in given.items()}
    options.update({"model-dir": data / name, "output-data-dir": data / name / "out", "checkpoint-dir": checkpoints})
    options.update({"max-seconds": 0, "epochs": EPOCHS, "batch-size": 2, "crop-rows": 64, "crop-traces": 96})
    options.update(changes)
    return [part for key, value in options.items() for part in ("--" + key, str(value))]


def started(arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(LAYER_MODEL / "train.py"), *arguments],
        env=dict(os.environ, PYTHONPATH=str(LIBRARY), OMP_NUM_THREADS="1"),
        stdout=subprocess.PIPE,
        text=True,
    )


def killed_after(epochs, arguments):
    """The output of a training that was killed once it had told so many epochs' scores."""
    told = []
    with started(arguments) as process:
        for line in process.stdout:
            told.append(line)
            if line.startswith(f"epoch={epochs} "):
                break
        process.kill()
    return "".join(told)


def arrays_of(folder):
    return {name: array.asnumpy() for name, array in artefact.read_arrays(str(folder)).items()}


def card_of(folder):
    return json.loads((folder / "model_card.json").read_text())


def test_a_killed_training_has_a_model_and_the_next_attempt_ends_as_if_nothing_had_happened(data):
    # Given a training that is killed in the midst of its epochs
    (data / "checkpoints").mkdir()
    told = killed_after(3, command(data, "first", data / "checkpoints"))
    assert "epoch=3 " in told
    # Then its best weights so far are a model that answers, and whose card says how it came to be
    card = card_of(data / "first")
    assert card["stopped_early"]
    assert card["scores"]["validation"]["frames"] == 2
    assert card["best_epoch"] >= 1
    grey, _, _ = draw_frame(500, height=64, width=96, layers=2)
    document = model_fn(str(data / "first")).predict(grey)
    assert document["image"] == {"width": 96, "height": 64}
    # When it is started again, in a container of its own that has the checkpoint alone
    again = started(command(data, "second", data / "checkpoints"))
    said, _ = again.communicate(timeout=200)
    assert again.returncode == 0
    assert "from a checkpoint" in said
    # Then it ends with the very model that it would have ended with
    whole = started(command(data, "whole", data / "none"))
    whole.communicate(timeout=200)
    found, expected = arrays_of(data / "second"), arrays_of(data / "whole")
    assert all((found[name] == expected[name]).all() for name in expected)
    card, other = card_of(data / "second"), card_of(data / "whole")
    assert not card["stopped_early"]
    for name in ("calibration", "scores", "epochs", "best_epoch"):
        assert card[name] == other[name]
    histories = [json.loads((data / name / "out" / "history.json").read_text()) for name in ("second", "whole")]
    scores = [[(entry["epoch"], entry["train_loss"], entry["score"]) for entry in history] for history in histories]
    assert scores[0] == scores[1]


def test_an_attempt_that_goes_on_has_a_model_before_its_first_step(data, monkeypatch):
    (data / "checkpoints").mkdir()
    train.main(command(data, "first", data / "checkpoints", epochs=2))

    def refused(*step):
        raise KeyboardInterrupt

    monkeypatch.setattr(train.Training, "_step", refused)
    with pytest.raises(KeyboardInterrupt):
        train.main(command(data, "second", data / "checkpoints", epochs=3))
    first, second = arrays_of(data / "first"), arrays_of(data / "second")
    assert all((first[name] == second[name]).all() for name in first)
    assert card_of(data / "second")["stopped_early"]


def test_a_long_pass_is_gone_on_from_in_its_midst(data, monkeypatch, capsys):
    (data / "checkpoints").mkdir()
    whole, seen = train.Training._step, []

    def step(self, *given):
        seen.append(self.progress.steps)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return whole(self, *given)

    monkeypatch.setattr(train.Training, "_step", step)
    often = {"validation-seconds": 1e-6, "epochs": 1}
    with pytest.raises(KeyboardInterrupt):
        train.main(command(data, "first", data / "checkpoints", **often))
    train.main(command(data, "second", data / "checkpoints", **often))
    assert "going on after epoch 0" in capsys.readouterr().out
    assert seen == [0, 1, 1, 2], "what the first attempt learnt is kept, and the pass is made whole"
    history = json.loads((data / "second" / "out" / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == [1, 1, 1]


def test_time_that_earlier_attempts_took_counts(data, capsys):
    (data / "checkpoints").mkdir()
    train.main(command(data, "first", data / "checkpoints", epochs=1))
    saved = checkpoint.load(str(data / "checkpoints"))
    saved.state["progress"]["elapsed"] = 1000.0
    checkpoint.save(str(data / "checkpoints"), saved)
    train.main(command(data, "second", data / "checkpoints", **{"max-seconds": 900}))
    assert card_of(data / "second")["epochs"] == 1
    assert "going on after epoch 1" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut", "other bytes", "other network", "other form"])
def test_a_checkpoint_of_no_use_is_told_and_the_training_starts_anew(data, capsys, damage):
    folder = data / "checkpoints"
    folder.mkdir()
    train.main(command(data, "first", folder, epochs=1))
    path = folder / checkpoint.FILE
    saved = checkpoint.load(str(folder))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "other bytes":
        path.write_bytes(b"checkpoint")
    elif damage == "other network":
        saved.state["network"] = "reference"
        checkpoint.save(str(folder), saved)
    else:
        saved.groups["average"].popitem()
        checkpoint.save(str(folder), saved)
    capsys.readouterr()
    train.main(command(data, "second", folder, epochs=1))
    assert "not going on from the checkpoint: " in capsys.readouterr().out
    first, second = arrays_of(data / "first"), arrays_of(data / "second")
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.parametrize("write", ["artefact", "checkpoint"])
def test_whenever_a_newer_one_is_interrupted_what_was_there_stays_whole(data, monkeypatch, write):
    (data / "checkpoints").mkdir()
    train.main(command(data, "first", data / "checkpoints", epochs=1))
    old, folder = arrays_of(data / "first"), str(data / "first")
    new = {name: mx.nd.array(array) + 1 for name, array in old.items()}
    symbol, card = mx.sym.load(str(data / "first" / artefact.SYMBOL)), artefact.read_card(folder)
    saved = checkpoint.load(str(data / "checkpoints"))
    whole, reached = os.replace, 0

    def write_again():
        if write == "artefact":
            artefact.write(folder, symbol, new, dict(card, model_version="newer"))
        else:
            checkpoint.save(str(data / "checkpoints"), saved._replace(groups={"current": new}))

    for last in range(100):  # killed before its last replacement, before the one before that, ...
        left = [last]

        def replace(source, target, left=left):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            whole(source, target)

        monkeypatch.setattr(os, "replace", replace)
        try:
            write_again()
        except KeyboardInterrupt:
            reached += 1
        else:
            break
        finally:
            monkeypatch.setattr(os, "replace", whole)
        if write == "checkpoint":
            assert set(checkpoint.load(str(data / "checkpoints")).groups) == set(saved.groups)
            continue
        assert artefact.read_card(folder)["model_version"] == card["model_version"]
        found = arrays_of(folder)
        assert all((found[name] == old[name]).all() for name in old) or all(
            (found[name] == new[name].asnumpy()).all() for name in old
        )
        model_fn(folder)
    assert reached == (1 if write == "checkpoint" else len(list((data / "first" / "code").rglob("*.py"))) + 3)


def test_adams_moments_come_back(data):
    (data / "checkpoints").mkdir()
    train.main(command(data, "first", data / "checkpoints", epochs=1))
    groups, state = checkpoint.load(str(data / "checkpoints"))
    assert state["progress"]["steps"] == 2
    learnt = set(groups["mean"])
    assert learnt == set(groups["variance"]) < set(groups["current"]), "running means of batch norm are not learnt"
    parameter = mx.gluon.Parameter("only", shape=(3,))
    parameter.initialize()
    trainer = mx.gluon.Trainer({"only": parameter}, "adam")
    assert checkpoint.moments(trainer) == {"mean": {}, "variance": {}}
    given = {"mean": {"only": mx.nd.array([1, 2, 3])}, "variance": {"only": mx.nd.array([4, 5, 6])}}
    checkpoint.set_moments(trainer, given, 7)
    with mx.autograd.record():
        loss = (parameter.data() * 0).sum()
    loss.backward()
    trainer.step(1)
    found = checkpoint.moments(trainer)
    np.testing.assert_allclose(found["mean"]["only"].asnumpy(), [0.9, 1.8, 2.7], rtol=1e-6)
    assert trainer._optimizer.num_update == 8
