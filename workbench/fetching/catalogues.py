"""What archives' catalogues list, asked for in an environment that has the archives' own libraries."""

import subprocess
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from firnline.products.track import Box
from workbench.fetching import catalogue_query
from workbench.fetching.remote import CannotFetch, Digest, Remote, checked
from workbench.local_cloud.settings import ROOT

TOOLS = ROOT / ".venv/fetch/bin/python"
LONGEST_QUERY_S = 600
_LAST_LINES = 3

Dates = tuple[date, date]
Archive = Literal["nsidc", "opr"]


class _Digest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    algorithm: Literal["md5", "sha1", "sha256", "sha512"]
    value: str


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    address: str
    segment: str | None = None
    size: int | None = None
    digest: _Digest | None = None


def listed(
    archive: Archive,
    dataset: str,
    *,
    version: str | None = None,
    product: str | None = None,
    segments: list[str] | None = None,
    box: Box | None = None,
    dates: Dates | None = None,
    catalogue: str | None = None,
) -> list[Remote]:
    """The files of a dataset that lie in a box and between two dates (both included).

    Raises CannotFetch if the archive's library is not installed, or its catalogue cannot be asked.
    """
    if not TOOLS.exists():
        raise CannotFetch(
            "Archives are asked with their own libraries, earthaccess and xopr, which are not installed: "
            "`make fetch-tools` installs them (1.3 GB, in an environment of their own)."
        )
    words = [archive, dataset]
    for option, value in (("--version", version), ("--product", product), ("--catalogue", catalogue)):
        words += [option, value] if value else []
    for segment in segments or []:
        words += ["--segment", segment]
    if box:
        words += ["--box", *map(str, (_halfway(box.west), box.south, _halfway(box.east), box.north))]
    words += ["--dates", *(day.isoformat() for day in dates)] if dates else []
    return [_remote(line) for line in _ask(words).splitlines()]


def _halfway(longitude: float) -> float:
    """From -180 to 180, as catalogues count."""
    return longitude if longitude <= 180 else longitude - 360


def _ask(words: list[str]) -> str:
    script = Path(catalogue_query.__file__)
    try:
        ran = subprocess.run(
            [TOOLS, "-W", "ignore", script, *words],
            capture_output=True,
            text=True,
            timeout=LONGEST_QUERY_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotFetch(
            f"The catalogue did not answer within {LONGEST_QUERY_S // 60} minutes: try again later."
        ) from error
    if ran.returncode:
        last = " ".join(ran.stderr.strip().splitlines()[-_LAST_LINES:]) or "it gave no reason"
        raise CannotFetch(f"The catalogue could not be asked: {last}")
    return ran.stdout


def _remote(line: str) -> Remote:
    try:
        told = _Line.model_validate_json(line)
    except ValidationError as error:
        raise CannotFetch(f"The catalogue's answer cannot be read: {line[:200]!r}") from error
    digest = Digest(told.digest.algorithm, told.digest.value.lower()) if told.digest else None
    return Remote(checked(told.address), told.segment, digest, told.size)
