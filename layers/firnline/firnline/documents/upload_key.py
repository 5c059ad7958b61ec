"""What an upload is called, and what follows from its name and bytes: its frame, its kind, its revision."""

import hashlib
import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from firnline.documents.polarity import Polarity
from firnline.errors import Refused

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,99}\Z")
ANNOTATION_SUFFIXES = (".layers.json", ".layers.csv", ".layers.mat", ".layers.png")
ORGANISER_PREFIX = "layer_"
_ORGANISER = re.compile(r"layer_(.+)\.(?i:mat)\Z")
_SEGMENT = re.compile(r"\d{8}_\d{2}\Z")
"""A flight segment as Open Polar Radar names it: the day, and the segment of that day."""
_FOREIGN_SUFFIXES = {
    ".dzt": ("GSSI", "gssi"), ".dt1": ("pulseEKKO", "pe"), ".hd": ("pulseEKKO", "pe"), ".rd3": ("MALA", "ramac"),
    ".rd7": ("MALA", "ramac"), ".rad": ("MALA", "ramac"), ".h5": ("gprMax", "gprMax"), ".sgy": ("SEG-Y", "segy"),
    ".segy": ("SEG-Y", "segy"),
}  # fmt: skip
"""Raw files of ground-penetrating radars, and ImpDAR's name for each form."""
FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".mat", ".nc")


class UploadKey(BaseModel):
    """An upload's key, `<campaign>/<segment>/<file>`, taken apart."""

    model_config = ConfigDict(frozen=True)

    campaign: str
    segment: str
    stem: str
    suffix: str

    @property
    def frame_id(self) -> str:
        return f"{self.campaign}/{self.segment}/{self.stem}"

    @property
    def is_annotation(self) -> bool:
        return self.suffix in ANNOTATION_SUFFIXES

    @property
    def is_organiser(self) -> bool:
        """Whether it names the layers of the segment's layer files, and holds no frame."""
        return organised_segment(self.stem + self.suffix, self.segment) is not None


def parse_upload_key(key: str) -> UploadKey:
    """Take an upload's key apart; `Refused` with a sentence where it cannot name a frame."""
    parts = key.split("/")
    if len(parts) != 3:
        raise Refused(
            f"'{key}' does not say which flight segment it belongs to: upload to <campaign>/<segment>/<file>."
        )
    for part in parts:
        if not _PART.match(part):
            raise Refused(
                f"'{part}' in '{key}' cannot be part of a frame's name: use letters, digits, '.', '_', '=' and '-', "
                "at most 100, starting with a letter or a digit."
            )
    campaign, segment, file = parts
    for suffix in (*ANNOTATION_SUFFIXES, *FRAME_SUFFIXES):
        if file.lower().endswith(suffix) and len(file) > len(suffix):
            return UploadKey(campaign=campaign, segment=segment, stem=file[: -len(suffix)], suffix=suffix)
    for suffix, (system, loader) in _FOREIGN_SUFFIXES.items():
        if file.lower().endswith(suffix):
            raise Refused(
                f"'{file}' is {system} data: convert it with ImpDAR (impdar load {loader}) and upload the .mat that it "
                "writes."
            )
    raise Refused(
        f"'{file}' is of no kind that Firnline reads: upload .nc, .mat, .png, .jpg or .tif frames, "
        "or annotations named <frame>.layers.json, .csv, .mat or .png."
    )


def organised_segment(file: str, folder: str) -> str | None:
    """The flight segment whose layers a file names, by its own name `layer_<segment>.mat`; None if it is no organiser.

    `folder` is the name of the folder that it lies in, which may be the segment's.
    """
    match = _ORGANISER.match(file)
    if not match or file.lower().endswith(ANNOTATION_SUFFIXES):
        return None
    return match[1] if match[1] == folder or _SEGMENT.match(match[1]) else None


def organiser_beside(stem: str, folder: str, files: Iterable[str]) -> str | None:
    """Which of the files that lie beside the layer file of the frame `stem` names its layers.

    It is the one of the frame's own segment, which OPR's names of frames hold, else the folder's, else the only one.
    """
    organisers = {segment: file for file in files if (segment := organised_segment(file, folder)) is not None}
    own = next((file for segment, file in sorted(organisers.items()) if segment in stem), None)
    only = next(iter(organisers.values())) if len(organisers) == 1 else None
    return own or organisers.get(folder) or only


def refusal_id(key: str) -> str:
    """Under which id the register holds the refusal of an upload that can have no frame of its own."""
    return f"_keys/refused/{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def revision_of(content: bytes, polarity: Polarity | None = None) -> str:
    """The revision that these bytes make: the first 12 hexadecimal digits of their SHA-256.

    The same bytes under an instruction for their polarity are another one.
    """
    digest = hashlib.sha256(content)
    if polarity:
        digest.update(f"\npolarity={polarity}".encode())
    return digest.hexdigest()[:12]
