"""What people said of the lines of a flight segment: which are one layer, and which are not."""

from collections.abc import Iterator

from firnline.store.rows import JoinRow
from firnline.store.sortable import timestamp
from firnline.store.table import Table


class Joins:
    def __init__(self, table: Table) -> None:
        self._table = table

    def of_segment(self, segment: str) -> Iterator[JoinRow]:
        """All of `<campaign>/<segment>`."""
        return (JoinRow.of(item) for item in self._table.query(f"JOINS#{segment}"))

    def say(self, segment: str, one: str, other: str, same: bool) -> JoinRow:
        """Write down what somebody said of two places on lines; it replaces what was said of these two before."""
        first, second = sorted((one, other))
        row = JoinRow(segment=segment, one=first, other=second, same=same, said=timestamp())
        self._table.put(row.item())
        return row

    def take_back(self, row: JoinRow) -> None:
        self._table.delete(*JoinRow.key(segment=row.segment, one=row.one, other=row.other))
