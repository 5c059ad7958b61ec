"""What is to be fetched: files with their campaign and segment, wherever they are listed."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from firnline.documents.upload_key import parse_upload_key
from firnline.errors import Refused
from workbench.uploads import segment_of

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_CAMPAIGN_IN_PATH = re.compile(r"\d{4}_[A-Za-z]+_[A-Za-z0-9]+")
"""As CReSIS calls its seasons, `2012_Greenland_P3`: a folder of the address."""
_RADAR_FILES = (".nc", ".mat", ".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True)
class Item:
    """A file to be fetched.

    address : `https://…`, or a path of this machine
    campaign, segment : what it is uploaded under
    sha256 : what its bytes have to be, where somebody says; 64 hexadecimal digits
    """

    address: str
    campaign: str
    segment: str
    sha256: str = ""

    @property
    def name(self) -> str:
        return unquote(urlsplit(self.address).path).rpartition("/")[2] if self.is_remote else Path(self.address).name

    @property
    def is_remote(self) -> bool:
        return self.address.startswith(("https://", "http://"))

    @property
    def key(self) -> str:
        return f"{self.campaign}/{self.segment}/{self.name}"

    @classmethod
    def of(cls, address: str, campaign: str | None, segment: str | None = None, sha256: str = "") -> "Item":
        """An item with what its address tells where nothing is said; `Refused` where it cannot be uploaded."""
        path = Path(unquote(urlsplit(address).path))
        told = next((part for part in path.parts if _CAMPAIGN_IN_PATH.fullmatch(part)), None)
        if sha256 and not _SHA256.fullmatch(sha256):
            raise Refused(f"{address}: '{sha256}' is no SHA-256, which has 64 hexadecimal digits.")
        item = cls(address, campaign or told or "adhoc", segment or segment_of(path), sha256.lower())
        parse_upload_key(item.key)
        return item


def of_list(file: Path, campaign: str | None, segment: str | None) -> Iterator[Item]:
    """The addresses of a text file, one a line: `address`, or `address,sha256`, or with a header that names columns of
    address, sha256, campaign and segment. Lines that begin with # say nothing.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip() and line[0] != "#"]
    except (UnicodeDecodeError, OSError) as error:
        raise Refused(f"{file} cannot be read as a list of addresses ({error}).") from error
    names = [name.strip().lower() for name in lines[0].split(",")] if lines else []
    columns = names if "address" in names else ["address", "sha256"]
    for line in csv.DictReader(lines[1:] if "address" in names else lines, fieldnames=columns):
        told = {name: (value or "").strip() for name, value in line.items() if name}
        yield Item.of(
            told["address"], told.get("campaign") or campaign, told.get("segment") or segment, told.get("sha256", "")
        )


def of_tree(folder: Path, campaign: str | None, segment: str | None) -> Iterator[Item]:
    """The radar files and annotations below a folder, by name; other files are passed over."""
    for path in sorted(folder.rglob("*")):
        is_annotation = path.name.endswith((".layers.csv", ".layers.json"))
        if path.is_file() and (path.suffix.lower() in _RADAR_FILES or is_annotation):
            yield Item.of(str(path.resolve()), campaign, segment)


def distinct(items: Iterable[Item]) -> list[Item]:
    """The items, each key once; `Refused` where two files would be uploaded under one name."""
    found: dict[str, Item] = {}
    for item in items:
        other = found.setdefault(item.key, item)
        if other.address != item.address:
            raise Refused(
                f"{other.address} and {item.address} would both be uploaded as {item.key}: give one of them another --segment, or list it "
                "with a segment of its own."
            )
    return list(found.values())
