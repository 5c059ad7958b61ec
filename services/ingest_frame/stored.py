"""What S3 says of an uploaded object before it is read."""

from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError

from firnline.observability import logger
from firnline.store.bucket import Bucket

_GONE = ("NoSuchKey", "NoSuchVersion", "404", "405", "MethodNotAllowed")


@dataclass(frozen=True)
class Stored:
    version: str | None
    etag: str
    uploaded: datetime
    metadata: dict[str, str]


def stat(bucket: Bucket, key: str, version: str | None) -> Stored | None:
    """What is stored under a key; None if it was deleted meanwhile."""
    which = {"Bucket": bucket.name, "Key": key} | ({"VersionId": version} if version else {})
    try:
        head = bucket.client.head_object(**which)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            logger.info("the object was deleted before it was read", extra={"key": key})
            return None
        raise
    return Stored(head.get("VersionId", version), head["ETag"], head["LastModified"], head.get("Metadata", {}))
