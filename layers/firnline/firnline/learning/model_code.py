"""The model code as SageMaker wants it: a `sourcedir.tar.gz` with the modules side by side."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from firnline import shipped


def pack(model: Path) -> tuple[str, bytes]:
    """(name, gzipped tar) of the Python modules in the folder `model`, and of what this library ships with them.

    The same modules always give the same bytes; the name is the first 12 hexadecimal digits of their SHA-256.
    """
    modules = {module.name: module for module in sorted(model.glob("*.py"))}
    if not modules:
        raise FileNotFoundError(f"{model} holds no Python modules: the build is incomplete, run `sam build` again")
    modules |= {f"firnline/{name}": Path(shipped.folder(), name) for name in shipped.MODULES}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, module in modules.items():
            content = module.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    packed = gzip.compress(plain.getvalue(), mtime=0)
    return hashlib.sha256(plain.getvalue()).hexdigest()[:12], packed
