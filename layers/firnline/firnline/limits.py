"""How large things may be, each limit in this one place."""

MAX_FILE_BYTES = 200_000_000
"""An uploaded frame."""

MAX_SAMPLES = 100_000_000
"""Samples of an uploaded echogram, traces times samples of a trace. Larger ones are refused before they are unpacked."""

MAX_PICTURE_PIXELS = 16_000_000
"""Pixels of the picture that the network, the reviewer and the training share."""

MAX_PICTURE_BYTES = MAX_PICTURE_PIXELS + 1_000_000
"""That picture as a PNG of 8-bit grey, which even for noise is hardly larger than its pixels."""

MAX_PICTURE_ROWS = 8_192
"""Rows of that picture, so that the tiles below still reach far enough along the track."""

MAX_REQUEST_BYTES = 6_291_456
"""SageMaker takes no larger body in a request to an endpoint."""

TILE_PIXELS = 4_000_000
"""Pixels of a picture that are sent to the endpoint at once. A PNG of 8-bit grey never has more than a few bytes a row
more than its pixels, so no request comes near `MAX_REQUEST_BYTES`."""
