"""Batch transform: every object under a prefix through a model, one request per object, one job at a time."""

import json
import logging
import threading
import time

from .context import Cloud, emit
from .errors import AwsError, JobStopped, ValidationException
from .identity import assume_role, drop_session
from .model_worker import ModelWorker
from .s3_paths import join_uri, list_objects, split_uri
from .serving import load_model
from .training import INTERRUPTED

KIND = "transform-job"
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


class TransformJobs:
    def __init__(self, cloud: Cloud):
        self._cloud = cloud
        self._turn = threading.Lock()
        self._stop_requests: dict[str, threading.Event] = {}

    def start(self, name: str) -> None:
        self._stop_requests[name] = threading.Event()
        threading.Thread(target=self._run, args=(name,), daemon=True, name=f"transform {name}").start()

    def stop(self, name: str) -> None:
        self._cloud.store.change(KIND, name, {"TransformJobStatus": "Stopping"})
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
        try:
            s3 = self._cloud.client("s3", credentials)
            source, output = job["TransformInput"], job["TransformOutput"]
            uri = source["DataSource"]["S3DataSource"]["S3Uri"]
            objects = list(list_objects(s3, uri))
            if not objects:
                raise ValidationException(f'No S3 objects found under S3 URL "{uri}".')
            limit = job.get("MaxPayloadInMB", 6) * MEGABYTE
            timeout = float(job.get("ModelClientConfig", {}).get("InvocationsTimeoutInSeconds", 600))
            worker = ModelWorker(self._cloud, _in_batch(model), self._cloud.settings.jobs / "transform" / name)
            failures = []
            for key, relative, size in objects:
                if stop_requested.is_set():
                    raise JobStopped
                if size > limit:
                    raise ValidationException(f"{key} has {size:,} bytes, more than MaxPayloadInMB allows.")
                body = s3.get_object(Bucket=split_uri(uri)[0], Key=key)["Body"].read()
                content_type, accept = (
                    source.get("ContentType", "application/octet-stream"),
                    output.get("Accept", "*/*"),
                )
                try:
                    answer, answer_type = worker.invoke(body, content_type, accept, timeout)
                except AwsError as error:  # the other objects are still processed, and the job has failed
                    failures.append(f"{key}: {error.message}")
                    if not worker.alive():
                        worker.stop()
                        worker = ModelWorker(self._cloud, _in_batch(model), worker.folder.parent)
                    continue
                bucket, target = split_uri(join_uri(output["S3OutputPath"], f"{relative}.out"))
                s3.put_object(Bucket=bucket, Key=target, Body=answer, ContentType=answer_type)
            if failures:
                raise ValidationException(f"{len(failures)} of {len(objects)} objects failed. {failures[0]}")
        finally:
            if worker:
                worker.stop()
            drop_session(credentials)

    def _finish(self, name: str, status: str, reason: str | None) -> None:
        job = self._cloud.store.change(
            KIND,
            name,
            {"TransformJobStatus": status, "FailureReason": reason and reason[:1024], "TransformEndTime": time.time()},
        )
        if job is not None:
            emit(
                "SageMaker Transform Job State Change",
                [job["TransformJobArn"]],
                json.dumps(
                    {
                        "TransformJobName": name,
                        "TransformJobArn": job["TransformJobArn"],
                        "TransformJobStatus": status,
                        "FailureReason": reason,
                    }
                ),
            )
