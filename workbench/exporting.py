"""What `firnline export` does: picks frames, makes a product of each, and hands it to a writer for each form.

One frame is in memory at a time, and of the others their names.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from firnline.errors import Refused
from firnline.exports.forms import WRITERS
from firnline.exports.reading import numbered_products, numbers_of, product_of, reviewer_rows
from firnline.exports.selection import Wanted, frames_named
from firnline.exports.writing import ACCOUNT, Exported, write_products
from firnline.products.accumulation import AnnualLayers, GapRule
from firnline.products.credits import Credits
from firnline.products.files import PART
from firnline.products.frame_product import Assumptions
from firnline.products.physics import Medium
from firnline.products.uncertainty import MediumError
from workbench.connection import Connection
from workbench.progress import Stages

__all__ = [
    "WRITERS", "Assumptions", "Exported", "Physics", "Wanted", "annual", "assumptions", "check_folder", "export",
    "frames_named", "numbered_products", "numbers_of", "product_of", "reviewer_rows",
]  # fmt: skip

PROFILE_SIGMA_KG_M3 = 30.0


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
        if annual_layers is not None and physics.index is None:
            raise Refused(
                "Accumulation takes the density of the snow and firn between the layers, and that of solid ice is nearly twice as "
                "much: say --herron-langway or --density with --surface-year, or an --index that you mean."
            )
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
    finding = stages.begin("finding frames")
    frames = frames_named(connection, wanted)
    finding.end()
    return write_products(
        connection, wanted, stages.track(frames, "exporting", len(frames)), forms, physics, out, command, credits
    )


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
