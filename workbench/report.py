"""The demonstration's report: frames before and after, scores, timeline. One HTML file, nothing loaded from outside."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from liquid import Environment, FileSystemLoader
from PIL import Image, ImageDraw

from firnline.documents.echogram import decode_png, encode_png, to_grey
from firnline.documents.frame import FrameDocument
from firnline.documents.framing import Framing
from firnline.documents.layers import LayersDocument
from firnline.documents.overlay import colour_of, draw_layers
from firnline.documents.placement import samples_in_file
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, MAX_PICTURE_BYTES
from firnline.radar.formats import read_frame
from firnline.radar.picture import averaged
from firnline.store import keys
from firnline.store.rows import FrameRow
from workbench.connection import Connection
from workbench.uploads import frame_document

_SHOWN_FRAMES = 6
_SHOWN_ROWS, _SHOWN_COLUMNS = 1000, 512
_MUCH_LARGER = 8
_WINDOW_COLOUR = (255, 255, 255)
_METRICS = {
    "f1_2px": "F1 within 2 px", "mae_px": "depth error of matched layers, px",
    "surface_within_3px": "surface within 3 px, share of picked traces",
    "surface_within_5px": "surface within 5 px, share of picked traces",
    "bed_within_3px": "bed within 3 px, share of picked traces",
    "bed_within_5px": "bed within 5 px, share of picked traces",
}  # fmt: skip


def comparison(connection: Connection, execution: str) -> dict:
    """What `compare_models` decided in an execution, and why."""
    key = keys.comparison_prefix(execution) + "comparison.json"
    return json.loads(connection.workspace.read(key, MAX_DOCUMENT_BYTES))


def current_state(machines: Any, execution_arn: str) -> str:
    """The name of the state that an execution entered last."""
    history = machines.get_execution_history(executionArn=execution_arn, reverseOrder=True, maxResults=20)
    entered = (event.get("stateEnteredEventDetails", {}).get("name") for event in history["events"])
    return next((name for name in entered if name), "starting")


def choose_frames(rows: Iterable[FrameRow], holdout_segments: set[str]) -> list[FrameRow]:
    """A few frames to show, one a segment, those of the holdout first: no training saw them."""
    by_segment: dict[str, FrameRow] = {}
    for row in sorted(rows, key=lambda row: row.frame_id):
        by_segment.setdefault(row.segment, row)
    ordered = sorted(by_segment, key=lambda segment: (segment not in holdout_segments, segment))
    return [by_segment[segment] for segment in ordered[:_SHOWN_FRAMES]]


def predict_again(connection: Connection, row: FrameRow) -> LayersDocument:
    """Ask the endpoint, as it serves now, for a frame's layers."""
    png = connection.workspace.read(keys.echogram(row.frame_id, row.revision), MAX_PICTURE_BYTES)
    answer = connection.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=connection.outputs["EndpointName"], ContentType="image/png", Accept="application/json", Body=png
    )
    return LayersDocument.model_validate_json(answer["Body"].read())


def whole_frame(connection: Connection, rows: Iterable[FrameRow]) -> dict | None:
    """One frame whose picture is a small part of its file, as uploaded and as predicted; None if there is none."""
    for row in sorted(rows, key=lambda row: row.frame_id, reverse=True):
        frame = frame_document(connection, row)
        if frame.file_samples * frame.file_traces < _MUCH_LARGER * frame.width * frame.height:
            continue
        which = (row.frame_id, row.revision, row.predicted_by)
        layers = LayersDocument.model_validate_json(
            connection.workspace.read(keys.prediction(*which), MAX_DOCUMENT_BYTES)
        )
        echogram = read_frame(connection.frames.read(row.source_key, MAX_FILE_BYTES)).power_db
        grey = decode_png(connection.workspace.read(keys.echogram(*which[:2]), MAX_PICTURE_BYTES))
        file_mb = (
            connection.frames.client.head_object(Bucket=connection.frames.name, Key=row.source_key)["ContentLength"]
            / 1e6
        )
        return {
            "name": row.frame_id, "traces": frame.file_traces, "samples": frame.file_samples, "megabytes": round(file_mb),
            "width": frame.width, "height": frame.height, "notes": frame.transforms, "count": len(layers.layers),
            "file": _data_uri(_file_with_layers(echogram, layers, frame)), "picture": _data_uri(draw_layers(grey, layers)),
        }  # fmt: skip
    return None


