"""Train, validation or holdout: fixed once for every flight segment.

So no model is judged by a frame beside one that it was trained on.
"""

import hashlib
from collections import Counter
from fnmatch import fnmatchcase

from firnline.store.rows import Split, SplitRow
from firnline.store.sortable import timestamp
from firnline.store.table import Table

SHARES: dict[Split, float] = {"holdout": 0.2, "validation": 0.1, "train": 0.7}


class Splits:
    def __init__(self, table: Table) -> None:
        self._table = table

    def known(self, segments: set[str]) -> dict[str, Split]:
        rows = {segment: SplitRow.get(self._table, segment=segment) for segment in segments}
        return {segment: row.split for segment, row in rows.items() if row}

    def assign(self, segments: dict[str, int], pinned_holdout: tuple[str, ...] = ()) -> dict[str, Split]:
        """The split of every segment (`<campaign>/<segment>` → number of its frames); new ones are fixed for good.

        A segment that matches a `pinned_holdout` pattern is holdout and then no other is; else each new segment, in the
        order of a hash of its name, goes where most frames are missing from `SHARES`.
        """
        splits = self.known(set(segments))
        frames = Counter(dict.fromkeys(SHARES, 0))
        for segment, split in splits.items():
            frames[split] += segments[segment]
        for segment in sorted(
            segments.keys() - splits.keys(), key=lambda name: hashlib.sha256(name.encode()).hexdigest()
        ):
            total = sum(frames.values()) + segments[segment]
            shares = {name: share for name, share in SHARES.items() if not (pinned_holdout and name == "holdout")}
            split = max(shares, key=lambda name: shares[name] * total - frames[name])
            if any(fnmatchcase(segment, pattern) for pattern in pinned_holdout):
                split = "holdout"
            splits[segment] = split = self._fix(segment, split)
            frames[split] += segments[segment]
        return splits

    def _fix(self, segment: str, split: Split) -> Split:
        """Fix a segment's split for good; returns the one that somebody else has fixed, if so."""
        row = SplitRow(segment=segment, split=split, fixed=timestamp())
        return split if self._table.put(row.item(), "attribute_not_exists(pk)") else self.known({segment})[segment]
