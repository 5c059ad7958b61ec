"""Reading and writing S3 objects with limits; `client` is a boto3 S3 client."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from firnline.errors import Refused

SPLIT_FRAME = "Split the frame along the track and upload the parts."
_BEHIND_FOLDER = "0"
"""The character that follows "/": what lies below a folder comes before it."""
_ADVICE = "Split it into parts, or leave out what is not needed."


class Bucket:
    """One bucket. `read` never takes more into memory than its limit."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name

    def read(self, key: str, limit: int, version: str | None = None, advice: str = _ADVICE) -> bytes:
        """The object's bytes; `FileNotFoundError` if there is no object, `Refused` if they are more than `limit`, with
        `advice` at the end of its sentence.
        """
        which = {"Bucket": self.name, "Key": key} | ({"VersionId": version} if version else {})
        try:
            answer = self.client.get_object(**which)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404", "NoSuchVersion"):
                raise FileNotFoundError(f"s3://{self.name}/{key}") from error
            raise
        if answer["ContentLength"] > limit:
            raise too_large(key, answer["ContentLength"], limit, advice)
        body: bytes = answer["Body"].read()
        return body

    def write(self, key: str, body: bytes, content_type: str, tagging: str = "") -> None:
        """`tagging` is `name=value`, as S3 takes it."""
        tags = {"Tagging": tagging} if tagging else {}
        self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type, **tags)

    def write_file(self, key: str, path: Path, content_type: str) -> None:
        """A file of any size, in parts where it is large."""
        self.client.upload_file(str(path), self.name, key, ExtraArgs={"ContentType": content_type})

    def read_file(self, key: str, path: Path) -> None:
        """Bring an object of any size to a file, which is there when it is whole."""
        self.client.download_file(self.name, key, str(path))

    def delete(self, key: str) -> None:
        """Remove an object; it is no error if there is none."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def exists(self, key: str) -> bool:
        try:
            self.client.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404", "NotFound"):
                return False
            raise
        return True

    def names(self, prefix: str) -> Iterator[str]:
        """The keys of all objects below a prefix, in order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return (item["Key"] for page in pages for item in page.get("Contents", []))

    def folders(self, prefix: str, limit: int, after: str = "") -> list[str]:
        """The names directly below a prefix that ends in "/" under which there are objects, in S3's order: the next `limit` behind
        `after`. No more than these are listed.
        """
        behind = {"StartAfter": f"{prefix}{after}{_BEHIND_FOLDER}"} if after else {}
        found = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix, Delimiter="/", MaxKeys=limit, **behind)
        return [item["Prefix"].removeprefix(prefix).rstrip("/") for item in found.get("CommonPrefixes", [])]

    def signed_address(self, key: str, seconds: int, content_type: str) -> str:
        """An address at which anybody can read the object for so long, as that type, with the rights of this client.

        No browser keeps what it reads there: S3 answers otherwise to a script than to the page, and one that had kept the
        page's answer would give it to the script, which may not read it.
        """
        what = {
            "Bucket": self.name,
            "Key": key,
            "ResponseContentType": content_type,
            "ResponseCacheControl": "no-store",
        }
        address: str = self.client.generate_presigned_url("get_object", Params=what, ExpiresIn=seconds)
        return address

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"


def too_large(name: str, size: int, limit: int, advice: str) -> Refused:
    """What to say of a file of `size` bytes of which at most `limit` are read."""
    return Refused(f"'{name}' has {size / 1e6:.0f} MB; at most {limit / 1e6:.0f} MB can be read. {advice}")


def split_uri(uri: str) -> tuple[str, str]:
    """(bucket, key) of an `s3://bucket/key` address."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ValueError(f"'{uri}' is not an s3://bucket/key address")
    return bucket, key
