"""Tools that run long: what they say goes into a log, and the person hears of it line by line."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def run_logged(
    command: Sequence[str | Path], log: Path, hear: Callable[[str], None], environment: Mapping[str, str], folder: Path
) -> int:
    """Run `command` in `folder`, write its output into `log`, and return its exit code; `hear` gets each line.

    It is ended with whatever interrupts this.
    """
    with (
        log.open("w") as out,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None  # noqa: S101 - told to Popen in the lines above
            for line in process.stdout:
                out.write(line)
                if line.strip():
                    hear(line.strip())
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def last_lines(log: Path, count: int) -> str:
    """The last lines of a log that say anything; tracebacks stay there."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(
        [line for line in lines if "Traceback (most" not in line and not line.startswith(("  ", "\t"))][-count:]
    )
