"""Shows what share of the code the tests ran, by package: `python -m tests.support.coverage_table`."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from coverage import Coverage
from rich.console import Console
from rich.table import Table

LIBRARY = PurePath("layers/firnline/firnline")


def package_of(path: PurePath) -> str:
    """The package that a file counts for: `services` as a whole, else the folder below the library or the workbench."""
    if path.is_relative_to(LIBRARY):
        inside = path.relative_to(LIBRARY).parts
        return f"firnline.{inside[0]}" if len(inside) > 1 else "firnline"
    if path.parts[0] == "services":
        return "services"
    return ".".join(path.parts[:2]) if len(path.parts) > 2 else path.parts[0]


def share(summaries: Iterable[dict[str, Any]]) -> tuple[int, float]:
    """Statements of some files, and the percentage of their statements and branches that ran."""
    statements = there = ran = 0
    for summary in summaries:
        statements += summary["num_statements"]
        there += summary["num_statements"] + summary["num_branches"]
        ran += summary["covered_lines"] + summary["covered_branches"]
    return statements, 100 * ran / there if there else 100.0


def measured() -> dict[PurePath, dict[str, Any]]:
    """The summary of every file in the last measurement."""
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        coverage.json_report(outfile=str(report))
        files = json.loads(report.read_text())["files"]
    return {PurePath(name): found["summary"] for name, found in files.items()}


def main() -> None:
    files = measured()
    table = Table("package", title="Statements and branches that unit and contract tests run", show_footer=True)
    table.columns[0].footer = "total"
    total = share(files.values())
    table.add_column("statements", footer=f"{total[0]:,}", justify="right")
    table.add_column("run", footer=f"{total[1]:.1f} %", justify="right")
    for package in sorted({package_of(path) for path in files}):
        statements, percent = share(summary for path, summary in files.items() if package_of(path) == package)
        table.add_row(package, f"{statements:,}", f"{percent:.1f} %")
    Console().print(table)


if __name__ == "__main__":
    main()
