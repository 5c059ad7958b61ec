"""How large things may be, each limit in this one place."""

MAX_FILE_BYTES = 200_000_000
"""An uploaded frame."""

MAX_SAMPLES = 100_000_000
"""Samples of an uploaded echogram, traces times samples of a trace. Larger ones are refused before they are unpacked."""

MAX_PICTURE_PIXELS = 16_000_000
"""Pixels of the picture that the network, the reviewer and the training share."""

MAX_PICTURE_BYTES = 20_000_000
"""Its PNG: noise does not compress, and every row and every block of the format adds some bytes."""

MAX_REQUEST_BYTES = 6_291_456
"""A request to an endpoint; SageMaker's own limit."""
