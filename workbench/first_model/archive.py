"""The archive of a model: packed, and with the code that serves it."""

import gzip
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from firnline import archives
from layer_model import code_files

from .places import ARCHIVE


def pack_model(model_dir: Path, archive: Path) -> None:
    """model.tar.gz of a model folder; the same bytes for the same files."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path in sorted(p for p in model_dir.rglob("*") if p.is_file() and p.suffix != ".pyc"):
            member = tarfile.TarInfo(str(path.relative_to(model_dir)))
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as stream:
                tar.addfile(member, stream)
    archive.write_bytes(gzip.compress(plain.getvalue(), mtime=0))


def carry_todays_code(archive: Path = ARCHIVE) -> None:
    """Put today's serving modules into a model.tar.gz; its weights, card and rehearsal stay."""
    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(str(archive), folder)
        code = Path(folder) / "code"
        shutil.rmtree(code)
        for name, path in code_files.serving_files().items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, code / name)
        pack_model(Path(folder), archive)
