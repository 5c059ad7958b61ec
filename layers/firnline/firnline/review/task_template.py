"""The page of a review task, as Amazon A2I has it: a Liquid template around `crowd-form`."""

import re
from importlib.resources import files
from textwrap import indent
from typing import Literal, get_args

WorkerTemplate = Literal["layer-editor", "crowd-polyline"]
"""The element that lines are drawn in: Firnline's own, or AWS's."""
WORKER_TEMPLATES: tuple[WorkerTemplate, ...] = get_args(WorkerTemplate)

EDITOR_SCRIPT = "<!-- the script of layer-editor -->"
"""Where the template of layer-editor has its script, if it travels with it."""

_INSTRUCTIONS = re.compile(r"( *)<!-- instructions -->\n")
"""Where each template has what counts as a layer, which is the same whatever lines are drawn in."""

_FILES: dict[WorkerTemplate, str] = {
    "layer-editor": "layer_editor.liquid.html",
    "crowd-polyline": "task_ui.liquid.html",
}


def task_template(worker_template: WorkerTemplate = "layer-editor") -> str:
    """The template without layer-editor's script, which Firnline's own page serves as a file."""
    instructions = _text("instructions.html")
    return _INSTRUCTIONS.sub(lambda place: indent(instructions, place[1]), _text(_FILES[worker_template]))


def _text(file: str) -> str:
    return files("firnline.review").joinpath(file).read_text(encoding="utf-8")
