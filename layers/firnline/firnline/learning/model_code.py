"""The model code as SageMaker wants it: a `sourcedir.tar.gz` with the modules side by side."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path


def pack(folder: Path) -> tuple[str, bytes]:
    """(name, gzipped tar) of the Python modules in `folder`, without folders inside.

    The same modules always give the same bytes; the name is the first 12 hexadecimal digits of their SHA-256.
    """
    modules = sorted(folder.glob("*.py"))
    if not modules:
        raise FileNotFoundError(f"{folder} holds no Python modules: the build is incomplete, run `sam build` again")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for module in modules:
            content = module.read_bytes()
            entry = tarfile.TarInfo(module.name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    packed = gzip.compress(plain.getvalue(), mtime=0)
    return hashlib.sha256(plain.getvalue()).hexdigest()[:12], packed
