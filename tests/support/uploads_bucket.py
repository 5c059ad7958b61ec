"""The bucket of uploads, and the messages that S3 sends through EventBridge for it."""

import itertools
import json
from typing import Any

import boto3

from ingest_frame import app
from tests.support.review_world import Context, World
from tests.support.samples import sample

FRAMES = "firnline-frames"
FRAME_ID = "greenland/20120330_04/f_007"


class UploadsBucket:
    """Uploads and deletes files, and hands what S3 says of it to ingest's handler."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.app = app
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket=FRAMES)
        self.s3.put_bucket_versioning(Bucket=FRAMES, VersioningConfiguration={"Status": "Enabled"})
        self._sequence = itertools.count(0x55AED6DCD90281E5)

    def put(self, key: str, content: bytes, metadata: dict[str, str] | None = None) -> dict[str, Any]:
        """Upload; returns the SQS record."""
        version = self.s3.put_object(Bucket=FRAMES, Key=key, Body=content, Metadata=metadata or {})["VersionId"]
        return self._record("Object Created", key, version)

    def delete(self, key: str) -> dict[str, Any]:
        """Delete; returns the SQS record."""
        version = self.s3.delete_object(Bucket=FRAMES, Key=key).get("VersionId", "never there")
        return self._record("Object Deleted", key, version)

    def _record(self, happened: str, key: str, version: str) -> dict[str, Any]:
        [record] = sample("ingest_frame")["Records"]
        body = json.loads(record["body"]) | {"detail-type": happened}
        body["detail"]["bucket"]["name"] = FRAMES
        body["detail"]["object"] |= {"key": key, "version-id": version, "sequencer": f"{next(self._sequence):X}"}
        return record | {"messageId": version, "body": json.dumps(body)}

    def deliver(self, *records: dict[str, Any]) -> None:
        assert self.app.handler({"Records": list(records)}, Context()) == {"batchItemFailures": []}
