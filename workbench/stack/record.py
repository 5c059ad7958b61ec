"""What a state directory's stack was deployed from, and what may have changed since."""

import hashlib
import json
import shlex
import sys
from pathlib import Path

from workbench.local_cloud.settings import REGION, ROOT, default_state_dir

STACK_NAME = "firnline"
LOCAL_PARAMETERS = {
    "WorkteamArn": f"arn:aws:sagemaker:{REGION}:000000000000:workteam/private-crowd/local",
    "ReviewProvider": "a2i",
}
_SOURCES = ("template.yaml", "services", "layers", "layer_model", "statemachines")
LAYER_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that runs the local cloud, and so its Lambdas: the layer is built for it."""


class CommandFailed(Exception):
    """Deploying did not come to its end; the message says why, and what to do."""


def deployed() -> dict:
    """What this state directory's stack was deployed from, and with which parameters; empty if it was not."""
    return json.loads(_file().read_text()) if _file().exists() else {}


def note(source: str, parameters: dict[str, str]) -> None:
    _file().write_text(json.dumps({"source": source, "parameters": parameters}))


def _file() -> Path:
    return default_state_dir() / "deployed.json"


def fingerprint() -> str:
    """A hash over everything that `sam build` packs, and the Python that it packs it for."""
    digest = hashlib.sha256(LAYER_PYTHON.encode())
    for source in _SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def start_anew() -> str:
    """What to do where nothing else helps, as the end of a sentence."""
    state_dir = shlex.quote(str(default_state_dir()))
    return f"`make down && mv {state_dir} {state_dir}.kept && make up` starts with an empty one beside it"
