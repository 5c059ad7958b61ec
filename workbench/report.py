"""The demonstration's report: frames before and after, scores, timeline. One HTML file, nothing loaded from outside."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from liquid import Environment, FileSystemLoader

from firnline import keys
from firnline.echogram import decode_png, encode_png
from firnline.layers import LayersDocument
from firnline.limits import MAX_DOCUMENT_BYTES
from firnline.overlay import draw_layers
from workbench.connection import Connection
from workbench.uploads import MAX_PICTURE_BYTES

_SHOWN_FRAMES = 6
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


def choose_frames(rows: Iterable[dict], holdout_segments: set[str]) -> list[dict]:
    """A few frames to show, one a segment, those of the holdout first: no training saw them."""
    by_segment: dict[str, dict] = {}
    for row in sorted(rows, key=lambda row: row["frame_id"]):
        by_segment.setdefault(row["frame_id"].rsplit("/", 1)[0], row)
    ordered = sorted(by_segment, key=lambda segment: (segment not in holdout_segments, segment))
    return [by_segment[segment] for segment in ordered[:_SHOWN_FRAMES]]


def predict_again(connection: Connection, row: dict) -> LayersDocument:
    """Ask the endpoint, as it serves now, for a frame's layers."""
    png = connection.workspace.read(keys.echogram(row["frame_id"], row["revision"]), MAX_PICTURE_BYTES)
    answer = connection.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=connection.outputs["EndpointName"], ContentType="image/png", Accept="application/json", Body=png
    )
    return LayersDocument.model_validate_json(answer["Body"].read())


def write(
    path: Path, summary: dict, steps: list[dict], shown: list[dict], after: list[LayersDocument],
    truths: dict[str, LayersDocument], holdout_segments: set[str], connection: Connection,
) -> None:  # fmt: skip
    """Write the report. `shown` are table rows as first predicted, `after` the new model's layers for the same frames."""
    frames = []
    for row, new in zip(shown, after, strict=True):
        which = (row["frame_id"], row["revision"], row["model_version"])
        grey = decode_png(connection.workspace.read(keys.echogram(*which[:2]), MAX_PICTURE_BYTES))
        old = LayersDocument.model_validate_json(connection.workspace.read(keys.prediction(*which), MAX_DOCUMENT_BYTES))
        pictures = [("before", old), ("after", new), ("the reviewer drew", truths[row["frame_id"]])]
        frames.append({
            "name": row["frame_id"],
            "split": "holdout: no training saw this segment" if row["frame_id"].rsplit("/", 1)[0] in holdout_segments else "",
            "pictures": [{"title": title, "count": len(document.layers), "data": _data_uri(draw_layers(grey, document))}
                         for title, document in pictures],
        })  # fmt: skip
    total = max(step["start"] + step["seconds"] for step in steps)
    context = {
        "summary": summary, "frames": frames, "rounds": _rounds(summary["rounds"]),
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
