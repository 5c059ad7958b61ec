"""What MiniStack's S3 keeps of an object's versions: the index in memory, the bodies on disk only.

It holds the body of every version that was ever written in memory too, 1.07 MB for each frame. Each of them also lies
in a file: the current version as the object, one that another displaced under `.versions`. From there it is read where
the index has no body.
"""

from typing import Any


def install() -> None:
    from ministack.services import s3

    entry_with_body = s3._version_entry_from_record

    def entry(record: dict, version_id: str, data: Any) -> dict:
        return entry_with_body(record, version_id, None)

    s3._version_entry_from_record = entry
