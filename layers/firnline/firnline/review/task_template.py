"""The page of a review task, as Amazon A2I has it: a Liquid template around `crowd-form`."""

from importlib.resources import files
from typing import Literal, get_args

WorkerTemplate = Literal["layer-editor", "crowd-polyline"]
"""The element that lines are drawn in: Firnline's own, or AWS's."""
WORKER_TEMPLATES: tuple[WorkerTemplate, ...] = get_args(WorkerTemplate)

EDITOR_SCRIPT = "<!-- the script of layer-editor -->"
"""Where the template of layer-editor has its script, if it travels with it."""

_FILES: dict[WorkerTemplate, str] = {
    "layer-editor": "layer_editor.liquid.html",
    "crowd-polyline": "task_ui.liquid.html",
}


def task_template(worker_template: WorkerTemplate = "layer-editor") -> str:
    """The template without layer-editor's script, which Firnline's own page serves as a file."""
    return files("firnline.review").joinpath(_FILES[worker_template]).read_text(encoding="utf-8")
