"""Starting and stopping the stack."""

import os
from pathlib import Path

from rich.console import Console

from workbench import local_cloud, local_environment
from workbench.local_cloud.settings import REGION, ROOT, default_port, default_state_dir, demo_state_dir

from . import deployment, endpoint
from .record import LOCAL_PARAMETERS, STACK_NAME, deployed


def up(parameters: dict[str, str], console: Console) -> dict[str, str]:
    """Start the local cloud if it is not running, deploy if anything changed, and wait for the endpoint.

    A parameter that is not given stays as it was deployed before.
    Returns the environment that `build/local/env.sh` carries.
    """
    state_dir, port = default_state_dir(), default_port()
    with console.status(f"starting the local cloud on 127.0.0.1:{port}"):
        local_cloud.start(state_dir, port, say=lambda _: None)
    environment = local_cloud.client_environment(state_dir, port) | {
        "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "FIRNLINE_STACK": STACK_NAME,
        "FIRNLINE_STATE": str(state_dir), "FIRNLINE_PORT": str(port),
    }  # fmt: skip
    local_environment.write(environment)
    for name in [name for name in os.environ if name.startswith("AWS_")]:  # a profile would go before the keys
        del os.environ[name]
    os.environ.update(environment)
    deployment.build_and_deploy(LOCAL_PARAMETERS | deployed().get("parameters", {}) | parameters, console)
    outputs = deployment.outputs()
    environment |= {f"FIRNLINE_{name}": value for name, value in outputs.items()}
    local_environment.write(environment)
    endpoint.mend(outputs["EndpointName"], console)
    endpoint.wait_for(outputs["EndpointName"], console)
    return environment


def down(state_dir: Path | None = None) -> bool:
    """Stop the local cloud; what it holds stays in its state directory. False if it was not running."""
    return local_cloud.stop(state_dir or default_state_dir(), say=lambda _: None)


def states_of_this_clone() -> list[Path]:
    """Where `up` and the demonstration keep theirs; none if FIRNLINE_STATE says that another place is meant."""
    own = [ROOT / "build" / "local", demo_state_dir()]
    return own if default_state_dir() in own else []


def what_is_left() -> str:
    """After a failure or Ctrl+C: what still runs, how to stop it, and how to go on."""
    port = local_cloud.running_port(default_state_dir())
    if port is None:
        return "the local cloud does not run\ngo on    make up"
    return f"the local cloud still runs at http://127.0.0.1:{port}\nstop     make down\ngo on    make up"
