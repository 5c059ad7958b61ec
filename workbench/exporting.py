"""What `firnline export` does: picks frames, makes a product of each, and hands it to a writer for each form.

One frame is in memory at a time, and of the others their names.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Self, cast

import numpy as np

from firnline.documents.frame import FrameDocument
from firnline.documents.layers import LayersDocument
from firnline.errors import Refused, legible
from firnline.geometry import dense_rows
from firnline.limits import MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, MAX_OUTPUT_BYTES
from firnline.products.accumulation import AnnualLayers, GapRule
from firnline.products.annotations import Annotations
from firnline.products.bedmap import BedmapTables
from firnline.products.credits import Credits
from firnline.products.crossovers import Crossovers
from firnline.products.files import PART, Unfinished, Writer
from firnline.products.frame_product import (
    NUMBERING_MEANS,
    STATUS_MEANS,
    Assumptions,
    FrameProduct,
    Numbering,
    Provenance,
    Status,
    frame_product,
)
from firnline.products.geopackage import GeoPackage
from firnline.products.horizon_tables import HorizonTables
from firnline.products.netcdf import NetcdfFrames
from firnline.products.opr import OprLayers
from firnline.products.physics import Medium
from firnline.products.tables import CsvTable, GeoParquet
from firnline.products.track import Box
from firnline.products.tracks import GeoJsonTracks
from firnline.products.uncertainty import MediumError, disagreement, nearest_lines
from firnline.review.answer import read_answer
from firnline.store import keys
from firnline.store.bucket import split_uri
from firnline.store.joins import Joins
from firnline.store.rows import USABLE, CorrectionRow, FrameRow
from workbench.connection import Connection
from workbench.progress import Stages
from workbench.segment_numbers import JOIN_COLUMNS, SegmentNumbers, segment_numbers

ACCOUNT = "export.json"
"""What was exported, by whom it was drawn and with what physics: lies beside the products."""
JOINS = "joins.csv"
"""Which line of which frame is the layer of which line before, and how sure that is."""
PROFILE_SIGMA_KG_M3 = 30.0
_DEFAULT: tuple[Status, ...] = ("accepted", "reviewed")
_UNREVIEWED = ("PREDICTED", "IN_REVIEW")
NO_DEPTHS = "without depths, as they tell no travel times or no surface: draw the surface, or say --ground if the antenna lay on it"
OUTSIDE = "outside the box"
OF_NOW = "of a new revision just now, which its correction is not of: export again"
ANNOTATION = "layers-"
"""Begins the names of the forms that Firnline reads as annotations."""
_MOST_FRAMES_NAMED = 5
_UNSURE = 0.9
"""Joins of less confidence are counted for the user."""
_SAME_LINE_ROWS = 5.0
"""Two reviewers' lines that are farther apart are not the same one."""

WRITERS: dict[str, Callable[[Path, Assumptions, Credits], Writer]] = {
    "csv": lambda out, _, __: CsvTable(out),
    "geoparquet": lambda out, physics, _: GeoParquet(out, physics.statement),
    "bedmap": lambda out, _, credits: BedmapTables(out, credits),
    "horizons": lambda out, _, __: HorizonTables(out),
    "opr": lambda out, _, __: OprLayers(out),
    "netcdf": lambda out, _, credits: NetcdfFrames(out, credits),
    "geopackage": lambda out, _, __: GeoPackage(out),
    "geojson": lambda out, _, __: GeoJsonTracks(out),
    "crossovers": lambda out, physics, _: Crossovers(out, physics),
    "layers-csv": lambda out, _, __: Annotations(out, "csv"),
    "layers-json": lambda out, _, __: Annotations(out, "json"),
    "layers-mat": lambda out, _, __: Annotations(out, "mat"),
}
"""By the name of their form."""


@dataclass(frozen=True)
class Wanted:
    """Which frames: of each of `which`, as (campaign,), (campaign, segment) or (campaign, segment, frame), and all if there is
    none; that pass through `box`; and whose lines. `numbering` says what the layers' numbers count along.
    """

    which: tuple[tuple[str, ...], ...]
    statuses: tuple[Status, ...]
    box: Box | None = None
    numbering: Numbering = "segment"

    @classmethod
    def of(
        cls, which: Sequence[str], statuses: Sequence[str], box: str | None, numbering: Numbering = "segment"
    ) -> Self:
        """What a command line says; `Refused` where it says nothing of sense."""
        named = tuple(tuple(part for part in one.strip("/").split("/") if part) for one in which)
        for given, parts in zip(which, named, strict=True):
            if not 1 <= len(parts) <= 3:
                raise Refused(
                    f"'{given}' names no frames: give <campaign>, <campaign>/<segment> or <campaign>/<segment>/<frame>."
                )
        chosen = cast(tuple[Status, ...], tuple(dict.fromkeys(statuses)) or _DEFAULT)
        return cls(named, chosen, Box.of(box) if box else None, numbering)

    def names(self, frame_id: str) -> bool:
        parts = tuple(frame_id.split("/"))
        return not self.which or any(parts[: len(one)] == one for one in self.which)


