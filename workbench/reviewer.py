"""A scripted reviewer: sends the review page's own HTTP requests, with the truth as its answer."""

import html
import json
import re
from dataclasses import dataclass
from urllib.request import Request, urlopen

from firnline.documents.layers import LayersDocument


@dataclass(frozen=True)
class OpenTask:
    name: str
    frame_id: str


class Reviewer:
    """`address` is the origin that serves `/review/`."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")

    def open_tasks(self) -> list[OpenTask]:
        """The tasks that the list shows as open, on all its pages."""
        tasks: list[OpenTask] = []
        address = "/review/"
        while address:
            page = self._get(address)
            found = re.findall(r'data-task="([^"]+)"[^>]*data-frame-id="([^"]+)"', page)
            tasks += [OpenTask(name, frame_id) for name, frame_id in found]
            further = re.search(r'data-further href="([^"]+)"', page)
            address = html.unescape(further[1]) if further else ""
        return tasks

    def correct(self, task: OpenTask, truth: LayersDocument) -> None:
        """Open the task's page and submit the truth in place of the proposal, as the page's editor would."""
        page = self._get(f"/review/tasks/{task.name}")
        token = re.search(r'data-token="([^"]+)"', page)
        if token is None:
            raise RuntimeError(f"the page of task {task.name} carries no token to submit with")
        answer = {
            "annotatedResult": {
                "inputImageProperties": {"width": truth.image.width, "height": truth.image.height},
                "polylines": [
                    {"label": layer.label, "vertices": [{"x": v.x, "y": v.y} for v in layer.vertices]}
                    for layer in truth.layers
                ],
            },
            "all_layers_drawn": {"on": truth.coverage == "complete"},
        }
        body = json.dumps({"token": token[1], "answerContent": answer, "seconds": 1.0}).encode()
        headers = {"Content-Type": "application/json", "Origin": self._address}
        url = f"{self._address}/review/tasks/{task.name}/submit"
        with urlopen(Request(url, data=body, headers=headers, method="POST"), timeout=60) as answered:  # noqa: S310
            answered.read()

    def _get(self, path: str) -> str:
        with urlopen(self._address + path, timeout=60) as answered:  # noqa: S310 - our own loopback address
            return answered.read().decode()
