"""The networks' graphs, and what becomes of them when they are loaded to serve."""

import os
import subprocess
import sys

import artefact
import mxnet as mx
import network
import numpy as np
import pytest
from conftest import LAYER_MODEL, LIBRARY

SIZES = [(1, 48, 64), (2, 32, 112), (1, 160, 96), (1, 48, 64)]

GROWTH = """
import random, re
import artefact, mxnet as mx, network, numpy as np

def resident():
    with open("/proc/self/status") as status:
        return int(re.search("VmRSS:\\\\s+(\\\\d+) kB", status.read()).group(1)) / 1024

model = network.build("layers")
arrays = {name: parameter.data() for name, parameter in model.collect_params().items()}
forward = artefact.forward_function(network.inference_symbol(model), arrays)
sizes = [(16 * rows, 16 * traces) for rows in range(2, 15) for traces in range(2, 15)]
random.Random(0).shuffle(sizes)
for number, (rows, traces) in enumerate(sizes[:160]):
    if number == 40:
        before = resident()
    forward(np.zeros((1, 5, rows, traces), np.float32))
print(resident() - before)
"""


def trained(name, seed=0):
    """(network, its arrays) with weights, biases and batch-norm statistics as after a training, not as at its start."""
    rng = np.random.RandomState(seed)
    mx.random.seed(seed)  # random networks amplify rounding, some more than others
    model = network.build(name)
    for key, parameter in model.collect_params().items():
        if key.endswith(("gamma", "var")):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
        elif key.endswith(("beta", "mean", "bias")):
            parameter.set_data(mx.nd.array(0.3 * rng.standard_normal(parameter.shape)))
    model.fuse.weight.set_data(mx.nd.array(rng.standard_normal(model.fuse.weight.shape)))
    logits = model(mx.nd.array(rng.standard_normal((1, model.channels, 64, 64))))[0].asnumpy()
    # So that probabilities lie between 0 and 1 and tell a difference.
    model.fuse.weight.set_data(model.fuse.weight.data() * (2 / float(logits.std())))
    return model, {key: parameter.data() for key, parameter in model.collect_params().items()}


def plainly_fused(model):
    """The symbol that artefacts of earlier versions hold: every side output enlarged to full size, then one grouped
    convolution.
    """
    sides = model(mx.sym.var("data"))[1:]
    full = [
        mx.sym.UpSampling(side, scale=2**scale, sample_type="nearest") if scale else side
        for scale, side in enumerate(sides)
    ]
    stacked = mx.sym.reshape(mx.sym.stack(*full, axis=2), shape=(0, -3, 0, 0))
    weights = [p.var() for p in (model.fuse.weight, model.fuse.bias) if p is not None]
    fused = mx.sym.Convolution(stacked, *weights, kernel=(1, 1), num_filter=3, num_group=3, no_bias=len(weights) == 1)
    return mx.sym.sigmoid(fused)


@pytest.mark.parametrize("name", list(network.NETWORKS))
def test_what_serves_gives_what_trains_and_what_earlier_artefacts_gave(name, rng):
    model, arrays = trained(name)
    serving = artefact.forward_function(network.inference_symbol(model), arrays)
    earlier = artefact.forward_function(plainly_fused(model), arrays)
    for count, rows, traces in SIZES:
        image = rng.standard_normal((count, model.channels, rows, traces)).astype(np.float32)
        expected = mx.nd.sigmoid(model(mx.nd.array(image))[0]).asnumpy()
        assert ((expected > 0.02) & (expected < 0.98)).mean() > 0.3, "a sigmoid hides differences of large numbers"
        np.testing.assert_allclose(serving(image), expected, atol=1e-5)
        np.testing.assert_allclose(earlier(image), expected, atol=1e-5)


@pytest.mark.parametrize("name", list(network.NETWORKS))
def test_both_ways_of_fusing_teach_the_same(name, rng):
    """Given a gradient of the fused output, when it flows back, then every weight gets the same from either graph."""
    model, arrays = trained(name)
    image = rng.standard_normal((2, model.channels, 32, 48)).astype(np.float32)
    wanted = mx.nd.array(rng.standard_normal((2, 3, 32, 48)))
    found = []
    for symbol in (network.inference_symbol(model), plainly_fused(model)):
        executor = symbol.simple_bind(mx.cpu(), data=image.shape)
        executor.copy_params_from(
            {key: value for key, value in arrays.items() if key in executor.arg_dict},
            {key: value for key, value in arrays.items() if key in executor.aux_dict},
        )
        executor.forward(is_train=True, data=mx.nd.array(image))
        executor.backward(wanted)
        found.append({key: gradient.asnumpy() for key, gradient in executor.grad_dict.items() if key != "data"})
    assert set(found[0]) == set(found[1])
    for key, gradient in found[1].items():
        # A bias before batch norm has no gradient but rounding: what counts is measured by the largest of all.
        np.testing.assert_allclose(found[0][key], gradient, atol=1e-4 * max(1.0, np.abs(gradient).max()), err_msg=key)


def test_without_onednn_the_answers_are_the_same(rng, monkeypatch):
    model, arrays = trained("layers")
    image = rng.standard_normal((1, model.channels, 48, 64)).astype(np.float32)
    expected = artefact.forward_function(network.inference_symbol(model), arrays)(image)
    monkeypatch.setattr(mx.runtime.Features, "is_enabled", lambda features, name: False)
    plain = artefact.forward_function(network.inference_symbol(model), arrays)
    np.testing.assert_allclose(plain(image), expected, atol=1e-5)


def test_the_fusions_weights_are_those_that_older_models_have():
    fusion = network.build("layers").fuse.weight
    assert fusion.shape == (3, 4, 1, 1)
    np.testing.assert_array_equal(fusion.data().asnumpy(), 0.25)
    assert network.build("reference").fuse.weight.shape == (3, 5, 1, 1)
    assert network.build("reference").fuse.bias.shape == (3,)
    assert fusion.name == "firnline_conv11_weight"


def test_of_two_values_of_a_column_the_first_is_the_left_trace():
    pairs = mx.nd.array([[[[1, 2]], [[10, 20]], [[3, 4]], [[30, 40]], [[5, 6]], [[50, 60]]]])
    traces = network._both_traces(mx.nd, pairs).asnumpy()
    np.testing.assert_array_equal(traces[0, :, 0], [[1, 10, 2, 20], [3, 30, 4, 40], [5, 50, 6, 60]])


def test_frames_of_many_sizes_do_not_fill_the_memory():
    """Megabytes that 120 more sizes take: 22 measured, 73 if MXNet keeps all that it prepares for a size, 340 without
    static memory.
    """
    environment = dict(os.environ, PYTHONPATH=str(LIBRARY))
    run = subprocess.run(
        [sys.executable, "-c", GROWTH],
        cwd=LAYER_MODEL,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert float(run.stdout) < 45
