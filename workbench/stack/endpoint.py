"""The endpoint of a deployed stack: mended where it failed, and waited for."""

import boto3
from botocore.exceptions import ClientError, WaiterError
from rich.console import Console

from workbench.connection import connect
from workbench.local_cloud.settings import default_state_dir

from .record import LOCAL_PARAMETERS, STACK_NAME, CommandFailed, deployed, start_anew

SECONDS = 180
_PACE = 1
_LONGEST_REASON = 200


def mend(name: str, console: Console) -> None:
    """Make an endpoint anew that failed or is gone, from the configuration that it had or that the champion has.

    What was in its way may have passed, and nothing else would try again: deployed is deployed.
    """
    sagemaker = boto3.client("sagemaker")
    try:
        failed = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "could not find" not in str(error).lower():
            raise
        champion = connect(STACK_NAME).models.champion()
        if champion is None:
            raise CommandFailed(f"there is no endpoint {name} and no model to serve: {start_anew()}") from error
        console.print(f"· endpoint {name} was gone; it is made anew")
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=champion.endpoint_config)
        return
    if failed["EndpointStatus"] != "Failed":
        return
    console.print(
        f"· endpoint {name} had failed ({_first_line(failed.get('FailureReason', ''))}); it is made anew",
        soft_wrap=True,
    )
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=failed["EndpointConfigName"])


def wait_for(name: str, console: Console) -> None:
    """Until the endpoint is in service. Raises CommandFailed if it fails, or is not within `SECONDS`."""
    waiter = boto3.client("sagemaker").get_waiter("endpoint_in_service")
    with console.status(f"waiting for endpoint {name}"):
        try:
            waiter.wait(EndpointName=name, WaiterConfig={"Delay": _PACE, "MaxAttempts": SECONDS // _PACE})
        except WaiterError as error:
            raise CommandFailed(_trouble(name, dict(error.last_response))) from error


def _trouble(name: str, state: dict) -> str:
    chosen = {k: v for k, v in deployed().get("parameters", {}).items() if LOCAL_PARAMETERS.get(k) != v}
    kept = ", ".join(f"{parameter}={value}" for parameter, value in sorted(chosen.items()))
    return (
        f"endpoint {name} is {state.get('EndpointStatus', 'gone')}: {state.get('FailureReason') or 'no reason given'}\n"
        f"The local cloud's log is {default_state_dir() / 'local-cloud.log'}. `make down && make up` tries again"
        + (f"; parameters given earlier are kept ({kept}), `firnline up -p Name=Value` changes one." if kept else ".")
    )


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0][:_LONGEST_REASON]
