"""The CSV table without pyarrow is, byte for byte, pyarrow's."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firnline.documents.layers import LayersDocument
from firnline.products.accumulation import AnnualLayers
from firnline.products.files import Writer
from firnline.products.frame_product import Assumptions, Provenance, frame_product
from firnline.products.physics import Medium
from firnline.products.plain_csv import PlainCsvTable, number, quoted
from firnline.products.tables import CsvTable
from tests.support.simulated_products import WHEN, made

MODEL = Provenance("accepted", WHEN, model_version="first")
PERSON = Provenance("reviewed", WHEN, model_version="first", correction='a "loop", of one')


def by_pyarrow(values: pa.Array) -> list[str]:
    out = io.BytesIO()
    table = pa.table({"value": values, "end": pa.array([0] * len(values))})
    options = pyarrow.csv.WriteOptions(quoting_style="needed", include_header=False)
    pyarrow.csv.write_csv(table, out, options)
    return [line.removesuffix(",0") for line in out.getvalue().decode().split(",0\n")[:-1]]


@given(st.lists(st.floats(allow_nan=False) | st.floats(-1e7, 1e7).map(lambda x: round(x, 4)), min_size=1))
def test_numbers_are_written_as_pyarrow_writes_them(values: list[float]) -> None:
    assert [number(value) for value in values] == by_pyarrow(pa.array(values, pa.float64()))


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1e-6, 9.999999e-7, 1e10, 1e10 - 1, -1e10, 1e-7, 5e-324, 1.7976931348623157e308]
)
def test_numbers_at_the_bounds_too(value: float) -> None:
    assert number(value) == by_pyarrow(pa.array([value], pa.float64()))[0]


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n,"), min_size=1))
def test_texts_too(text: str) -> None:
    assert [quoted(text)] == by_pyarrow(pa.array([text], pa.string()))


def written(writer: Writer, *products: object) -> bytes:
    for product in products:
        writer.add(product)  # type: ignore[arg-type]
    [path] = writer.close()
    return path.read_bytes()


def test_a_table_of_frames_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    annual = Assumptions(Medium.herron_langway(350, 0.25, -30), annual=AnnualLayers.of(2012.25, gaps="spread"))
    snow, deep = made("greenland_2012", 0, 1), made("antarctica_interior_2011", 0, 1, "mat5")
    sure = [layer.model_copy(update={"confidence": 0.9}) for layer in snow.truth.layers]
    predicted: LayersDocument = snow.truth.model_copy(update={"layers": sure})
    products = [
        frame_product(predicted, snow.frame, MODEL, annual),
        frame_product(deep.truth, deep.frame, PERSON, Assumptions()),
    ]
    untimed = replace(products[0], gps_time_s=np.full(products[0].gps_time_s.shape, np.nan))
    frames = (*products, untimed)
    by_arrow = written(CsvTable(tmp_path / "arrow"), *frames)
    assert by_arrow.count(b"\n") > 1000
    assert written(PlainCsvTable(tmp_path / "plain"), *frames) == by_arrow
