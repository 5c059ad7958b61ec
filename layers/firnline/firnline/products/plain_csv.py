"""`layers.csv` without pyarrow, which does not fit into a Lambda: byte for byte what `tables.CsvTable` writes.

pyarrow writes the fewest digits that tell a number from its neighbours, as Python does; without a point where they end
before it; with an exponent below a millionth and from 10^10 on. Texts stand in quotes, numbers do not.
"""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import numpy as np

from firnline.products.files import Unfinished
from firnline.products.frame_product import FrameProduct
from firnline.products.layer_rows import COLUMNS, rows_of

_LEAST, _MOST = 1e-6, 1e10
"""Numbers from the first, and below the second, are written without an exponent."""


class PlainCsvTable:
    """With a header; empty where a value is unknown. No file is left open where an export ends early, as a function does that
    goes on to the next.
    """

    def __init__(self, folder: Path) -> None:
        self._file = Unfinished(folder / "layers.csv")
        self._append([map(quoted, COLUMNS)])

    def add(self, product: FrameProduct) -> None:
        count, rows = rows_of(product)
        columns = [_texts(rows[name], kind, count) for name, (kind, _, _) in COLUMNS.items()]
        self._append(zip(*columns, strict=True))

    def close(self) -> list[Path]:
        return [self._file.finish()]

    def _append(self, rows: Iterable[Iterable[str]]) -> None:
        with self._file.part.open("a", encoding="utf-8", newline="") as stream:
            stream.writelines(",".join(row) + "\n" for row in rows)


def _texts(values: np.ndarray | str | None, kind: str, count: int) -> list[str]:
    if values is None or isinstance(values, str):
        return ["" if values is None else quoted(values)] * count
    if kind == "text":
        return [quoted(value) for value in values.tolist()]
    if kind == "moment":
        return [value and quoted(value) for value in values.tolist()]
    if kind == "int":
        return ["" if value != value else str(int(value)) for value in values.tolist()]
    return [number(value) for value in values.tolist()]


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def number(value: float) -> str:
    """As pyarrow writes it in CSV; nothing of NaN."""
    if value != value:
        return ""
    text = repr(value)
    size = abs(value)
    if size == 0 or _LEAST <= size < _MOST:
        return f"{Decimal(text):f}" if "e" in text else text.removesuffix(".0")
    if size == float("inf"):
        return text
    sign, digits, exponent = Decimal(text).normalize().as_tuple()
    shown = "".join(map(str, digits))
    mantissa = shown[0] + (f".{shown[1:]}" if len(shown) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{int(exponent) + len(shown) - 1:+d}"
