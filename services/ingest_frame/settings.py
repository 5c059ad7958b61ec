"""The settings of `ingest_frame`, from its environment."""

from pydantic import Field

from firnline.settings import Settings


class IngestSettings(Settings):
    frames_bucket: str = Field(alias="FRAMES_BUCKET")
