"""Lambda: CloudFormation's custom resource `Custom::FirnlineProvision`."""

import time
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from firnline.observability import logger
from firnline.settings import Settings, load_settings
from firnline.store.bucket import Bucket
from firnline.store.models import Models
from firnline.store.table import Table
from provision.provisioning import Provisioning
from provision.request import CloudFormationRequest, Properties, answer
from provision.review_flow import ReviewFlow
from provision.serving import EndpointKeeper

WAITING_SECONDS = 720
"""For all waiting of one request; what is left of the function's 900 is for uploads, calls, and the answer and its repeats."""


def provisioning(properties: Properties, stack_id: str) -> Provisioning:
    until = time.monotonic() + WAITING_SECONDS
    settings = load_settings(Settings)
    client = boto3.client("sagemaker")
    models = Models(Table(boto3.resource("dynamodb").Table(settings.table_name)))
    return Provisioning(
        Bucket(boto3.client("s3"), settings.workspace_bucket),
        EndpointKeeper(client, models, properties, until),
        ReviewFlow(client, properties, settings.workspace_bucket, until),
        client.meta.region_name,
        boto3.client("cloudformation"),
        stack_id,
        properties.worker_template,
    )


def carry_out(request: CloudFormationRequest) -> dict[str, str]:
    try:
        properties = Properties.model_validate(request.resource_properties)
    except ValidationError:
        if request.request_type == "Delete":
            return {}  # a resource with such properties was never made; a refusal would leave a stack that nobody can delete
        raise
    if request.request_type == "Delete":
        provisioning(properties, request.stack_id).delete()
        return {}
    return provisioning(properties, request.stack_id).create_or_update()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    request = CloudFormationRequest.model_validate(event)
    try:
        attributes = carry_out(request)
    except Exception as error:  # CloudFormation waits half an hour for an answer that does not come
        logger.exception("provisioning failed")
        answer(request, None, f"{type(error).__name__}: {error}")
    else:
        answer(request, attributes)
