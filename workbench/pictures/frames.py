"""Simulated frames of the size that labs have, taken through Firnline without a stack: read, framed, traced by the model in the box."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from firnline import archives
from firnline.documents.echogram import encode_png, to_grey
from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.documents.placement import on_picture
from firnline.geometry import kinds_of
from firnline.learning import records
from firnline.radar.description import Source, described
from firnline.radar.formats import read_frame
from workbench.benchmark.sides import run_network
from workbench.first_model import OUTPUT
from workbench.simulator import Genuine, SimulatedFrame, campaign_named, simulate_frame, write_cresis, write_irsno1b
from workbench.simulator.files import write_truth

UPLOADED = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = "first"


class Ice(NamedTuple):
    """A frame to simulate. The model in the box is trained on none of the campaigns numbered from 5000."""

    campaign: str
    segment: int
    genuine: Genuine | None
    number: int = 1


@dataclass(frozen=True)
class Traced:
    """A frame as the reviewer meets it: `grey` (rows, columns) uint8, the model's proposal, and the true layers, on the picture."""

    grey: np.ndarray
    frame: FrameDocument
    proposal: LayersDocument
    truth: LayersDocument


def traced(frames: Sequence[Ice], work: Path) -> list[Traced]:
    """Simulate frames, write and read their files, and trace them with the model in the box, in MXNet's environment."""
    work.mkdir(parents=True, exist_ok=True)
    read = [_read(ice, work) for ice in frames]
    channel = work / "channel"
    channel.mkdir()
    payloads = [
        records.pack_record(encode_png(grey), truth.rows(), _kinds(truth), truth.coverage == "complete", number)
        for number, (grey, _, truth) in enumerate(read)
    ]
    (channel / "part-00000.rec").write_bytes(b"".join(payloads))
    archives.unpack(str(OUTPUT / "model.tar.gz"), str(work / "model"))
    found = run_network(work / "model", channel, work / "found")
    return [
        Traced(grey, frame, _proposal(document, frame), truth)
        for (grey, frame, truth), document in zip(read, found["documents"], strict=True)
    ]


def _read(ice: Ice, work: Path) -> tuple[np.ndarray, FrameDocument, LayersDocument]:
    """The picture of a simulated file, where it lies on the file, and the true layers on the picture."""
    simulated = simulate_frame(campaign_named(ice.campaign), ice.segment, ice.number, genuine=ice.genuine)
    file = _write(simulated, work)
    content = file.read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    frame_id = f"{simulated.campaign}/{simulated.segment_id}/{file.stem}"
    source = Source("frames", f"{frame_id}{file.suffix}", None, UPLOADED, checksum)
    picture, frame = described(read_frame(content), frame_id, checksum[:12], source)
    truth = LayersDocument.model_validate_json(write_truth(simulated, work / f"{file.stem}.json").read_bytes())
    return to_grey(picture.power_db), frame, on_picture(truth, frame)


def _write(simulated: SimulatedFrame, folder: Path) -> Path:
    sounder = campaign_named(simulated.campaign).kind == "sounder"
    return write_cresis(simulated, folder) if sounder else write_irsno1b(simulated, folder)


def _kinds(document: LayersDocument) -> np.ndarray:
    return kinds_of(layer.label for layer in document.layers)


def _proposal(document: dict, frame: FrameDocument) -> LayersDocument:
    """What the model found, filled in as `predict_layers` does it."""
    source = {"kind": "model", "model_version": MODEL, "created": UPLOADED.isoformat()}
    return LayersDocument.model_validate_json(json.dumps(document | {"frame_id": frame.frame_id, "source": source}))
