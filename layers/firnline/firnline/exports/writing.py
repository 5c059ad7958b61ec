"""Products handed to a writer for each form, one frame at a time, and the account of what was written."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from firnline.errors import Refused, legible
from firnline.exports.forms import ANNOTATION, WRITERS, MakesWriter
from firnline.exports.reading import numbered_products
from firnline.exports.segment_numbers import JOIN_COLUMNS, SegmentNumbers
from firnline.exports.selection import Holdings, Wanted
from firnline.products.credits import Credits
from firnline.products.files import Tells, Unfinished
from firnline.products.frame_product import NUMBERING_MEANS, STATUS_MEANS, Assumptions, Status

ACCOUNT = "export.json"
"""What was exported, by whom it was drawn and with what physics: lies beside the products."""
JOINS = "joins.csv"
"""Which line of which frame is the layer of which line before, and how sure that is."""
NO_DEPTHS = "without depths, as they tell no travel times or no surface: draw the surface, or say --ground if the antenna lay on it"
_MOST_FRAMES_NAMED = 5
_UNSURE = 0.9
"""Joins of less confidence are counted for the user."""


@dataclass
class Exported:
    """What came of an export. `left` counts frames that were not exported, by the reason."""

    frames: Counter[Status] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    joins: int = 0
    unsure_joins: int = 0
    notes: list[str] = field(default_factory=list)
    without: dict[str, list[str]] = field(default_factory=dict)
    out: Path = Path()
    forms: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        told = [
            f"{self.frames.total()} frames in {self.out}: " + ", ".join(f"{n} {one}" for one, n in self.frames.items())
        ]
        told += [f"{count} frames were left out: {reason}" for reason, count in self.left.items()]
        by_model = self.frames["accepted"] + self.frames["unreviewed"]
        if by_model and any(form.startswith(ANNOTATION) for form in self.forms):
            told.append(
                f"{by_model} of the annotations hold a model's lines: uploaded as they are they would count as a person's, and the "
                "model would be trained on itself; correct them first, or export --status reviewed"
            )
        if self.joins:
            told.append(
                f"layers keep their numbers along each segment by {self.joins} joins in {JOINS}, {self.unsure_joins} of which are less "
                f"sure than {_UNSURE:.0%}: `firnline layers` shows and overrules them"
            )
        told += self.notes
        for reason, named in self.without.items():
            more = f" and {len(named) - _MOST_FRAMES_NAMED} more" if len(named) > _MOST_FRAMES_NAMED else ""
            told.append(f"{reason} ({', '.join(named[:_MOST_FRAMES_NAMED])}{more})")
        return told


def write_products(
    holdings: Holdings,
    wanted: Wanted,
    frames: Iterable[str],
    forms: Sequence[str],
    physics: Assumptions,
    out: Path,
    command: str,
    credits: Credits = Credits(),  # noqa: B008 (it is frozen)
    writers: Mapping[str, MakesWriter] = WRITERS,
) -> Exported:
    """Write the frames that are wanted in every form, and `export.json`, which says what they are."""
    exported = Exported(out=out, forms=tuple(forms))
    making = {form: writers[form](out, physics, credits) for form in dict.fromkeys(forms)}
    joins = JoinsTable(out)
    for made in numbered_products(holdings, wanted, frames, physics, tell=joins.add):
        if isinstance(made, str):
            exported.left[made] += 1
            continue
        frame_id = made.frame_id
        exported.frames[made.provenance.status] += 1
        if not np.isfinite(made.depth_m).any():
            exported.without.setdefault(NO_DEPTHS, []).append(frame_id)
        for form, writer in making.items():
            try:
                writer.add(made)
            except Refused as refusal:
                exported.without.setdefault(f"not as {form}: {refusal}", []).append(frame_id)
    for writer in making.values():
        exported.files += [str(path.relative_to(out)) for path in writer.close()]
        if isinstance(writer, Tells):
            exported.notes += writer.sentences
    exported.files += joins.close()
    exported.joins, exported.unsure_joins = joins.count, joins.unsure
    exported.notes += joins.notes
    _write_account(exported, wanted, physics, command, credits)
    return exported


class JoinsTable:
    """`joins.csv`, written segment by segment; no file where there is no join."""

    def __init__(self, folder: Path) -> None:
        self._file = Unfinished(folder / JOINS)
        self._begun = False
        self.count = self.unsure = 0
        self.notes: list[str] = []

    def add(self, numbers: SegmentNumbers) -> None:
        self.notes += numbers.notes
        with self._file.part.open("a", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if not self._begun:
                writer.writerow(JOIN_COLUMNS)
                self._begun = True
            writer.writerows(map(numbers.row_of, numbers.layers.joins))
        self.count += len(numbers.layers.joins)
        self.unsure += sum(join.confidence < _UNSURE for join in numbers.layers.joins)

    def close(self) -> list[str]:
        if self.count:
            return [self._file.finish().name]
        self._file.part.unlink(missing_ok=True)
        return []


def _write_account(exported: Exported, wanted: Wanted, physics: Assumptions, command: str, credits: Credits) -> None:
    account = {
        "schema": "firnline.export/1",
        "command": legible(command),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "credits": credits.attributes,
        "physics": physics.statement,
        "numbering": NUMBERING_MEANS[wanted.numbering],
        "statuses": {
            status: {"means": STATUS_MEANS[status], "frames": exported.frames[status]} for status in wanted.statuses
        },
        "left_out": dict(exported.left),
        "joins": exported.joins,
        "not_in_every_form": exported.without,
        "files": sorted(exported.files),
    }
    (exported.out / ACCOUNT).write_text(json.dumps(account, indent=1) + "\n")
