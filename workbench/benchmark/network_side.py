"""Runs a model folder over the frames of a channel, in MXNet's environment, stage by stage as the endpoint does:
``python network_side.py MODEL_DIR CHANNEL OUT [--frames N] [--points]``.

Writes ``OUT.json``: a layers document per frame, milliseconds per frame (median) of decoding, network (with its
normalisation) and vectorising, threads, peak resident memory; with ``--points`` also ``OUT.npz``: the ridge points of
the probability maps.
"""

# ruff: noqa: B905, UP032 - as what runs in SageMaker's image; its modules are on PYTHONPATH

import argparse
import json
import os
import platform
import resource
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))

import artefact
import mxnet as mx
import numpy as np
import tracker
from dataset import Channel
from echogram_input import decode_png
from inference import Model

from firnline.learning.records import unpack_record

WARM_UP = 3
LEAST = 0.02
"""Ridge points below this probability are left out: they would only fill the file."""
MILLISECONDS = 1e3


def ridge_points(probability, width, stride):
    """Ridge points of the likeliest kind at each pixel, in traces: rows, columns, strength.

    Maxima along the columns of the map; a column of several traces stands for each of them.
    """
    response = probability.max(axis=0)
    inner = response[1:-1]
    rows, columns = np.nonzero((inner > LEAST) & (inner >= response[:-2]) & (inner > response[2:]))
    rows = rows + 1
    strength = np.tile(response[rows, columns], stride)
    rows, columns = np.tile(rows, stride), np.concatenate([columns * stride + offset for offset in range(stride)])
    inside = columns < width
    return rows[inside], columns[inside], strength[inside]


def run(model, payloads, points):
    """({timings, documents}, {array name: array}) of the frames in undecoded records."""
    card, seconds, documents, arrays = model.card, [], [], {}
    for number, payload in enumerate(payloads):
        png = unpack_record(payload).png
        for _ in range(WARM_UP if number == 0 else 1):
            times = [time.perf_counter()]
            grey = decode_png(png)
            times.append(time.perf_counter())
            probability = tracker.probability_map(model.forward, grey, card["channels"], card["trace_stride"])
            times.append(time.perf_counter())
            tracked = tracker.track_map(probability, grey, card["trace_stride"], model.ridge)
            document = tracker.layers_document(tracked, grey.shape, card["calibration"], {})
            times.append(time.perf_counter())
        seconds.append(np.diff(times))
        documents.append(document)
        if points:
            for name, values in zip(
                ("rows", "columns", "strength"), ridge_points(probability, grey.shape[1], card["trace_stride"])
            ):
                arrays["{}_{}".format(name, number)] = values.astype(np.float32 if name == "strength" else np.int32)
    decode, network, vectorise = MILLISECONDS * np.median(seconds, axis=0)
    timings = {"decode": decode, "network": network, "vectorise": vectorise, "total": decode + network + vectorise}
    return {
        "ms_per_frame": {name: round(float(value), 2) for name, value in timings.items()},
        "frames": len(documents),
        "documents": documents,
    }, arrays


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("channel")
    parser.add_argument("out")
    parser.add_argument("--frames", type=int, default=None, help="only the first N")
    parser.add_argument("--points", action="store_true", help="write the ridge points")
    options = parser.parse_args(argv)
    model = Model(options.model)
    payloads = list(Channel(options.channel).payloads())[: options.frames]
    result, arrays = run(model, payloads, options.points)
    if options.points:
        np.savez_compressed(options.out + ".npz", **arrays)
    result.update(
        threads=int(os.environ["OMP_NUM_THREADS"]),
        peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0),
        parameters=parameter_count(options.model),
        versions={"mxnet": mx.__version__, "numpy": np.__version__, "python": platform.python_version()},
    )
    Path(options.out + ".json").write_text(json.dumps(result))


def parameter_count(folder):
    """Numbers that training chose, in all."""
    return int(sum(array.size for array in artefact.read_arrays(folder).values()))


if __name__ == "__main__":
    main()
