"""The tutorial's notebook runs from the first cell to the last, on the products that were recorded with it."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTEBOOK = DOCS / "tutorial.ipynb"


@pytest.fixture(scope="module")
def executed() -> Iterator[nbformat.NotebookNode]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FIRNLINE_TUTORIAL", raising=False)
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(DOCS)}}).execute()
        yield notebook


def outputs(notebook: nbformat.NotebookNode) -> str:
    return "".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )


@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_it_runs_to_its_end_and_shows_what_it_says(executed: nbformat.NotebookNode) -> None:
    shown = outputs(executed)
    assert "3 snow frames, 4 sounder frames" in shown
    pictures = [
        output for cell in executed.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
    years = re.findall(r"^(20\d\d)\.25\s+(0\.\d+)\s+(0\.\d+)", shown, re.MULTILINE)
    assert [year for year, _, _ in years] == [str(2012 - back) for back in range(len(years))]
    assert len(years) == 8
    assert all(0.2 < float(value) < 0.8 and 0 < float(sigma) < 0.1 for _, value, sigma in years)


def test_it_is_stored_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
