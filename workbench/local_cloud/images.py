"""Container images: only MXNet's run here, in the MXNet environment that stands in for them."""

import re

from .errors import ValidationException

IMAGE = re.compile(r"(?:[^/]+/)*(?P<name>[A-Za-z0-9._-]+)(?::[A-Za-z0-9._-]+)?(?:@sha256:[0-9a-f]{64})?")


def require_mxnet(uri: str | None, purpose: str) -> None:
    """Refuse an image that is not MXNet's for `purpose` (`training` or `inference`)."""
    match = IMAGE.fullmatch(uri or "")
    if match is None or f"mxnet-{purpose}" not in match["name"]:
        raise ValidationException(
            f"The image '{uri}' can't run in the local cloud, which has no containers. It runs images of the family "
            f"mxnet-{purpose} in the MXNet environment: use one of those, or an AWS account."
        )
