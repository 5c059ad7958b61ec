"""Layers in the forms that Firnline reads as annotations: what is exported can be uploaded again beside its frame."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from firnline.products.files import Unfinished
from firnline.products.frame_product import FrameProduct
from firnline.products.opr import layer_file

Form = Literal["json", "csv", "mat"]
_DECIMALS = 4


class Annotations:
    """`annotations/<campaign>/<segment>/<frame>.layers.<form>`: json on the picture as it was drawn; csv a column a line
    and a row a trace of the uploaded file, with a comment that says whose lines they are; mat a layer file of Open Polar Radar.
    """

    def __init__(self, folder: Path, form: Form) -> None:
        self._folder = folder / "annotations"
        self._form: Form = form
        self._done: list[Path] = []

    def add(self, product: FrameProduct) -> None:
        made: dict[Form, Callable[[FrameProduct], bytes]] = {
            "json": lambda one: one.document.to_json(),
            "csv": rows_csv,
            "mat": lambda one: layer_file(one).to_mat(),
        }
        content = made[self._form](product)
        file = Unfinished(self._folder / product.campaign / product.segment / f"{product.stem}.layers.{self._form}")
        file.part.write_bytes(content)
        self._done.append(file.finish())

    def close(self) -> list[Path]:
        return self._done


def rows_csv(product: FrameProduct) -> bytes:
    """A table that `firnline.radar.pick_tables` reads: `col`, and `surface_row`, `layer1_row` ... in samples of the file."""
    text, origin = io.StringIO(newline=""), product.provenance
    text.write(
        f"# {product.frame_id}: {origin.status}, {origin.source}, {origin.date:%Y-%m-%d}; samples of the uploaded file\n"
    )
    writer = csv.writer(text, lineterminator="\n")
    names = [f"layer{place}_row" if label == "layer" else f"{label}_row" for place, label in enumerate(product.labels)]
    writer.writerow(["col", *names])
    for trace, samples in enumerate(product.sample.T):
        writer.writerow(
            [trace, *[f"{sample:.{_DECIMALS}f}" if np.isfinite(sample) else "" for sample in samples.tolist()]]
        )
    return text.getvalue().encode()
