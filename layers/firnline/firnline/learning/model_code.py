"""The model code as SageMaker wants it: a `sourcedir.tar.gz`."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path


def pack(files: Mapping[str, str | Path]) -> tuple[str, bytes]:
    """(name, gzipped tar) of `files`, paths by their names in the archive; see `layer_model.code_files`.

    The same files always give the same bytes; the name is the first 12 hexadecimal digits of their SHA-256.
    """
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in sorted(files.items()):
            content = Path(path).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    packed = gzip.compress(plain.getvalue(), mtime=0)
    return hashlib.sha256(plain.getvalue()).hexdigest()[:12], packed
