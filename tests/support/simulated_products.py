"""Simulated frames as ingest describes them, with their truth on the picture, and products made of both."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import Layer, LayersDocument
from firnline.documents.layers import Source as DrawnBy
from firnline.documents.upload_key import revision_of
from firnline.products.frame_product import Assumptions, FrameProduct, Provenance, Status, frame_product
from firnline.radar.annotations import document_of
from firnline.radar.description import Source, described
from firnline.radar.formats import read_here
from firnline.radar.picture import Picture
from firnline.radar.radar_frame import Picks
from workbench.simulator import Genuine, SimulatedFrame, campaign_named, simulate_frame, write_cresis, write_irsno1b

WHEN = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
MODEL = Provenance("accepted", WHEN, model_version="first")
REVIEWER = Provenance("reviewed", WHEN, model_version="first", correction="loop-1234abcd")


SMALL_TRACES = 64


class Made(NamedTuple):
    """A frame, its picture and `frame.json`, and its true layers on the picture and, `rows`, in the file."""

    simulated: SimulatedFrame
    picture: Picture
    frame: FrameDocument
    truth: LayersDocument
    rows: np.ndarray


@lru_cache(maxsize=32)
def made(campaign: str, segment: int = 0, number: int = 1, form: str = "nc", genuine: Genuine | None = None) -> Made:
    """A simulated frame, written as `form` (nc, mat5 or mat73) and read as ingest reads it."""
    return made_of(simulate_frame(campaign_named(campaign), segment, number, genuine=genuine), campaign, form)


def made_of(simulated: SimulatedFrame, campaign: str, form: str = "nc") -> Made:
    with TemporaryDirectory() as folder:
        file = (
            write_irsno1b(simulated, Path(folder))
            if form == "nc"
            else write_cresis(simulated, Path(folder), "7.3" if form == "mat73" else "5")
        )
        content = file.read_bytes()
        frame_id = f"{campaign}/{simulated.segment_id}/{file.stem}"
    source = Source("uploads", f"{frame_id}{file.suffix}", None, WHEN, "0" * 64)
    picture, frame = described(read_here(content), frame_id, revision_of(content), source)
    on_picture = frame.framing.lines_on_picture(
        frame.origin.to_origin().from_file(np.arange(frame.file_traces), simulated.rows)[1]
    )
    truth = document_of(Picks(simulated.labels, on_picture), frame, WHEN)
    return Made(simulated, picture, frame, truth, simulated.rows)


def product(made: Made, provenance: Provenance = REVIEWER, assumptions: Assumptions | None = None) -> FrameProduct:
    """What the true layers tell."""
    return frame_product(made.truth, made.frame, provenance, assumptions)


def of_status(status: Status) -> Provenance:
    return {
        "accepted": MODEL,
        "reviewed": REVIEWER,
        "unreviewed": Provenance("unreviewed", WHEN, model_version="first"),
        "imported": Provenance("imported", WHEN),
    }[status]


@lru_cache(maxsize=1)
def small() -> tuple[FrameDocument, LayersDocument]:
    """A simulated frame of which the first traces are left."""
    frame = made("greenland_sounder_2012", form="mat5")
    whole = frame.frame
    cut = {
        name: values[:SMALL_TRACES]
        for name in ("gps_time_s", "latitude", "longitude", "elevation_m", "surface_twtt_s", "bed_twtt_s")
        if (values := getattr(whole, name)) is not None
    }
    framing = whole.framing.model_copy(update={"columns": SMALL_TRACES})
    sizes = {"width": SMALL_TRACES, "traces": SMALL_TRACES, "file_traces": SMALL_TRACES, "framing": framing}
    lines = []
    for layer in frame.truth.layers:
        kept = [vertex for vertex in layer.vertices if vertex.x < SMALL_TRACES]
        if len(kept) >= 2:
            lines.append(Layer(label=layer.label, vertices=kept, confidence=0.9))
    source = DrawnBy(kind="model", model_version="first", created=WHEN)
    document = frame.truth.model_copy(
        update={
            "layers": lines,
            "source": source,
            "image": frame.truth.image.model_copy(update={"width": SMALL_TRACES}),
        }
    )
    return whole.model_copy(update={**cut, **sizes}), document
