"""Checks what `make setup` needs of a machine, before anything is installed.

Run as `python3 workbench/prerequisites.py` by whatever Python the machine has: nothing but its standard library is
used, in Python 3.8's syntax. Prints nothing if all is there.
"""

import ctypes
import importlib.util
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"
"""Lambda's Python, for which the functions' packages are locked; the local cloud runs them on this machine with it."""
OLDEST_PYTHON = (3, 8)
"""The oldest Python that can install uv, which then finds the right one."""
FREE_GB, FREE_GB_FOR_CACHE = 4, 2
LIBRARIES = {"libgomp.so.1": "libgomp1", "libquadmath.so.0": "libquadmath0"}
"""Libraries that MXNet links to but does not contain, and Debian's packages of them."""


def missing(home: Path, root: Path = ROOT) -> "tuple[list[str], list[str]]":
    """What is missing, as sentences, and the Debian packages that would bring it."""
    sentences, packages = [], []
    if sys.version_info < OLDEST_PYTHON:
        sentences.append(f"python3 is Python {python()}, and 3.8 or newer is needed.")
        packages.append("python3")
    if not (importable("ensurepip") or importable("pip")):
        sentences.append("python3 has no venv and no pip, and one of them brings the installer.")
        packages.append("python3-venv")
    for library, package in LIBRARIES.items():
        if not loadable(library):
            sentences.append(f"{library} is not installed, and MXNet links to it.")
            packages.append(package)
    for folder, what in ((root, "the clone"), (home, "the home folder, where caches go")):
        if not writable(folder):
            sentences.append(f"{folder} ({what}) cannot be written to.")
    needed = [(root, FREE_GB)]
    if writable(home) and device(home) != device(root):
        needed.append((home, FREE_GB_FOR_CACHE))
    for folder, gigabytes in needed:
        free = free_gigabytes(folder)
        if free < gigabytes:
            sentences.append(f"{folder} has {free:.1f} GB free, and about {gigabytes} GB are needed.")
    return sentences, packages


def python() -> str:
    return "{}.{}".format(*sys.version_info)


def importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(str(folder), os.W_OK | os.X_OK)


def device(folder: Path) -> int:
    return folder.stat().st_dev


def free_gigabytes(folder: Path) -> float:
    return shutil.disk_usage(str(folder)).free / 2**30


def has_python() -> bool:
    """Whether the Python that everything runs in is installed; if not, uv downloads one."""
    return python() == PYTHON or shutil.which("python" + PYTHON) is not None


def main() -> int:
    sentences, packages = missing(Path(os.path.expanduser("~")))  # noqa: PTH111 - which does not raise where there is none
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    if packages:
        print("On Debian and Ubuntu: sudo apt install " + " ".join(packages), file=sys.stderr)
    if not sentences and not has_python():
        print(f"· Python {PYTHON} is not installed here: uv downloads one (30 MB)", flush=True)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
