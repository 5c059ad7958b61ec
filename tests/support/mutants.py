"""Broken and hostile input: files of every form, answers and annotations, each mutated from a seed.

As a program, `python -m tests.support.mutants FIRST COUNT`, it reads so many mutants within the limits that a Lambda sets, and
prints a line of JSON for each that was not taken or refused in a sentence. It runs in a process of its own, since a
reader may hang in C, or take all memory.
"""

import io
import json
import resource
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from firnline.errors import Refused
from firnline.limits import MAX_SENTENCE_CHARACTERS
from firnline.radar.annotations import Geometry, document_of, read_annotation, read_picks
from firnline.radar.formats import read_frame
from firnline.review.answer import read_answer
from firnline.review.decision import Disputed, Judged, decide
from firnline.review.human_loop import LoopOutput
from tests.support.ingest_files import cell, cresis_variables, echoes, grey, impdar, irsno1b, mat5, mat73, picture

SECONDS, MEGABYTES = 10, 1_000
TRACES, SAMPLES = 24, 40
GPS = 1_333_065_600.0
WHEN = datetime(2026, 11, 22, tzinfo=UTC)
Reader = Callable[[bytes], object]


def _geometry() -> Geometry:
    return Geometry(TRACES, SAMPLES, GPS + 0.1 * np.arange(TRACES), 2e-9, 1e-6)


def _frame() -> Any:
    from firnline.documents.frame import FrameDocument

    return FrameDocument.of_whole_file(
        TRACES, SAMPLES, frame_id="c/s/f", revision="0" * 12, format="png", polarity="bright-strong",
        source_bucket="frames", source_key="c/s/f.png", checksum_sha256="0", created=WHEN, transforms=[], dt_s=2e-9,
        time_zero_s=1e-6, gps_time_s=(GPS + 0.1 * np.arange(TRACES)).tolist(),
    )  # fmt: skip


def _annotation(suffix: str) -> Reader:
    def read(content: bytes) -> object:
        if suffix == ".layers.json":
            return read_annotation(content, suffix, _frame(), WHEN)
        picks = read_picks(content, suffix, _geometry())
        return read_annotation(content, suffix, _frame(), WHEN) if len(content) % 2 else document_of_picks(picks)

    return read


def document_of_picks(picks: Any) -> object:
    from pydantic import ValidationError

    try:
        return document_of(picks, _frame(), WHEN)
    except ValidationError as error:  # which `read_annotation` makes a sentence of
        raise Refused("they cross") from error


def _organiser(content: bytes) -> object:
    return read_picks(mat5(_layers()), ".layers.mat", _geometry(), content)


def _output(content: bytes) -> object:
    try:
        output = LoopOutput.of(content)
    except ValueError as error:
        raise Refused(f"not an output: {error}.") from error
    decided = decide(output.humanAnswers, "c/s/f", TRACES, SAMPLES, {"review": "loop", "model_version": "first"})
    if isinstance(decided, Disputed):
        decided.sentence.encode()
        return [layer.model_dump_json() for layer in decided.proposal]
    for work in decided.beside.work:
        if work.seconds is not None and not 0 <= work.seconds <= 1e7:
            raise AssertionError(f"{work.seconds} seconds do not fit the table")
        work.by.encode()
    if isinstance(decided, Judged):
        return decided.verdict.sentence.encode().decode()
    return decided.document.to_json().decode()


def _answer(content: bytes) -> object:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refused("The page reads JSON itself.") from error
    return read_answer(answer, TRACES, SAMPLES)


def _layers() -> dict[str, Any]:
    times = GPS + 0.1 * np.arange(TRACES)
    return {
        "gps_time": times[None],
        "id": np.array([[1, 2]]),
        "twtt": 1e-6 + 2e-9 * np.array([[9.0], [30.0]]) + 0 * times,
    }


