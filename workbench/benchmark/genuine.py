"""Genuine frames: files of the size and structure that labs have, read and framed as ingest does it, traced by the model in
the box, and scored in the file's own samples, beside the same ice at 256 x 512.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from firnline.documents.echogram import encode_png, to_grey
from firnline.documents.framing import Framing
from firnline.documents.origin import Origin
from firnline.geometry import kinds_of
from firnline.learning import records
from firnline.radar.formats import read_frame
from firnline.radar.picture import picture_of
from firnline.radar.radar_frame import RadarFrame
from workbench.benchmark.measures import Truth, line_scores
from workbench.simulator import (
    Figure,
    Genuine,
    SimulatedFrame,
    campaign_named,
    figure_rows,
    simulate_frame,
    write_cresis,
    write_figure,
    write_irsno1b,
)

Form = Literal["nc", "mat5", "mat73", "png"]
ROWS, TRACES = 256, 512
OVERSAMPLINGS = (1.0, 2.0, 3.0, 4.0)
L1B_ICE = (("demo", 3100), ("demo", 3101), ("varied_snow_5030", 0), ("varied_snow_5031", 1), ("varied_snow_5032", 2))
"""Each of it at each oversampling: (campaign, segment)."""
ALONG = (2.0, 2.0, 2.5, 3.0)
SOUNDERS, PICTURES = range(5000, 5010), range(5040, 5045)
"""Numbers of drawn campaigns."""
FIGURES = (
    Figure(),
    Figure(gamma=0.8, margins=(70, 20, 24, 44), axes=True),
    Figure(gamma=1.25),
    Figure(margins=(12, 12, 12, 12)),
    Figure(gamma=0.9),
)


class Case(NamedTuple):
    """A file: the ice that it shows, how it was recorded, and in which form it comes."""

    group: str
    campaign: str
    segment: int
    genuine: Genuine
    form: Form
    figure: Figure = Figure()

    @property
    def ice(self) -> tuple[str, int]:
        return self.campaign, self.segment


class Framed(NamedTuple):
    """A case as the network sees it: the record of its picture, where that lies on the file, and the file's truth, its rows
    in units of a nominal row (`Genuine.oversampling` samples).
    """

    record: bytes
    framing: Framing
    origin: Origin
    oversampling: float
    truth: Truth


def cases() -> list[Case]:
    """The test set: no campaign of it is trained on."""
    found = [
        Case(
            f"L1B NetCDF, oversampling {oversampling:.0f}",
            campaign,
            segment,
            Genuine(oversampling, 10_000, along),
            "nc",
        )
        for campaign, segment in L1B_ICE
        for oversampling, along in zip(OVERSAMPLINGS, ALONG, strict=True)
    ]
    for i, number in enumerate(SOUNDERS):
        genuine = Genuine((1.5, 2.0, 3.0, 4.0)[i % 4], (1200, 1600, 2400, 3200)[i % 4], 1.0 + i % 2)
        found.append(Case("sounder .mat", f"varied_sounder_{number}", i, genuine, "mat5" if i % 2 else "mat73"))
    for i, number in enumerate(PICTURES):
        genuine = Genuine((1.0, 1.5, 2.0, 3.0, 2.5)[i], (400, 500, 800, 1100, 900)[i], repeat=(1, 3, 7, 2, 1)[i])
        for polarity in ("bright-strong", "dark-strong"):
            figure = replace(FIGURES[i], polarity=polarity)
            found.append(Case(f"picture, {polarity}", f"varied_snow_{number}", i, genuine, "png", figure))
    return found


def plain(ice: tuple[str, int]) -> SimulatedFrame:
    """The frame of 256 x 512 of a (campaign, segment)."""
    return simulate_frame(campaign_named(ice[0]), ice[1], 1, traces=TRACES, samples=ROWS)


def plain_record(ice: tuple[str, int]) -> bytes:
    """Its framed record."""
    frame = plain(ice)
    return _record(to_grey(frame.echogram_db), frame, frame.rows)


def framed(case: Case) -> Framed:
    """Write the case's file, read it and make its picture, as ingest does."""
    frame = recorded(case)
    with tempfile.TemporaryDirectory() as folder:
        read = read_frame(write(frame, case, Path(folder)).read_bytes())
    return framed_as_read(frame, case, read)


