"""How large things may be, each limit in this one place."""

MAX_FILE_BYTES = 200_000_000
"""An uploaded frame."""

MAX_SAMPLES = 100_000_000
"""Samples of an uploaded echogram, traces times samples of a trace. Larger ones are refused before they are unpacked."""

MAX_PICTURE_PIXELS = 16_000_000
"""Pixels of the picture that the network, the reviewer and the training share."""

MAX_PICTURE_BYTES = 20_000_000
"""Its PNG: noise does not compress, and every row and every block of the format adds some bytes."""

MAX_PICTURE_ROWS = 8_192
"""Rows of that picture, so that the tiles below still reach far enough along the track."""

MAX_REQUEST_BYTES = 6_291_456
"""SageMaker takes no larger body in a request to an endpoint."""

TILE_PIXELS = 4_000_000
"""Pixels of a picture that are sent to the endpoint at once. A PNG of 8-bit grey never has more than a few bytes a row
more than its pixels, so no request comes near `MAX_REQUEST_BYTES`."""

MAX_ANNOTATION_BYTES = 50_000_000
"""An uploaded annotation, of whatever form."""

MAX_PICKS = 8_000_000
"""Layers times traces of anything that holds layers: 64 MB where it is one array of rows."""

MAX_LAYERS = 1_000
"""Polylines of a layers document."""

MAX_VERTICES = 20_000
"""Vertices of one polyline."""

MAX_DOCUMENT_VERTICES = 200_000
"""Vertices of all polylines that a person drew or picked, as Firnline writes them: under `MAX_DOCUMENT_BYTES` in JSON,
whatever their numbers."""

MAX_DOCUMENT_BYTES = 6_291_456
"""A layers document, whoever writes or reads it. SageMaker's limit for an endpoint's answer."""

MOST_REVIEWERS = 3
"""People who draw one frame (`ReviewersPerTask`). Where they disagree an arbiter's answer comes after theirs."""

MAX_TASK_BYTES = 3_145_728
"""What reviewers are shown. A2I takes no more characters, all of which are ASCII here."""

MAX_ARBITRATION_BYTES = (1 + MOST_REVIEWERS) * MAX_TASK_BYTES
"""What an arbiter is shown: a task, and what each reviewer drew."""

MAX_INPUT_BYTES = 16_000_000
"""Either as it is read; an arbiter's had no limit of its own once."""

MAX_ANSWER_BYTES = 8_000_000
"""What one reviewer submits, and what is kept of it. A task is given 3 MB at most, and its answer is hardly more."""


def output_bytes(answers: int) -> int:
    """`output.json` of a human loop with so many answers. A2I repeats the task in it, and what stands beside an answer is far
    smaller than a task.
    """
    return answers * MAX_ANSWER_BYTES + 2 * MAX_TASK_BYTES


MAX_OUTPUT_BYTES = output_bytes(MOST_REVIEWERS + 1)

MAX_SENTENCE_CHARACTERS = 1_000
"""A reason that a person reads. An item of the table takes 400 kB, an event 256 kB, with what stands beside it."""

MAX_PROFILE_KNOTS = 20_000
"""Points of a density profile that an export in the cloud takes: its request stays below a megabyte."""

MAX_EXPORT_REQUEST_BYTES = 4_000_000
"""What an export in the cloud is asked for: its profile, and the frames' names if they are named."""

MAX_EXPORT_SEGMENTS = 10_000
"""Segments of one export in the cloud."""

MAX_EXPORT_SEGMENT_BYTES = 3_500_000_000
"""The products of one segment, as `export_segment` may have them on its disk."""

MAX_EXPORT_ACCOUNT_BYTES = 50_000_000
"""`export.json` of a segment, which names its files, and the frames that are not in every form."""

EXPORT_SECONDS_LEFT = 90
"""Time that `export_segment` keeps back of its quarter of an hour, to put products of gigabytes into the bucket."""
