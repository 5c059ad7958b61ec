"""S3 addresses, and moving whole prefixes between S3 and a folder."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firnline import archives

from .errors import ValidationException


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` → (bucket, some/key)."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise ValidationException(f"'{uri}' is not an S3 address: it should look like s3://bucket/prefix.")
    return bucket, key


def join_uri(prefix: str, *parts: str) -> str:
    return "/".join([prefix.rstrip("/"), *parts])


def transform_output(output_path: str, relative: str) -> str:
    """Where batch transform writes the answer to an object, by its name relative to the input prefix.

    A slash at the end of the output path stays, so that the key has two: no page says otherwise (inferred).
    """
    return f"{output_path}/{relative}.out"


def list_objects(s3: Any, uri: str) -> Iterator[tuple[str, str, int]]:
    """Every object under an S3Prefix: (key, name relative to the prefix, bytes), in key order."""
    bucket, prefix = split_uri(uri)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            if not found["Key"].endswith("/"):
                yield found["Key"], relative_name(found["Key"], prefix), found["Size"]


def relative_name(key: str, prefix: str) -> str:
    """The name under which SageMaker puts the object `key` of the S3Prefix `prefix`."""
    if key != prefix and (prefix.endswith("/") or not prefix or key[len(prefix)] == "/"):
        return key[len(prefix) :].lstrip("/")
    return key[prefix.rfind("/") + 1 :]


def download_prefix(s3: Any, uri: str, folder: Path) -> int:
    """Copy every object under `uri` into `folder`; returns how many there were."""
    bucket, count = split_uri(uri)[0], 0
    for key, name, _ in list_objects(s3, uri):
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise ValidationException(f"The key '{key}' would be written outside of its channel's folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(target))
        count += 1
    return count


def upload_folder(s3: Any, folder: Path, uri: str) -> None:
    bucket, prefix = split_uri(uri)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        s3.upload_file(str(path), bucket, "/".join(filter(None, [prefix.rstrip("/"), *path.relative_to(folder).parts])))


def download_archive(s3: Any, uri: str, folder: Path) -> None:
    """Unpack a `.tar.gz` of S3 into `folder`; what `firnline.archives` refuses is a ValidationException."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder.with_name(folder.name + ".tar.gz")
    s3.download_file(*split_uri(uri), str(archive))
    try:
        archives.unpack(archive, folder)
    except archives.ArchiveError as error:
        raise ValidationException(f"{uri}: {error}") from error
    archive.unlink()


def pack_folder(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)