def recorded(case: Case) -> SimulatedFrame:
    """The frame that the case's file holds."""
    return simulate_frame(campaign_named(case.campaign), case.segment, 1, traces=TRACES, genuine=case.genuine)


def write(frame: SimulatedFrame, case: Case, folder: Path) -> Path:
    """The case's file, in `folder`."""
    if case.form == "nc":
        return write_irsno1b(frame, folder)
    if case.form == "png":
        return write_figure(frame, folder, case.figure)
    return write_cresis(frame, folder, "5" if case.form == "mat5" else "7.3")


def framed_as_read(frame: SimulatedFrame, case: Case, read: RadarFrame) -> Framed:
    """The picture of `frame`, `read` back from its file."""
    picture = picture_of(read)
    scale = case.genuine.oversampling
    rows = figure_rows(frame, case.figure)
    truth = Truth(rows / scale, list(frame.labels), frame.complete, round(read.file_shape[0] / scale))
    _, drawn = read.origin.from_file(np.arange(rows.shape[1]), rows)
    left = round(read.origin.first_trace)
    drawn = picture.framing.lines_on_picture(drawn[:, left : left + read.power_db.shape[1]])
    record = _record(to_grey(picture.power_db), frame, drawn)
    return Framed(record, picture.framing, read.origin, scale, truth)


def on_file(document: dict[str, Any], framed: Framed) -> dict[str, Any]:
    """A document on the picture as one on the file: x in its columns, y in nominal rows of its samples."""
    return document | {
        "layers": [layer | {"vertices": _on_file(layer["vertices"], framed)} for layer in document["layers"]]
    }


def _on_file(vertices: list[dict[str, float]], framed: Framed) -> list[dict[str, float]]:
    x, y = (np.array([vertex[name] for vertex in vertices]) for name in ("x", "y"))
    trace, sample = framed.origin.to_file(framed.framing.trace_of(x), framed.framing.sample_of(y))
    return [{"x": a, "y": b} for a, b in zip(trace.tolist(), (sample / framed.oversampling).tolist(), strict=True)]


def by_group(
    cases: Sequence[Case],
    framed: Sequence[Framed],
    documents: Sequence[dict[str, Any]],
    at_256: dict[tuple[str, int], tuple[dict[str, Any], Truth]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """`scores` of the files, and of the same ice at 256 x 512 as often as it comes, for each group of cases and for all.

    documents : what was found on each case's picture
    at_256 : what was found on the frames of 256 x 512, and their truth, by the ice
    """
    groups: dict[str, list[int]] = {}
    for number, case in enumerate(cases):
        groups.setdefault(case.group, []).append(number)
    groups["L1B NetCDF, all"] = [number for number, case in enumerate(cases) if case.form == "nc"]
    groups["all"] = list(range(len(cases)))
    return {
        name: {
            "genuine": scores([(on_file(documents[i], framed[i]), framed[i].truth) for i in numbers]),
            "plain": scores([at_256[cases[i].ice] for i in numbers]),
        }
        for name, numbers in groups.items()
    }


def scores(pairs: Sequence[tuple[dict[str, Any], Truth]]) -> dict[str, Any]:
    """`line_scores`, and how many layers were drawn for each that is there, and beds where there is none."""
    beds = sum(
        any(layer["label"] == "bed" for layer in document["layers"]) and "bed" not in truth.labels
        for document, truth in pairs
    )
    drawn = sum(len(document["layers"]) for document, _ in pairs)
    return line_scores(pairs) | {"false_beds": beds, "layers_drawn": drawn, "frames": len(pairs)}


def _record(grey: np.ndarray, frame: SimulatedFrame, rows: np.ndarray) -> bytes:
    kinds = kinds_of(frame.labels)
    return records.pack_record(encode_png(grey), rows, kinds, frame.complete, 0)
