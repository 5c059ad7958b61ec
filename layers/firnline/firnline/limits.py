"""How large things may be, each limit in this one place."""

MAX_FILE_BYTES = 200_000_000
"""An uploaded frame."""

MAX_SAMPLES = 100_000_000
"""Samples of an uploaded echogram, traces times samples of a trace. Larger ones are refused before they are unpacked."""

MAX_PICTURE_PIXELS = 16_000_000
"""Pixels of the picture that the network, the reviewer and the training share."""
