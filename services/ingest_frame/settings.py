"""What `ingest_frame` is told by its environment."""

from pydantic import Field

from firnline.settings import Settings


class IngestSettings(Settings):
    frames_bucket: str = Field(alias="FRAMES_BUCKET")