@dataclass(frozen=True)
class Physics:
    """What a command line says of the medium."""

    index: float | None = None
    firn_correction: float | None = None
    firn_depth: float | None = None
    density: Path | None = None
    herron_langway: str | None = None
    index_sigma: float = 0.01
    density_sigma: float | None = None
    reviewer_rows: float = 1.0


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


def assumptions(physics: Physics, annual_layers: AnnualLayers | None = None, ground: bool = False) -> Assumptions:
    """The medium and its error; `Refused` where more than one is named, or none can be made."""
    profiles = [physics.density, physics.herron_langway]
    constants = [physics.index, physics.firn_correction]
    if all(one is not None for one in profiles) or (any(profiles) and any(one is not None for one in constants)):
        raise Refused("Give one medium: --density, or --herron-langway, or --index, with which --firn-correction goes.")
    if physics.firn_depth is not None and physics.firn_correction is None:
        raise Refused("--firn-depth goes with --firn-correction.")
    if physics.density is not None:
        medium = _profile(physics.density)
    elif physics.herron_langway is not None:
        medium = _herron_langway(physics.herron_langway)
    else:
        given = {} if physics.index is None else {"index": physics.index}
        correction = physics.firn_correction
        if correction is None:
            medium = Medium.constant(**given)
        else:
            if physics.firn_depth is not None:
                given["firn_depth_m"] = physics.firn_depth
            medium = Medium.with_firn_correction(correction, **given)
    density_sigma = physics.density_sigma
    if density_sigma is None:
        density_sigma = PROFILE_SIGMA_KG_M3 if any(profiles) else 0.0
    return Assumptions(
        medium, MediumError(physics.index_sigma, density_sigma), physics.reviewer_rows, annual_layers, ground
    )


def annual(surface_year: float | None, first_layer_year: float | None, gaps: str) -> AnnualLayers | None:
    """What a command line says of annual layers; None where it says nothing."""
    if surface_year is None:
        if first_layer_year is not None:
            raise Refused("--first-layer-year goes with --surface-year, which says that layers are annual.")
        return None
    return AnnualLayers.of(surface_year, first_layer_year, cast(GapRule, gaps))


def check_folder(out: Path, overwrite: bool) -> None:
    """Make the folder; `Refused` where it holds anything that may not be replaced.

    With `overwrite`, what an earlier export wrote there goes, so that nothing of it stays among the new.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not overwrite and any(not entry.name.startswith(PART) for entry in out.iterdir()):
        raise Refused(f"{out} is not empty: choose another folder with --out, or say --overwrite.")
    account = out / ACCOUNT
    if overwrite and account.exists():
        for name in json.loads(account.read_text())["files"]:
            if (out / name).resolve().is_relative_to(out.resolve()):
                (out / name).unlink(missing_ok=True)
        account.unlink()


def export(
    connection: Connection,
    wanted: Wanted,
    forms: Sequence[str],
    physics: Assumptions,
    out: Path,
    stages: Stages,
    command: str,
    credits: Credits = Credits(),  # noqa: B008 (it is frozen)
) -> Exported:
    """Write the frames that are wanted in every form, and `export.json`, which says what they are."""
    exported = Exported(out=out, forms=tuple(forms))
    finding = stages.begin("finding frames")
    frames = frames_named(connection, wanted)
    finding.end()
    writers = {form: WRITERS[form](out, physics, credits) for form in dict.fromkeys(forms)}
    joins = JoinsTable(out)
    for made in numbered_products(
        connection, wanted, stages.track(frames, "exporting", len(frames)), physics, tell=joins.add
    ):
        if isinstance(made, str):
            exported.left[made] += 1
            continue
        frame_id = made.frame_id
        exported.frames[made.provenance.status] += 1
        if not np.isfinite(made.depth_m).any():
            exported.without.setdefault(NO_DEPTHS, []).append(frame_id)
        for form, writer in writers.items():
            try:
                writer.add(made)
            except Refused as refusal:
                exported.without.setdefault(f"not as {form}: {refusal}", []).append(frame_id)
    for writer in writers.values():
        exported.files += [str(path.relative_to(out)) for path in writer.close()]
        if isinstance(writer, Crossovers):
            exported.notes += writer.sentences
    exported.files += joins.close()
    exported.joins, exported.unsure_joins = joins.count, joins.unsure
    exported.notes += joins.notes
    _write_account(exported, wanted, physics, command, credits)
    return exported


def frames_named(connection: Connection, wanted: Wanted) -> list[str]:
    """The frames' names, in order. A frame that moves on while they are listed is met in its next status."""
    register, found = connection.register, set[str]()
    wide = not wanted.which or any(len(one) == 1 for one in wanted.which)
    if wide:
        rows: Iterator[FrameRow] = (row for status in USABLE for row in register.of_status(status))
    else:
        segments = dict.fromkeys((one[0], one[1]) for one in wanted.which)
        rows = (row for campaign, segment in segments for row in register.of_segment(campaign, segment))
    found.update(row.frame_id for row in rows if wanted.names(row.frame_id))
    return sorted(found)


