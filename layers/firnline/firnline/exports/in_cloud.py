"""An export that runs where the frames lie: its segments are listed, each is written by itself, and all are accounted for.

What lies in the bucket decides. A segment whose `export.json` is there is done, and is not written again: so an export of the
same name goes on where it stopped, whatever stopped it, and writes the same keys.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from firnline.errors import Refused, legible
from firnline.exports.forms import WRITERS_IN_CLOUD
from firnline.exports.request import ExportRequest
from firnline.exports.selection import Holdings, frames_named
from firnline.exports.writing import ACCOUNT, write_products
from firnline.limits import (
    EXPORT_SECONDS_LEFT,
    MAX_EXPORT_ACCOUNT_BYTES,
    MAX_EXPORT_REQUEST_BYTES,
    MAX_EXPORT_SEGMENT_BYTES,
    MAX_EXPORT_SEGMENTS,
)
from firnline.products.frame_product import NUMBERING_MEANS, STATUS_MEANS
from firnline.store import keys
from firnline.store.bucket import Bucket
from firnline.store.corrections import Corrections
from firnline.store.frame_register import FrameRegister
from firnline.store.table import Table

_JSON = "application/json"
_CONTENT_TYPES = {".csv": "text/csv", ".json": _JSON, ".geojson": "application/geo+json"}
_ANY_CONTENT = "application/octet-stream"
_READERS = 8
"""Accounts of segments that are read at once."""
_NEITHER = (
    "it came to no end, and nothing says why: export under the same name again, which goes on with what is missing"
)
_BY_HAND = "export it with `firnline export {segment}` on a machine, or export fewer of its frames"


@dataclass(frozen=True)
class StackHoldings:
    """A stack's table and workspace, as an export reads them."""

    table: Table
    workspace: Bucket

    @cached_property
    def register(self) -> FrameRegister:
        return FrameRegister(self.table)

    @cached_property
    def corrections(self) -> Corrections:
        return Corrections(self.table)


