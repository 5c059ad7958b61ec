"""Where the local cloud lives: its port, its state directory and the files in it."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
ACCOUNT = "000000000000"
DEFAULT_PORT = 4566


def default_port() -> int:
    return int(os.environ.get("FIRNLINE_PORT", DEFAULT_PORT))


def default_state_dir() -> Path:
    return Path(os.environ.get("FIRNLINE_STATE", ROOT / "build" / "local"))


def demo_state_dir() -> Path:
    """The demonstration's own, beside which the stack of `make up` stays as it is."""
    return ROOT / "build" / "demo" / "stack"


def mxnet_python() -> Path:
    """The interpreter of the environment that stands in for SageMaker's MXNet image."""
    return Path(os.environ.get("FIRNLINE_MXNET_PYTHON", ROOT / ".venv" / "mxnet" / "bin" / "python"))


def stop_grace_seconds() -> float:
    """How long a training that is to stop may go on before it is killed: two minutes on AWS, less in tests."""
    return float(os.environ.get("FIRNLINE_STOP_SECONDS", 120))


def record_of_access() -> Path | None:
    """Where to write down what IAM was asked; nowhere unless FIRNLINE_RECORD_ACCESS names a file."""
    named = os.environ.get("FIRNLINE_RECORD_ACCESS")
    return Path(named) if named else None


@dataclass(frozen=True)
class Settings:
    state_dir: Path
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid_file(self) -> Path:
        return self.state_dir / "local-cloud.pid"

    @property
    def log_file(self) -> Path:
        return self.state_dir / "local-cloud.log"

    @property
    def credentials_file(self) -> Path:
        return self.state_dir / "credentials.json"

    @property
    def database(self) -> Path:
        return self.state_dir / "sagemaker.sqlite3"

    @property
    def snapshots(self) -> Path:
        return self.state_dir / "state"

    @property
    def journal(self) -> Path:
        return self.state_dir / "journal"

    @property
    def objects(self) -> Path:
        return self.state_dir / "s3"

    @property
    def temporary(self) -> Path:
        return self.state_dir / "tmp"

    @property
    def lambda_code(self) -> Path:
        return self.state_dir / "lambda-code"

    @property
    def jobs(self) -> Path:
        return self.state_dir / "jobs"

    @property
    def endpoints(self) -> Path:
        return self.state_dir / "endpoints"
