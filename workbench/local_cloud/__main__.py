"""`python -m workbench.local_cloud serve|up|down`."""

import argparse
from pathlib import Path

from .process import settings_for, start, stop
from .settings import default_port, default_state_dir


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workbench.local_cloud", description=__doc__)
    parser.add_argument("command", choices=("serve", "up", "down"))
    parser.add_argument("--state", type=Path, default=default_state_dir(), help="folder of the stack's state")
    parser.add_argument("--port", type=int, default=default_port())
    arguments = parser.parse_args()
    if arguments.command == "up":
        start(arguments.state, arguments.port)
    elif arguments.command == "down":
        stop(arguments.state)
    else:
        from .server import serve

        serve(settings_for(arguments.state, arguments.port))


if __name__ == "__main__":
    main()