class CloudExport:
    """The steps of one export, by its name. `scratch` is a folder on a disk that takes a segment's products."""

    def __init__(self, holdings: Holdings, export: str, scratch: Path | None = None) -> None:
        self._holdings = holdings
        self._bucket = holdings.workspace
        self._export = export
        self._scratch = scratch

    @cached_property
    def _request(self) -> ExportRequest:
        body = self._bucket.read(keys.export_request(self._export), MAX_EXPORT_REQUEST_BYTES)
        return ExportRequest.model_validate_json(body)

    def list_segments(self) -> dict[str, Any]:
        """Write down the segments with frames of the request, once; `Refused` where there are none, or too many."""
        key = keys.export_segments(self._export)
        if not self._bucket.exists(key):
            frames = frames_named(self._holdings, self._request.wanted)
            found = [
                {"segment": segment, "frames": len(list(named))}
                for segment, named in groupby(frames, key=lambda frame_id: frame_id.rpartition("/")[0])
            ]
            if not found:
                raise Refused("No frame is of what is asked for: `firnline status` shows what there is.")
            if len(found) > MAX_EXPORT_SEGMENTS:
                raise Refused(
                    f"{len(found)} segments are too many for one export: name campaigns, so that it has {MAX_EXPORT_SEGMENTS} at most."
                )
            self._bucket.write(key, json.dumps(found).encode(), _JSON)
        return {"export": self._export, "segments_key": key, "segments": len(self.segments())}

    def segments(self) -> list[str]:
        body = self._bucket.read(keys.export_segments(self._export), MAX_EXPORT_ACCOUNT_BYTES)
        return [one["segment"] for one in json.loads(body)]

    def write_segment(self, segment: str, seconds_left: Callable[[], float]) -> dict[str, Any]:
        """Write the products of `<campaign>/<segment>`, unless they are there.

        One frame is in memory at a time. Raises `Refused` where they are too large, or take too long.
        """
        prefix = keys.export_segment_prefix(self._export, segment)
        if self._bucket.exists(f"{prefix}{ACCOUNT}"):
            return {"segment": segment, "already": True}
        request = self._request
        with TemporaryDirectory(dir=self._scratch) as folder:
            out = Path(folder)
            one = replace(request.wanted, which=(tuple(segment.split("/")),), box=None)
            frames = [name for name in frames_named(self._holdings, one) if request.wanted.names(name)]
            exported = write_products(
                self._holdings, request.wanted, _within_bounds(frames, out, segment, seconds_left), request.forms,
                request.physics, out, request.command, request.whose, WRITERS_IN_CLOUD,
            )  # fmt: skip
            for name in (*sorted(exported.files), ACCOUNT):  # the account last: it says that all is there
                path = out / name
                self._bucket.write_file(f"{prefix}{name}", path, _CONTENT_TYPES.get(path.suffix, _ANY_CONTENT))
        return {"segment": segment, "already": False, "frames": exported.frames.total(), "files": len(exported.files)}

    def note_failure(self, segment: str, error: str, cause: str) -> None:
        """Write down why a segment could not be written, for the account and for who reads it."""
        why = {"segment": segment, "error": legible(error), "why": _sentence(segment, error, cause)}
        self._bucket.write(keys.export_failure(self._export, segment), json.dumps(why).encode(), _JSON)

    def account(self) -> dict[str, Any]:
        """Say of all segments what became of them, in `export.json` of the export, and in short as the answer."""
        request, segments = self._request, self.segments()
        with ThreadPoolExecutor(_READERS) as readers:
            told = list(readers.map(self._account_of, segments))
        done = [one for one in told if "why" not in one]
        failed = {one["segment"]: one["why"] for one in told if "why" in one}
        frames = _summed(one["frames"] for one in done)
        account = {
            "schema": "firnline.export-in-cloud/1",
            "export": self._export,
            "command": legible(request.command),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "forms": request.forms,
            "credits": request.whose.attributes,
            "physics": request.physics.statement,
            "numbering": NUMBERING_MEANS[request.numbering],
            "statuses": {
                status: {"means": STATUS_MEANS[status], "frames": frames.get(status, 0)} for status in request.statuses
            },
            "left_out": _summed(one.pop("left_out") for one in done),
            "joins": sum(one["joins"] for one in done),
            "failed": failed,
            "segments": done,
        }
        key = keys.export_account(self._export)
        self._bucket.write(key, (json.dumps(account, indent=1) + "\n").encode(), _JSON)
        return {
            "export": self._export, "products": self._bucket.uri(key.rpartition("/")[0] + "/"), "segments": len(segments),
            "frames": sum(frames.values()), "failed": len(failed), "summary": _summary(self._bucket.uri(key), segments, failed),
        }  # fmt: skip

    def _account_of(self, segment: str) -> dict[str, Any]:
        """Of a segment its counts, or why it has none."""
        prefix = keys.export_segment_prefix(self._export, segment)
        try:
            told = json.loads(self._bucket.read(f"{prefix}{ACCOUNT}", MAX_EXPORT_ACCOUNT_BYTES))
        except FileNotFoundError:
            return {"segment": segment, "why": self._failure_of(segment)}
        frames = {status: found["frames"] for status, found in told["statuses"].items() if found["frames"]}
        return {
            "segment": segment, "frames": frames, "files": len(told["files"]), "left_out": told["left_out"],
            "joins": told["joins"], "not_in_every_form": len(told["not_in_every_form"]),
        }  # fmt: skip

    def _failure_of(self, segment: str) -> str:
        try:
            body = self._bucket.read(keys.export_failure(self._export, segment), MAX_EXPORT_ACCOUNT_BYTES)
        except FileNotFoundError:
            return _NEITHER
        return str(json.loads(body)["why"])


def _within_bounds(frames: Sequence[str], out: Path, segment: str, seconds_left: Callable[[], float]) -> Iterator[str]:
    """The frames, one by one, as long as there are room and time for the next."""
    for number, frame_id in enumerate(frames):
        written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        if written > MAX_EXPORT_SEGMENT_BYTES:
            raise Refused(
                f"The products of {segment} are larger than {MAX_EXPORT_SEGMENT_BYTES / 1e9:g} GB after {number} of {len(frames)} "
                f"frames, more than is written in the cloud: {_BY_HAND.format(segment=segment)}."
            )
        if seconds_left() < EXPORT_SECONDS_LEFT:
            raise Refused(
                f"The products of {segment} take longer than a quarter of an hour, of which {number} of {len(frames)} frames took all: "
                f"{_BY_HAND.format(segment=segment)}."
            )
        yield frame_id


def _sentence(segment: str, error: str, cause: str) -> str:
    """What a person reads of a step's error; Lambda tells the cause as a document of its own."""
    try:
        told = json.loads(cause)
    except ValueError:
        told = cause
    message = str(told.get("errorMessage", cause)) if isinstance(told, dict) else str(told)
    if error == "Refused":
        return legible(message)
    if error.startswith(("Runtime.", "Sandbox.")) or "timed out" in message:
        return legible(f"the function ended early ({error}: {message}): {_BY_HAND.format(segment=segment)}")
    return legible(f"{error}: {message}; export under the same name again, which goes on with what is missing")


def _summed(counts: Iterator[dict[str, int]] | Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _summary(account: str, segments: Sequence[str], failed: dict[str, str]) -> str:
    if not failed:
        return f"all {len(segments)} segments were written; {account} says what they hold"
    first = next(iter(failed))
    return legible(
        f"{len(failed)} of {len(segments)} segments were not written, {first} among them ({failed[first]}); {account} names all of them"
    )