def _palette(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert("P").save(file, "PNG")
    return file.getvalue()


def _drawing() -> dict[str, Any]:
    lines = [
        {"label": label, "vertices": [{"x": x, "y": row + x % 2} for x in range(0, TRACES, 3)]}
        for label, row in (("surface", 8), ("layer", 20), ("bed", 33))
    ]
    return {
        "annotatedResult": {"inputImageProperties": {"width": TRACES, "height": SAMPLES}, "polylines": lines},
        "all_layers_drawn": {"on": True},
    }


@cache
def seeds() -> list[tuple[str, bytes, Reader]]:
    """(name, a good file, what reads it)."""
    wide = grey().astype(np.uint16) * 256
    mask = np.zeros((SAMPLES, TRACES), np.uint8)
    mask[[8, 20, 33]] = 255
    layers = _layers()
    value = cell({"data": layers["twtt"][:1] * np.nan}, {"data": layers["twtt"][:1]})
    older = mat5(
        {"GPS_time": layers["gps_time"], "layerData": cell({"value": value, "name": "surface"})}, compressed=False
    )
    table = b"col,surface_row,bed_row\n" + b"".join(b"%d,%d.5,30\n" % (x, x % 9) for x in range(TRACES))
    answers = [{"answerContent": _drawing(), "timeSpentInSeconds": 4.5, "submissionTime": "2026-11-22T10:00:00Z"}] * 2
    output = {"humanLoopName": "loop", "inputContent": {"frame_id": "c/s/f"}, "humanAnswers": answers}
    document = {
        "schema": "firnline.layers/1",
        "frame_id": "",
        "image": {"width": TRACES, "height": SAMPLES},
        "source": {"kind": "human", "created": "2026-11-22T10:00:00Z"},
        "coverage": "partial",
        "layers": [{"label": "bed", "vertices": [{"x": x, "y": 30.5} for x in range(TRACES)]}],
    }
    return [
        ("cresis v5", mat5(cresis_variables()), read_frame),
        ("cresis v5, plain", mat5(cresis_variables(), compressed=False), read_frame),
        ("cresis v7.3", mat73(cresis_variables()), read_frame),
        ("irsno1b", irsno1b(), read_frame),
        ("irsno1b, scales", irsno1b(power_db=echoes(40, 40), scales=True), read_frame),
        ("impdar", impdar(), read_frame),
        ("png", picture(grey()), read_frame),
        ("png 16", picture(wide), read_frame),
        ("png rgb", picture(np.dstack([grey()] * 3)), read_frame),
        ("png palette", _palette(grey()), read_frame),
        ("layer mask, palette", _palette(mask), _annotation(".layers.png")),
        ("jpeg", picture(grey(), "JPEG"), read_frame),
        ("tiff", picture(grey(), "TIFF"), read_frame),
        ("tiff deflated", picture(wide, "TIFF", compression="tiff_adobe_deflate"), read_frame),
        ("layer csv", table, _annotation(".layers.csv")),
        ("layer csv;", table.replace(b",", b";").replace(b".", b","), _annotation(".layers.csv")),
        ("layer mask", picture(mask), _annotation(".layers.png")),
        ("layer mask, jpeg", picture(mask, "JPEG"), _annotation(".layers.png")),
        ("layer file", mat5(layers), _annotation(".layers.mat")),
        ("layer file, plain", mat5(layers, compressed=False), _annotation(".layers.mat")),
        ("layer file v7.3", mat73(layers), _annotation(".layers.mat")),
        ("layerData", older, _annotation(".layers.mat")),
        (
            "organiser",
            mat5({"lyr_id": np.array([[1]]), "lyr_name": cell("surface")}, compressed=False),
            _organiser,
        ),
        ("layers document", json.dumps(document).encode(), _annotation(".layers.json")),
        ("answer", json.dumps(_drawing()).encode(), _answer),
        ("output", json.dumps(output).encode(), _output),
    ]


_TOKENS = [
    b"1e999", b"-1e999", b"1e300", b"NaN", b"Infinity", b"9" * 400, b"9" * 5000, b"\"\\ud800\"", b"null", b"true", b"[]",
    b"{}", b"-1", b"0", b"1e-320", b"[" * 3000, b"\xff\xff\xff\xff", b"\x00" * 8, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80", b"\xff", b";", b"\n", b"\"", b"\\u0000", b",,,,,", b"\r", b"surface_row",
]  # fmt: skip


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """One to eight changes: bits, bytes, lengths, tokens, pieces cut, doubled, moved, or the end torn off."""
    data = bytearray(content)
    for _ in range(int(rng.choice([1, 1, 2, 3, 8]))):
        if not data:
            return b""
        # Headers decide how the rest is read, so half of the changes hit the first 512 bytes.
        reach = len(data) if rng.random() < 0.5 else min(len(data), 512)
        at = int(rng.integers(reach))
        kind = rng.integers(9)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at] = int(rng.integers(256))
        elif kind == 2:
            size = int(rng.choice([2, 4, 8]))
            number = int(rng.choice([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, len(data), 10**8])) % 2 ** (8 * size)
            data[at : at + size] = number.to_bytes(size, "little" if rng.random() < 0.5 else "big")
        elif kind == 3:
            token = _TOKENS[rng.integers(len(_TOKENS))]
            data[at : at + (len(token) if rng.random() < 0.5 else 0)] = token
        elif kind == 4:
            del data[at : at + int(rng.integers(1, 64))]
        elif kind == 5:
            piece = data[at : at + int(rng.integers(1, 256))]
            data[at:at] = piece * int(rng.choice([1, 1, 2, 40]))
        elif kind == 6:
            to = int(rng.integers(len(data)))
            piece = data[at : at + int(rng.integers(1, 64))]
            data[to : to + len(piece)] = piece
        elif kind == 7:
            del data[int(rng.integers(len(data))) :]
        else:
            digits = [place for place in range(at, min(len(data), at + 200)) if 48 <= data[place] < 58]
            if digits:
                data[digits[0] : digits[0] + 1] = _TOKENS[rng.integers(15)]
    return bytes(data)


def mutant(seed: int) -> tuple[str, bytes, Reader]:
    """The name of the file it came from, the mutated content, and what reads it; the same for the same seed, always."""
    name, content, read = seeds()[seed % len(seeds())]
    return name, mutate(content, np.random.default_rng(seed)), read


def verdict(content: bytes, read: Reader) -> str | None:
    """What is wrong with how a mutant was read; None if it was taken, or refused in a sentence that can be told."""
    try:
        read(content)
    except Refused as refusal:
        sentence = str(refusal)
        if not sentence or len(sentence) > MAX_SENTENCE_CHARACTERS or not sentence.isprintable():
            return f"no sentence: {sentence[:200]!r}"
        return None
    except MemoryError:
        return f"took more than {MEGABYTES} MB"
    except _TooLong:
        return f"took more than {SECONDS} s"
    except Exception as error:
        return f"raised {type(error).__name__}: {str(error)[:200]}"
    return None


class _TooLong(BaseException):
    pass


def _stop(*_: object) -> None:
    raise _TooLong


def main(first: int, count: int) -> None:
    """Read mutants within limits of processor time, whatever else the machine does, and of memory beyond today's."""
    signal.signal(signal.SIGPROF, _stop)
    seeds()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEGABYTES * 1_000_000, resource.RLIM_INFINITY))
    for seed in range(first, first + count):
        name, content, read = mutant(seed)
        print(json.dumps({"reading": seed}), flush=True)
        # Python hears its timer, and a reader that hangs in C is killed a little later.
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + SECONDS + 3, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        wrong = verdict(content, read)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if wrong:
            print(json.dumps({"seed": seed, "name": name, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
