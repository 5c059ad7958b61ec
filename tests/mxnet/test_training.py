"""The training command in this process, on a few tiny frames."""

import json
import os
import signal
import tarfile

import artefact
import checkpoint
import network
import numpy as np
import pytest
import train
import training
import validation
import weights
from conftest import write_channel
from hyperparameters import BY_NAME, HYPERPARAMETERS


@pytest.fixture
def job(tmp_path):
    write_channel(tmp_path / "train", range(4), height=64, width=96, layers=2)
    write_channel(tmp_path / "validation", [9], height=64, width=96, layers=2)

    def run(name, **options):
        given = {
            "train": "train",
            "validation": "validation",
            "holdout": "none",
            "model": "none",
            "checkpoint-dir": "none",
        }
        given = {key: str(tmp_path / value) for key, value in given.items()}
        given.update({"model-dir": str(tmp_path / name), "output-data-dir": str(tmp_path / name / "out")})
        given.update({"max-seconds": 0, "epochs": 2, "batch-size": 2, "crop-rows": 64, "crop-traces": 96}, **options)
        train.main([argument for key, value in given.items() for argument in ("--" + key, str(value))])
        return artefact.read_arrays(str(tmp_path / name)), json.loads((tmp_path / name / "model_card.json").read_text())

    return run


def test_the_same_seed_gives_the_same_model(job):
    (one, _), (same, _), (other, _) = job("a", seed=3), job("b", seed=3), job("c", seed=4)
    assert all((one[name] == same[name]).asnumpy().all() for name in one)
    assert any((one[name] != other[name]).asnumpy().any() for name in one)


def test_an_interrupted_job_goes_on_from_its_checkpoint(job, tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    job("a", **{"checkpoint-dir": tmp_path / "checkpoints", "epochs": 1})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [checkpoint.FILE]
    _, card = job("b", **{"checkpoint-dir": tmp_path / "checkpoints", "epochs": 2})
    assert "going on after epoch 1" in capsys.readouterr().out
    assert card["epochs"] == 2


def test_a_terminated_job_saves_what_it_has(job, monkeypatch):
    whole = training.Training._step

    def interrupted(self, *step):
        os.kill(os.getpid(), signal.SIGTERM)
        return whole(self, *step)

    monkeypatch.setattr(training.Training, "_step", interrupted)
    handler = signal.getsignal(signal.SIGTERM)
    _, card = job("a", epochs=50)
    signal.signal(signal.SIGTERM, handler)
    assert card["stopped_early"]
    assert card["epochs"] == 1


def test_every_hyperparameter_is_an_argument_and_checked():
    options = train.arguments(["--model-version", "v"])
    told = {parameter.name: getattr(options, parameter.name.replace("-", "_")) for parameter in HYPERPARAMETERS}
    assert told == dict({parameter.name: parameter.default for parameter in HYPERPARAMETERS}, **{"model-version": "v"})
    assert set(BY_NAME["network"].choices) == set(network.NETWORKS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--crop-rows", "100"], "crop-rows is a multiple of 16, which 100 is not"),
        (["--epochs", "0"], "epochs is at least 1, not 0"),
        (["--network", "other"], "network is one of layers, reference, not 'other'"),
        (["--learning-rate", "nan"], "learning-rate takes a number, not 'nan'"),
    ],
)
def test_a_hyperparameter_out_of_its_range_ends_the_job_with_a_sentence(capsys, given, said):
    with pytest.raises(SystemExit):
        train.arguments(given)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("gone", ["validation", "train"])
def test_validation_may_be_absent_and_training_data_may_not(job, tmp_path, gone):
    (tmp_path / gone / "part-00000.rec").unlink()
    if gone == "train":
        with pytest.raises(SystemExit, match="holds no"):
            job("a")
    else:
        assert job("a")[1]["scores"] == {"validation": None, "holdout": None}


