"""Picks as a table: CSV, one line a trace and one column a layer, as spreadsheets and programs write it."""

import codecs
import csv
import io
import re
from collections.abc import Iterator

import numpy as np

from firnline.errors import Refused
from firnline.limits import MAX_LAYERS, MAX_PICKS
from firnline.radar.radar_frame import Picks

_COLUMN = re.compile(r"(surface|bed|layer)(?:_?(\d{1,4}))?_row\Z")
_NOT_PICKED = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "-9999", "-9999.0"})
_DELIMITERS = (",", ";", "\t")
_LONGEST_LINE = 100_000
_MOST_SPARE_LINES = 10_000
"""Comment lines and blank lines that a table may have besides one line for each trace."""
_NAMES_NO_COLUMN = "its first line names no column like surface_row, bed_row or layer1_row"


def read_table(content: bytes, traces: int, samples: int) -> Picks:
    """CSV with a column `<label>_row` for each layer: surface_row, bed_row, layer_row, layer1_row, layer_2_row ...

    Cells are separated by commas, semicolons or tabs; where commas do not, a comma may be a decimal one. Blank, NaN, NA
    or -9999 = not picked. A column `col` numbers the traces from 0; without it, the lines do. Other columns are
    ignored, and so are lines of comment (#) before the first.
    """
    lines = _lines(_text(content))
    header_line = next(lines, "")
    delimiter = header_line[4:5] if header_line.lower().startswith("sep=") else ""
    if delimiter:  # Excel names the separator so
        header_line = next(lines, "")
    delimiter = delimiter or max(_DELIMITERS, key=header_line.count)
    try:
        header = [
            name.strip().lower() for name in next(csv.reader([header_line], delimiter=delimiter, strict=True), [])
        ]
        columns = [(place, match) for place, name in enumerate(header) if (match := _COLUMN.match(name))]
        if not columns:
            raise Refused(_NAMES_NO_COLUMN)
        if len(columns) > MAX_LAYERS or len(columns) * traces > MAX_PICKS:
            most = min(MAX_LAYERS, MAX_PICKS // traces)
            raise Refused(f"it has {len(columns)} columns of layers; at most {most} can be taken on {traces} traces")
        table = csv.reader(lines, delimiter=delimiter, strict=True)
        rows = _rows(table, header, columns, (traces, samples))
    except csv.Error as error:
        raise Refused(f"it is no CSV table ({error}); save it as CSV with commas") from error
    return Picks([match.group(1) for _, match in columns], rows)  # type: ignore[misc]


def _rows(table: Iterator[list[str]], header: list[str], columns: list, size: tuple[int, int]) -> np.ndarray:
    """(layers, traces) rows. `table.line_num` counts from the line behind the header."""
    traces, samples = size
    rows = np.full((len(columns), traces), np.nan)
    seen = np.zeros(traces, dtype=bool)
    trace_place = header.index("col") if "col" in header else None
    places = [place for place, _ in columns]
    number = -1
    for line in table:
        if table.line_num > traces + _MOST_SPARE_LINES:  # type: ignore[attr-defined]
            raise Refused(f"it has far more lines than the {traces} traces of the frame; keep one line a trace")
        if not line:
            continue
        number += 1
        if not any(map(str.strip, line)):
            continue
        where = f"line {table.line_num + 1}"  # type: ignore[attr-defined]
        trace = number if trace_place is None else _trace(line, trace_place, where)
        if not 0 <= trace < traces:
            raise Refused(f"{where} is for trace {trace}, but the frame has traces 0 to {traces - 1}")
        if seen[trace]:
            raise Refused(f"{where} is for trace {trace}, which had a line before; keep one of them")
        seen[trace] = True
        try:
            rows[:, trace] = [
                float(line[place]) for place in places
            ]  # nearly all lines are like this, and this is fast
        except (ValueError, IndexError):
            rows[:, trace] = [_row(line, place, f"{where}, {match.group()}") for place, match in columns]
        column = rows[:, trace]
        column[column == -9999] = np.nan
        outside = ~(np.isnan(column) | ((column >= -0.5) & (column <= samples - 0.5)))
        if outside.any():
            index = int(outside.argmax())
            raise Refused(
                f"{where}, {columns[index][1].group()} is row {column[index]:g}, but the frame has rows 0 to {samples - 1}"
            )
    return rows


def _text(content: bytes) -> str:
    """UTF-8, or UTF-16 where a byte order mark says so, as Excel's "Unicode text" does."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("it is no text in UTF-8; save it as CSV (UTF-8)") from None


def _lines(text: str) -> Iterator[str]:
    """The lines, with their ends; those of comment before the first other one are left out."""
    begun, spare = False, 0
    for line in io.StringIO(text, newline=""):
        if len(line) > _LONGEST_LINE:
            raise Refused("it has a line that is far too long for a table of layers; save it as CSV with line ends")
        begun = begun or bool(line.strip() and not line.startswith("#"))
        if begun:
            yield line
        elif (spare := spare + 1) > _MOST_SPARE_LINES:
            raise Refused(f"{_NAMES_NO_COLUMN} within {_MOST_SPARE_LINES} lines of comment")


def _trace(line: list[str], place: int, where: str) -> int:
    try:
        number = float(line[place].strip().replace(",", "."))
        if number == int(number):
            return int(number)
    except (IndexError, ValueError, OverflowError):
        pass
    raise Refused(f"{where} has no whole number under 'col'; number the traces from 0")


def _row(line: list[str], place: int, where: str) -> float:
    cell = line[place].strip() if place < len(line) else ""
    if cell.lower() in _NOT_PICKED:
        return np.nan
    try:
        return float(cell.replace(",", ".", 1) if "." not in cell else cell)
    except ValueError:
        raise Refused(
            f"{where} holds '{cell[:20]}'; a row must be a number, or blank where nothing was picked"
        ) from None
