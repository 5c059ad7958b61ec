"""The page of a review task, as Amazon A2I has it: a Liquid template around `crowd-form`."""

from importlib.resources import files


def task_template() -> str:
    return files("firnline.review").joinpath("task_ui.liquid.html").read_text(encoding="utf-8")
