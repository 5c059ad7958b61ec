"""What an export wrote, to be compared with another."""

from pathlib import Path

MAT_HEADER_BYTES = 116
"""SciPy writes there when it wrote the file."""


def written(folder: Path) -> dict[str, bytes]:
    """Each file's bytes by its path, but for the account of the export and what tells when a file was written."""
    return {
        str(path.relative_to(folder)): path.read_bytes()[MAT_HEADER_BYTES if path.suffix == ".mat" else 0 :]
        for path in folder.rglob("*")
        if path.is_file() and path.name != "export.json"
    }