def test_the_reference_network_trains_too(job):
    arrays, card = job("a", network="reference", epochs=1)
    assert (card["channels"], card["trace_stride"]) == (1, 1)
    assert all(np.isfinite(array.asnumpy()).all() for array in arrays.values())


def test_a_model_that_saw_fewer_channels_goes_on_as_it_was():
    options = train.arguments([])
    old, new = network.build("layers"), network.build("layers")
    arrays = {name: parameter.data() for name, parameter in old.collect_params().items()}
    first = next(name for name, array in arrays.items() if array.shape[1:2] == (new.channels,))
    arrays[first] = arrays[first][:, :2]
    taken = {name: p.data() for name, p in training.Training(new, options, arrays).parameters.items()}
    np.testing.assert_array_equal(taken[first][:, :2].asnumpy(), arrays[first].asnumpy())
    assert not taken[first][:, 2:].asnumpy().any()
    arrays[first] = arrays[first][:4]
    with pytest.raises(artefact.ArtefactError, match="does not fit"):
        training.Training(new, options, arrays)


def test_few_frames_move_a_model_that_is_trained_on_a_part_of_the_way(job, tmp_path):
    before, _ = job("a", epochs=1)
    with tarfile.open(tmp_path / "a" / "model.tar.gz", "w:gz") as archive:
        for name in sorted(artefact.NEEDED):
            archive.add(tmp_path / "a" / name, name)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "validation" / "part-00000.rec").unlink()
    after, _ = job("b", model=tmp_path / "a", epochs=2, **{"checkpoint-dir": tmp_path / "checkpoints"})
    learnt = checkpoint.load(str(tmp_path / "checkpoints")).groups["average"]
    share = 4 / (4 + weights.ANCHOR_FRAMES)
    for name, array in after.items():
        expected = share * learnt[name] + (1 - share) * before[name]
        np.testing.assert_allclose(array.asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-6)
    assert any((after[name] != before[name]).asnumpy().any() for name in after)


def test_the_selection_score_uses_what_the_frames_can_tell():
    blank = dict.fromkeys(("f1_2px", "surface_within_3px", "bed_within_3px", "recall_2px"))
    assert validation.selection_score(dict(blank, recall_2px=0.4)) == 0.4
    assert validation.selection_score(dict(blank, f1_2px=0.8, surface_within_3px=1.0)) == pytest.approx(0.9)
    assert validation.selection_score(dict(blank, surface_within_3px=1.0, bed_within_3px=0.5)) == pytest.approx(0.75)


def test_a_long_pass_is_validated_on_the_way_and_the_holdout_followed(job, tmp_path):
    write_channel(tmp_path / "held", [11], height=64, width=96, layers=2)
    job("a", **{"validation-seconds": 1e-6, "follow-holdout": 1, "holdout": tmp_path / "held", "epochs": 1})
    history = json.loads((tmp_path / "a" / "out" / "history.json").read_text())
    assert len(history) > 1
    assert [entry["epoch"] for entry in history] == [1] * len(history)
    assert all(entry["followed"]["frames"] == entry["validation"]["frames"] == 1 for entry in history)
    seconds = [entry["seconds"] for entry in history]
    assert seconds == sorted(seconds)


def test_the_last_score_that_is_printed_is_that_of_the_model(job, capsys, tmp_path):
    job("a", epochs=3)
    printed = [line for line in capsys.readouterr().out.splitlines() if "validation_score=" in line]
    history = json.loads((tmp_path / "a" / "out" / "history.json").read_text())
    assert printed[-1] == "final validation_score={:.5f};".format(max(entry["score"] for entry in history))


def test_of_thresholds_that_score_alike_the_highest_is_taken():
    def scores(f1):
        return {"surface_within_3px": None, "bed_within_3px": None, "recall_2px": 0.5, "f1_2px": f1}

    assert validation.chosen_ridge({0.4: scores(0.8), 0.5: scores(0.799), 0.6: scores(0.7)}, 0.4) == 0.5
    assert validation.chosen_ridge({0.4: scores(None), 0.5: scores(None)}, 0.4) == 0.4
