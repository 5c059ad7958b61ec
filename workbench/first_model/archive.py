"""The archive of a model: packed, and with the code that serves it."""

import gzip
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from firnline import archives

from .places import ARCHIVE, MXNET, model_environment


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


def serving_code() -> dict[str, str]:
    """Paths of the modules that an artefact carries, by their names under `code/`."""
    command = [str(MXNET / "python"), "-c", "import artefact, json; print(json.dumps(artefact.serving_code()))"]
    told = subprocess.run(command, env=model_environment(), check=True, capture_output=True, text=True).stdout
    return json.loads(told.splitlines()[-1])


def carry_todays_code(archive: Path = ARCHIVE) -> None:
    """Put today's serving modules into a model.tar.gz; its weights, card and rehearsal stay."""
    with tempfile.TemporaryDirectory() as folder:
        archives.unpack(str(archive), folder)
        code = Path(folder) / "code"
        shutil.rmtree(code)
        for name, module in serving_code().items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(module, code / name)
        pack_model(Path(folder), archive)
