"""Batch transform: every object under a prefix through a model, one request per object, one job at a time."""

import logging
import threading
import time
from typing import Any

from . import state_events
from .context import Cloud
from .errors import AwsError, JobStopped, ModelError, ServiceUnavailable, ValidationException
from .identity import assume_role, drop_session
from .job_log import JobLog
from .model_worker import ModelWorker
from .s3_paths import list_objects, split_uri, transform_output
from .serving import load_model
from .training import INTERRUPTED

KIND = "transform-job"
LOG_GROUP = "/aws/sagemaker/TransformJobs"
MEGABYTE = 1 << 20

logger = logging.getLogger("firnline.transform")


def check_request(request: dict) -> None:
    source = request["TransformInput"]
    if source["DataSource"]["S3DataSource"]["S3DataType"] != "S3Prefix":
        raise ValidationException("The local cloud transforms inputs of S3DataType S3Prefix only.")
    for name, value in (
        ("SplitType", source.get("SplitType", "None")),
        ("CompressionType", source.get("CompressionType", "None")),
        ("AssembleWith", request["TransformOutput"].get("AssembleWith", "None")),
    ):
        if value != "None":
            raise ValidationException(f"The local cloud sends one object per request: leave {name} at None.")


def _in_batch(model: dict) -> dict:
    """The model with what SageMaker tells a container of a batch transform besides."""
    container = model["PrimaryContainer"]
    environment = {**container.get("Environment", {}), "SAGEMAKER_BATCH": "true"}
    return {**model, "PrimaryContainer": {**container, "Environment": environment}}


class _ObjectFailed(Exception):
    """One object failed, and with it its job; as text the job's FailureReason, which tells as little as AWS's."""

    def __init__(self, whose: str, told: str):
        super().__init__(f"{whose}: See job logs for more information")
        self.told = told


def _answered(s3: Any, worker: ModelWorker, job: dict, key: str, size: int) -> tuple[bytes, str]:
    """The model's answer to one object and its content type; _ObjectFailed if there is none."""
    source, limit = job["TransformInput"], job.get("MaxPayloadInMB", 6) * MEGABYTE
    if size > limit:
        raise _ObjectFailed("ClientError", f"{size:,} bytes are too much data for the payload limit of {limit:,}.")
    timeout = float(job.get("ModelClientConfig", {}).get("InvocationsTimeoutInSeconds", 600))
    bucket = split_uri(source["DataSource"]["S3DataSource"]["S3Uri"])[0]
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        return worker.invoke(
            body,
            source.get("ContentType", "application/octet-stream"),
            job["TransformOutput"].get("Accept", "*/*"),
            timeout,
        )
    except ModelError as error:
        status, told = error.details["OriginalStatusCode"], error.details["OriginalMessage"]
        whose = "ClientError" if status < 500 else "AlgorithmError"
        raise _ObjectFailed(whose, f"Bad HTTP status received from algorithm: {status}. {told}") from error
    except ServiceUnavailable as error:
        raise _ObjectFailed("AlgorithmError", error.message) from error


class TransformJobs:
    def __init__(self, cloud: Cloud):
        self._cloud = cloud
        self._turn = threading.Lock()
        self._stop_requests: dict[str, threading.Event] = {}

    def start(self, name: str) -> None:
        self._stop_requests[name] = threading.Event()
        if job := self._cloud.store.get(KIND, name):
            state_events.transform_job(job)
        threading.Thread(target=self._run, args=(name,), daemon=True, name=f"transform {name}").start()

    def stop(self, name: str) -> None:
        if job := self._cloud.store.change(KIND, name, {"TransformJobStatus": "Stopping"}):
            state_events.transform_job(job)
        if name in self._stop_requests:
            self._stop_requests[name].set()

    def recover(self) -> None:
        for job in self._cloud.store.all(KIND):
            if job["TransformJobStatus"] in ("InProgress", "Stopping"):
                self._finish(job["TransformJobName"], "Failed", INTERRUPTED)

    def _run(self, name: str) -> None:
        stop_requested = self._stop_requests[name]
        try:
            with self._turn:
                self._transform(name, stop_requested)
        except JobStopped:
            self._finish(name, "Stopped", None)
        except AwsError as error:
            self._finish(name, "Failed", f"ClientError: {error.message}")
        except _ObjectFailed as failed:
            self._finish(name, "Failed", str(failed))
        except Exception as error:
            logger.exception("transform job %s failed", name)
            self._finish(name, "Failed", f"InternalServerError: {error}")
        else:
            self._finish(name, "Completed", None)
        finally:
            del self._stop_requests[name]

    def _transform(self, name: str, stop_requested: threading.Event) -> None:
        job = self._cloud.store.change(KIND, name, {"TransformStartTime": time.time()})
        if job is None:
            raise JobStopped
        model = load_model(self._cloud, job["ModelName"])
        credentials = assume_role(model["ExecutionRoleArn"], "sagemaker.amazonaws.com", "SageMaker")
        worker = None
        log = JobLog(
            self._cloud,
            credentials,
            LOG_GROUP,
            f"{name}/algo-1-{int(time.time())}/data-log",
            self._cloud.settings.jobs / "transform" / f"{name}.log",
        )
        try:
            s3 = self._cloud.client("s3", credentials)
            output = job["TransformOutput"]
            uri = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
            objects = list(list_objects(s3, uri))
            if not objects:
                raise ValidationException(f'No S3 objects found under S3 URL "{uri}".')
            folder = self._cloud.settings.jobs / "transform" / name
            worker = ModelWorker(self._cloud, _in_batch(model), folder)
            failures = []
            for key, relative, size in objects:
                if stop_requested.is_set():
                    raise JobStopped
                try:
                    answer, answer_type = _answered(s3, worker, job, key, size)
                except _ObjectFailed as failed:
                    log.line(f"{split_uri(uri)[0]}/{key}: {failed.told}")
                    failures.append(failed)
                    if not worker.alive():
                        worker.stop()
                        worker = ModelWorker(self._cloud, _in_batch(model), folder)
                    continue
                bucket, target = split_uri(transform_output(output["S3OutputPath"], relative))
                s3.put_object(Bucket=bucket, Key=target, Body=answer, ContentType=answer_type)
            if failures:
                raise failures[0]
        finally:
            if worker:
                worker.stop()
            log.close()
            drop_session(credentials)

    def _finish(self, name: str, status: str, reason: str | None) -> None:
        job = self._cloud.store.change(
            KIND,
            name,
            {"TransformJobStatus": status, "FailureReason": reason and reason[:1024], "TransformEndTime": time.time()},
        )
        if job is not None:
            state_events.transform_job(job)
