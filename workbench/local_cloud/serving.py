"""Endpoints: one worker each, switched blue/green on update, started again after a restart or a crash."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

from workbench.waiting import Pace, wait_until

from . import state_events
from .context import Cloud
from .errors import AwsError, ModelError, ServiceUnavailable, ValidationError, ValidationException
from .identity import assume_role, drop_session
from .images import require_mxnet
from .job_log import JobLog
from .model_worker import ModelDidNotLoad, ModelWorker

KIND = "endpoint"
BODY_LIMIT = 6_291_456
INVOKE_SECONDS = 60.0
LOG_GROUP = "/aws/sagemaker/Endpoints/"

logger = logging.getLogger("firnline.serving")


def model_container(cloud: Cloud, model: dict) -> dict:
    """A model with its container resolved: a model package names image and data in its own specification."""
    container = model["PrimaryContainer"]
    if "ModelPackageName" in container:
        package = cloud.store.get("model-package", container["ModelPackageName"])
        if package is None:
            raise ValidationException(f'Could not find model package "{container["ModelPackageName"]}".')
        packaged = package["InferenceSpecification"]["Containers"][0]
        container = {
            **packaged,
            **container,
            "Environment": {**packaged.get("Environment", {}), **container.get("Environment", {})},
        }
    require_mxnet(container.get("Image"), "inference")
    return {**model, "PrimaryContainer": container}


def load_model(cloud: Cloud, model_name: str) -> dict:
    model = cloud.store.get("model", model_name)
    if model is None:
        raise ValidationException(f'Could not find model "{model_name}".')
    return model_container(cloud, model)


class _Slot:
    """The worker behind one endpoint name; `ready` is clear while there is none yet."""

    def __init__(self) -> None:
        self.worker: ModelWorker | None = None
        self.config_name = ""
        self.ready = threading.Event()
        self.change = threading.Lock()


class Endpoints:
    def __init__(self, cloud: Cloud):
        self._cloud = cloud
        self._slots: dict[str, _Slot] = {}

    def create(self, name: str) -> None:
        self._slots[name] = _Slot()
        self._announce(name)
        self._in_background(self._create, name)

    def update(self, name: str, config_name: str) -> None:
        self._announce(name)
        self._in_background(self._update, name, config_name)

    def delete(self, endpoint: dict) -> None:
        """Stop the worker of an endpoint whose record is gone."""
        name = endpoint["EndpointName"]
        state_events.endpoint({**endpoint, "EndpointStatus": "Deleting"})
        slot = self._slots.pop(name, None)
        if slot and slot.worker:
            threading.Thread(target=slot.worker.stop, daemon=True).start()

    def stop_all(self) -> None:
        for slot in list(self._slots.values()):
            if slot.worker:
                slot.worker.stop()

    def recover(self, answering: threading.Event) -> None:
        """Start the workers of the endpoints that were in service, once the server is `answering`.

        An interrupted update is rolled back.
        """
        shutil.rmtree(self._cloud.settings.endpoints, ignore_errors=True)
        for endpoint in self._cloud.store.all(KIND):
            name, status = endpoint["EndpointName"], endpoint["EndpointStatus"]
            if status in ("InService", "Updating", "Creating"):
                self._slots[name] = _Slot()
                if status == "Updating":
                    self._set_status(name, "InService", "The update was interrupted by a stop of the local cloud.")
                work = self._create if status == "Creating" else self._restart
                self._in_background(lambda name=name, work=work: answering.wait() and work(name))

    def invoke(self, name: str, body: bytes, content_type: str, accept: str) -> tuple[bytes, str, str]:
        """Answer of the endpoint's model, its content type and the variant's name.

        Raises ValidationError for an unknown endpoint or a body over the limit, ModelError if the model fails.
        """
        endpoint = self._cloud.store.get(KIND, name)
        if endpoint is None:
            raise ValidationError(f"Endpoint {name} of account not found.")
        if len(body) > BODY_LIMIT:
            raise ValidationError(f"Request body of {len(body):,} bytes is over the limit of {BODY_LIMIT:,} bytes.")
        slot = self._slots.get(name)
        if slot is None or endpoint["EndpointStatus"] not in ("InService", "Updating"):
            raise ValidationError(f"Endpoint {name} is not in service; its status is {endpoint['EndpointStatus']}.")
        started = time.monotonic()
        if not slot.ready.wait(INVOKE_SECONDS) or slot.worker is None:
            raise ServiceUnavailable(f"Endpoint {name} is still starting after a restart of the local cloud.")
        worker = slot.worker
        try:
            answer, answer_type = worker.invoke(
                body, content_type, accept, max(1.0, INVOKE_SECONDS - (time.monotonic() - started))
            )
        except ServiceUnavailable:
            if slot.worker is not worker:  # replaced by an update while we asked
                return self.invoke(name, body, content_type, accept)
            self._revive(name, slot, worker)
            raise
        except ModelError:
            if not worker.alive():
                self._revive(name, slot, worker)
            raise
        return answer, answer_type, self._config(slot.config_name)["ProductionVariants"][0]["VariantName"]

    def _create(self, name: str) -> None:
        endpoint = self._cloud.store.get(KIND, name)
        slot = self._slots.get(name)
        if endpoint is None or slot is None:
            return
        try:
            worker = self._start_worker(name, endpoint["EndpointConfigName"])
        except Exception as error:
            self._set_status(name, "Failed", self._reason(name, error))
            return
        self._switch(name, slot, worker, endpoint["EndpointConfigName"])

    def _update(self, name: str, config_name: str) -> None:
        slot = self._slots[name]
        with slot.change:
            try:
                worker = self._start_worker(name, config_name)
            except Exception as error:
                # Like AWS's rollback: in service, on the old configuration, with the reason of the failure.
                self._set_status(name, "InService", self._reason(name, error))
                return
            old = slot.worker
            self._switch(name, slot, worker, config_name)
        if old:
            old.stop()

    def _restart(self, name: str) -> None:
        """Bring the worker of an endpoint in service back; it was good once, so what hinders it now may pass."""
        if slot := self._slots.get(name):
            wait_until(lambda: self._restarted(name, slot), None, TimeoutError, Pace.RESTART)

    def _restarted(self, name: str, slot: _Slot) -> bool:
        """Whether nothing is left to do: the worker is back, or the endpoint is gone."""
        endpoint = self._cloud.store.get(KIND, name)
        if endpoint is None or slot.worker is not None or self._slots.get(name) is not slot:
            return True
        try:
            worker = self._start_worker(name, endpoint["EndpointConfigName"])
        except Exception as error:
            self._reason(name, error)
            return False
        self._switch(name, slot, worker, endpoint["EndpointConfigName"])
        return True

    def _revive(self, name: str, slot: _Slot, dead: ModelWorker) -> None:
        with slot.change:
            if slot.worker is not dead:
                return
            slot.ready.clear()
            slot.worker = None
        dead.stop()
        self._in_background(self._restart, name)

    def _switch(self, name: str, slot: _Slot, worker: ModelWorker, config_name: str) -> None:
        slot.worker, slot.config_name = worker, config_name
        slot.ready.set()
        if self._slots.get(name) is not slot:  # deleted while its model loaded
            worker.stop()
            return
        self._set_status(
            name, "InService", None, EndpointConfigName=config_name, ProductionVariants=self._variants(config_name)
        )

    def _start_worker(self, name: str, config_name: str) -> ModelWorker:
        model = load_model(self._cloud, self._config(config_name)["ProductionVariants"][0]["ModelName"])
        try:
            return ModelWorker(self._cloud, model, self._cloud.settings.endpoints / name)
        except ModelDidNotLoad as failed:
            variant = self._config(config_name)["ProductionVariants"][0]["VariantName"]
            self._keep_log(name, variant, model["ExecutionRoleArn"], failed.log)
            raise ValidationException(
                f"The primary container for production variant {variant} did not pass the ping health check. "
                f"Please check CloudWatch logs for this endpoint. {failed.message}"
            ) from failed

    def _keep_log(self, name: str, variant: str, role_arn: str, text: str) -> None:
        role = assume_role(role_arn, "sagemaker.amazonaws.com", "SageMaker")
        stream, path = f"{variant}/i-{int(time.time()):x}", self._cloud.settings.endpoints / f"{name}.log"
        log = JobLog(self._cloud, role, f"{LOG_GROUP}{name}", stream, path)
        for line in text.splitlines():
            log.line(line)
        log.close()
        drop_session(role)

    def _config(self, config_name: str) -> dict:
        config = self._cloud.store.get("endpoint-config", config_name)
        if config is None:
            raise ValidationException(f'Could not find endpoint configuration "{config_name}".')
        return config

    def _variants(self, config_name: str) -> list[dict]:
        return [
            {
                "VariantName": v["VariantName"],
                "CurrentWeight": v.get("InitialVariantWeight", 1.0),
                "DesiredWeight": v.get("InitialVariantWeight", 1.0),
                "CurrentInstanceCount": v.get("InitialInstanceCount", 1),
                "DesiredInstanceCount": v.get("InitialInstanceCount", 1),
            }
            for v in self._config(config_name)["ProductionVariants"]
        ]

    def _set_status(self, name: str, status: str, reason: str | None, **details: Any) -> None:
        endpoint = self._cloud.store.change(
            KIND, name, {"EndpointStatus": status, "FailureReason": reason, "LastModifiedTime": time.time(), **details}
        )
        if endpoint is not None:
            state_events.endpoint(endpoint)

    def _announce(self, name: str) -> None:
        if endpoint := self._cloud.store.get(KIND, name):
            state_events.endpoint(endpoint)

    @staticmethod
    def _reason(name: str, error: Exception) -> str:
        logger.error("endpoint %s: %s", name, error, exc_info=not isinstance(error, AwsError))
        return (error.message if isinstance(error, AwsError) else f"{type(error).__name__}: {error}")[:1024]

    @staticmethod
    def _in_background(work: Callable[..., object], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()