class JoinsTable:
    """`joins.csv`, written segment by segment; no file where there is no join."""

    def __init__(self, folder: Path) -> None:
        self._file = Unfinished(folder / JOINS)
        self.count = self.unsure = 0
        self.notes: list[str] = []

    def add(self, numbers: SegmentNumbers) -> None:
        self.notes += numbers.notes
        with self._file.part.open("a", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if not self.count:
                writer.writerow(JOIN_COLUMNS)
            writer.writerows(map(numbers.row_of, numbers.layers.joins))
        self.count += len(numbers.layers.joins)
        self.unsure += sum(join.confidence < _UNSURE for join in numbers.layers.joins)

    def close(self) -> list[str]:
        if self.count:
            return [self._file.finish().name]
        self._file.part.unlink(missing_ok=True)
        return []


def numbered_products(
    connection: Connection,
    wanted: Wanted,
    frames: Iterable[str],
    physics: Assumptions,
    tell: Callable[[SegmentNumbers], None] = lambda _: None,
) -> Iterator[FrameProduct | str]:
    """Of each frame, by name, its product, or why there is none; segment by segment, whose layers are numbered first, of
    which `tell` hears.
    """
    for segment, named in groupby(frames, key=lambda frame_id: frame_id.rpartition("/")[0]):
        numbers = None
        if wanted.numbering == "segment":
            numbers = numbers_of(connection, wanted, segment, physics, keep=wanted.names)
            tell(numbers)
        for frame_id in named:
            kept = numbers.kept(frame_id) if numbers else None
            if kept is not None and wanted.box is not None and not _passes(wanted.box, kept.frame):
                yield OUTSIDE
                continue
            made = kept or product_of(connection, wanted, frame_id, physics)
            if numbers and isinstance(made, FrameProduct):
                yield numbers.of(made) if frame_id in numbers.lines else OF_NOW
            else:
                yield made


def numbers_of(
    connection: Connection, wanted: Wanted, segment: str, physics: Assumptions, keep: Callable[[str], bool]
) -> SegmentNumbers:
    """The layers along `<campaign>/<segment>`: of all its frames that have lines of the wanted statuses, in the box or not,
    so that a layer has the same number whichever frames are exported.
    """
    whole = replace(wanted, which=(tuple(segment.split("/")),), box=None)
    made = (product_of(connection, whole, frame_id, physics) for frame_id in frames_named(connection, whole))
    products = (one for one in made if isinstance(one, FrameProduct))
    return segment_numbers(segment, products, Joins(connection.table), keep)


def product_of(connection: Connection, wanted: Wanted, frame_id: str, physics: Assumptions) -> FrameProduct | str:
    """A frame's product, or why there is none."""
    row = connection.register.get(frame_id)
    if row is None or row.status == "REJECTED":
        return "rejected, or gone"
    status = status_of(row, wanted.statuses)
    if status is None:
        return f"{row.status}, which has no lines that are {' or '.join(wanted.statuses)} (--status chooses)"
    try:
        return _read_product(connection, wanted, row, status, physics)
    except FileNotFoundError as error:
        return f"without its {str(error).rpartition('/')[2]} in the bucket: export again, or look for who deleted it"


def _read_product(
    connection: Connection, wanted: Wanted, row: FrameRow, status: Status, physics: Assumptions
) -> FrameProduct | str:
    content = connection.workspace.read(keys.frame(row.frame_id, row.revision), MAX_FILE_BYTES)
    frame = FrameDocument.model_validate_json(content)
    if wanted.box is not None and not _passes(wanted.box, frame):
        return OUTSIDE
    lines = _lines(connection, row, status)
    if lines is None:
        return OF_NOW
    return frame_product(lines[0], frame, lines[1], physics)


def status_of(row: FrameRow, wanted: Sequence[Status]) -> Status | None:
    """Which of the lines of a frame are wanted, the surest first; None where it has none of them."""
    has: list[Status] = []
    if row.status == "CORRECTED":
        has.append("reviewed")
    if row.annotated:
        has.append("imported")
    if row.status == "ACCEPTED":
        has.append("accepted")
    if row.status in _UNREVIEWED:
        has.append("unreviewed")
    return next((status for status in has if status in wanted), None)


def _lines(connection: Connection, row: FrameRow, status: Status) -> tuple[LayersDocument, Provenance] | None:
    """The layers of a frame, and where they come from; None where the correction is another revision's."""
    if status == "reviewed":
        correction = connection.corrections.get(row.review)
        if correction is None or correction.revision != row.revision:
            return None
        _, prefix = split_uri(correction.image_prefix)
        document = _document(connection, f"{prefix.rstrip('/')}/layers.json")
        told = Provenance(
            status, document.source.created, correction.model_version, correction.loop_name,
            reviewer_rows(connection, correction, document),
        )  # fmt: skip
    elif status == "imported":
        document = _document(connection, keys.partial(row.frame_id, row.revision))
        told = Provenance(status, document.source.created)
    else:
        document = _document(connection, keys.prediction(row.frame_id, row.revision, row.predicted_by))
        told = Provenance(status, document.source.created, row.predicted_by)
    return document, told


def reviewer_rows(connection: Connection, correction: CorrectionRow, document: LayersDocument) -> float | None:
    """Rows by which the reviewers of a correction differ, where several answered; None where that cannot be told."""
    if correction.answers - correction.answers_refused < 2:
        return None
    _, key = split_uri(correction.output)
    counted, lines = document.rows(), []
    for answer in json.loads(connection.workspace.read(key, MAX_OUTPUT_BYTES))["humanAnswers"]:
        try:
            drawing = read_answer(answer.get("answerContent"), document.image.width, document.image.height)
        except Refused:
            continue  # complete_review told the reviewer so, and did not count it either
        rows = dense_rows([[(v.x, v.y) for v in layer.vertices] for layer in drawing.layers], document.image.width)
        lines.append(nearest_lines(rows, counted, _SAME_LINE_ROWS).ravel())
    found = disagreement(lines)
    return found if np.isfinite(found) else None


def _document(connection: Connection, key: str) -> LayersDocument:
    return LayersDocument.model_validate_json(connection.workspace.read(key, MAX_DOCUMENT_BYTES))


def _passes(box: Box, frame: FrameDocument) -> bool:
    if frame.latitude is None or frame.longitude is None:
        return False
    return bool(box.holds(np.array(frame.latitude, float), np.array(frame.longitude, float)).any())


def _profile(path: Path) -> Medium:
    """A density profile: two columns, depth in m and density in kg/m3, with or without a header and comments."""
    rows: list[tuple[float, float]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream) if line and not line[0].lstrip().startswith("#")]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path} is no CSV table of depth_m,density_kg_m3 ({error}).") from error
    for number, line in enumerate(lines):
        try:
            depth, density = float(line[0]), float(line[1])
        except (ValueError, IndexError):
            if number == 0:
                continue
            raise Refused(f"{path}: '{','.join(line)[:60]}' is no depth_m,density_kg_m3.") from None
        rows.append((depth, density))
    if not rows:
        raise Refused(f"{path} has no line of depth_m,density_kg_m3.")
    depths, densities = np.array(rows).T
    return Medium.of_table(depths, densities, path.name)


def _herron_langway(text: str) -> Medium:
    try:
        surface, accumulation, temperature = (float(part) for part in text.split(","))
    except ValueError:
        raise Refused(
            f"'{text}' is not what --herron-langway takes: surface density, accumulation and temperature, as 350,0.25,-30."
        ) from None
    return Medium.herron_langway(surface, accumulation, temperature)


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
        "not_in_every_form": exported.without,
        "files": sorted(exported.files),
    }
    (exported.out / ACCOUNT).write_text(json.dumps(account, indent=1) + "\n")
