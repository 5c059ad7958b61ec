"""What all parts of Firnline share: frames, layers, keys, the table, events, settings."""

SHARED_WITH_MODEL = (
    "__init__.py",
    "archives.py",
    "geometry.py",
    "limits.py",
    "learning/__init__.py",
    "learning/records.py",
    "learning/scoring.py",
)
"""Files of this package that are shipped beside the model's code, in a folder `firnline`: the standard library, NumPy and
one another are all that they import, and their syntax is Python 3.8's."""
