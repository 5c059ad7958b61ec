"""The endpoint that serves the champion, and the first model behind it."""

import hashlib
import time
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from firnline.store.models import Models
from firnline.store.rows import ChampionRow
from provision.request import Properties

FIRST = "first"
BROKEN = ("Failed", "OutOfService", "UpdateRollbackFailed")
"""Nothing but another endpoint helps: the first takes no update, the second answers nobody, the third is of two models."""
DELETING = "Deleting"
IN_MOTION = ("Creating", "Updating", "SystemUpdating", "RollingBack", DELETING)
POLL_SECONDS = 5
MAX_TRANSFORM_BYTES = 20 << 20
"""A request of batch transform; the model server refuses more than 6.5 MB if it is not told."""


class Serving(NamedTuple):
    """What an endpoint needs to serve one model."""

    model_name: str
    model_data: str
    endpoint_config: str


def is_missing(error: ClientError) -> bool:
    """Whether SageMaker says that there is no such thing; it says so in several ways."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "").lower()
    return code == "ResourceNotFound" or (
        code == "ValidationException" and ("could not find" in message or "does not exist" in message)
    )


def find(describe: Any, **name: str) -> dict[str, Any] | None:
    try:
        return describe(**name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def _serving(champion: ChampionRow) -> Serving:
    return Serving(champion.model_name, champion.model_data, champion.endpoint_config)


class EndpointFailed(Exception):
    """The endpoint that was made does not come up; the message says what SageMaker says, and what to do."""


class EndpointKeeper:
    """Makes the endpoint where there is none. It leaves an existing one alone, unless that is broken.

    `client` is boto3's `sagemaker`; nothing is waited for after `until`, of the monotonic clock.
    """

    def __init__(self, client: Any, models: Models, properties: Properties, until: float) -> None:
        self._client = client
        self._models = models
        self._properties = properties
        self._until = until

    def ensure(self, first_model_uri: str, region: str) -> None:
        """The endpoint stands or is on its way: with the champion, or with the first model, then the champion.

        One that is made here is waited for, as long as CloudFormation waits; raises `EndpointFailed` where it fails, or where
        the one before it is not gone by then.
        """
        champion = self._models.champion()
        wanted = _serving(champion) if champion else self._first(first_model_uri)
        name = self._properties.endpoint_name
        standing = self._standing()
        if standing and standing["EndpointStatus"] in BROKEN:
            # Its model is made again too, from the image that is given now.
            self.remove()
            standing = self._standing()
        if standing is None:
            self._ensure_model(wanted, region)
            self._ensure_config(wanted)
            self._client.create_endpoint(EndpointName=name, EndpointConfigName=wanted.endpoint_config)
        if not champion:
            # Written down like any other model, so that an operator can go back to it.
            self._models.record(
                FIRST, decision="in the box", reason="It came with Firnline.", model_data=wanted.model_data
            )
            self._models.promote(FIRST, expected=None, **wanted._asdict())
        if standing is None:
            self._wait_until_it_serves()

    def first_model_failed(self) -> bool:
        """Whether the endpoint failed with the model in the box, before any other was promoted."""
        champion = self._models.champion()
        if champion and champion.model_version != FIRST:
            return False
        standing = find(self._client.describe_endpoint, EndpointName=self._properties.endpoint_name)
        return standing is not None and standing["EndpointStatus"] == "Failed"

    def ensure_model_package_group(self) -> None:
        name = self._properties.model_package_group_name
        if find(self._client.describe_model_package_group, ModelPackageGroupName=name) is None:
            self._client.create_model_package_group(ModelPackageGroupName=name)

    def remove(self) -> None:
        """Take away the endpoint, and the configuration and model that it serves; it is gone afterwards, or soon after."""
        endpoint = self._settled()
        if endpoint is None:
            return
        self._client.delete_endpoint(EndpointName=self._properties.endpoint_name)
        self._remove_config(endpoint["EndpointConfigName"])
        # Its name is free for the next stack only then.
        self._settled()

    def _remove_config(self, name: str) -> None:
        config = find(self._client.describe_endpoint_config, EndpointConfigName=name)
        if config is None:
            return
        self._client.delete_endpoint_config(EndpointConfigName=name)
        for variant in config["ProductionVariants"]:
            if find(self._client.describe_model, ModelName=variant["ModelName"]):
                self._client.delete_model(ModelName=variant["ModelName"])

    def _standing(self) -> dict[str, Any] | None:
        """The endpoint, if it is there to stay: one that is being deleted is waited for until it is gone."""
        endpoint = find(self._client.describe_endpoint, EndpointName=self._properties.endpoint_name)
        if endpoint and endpoint["EndpointStatus"] == DELETING:
            endpoint = self._settled()
        if endpoint and endpoint["EndpointStatus"] == DELETING:
            raise EndpointFailed(
                f"The endpoint {self._properties.endpoint_name} is still being deleted, so none of this name can be made. "
                "Deploy again when SageMaker's console no longer lists it."
            )
        return endpoint

    def _wait_until_it_serves(self) -> None:
        """An image that cannot be pulled or a quota of no instances shows minutes after the endpoint was asked for.

        One that is still on its way when the time is up counts as made: should it fail, there is an alarm.
        """
        endpoint = self._settled()
        if endpoint and endpoint["EndpointStatus"] == "Failed":
            raise EndpointFailed(
                f"The endpoint {self._properties.endpoint_name} does not start on "
                f"{self._properties.endpoint_instance_type} with the image {self._properties.inference_image_uri}: "
                f"{endpoint.get('FailureReason', 'SageMaker gives no reason.')} Mend that (a quota, InferenceImageUri, "
                "EndpointInstanceType) and deploy again."
            )

    def _settled(self) -> dict[str, Any] | None:
        """The endpoint as it stands; SageMaker deletes none that is being made or changed, so that is waited for."""
        while True:
            endpoint = find(self._client.describe_endpoint, EndpointName=self._properties.endpoint_name)
            if endpoint is None or endpoint["EndpointStatus"] not in IN_MOTION or time.monotonic() > self._until:
                return endpoint
            time.sleep(POLL_SECONDS)

    def _first(self, model_uri: str) -> Serving:
        what = [model_uri, self._properties.inference_image_uri, self._properties.endpoint_instance_type]
        digest = hashlib.sha256("\n".join(what).encode()).hexdigest()[:8]
        name = f"{self._properties.stack_name}-{FIRST}-{digest}"
        return Serving(model_name=name, model_data=model_uri, endpoint_config=name)

    def _ensure_model(self, wanted: Serving, region: str) -> None:
        if find(self._client.describe_model, ModelName=wanted.model_name):
            return
        self._client.create_model(
            ModelName=wanted.model_name,
            ExecutionRoleArn=self._properties.serving_role_arn,
            EnableNetworkIsolation=True,
            PrimaryContainer={
                "Image": self._properties.inference_image_uri,
                "ModelDataUrl": wanted.model_data,
                "Environment": {
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                    "SAGEMAKER_REGION": region,
                    "SAGEMAKER_MODEL_SERVER_WORKERS": self._properties.serving_workers,
                    "MMS_MAX_REQUEST_SIZE": str(MAX_TRANSFORM_BYTES),
                },
            },
        )

    def _ensure_config(self, wanted: Serving) -> None:
        if find(self._client.describe_endpoint_config, EndpointConfigName=wanted.endpoint_config):
            return
        self._client.create_endpoint_config(
            EndpointConfigName=wanted.endpoint_config,
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": wanted.model_name,
                    "InstanceType": self._properties.endpoint_instance_type,
                    "InitialInstanceCount": 1,
                    "InitialVariantWeight": 1.0,
                }
            ],
        )
