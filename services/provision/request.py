"""CloudFormation's custom resource protocol."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from urllib3 import PoolManager, Retry

from firnline.limits import MOST_REVIEWERS
from firnline.review.task_template import WorkerTemplate


class Properties(BaseModel):
    """The resource's properties in the template; CloudFormation sends every value as text."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    # Endpoint, model and flow carry the name; SageMaker writes ARNs in lower case, and flows are named in nothing else.
    stack_name: str = Field(alias="StackName", pattern=r"^[a-z][a-z0-9-]{0,29}$")
    endpoint_name: str = Field(alias="EndpointName")
    endpoint_instance_type: str = Field(alias="EndpointInstanceType")
    inference_image_uri: str = Field(alias="InferenceImageUri")
    serving_role_arn: str = Field(alias="ServingRoleArn")
    serving_workers: str = Field(alias="ServingWorkers", pattern=r"^[1-9][0-9]*$")
    model_package_group_name: str = Field(alias="ModelPackageGroupName")
    review_provider: Literal["a2i", "portal"] = Field(alias="ReviewProvider")
    worker_template: WorkerTemplate = Field("layer-editor", alias="WorkerTemplate")
    workteam_arn: str = Field("", alias="WorkteamArn")
    reviewers_per_task: int = Field(1, ge=1, le=MOST_REVIEWERS, alias="ReviewersPerTask")
    review_flow_role_arn: str = Field(alias="ReviewFlowRoleArn")


class CloudFormationRequest(BaseModel):
    """What CloudFormation sends; its properties are checked later, since even a bad request wants an answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    request_type: Literal["Create", "Update", "Delete"] = Field(alias="RequestType")
    response_url: str = Field(alias="ResponseURL", pattern=r"^(https://|http://(localhost|127\.0\.0\.1)[:/])")
    stack_id: str = Field(alias="StackId")
    request_id: str = Field(alias="RequestId")
    logical_resource_id: str = Field(alias="LogicalResourceId")
    physical_resource_id: str | None = Field(None, alias="PhysicalResourceId")
    resource_properties: dict[str, Any] = Field(alias="ResourceProperties")


MAX_REASON = 1000
"""CloudFormation drops an answer of more than 4,096 bytes and then waits for half an hour."""


ANSWER_TRIES = 4
ANSWER_TIMEOUT_SECONDS = 20


def answer(request: CloudFormationRequest, attributes: dict[str, str] | None, reason: str = "") -> None:
    """Tell CloudFormation how it went: with attributes, or, where there are none, with the reason of the failure.

    The physical id never changes, so that no update ever makes CloudFormation delete what serves.
    """
    body = json.dumps(
        {
            "Status": "FAILED" if attributes is None else "SUCCESS",
            "Reason": reason[:MAX_REASON],
            "PhysicalResourceId": request.physical_resource_id or f"firnline-{request.logical_resource_id}".lower(),
            "StackId": request.stack_id,
            "RequestId": request.request_id,
            "LogicalResourceId": request.logical_resource_id,
            "Data": attributes or {},
        }
    ).encode()
    # A signed address refuses the content type that urllib adds by itself.
    # Nobody repeats the invocation (EventInvokeConfig), so the answer itself is repeated.
    retries = Retry(ANSWER_TRIES - 1, backoff_factor=1, status_forcelist=(500, 502, 503, 504), allowed_methods=["PUT"])
    taken = PoolManager(retries=retries, timeout=ANSWER_TIMEOUT_SECONDS).request(
        "PUT", request.response_url, body=body, headers={"Content-Type": ""}
    )
    if taken.status >= 400:
        raise ConnectionError(f"CloudFormation's address took no answer: {taken.status} {taken.reason}")