def _file_with_layers(echogram: np.ndarray, layers: LayersDocument, frame: FrameDocument) -> np.ndarray:
    """The whole echogram of a file at a size for the screen, its layers and the edge of the picture drawn on it."""
    samples, traces = echogram.shape
    shrink = max(1.0, samples / _SHOWN_ROWS)
    across = max(1.0, traces / _SHOWN_COLUMNS)
    window = Framing(
        samples_per_row=shrink, traces_per_column=across, rows=int(samples / shrink), columns=int(traces / across)
    )
    small = Image.fromarray(to_grey(averaged(echogram, window))).convert("RGB")
    draw = ImageDraw.Draw(small)
    for samples_of_layer, layer in zip(samples_in_file(layers, frame), layers.layers, strict=True):
        passed = np.flatnonzero(np.isfinite(samples_of_layer))
        points = zip(window.column_of(passed), window.row_of(samples_of_layer[passed]), strict=True)
        draw.line([(float(x), float(y)) for x, y in points], fill=colour_of(layer, 0))
    top, bottom = (float(window.row_of(frame.framing.sample_of(row))) for row in (-0.5, frame.height - 0.5))
    draw.rectangle([(0, top), (window.columns - 1, bottom)], outline=_WINDOW_COLOUR)
    return np.asarray(small)


def write(
    path: Path, summary: dict, steps: list[dict], shown: list[FrameRow], after: list[LayersDocument],
    truths: dict[str, LayersDocument], holdout_segments: set[str], connection: Connection, whole: dict | None,
) -> None:  # fmt: skip
    """Write the report. `shown` are table rows as first predicted, `after` the new model's layers for the same frames,
    `whole` what `whole_frame` says.
    """
    frames = []
    for row, new in zip(shown, after, strict=True):
        which = (row.frame_id, row.revision, row.predicted_by)
        grey = decode_png(connection.workspace.read(keys.echogram(*which[:2]), MAX_PICTURE_BYTES))
        old = LayersDocument.model_validate_json(connection.workspace.read(keys.prediction(*which), MAX_DOCUMENT_BYTES))
        pictures = [("before", old), ("after", new), ("the reviewer drew", truths[row.frame_id])]
        frames.append({
            "name": row.frame_id,
            "split": "holdout: no training saw this segment" if row.segment in holdout_segments else "",
            "pictures": [{"title": title, "count": len(document.layers), "data": _data_uri(draw_layers(grey, document))}
                         for title, document in pictures],
        })  # fmt: skip
    total = max(step["start"] + step["seconds"] for step in steps)
    context = {
        "summary": summary, "frames": frames, "whole": whole, "rounds": _rounds(summary["rounds"]),
        "steps": [step | {"left": 100 * step["start"] / total, "width": 100 * step["seconds"] / total} for step in steps],
    }  # fmt: skip
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    path.write_text(templates.get_template("report.liquid.html").render(**context))


def _rounds(rounds: list[dict]) -> list[dict]:
    """For each round, the scores that could be measured, with bars from 0 to 1 for shares."""
    return [
        {
            "name": f"batch {each['batch']}", "decision": "promoted" if each["promote"] else "champion kept",
            "reason": each["reason"], "seconds": each["seconds"],
            "scores": [
                {"title": title, "champion": each["champion"][key], "candidate": each["candidate"][key],
                 "share": key != "mae_px"}
                for key, title in _METRICS.items()
                if each["champion"].get(key) is not None and each["candidate"].get(key) is not None
            ],
        }
        for each in rounds
    ]  # fmt: skip


def _data_uri(picture: Any) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(picture)).decode()
