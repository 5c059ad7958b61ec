"""Training jobs: AWS's own training toolkit in the MXNet environment, as many at a time as there are cores for."""

import json
import logging
import math
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import state_events
from .context import Cloud
from .errors import AwsError, JobStopped, ValidationException
from .identity import Credentials, assume_role, drop_session
from .images import require_mxnet
from .job_log import JobLog
from .pipe_channel import PipeChannel
from .process_group import end_container, end_group, end_orphan
from .s3_paths import download_prefix, join_uri, pack_folder, upload_folder
from .settings import REGION, mxnet_python, stop_grace_seconds

KIND = "training-job"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
INTERRUPTED = "InternalServerError: the local cloud was stopped while the job ran. Start the job again."
# The container's host name; with SageMaker's own `algo-1` the toolkit waits on DNS for 15 minutes.
HOST = "localhost"
DEFAULT_RUNTIME_SECONDS = 86400
# A training fills two cores; more of them would only slow each other down.

logger = logging.getLogger("firnline.training")
OnMetric = Callable[[str, float], None]


def jobs_at_once() -> int:
    """How many trainings this machine has cores for."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def check_request(request: dict) -> None:
    """Refuse what AWS would take but this machine can't do, with a sentence."""
    algorithm = request["AlgorithmSpecification"]
    require_mxnet(algorithm.get("TrainingImage"), "training")
    _check_spot(request)
    if request.get("ResourceConfig", {}).get("InstanceCount", 1) != 1:
        raise ValidationException("The local cloud trains on one machine: set InstanceCount to 1.")
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource")
        if source is None or source["S3DataType"] != "S3Prefix":
            raise ValidationException(
                f"Channel '{channel['ChannelName']}': the local cloud reads an S3DataSource with "
                "S3DataType S3Prefix only."
            )
        if channel.get("CompressionType", "None") != "None" or channel.get("RecordWrapperType", "None") != "None":
            raise ValidationException(
                f"Channel '{channel['ChannelName']}': CompressionType and RecordWrapperType "
                "other than None are not supported by the local cloud."
            )


def _check_spot(request: dict) -> None:
    condition, spot = request.get("StoppingCondition", {}), request.get("EnableManagedSpotTraining", False)
    wait = condition.get("MaxWaitTimeInSeconds")
    if spot and (wait is None or wait < condition.get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS)):
        raise ValidationException(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds."
        )
    if wait is not None and not spot:
        raise ValidationException("MaxWaitTimeInSeconds is for managed spot training only: EnableManagedSpotTraining.")


def new_document(request: dict, arn: str, now: float) -> dict:
    return {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **request,
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]},
        "TrainingJobArn": arn,
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Starting",
        "CreationTime": now,
        "LastModifiedTime": now,
        "SecondaryStatusTransitions": [
            {"Status": "Starting", "StartTime": now, "StatusMessage": "Launching requested ML instances"}
        ],
    }


class TrainingJobs:
    def __init__(self, cloud: Cloud):
        self._cloud = cloud
        self._turn = threading.BoundedSemaphore(jobs_at_once())
        self._stop_requests: dict[str, threading.Event] = {}

    def start(self, name: str, on_metric: OnMetric | None = None) -> threading.Thread:
        """Run the job `name` on the thread that is returned; `on_metric` hears of each metric as it is printed."""
        self._stop_requests[name] = threading.Event()
        if job := self._cloud.store.get(KIND, name):
            state_events.training_job(job)
        thread = threading.Thread(target=self._run, args=(name, on_metric), daemon=True, name=f"training {name}")
        thread.start()
        return thread

    def stop(self, name: str) -> None:
        def begin(job: dict) -> dict:
            ended = job["TrainingJobStatus"] != "InProgress"
            return {} if ended else {"TrainingJobStatus": "Stopping", "SecondaryStatus": "Stopping"}

        if job := self._cloud.store.change(KIND, name, begin):
            state_events.training_job(job)
        request = self._stop_requests.get(name)
        if request:
            request.set()

    def recover(self) -> None:
        """Jobs that a stopped local cloud left behind have failed; what is left of their processes ends."""
        for job in self._cloud.store.all(KIND):
            if job["TrainingJobStatus"] in ("InProgress", "Stopping"):
                folder = self._folder(job["TrainingJobName"])
                pid_file = folder / "pid"
                if pid_file.exists():
                    end_orphan(int(pid_file.read_text()), f"SAGEMAKER_BASE_DIR={folder / 'ml'}")
                self._finish(job["TrainingJobName"], "Failed", "Failed", FailureReason=INTERRUPTED)

    def _folder(self, name: str) -> Path:
        return self._cloud.settings.jobs / "training" / name

    def _run(self, name: str, on_metric: OnMetric | None) -> None:
        with self._turn:
            run = _TrainingRun(self._cloud, self._folder(name), name, self._stop_requests[name], self._finish)
            run.on_metric = on_metric
            run.run()
        del self._stop_requests[name]

    def _finish(self, name: str, status: str, secondary: str, **details: Any) -> None:
        now = time.time()

        def finish(job: dict) -> dict:
            seconds = int(now - job.get("TrainingStartTime", now))
            return {
                **transition(job, secondary, now),
                "TrainingJobStatus": status,
                "TrainingEndTime": now,
                "TrainingTimeInSeconds": seconds,
                "BillableTimeInSeconds": seconds,
                **details,
            }

        job = self._cloud.store.change(KIND, name, finish)
        if job is not None:
            state_events.training_job(job)


def metrics_in(patterns: list[tuple[str, re.Pattern]], line: str) -> Iterator[tuple[str, float]]:
    """(name, value) of every metric that a line of the log tells; what is no finite number is none, as on AWS."""
    for name, pattern in patterns:
        found = pattern.search(line)
        if found is None:
            continue
        try:
            value = float(found.group(1) if pattern.groups else found.group(0))
        except (TypeError, ValueError):
            continue
        if math.isfinite(value):
            yield name, value


def transition(job: dict, secondary: str, now: float) -> dict:
    """The fields of a job that enters the secondary status `secondary`."""
    past = [{"EndTime": now, **t} for t in job["SecondaryStatusTransitions"]]
    entered = {"Status": secondary, "StartTime": now, "StatusMessage": f"{secondary} the training job"}
    return {"SecondaryStatus": secondary, "LastModifiedTime": now, "SecondaryStatusTransitions": [*past, entered]}


class _TrainingRun:
    def __init__(self, cloud: Cloud, folder: Path, name: str, stop_requested: threading.Event, finish: Any):
        self.cloud, self.folder, self.name = cloud, folder, name
        self.base = folder / "ml"
        self.stop_requested, self.finish = stop_requested, finish
        self.job: dict = cloud.store.get(KIND, name) or {}
        self.metrics: dict[str, dict] = {}
        self.on_metric: OnMetric | None = None
        self.pipes: list[PipeChannel] = []
        self.timed_out = False

    def run(self) -> None:
        credentials = None
        try:
            credentials = assume_role(self.job["RoleArn"], "sagemaker.amazonaws.com", "SageMaker")
            self._train(credentials)
        except JobStopped:
            self.finish(
                self.name,
                "Stopped",
                "MaxRuntimeExceeded" if self.timed_out else "Stopped",
                FinalMetricDataList=list(self.metrics.values()),
            )
        except AwsError as error:
            self.finish(self.name, "Failed", "Failed", FailureReason=f"ClientError: {error.message}")
        except Exception as error:
            logger.exception("training job %s failed", self.name)
            self.finish(self.name, "Failed", "Failed", FailureReason=f"InternalServerError: {error}"[:1024])
        finally:
            if credentials:
                drop_session(credentials)
            shutil.rmtree(self.base, ignore_errors=True)

    def _train(self, credentials: Credentials) -> None:
        s3 = self.cloud.client("s3", credentials)
        self._lay_out()
        self._enter("Downloading", TrainingStartTime=time.time())
        self._fetch_channels(s3)
        checkpoints = self.job.get("CheckpointConfig")
        if checkpoints:
            download_prefix(s3, checkpoints["S3Uri"], self.base / "checkpoints")
        self._enter("Training")
        log = JobLog(
            self.cloud, credentials, LOG_GROUP, f"{self.name}/algo-1-{int(time.time())}", self.folder / "job.log"
        )
        try:
            exit_code = self._run_toolkit(credentials, log)
        finally:
            for pipe in self.pipes:
                pipe.end()
            log.close()
        stopped = self.stop_requested.is_set() or self.timed_out
        if checkpoints:
            upload_folder(s3, self.base / "checkpoints", checkpoints["S3Uri"])
        pipe_failures = [pipe.failure for pipe in self.pipes if pipe.failure]
        if not stopped and pipe_failures:
            raise ValidationException("Pipe mode failed: " + "; ".join(pipe_failures))
        if not stopped and (exit_code != 0 or not (self.base / "output" / "success").exists()):
            self.finish(
                self.name,
                "Failed",
                "Failed",
                FailureReason=self._failure_reason(exit_code),
                FinalMetricDataList=list(self.metrics.values()),
            )
            return
        self._enter("Uploading")
        self._upload(s3, always=not stopped)
        if stopped:
            raise JobStopped
        self.finish(self.name, "Completed", "Completed", FinalMetricDataList=list(self.metrics.values()))

    def _enter(self, secondary: str, **details: Any) -> None:
        if self.stop_requested.is_set() and secondary != "Uploading":
            raise JobStopped
        now = time.time()
        job = self.cloud.store.change(KIND, self.name, lambda job: {**transition(job, secondary, now), **details})
        if job is not None:
            state_events.training_job(job)

    def _lay_out(self) -> None:
        config = self.base / "input" / "config"
        for folder in (
            config,
            self.base / "input" / "data",
            self.base / "model",
            self.base / "output" / "data",
            self.base / "checkpoints",
            self.base / "code",
        ):
            folder.mkdir(parents=True, exist_ok=True)
        algorithm_mode = self.job["AlgorithmSpecification"]["TrainingInputMode"]
        channels = {
            c["ChannelName"]: {
                "TrainingInputMode": self._mode(c, algorithm_mode),
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
                **({"ContentType": c["ContentType"]} if "ContentType" in c else {}),
            }
            for c in self.job.get("InputDataConfig", [])
        }
        documents = {
            "hyperparameters.json": self.job.get("HyperParameters", {}),
            "inputdataconfig.json": channels,
            "resourceconfig.json": {
                "current_host": HOST,
                "hosts": [HOST],
                "network_interface_name": "lo",
                "current_instance_type": "local",
                "current_group_name": "homogeneousCluster",
                "instance_groups": [
                    {"instance_group_name": "homogeneousCluster", "instance_type": "local", "hosts": [HOST]}
                ],
            },
        }
        for name, document in documents.items():
            (config / name).write_text(json.dumps(document))

    @staticmethod
    def _mode(channel: dict, algorithm_mode: str) -> str:
        return "Pipe" if channel.get("InputMode", algorithm_mode) == "Pipe" else "File"

    def _fetch_channels(self, s3: Any) -> None:
        data = self.base / "input" / "data"
        for channel in self.job.get("InputDataConfig", []):
            uri, name = channel["DataSource"]["S3DataSource"]["S3Uri"], channel["ChannelName"]
            if self._mode(channel, self.job["AlgorithmSpecification"]["TrainingInputMode"]) == "Pipe":
                self.pipes.append(PipeChannel(s3, uri, data, name))
            elif download_prefix(s3, uri, data / name) == 0:
                raise ValidationException(
                    f'Data download failed: no S3 objects found under S3 URL "{uri}" '
                    f"given in input data source of channel '{name}'."
                )

    def _run_toolkit(self, credentials: Credentials, log: JobLog) -> int:
        python = mxnet_python()
        environment = {
            "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "2",
            "TMPDIR": str(self.cloud.settings.temporary),
            "SAGEMAKER_BASE_DIR": str(self.base),
            "SAGEMAKER_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "SAGEMAKER_TRAINING_MODULE": "sagemaker_mxnet_container.training:main",
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": self.job["TrainingJobArn"],
            **self.job.get("Environment", {}),
        }
        if not self.job["EnableNetworkIsolation"]:
            endpoint = self.cloud.settings.endpoint
            environment |= {"AWS_ENDPOINT_URL": endpoint, "S3_ENDPOINT_URL": endpoint, **credentials.environment()}
        process = subprocess.Popen(
            [python.parent / "train"],
            env=environment,
            cwd=self.base,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            errors="replace",
        )
        (self.folder / "pid").write_text(str(process.pid))
        watcher = threading.Thread(target=self._watch, args=(process,), daemon=True)
        watcher.start()
        patterns = [
            (m["Name"], re.compile(m["Regex"])) for m in self.job["AlgorithmSpecification"].get("MetricDefinitions", [])
        ]
        if process.stdout is None:
            raise RuntimeError("the training process has no output to read")
        for line in process.stdout:
            log.line(line.rstrip("\n"))
            self._collect_metrics(patterns, line)
        process.wait()
        watcher.join()
        end_group(process, 0)  # data loaders and parameter servers that outlived train.py
        return process.returncode

    def _watch(self, process: subprocess.Popen) -> None:
        deadline = time.monotonic() + self.job.get("StoppingCondition", {}).get(
            "MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS
        )
        while process.poll() is None:
            if self.stop_requested.wait(0.2) or time.monotonic() > deadline:
                self.timed_out = not self.stop_requested.is_set()
                end_container(process, stop_grace_seconds())
                return

    def _collect_metrics(self, patterns: list[tuple[str, re.Pattern]], line: str) -> None:
        for name, value in metrics_in(patterns, line):
            self.metrics[name] = {"MetricName": name, "Value": value, "Timestamp": time.time()}
            if self.on_metric:
                self.on_metric(name, value)

    def _failure_reason(self, exit_code: int) -> str:
        failure = self.base / "output" / "failure"
        told = failure.read_text(errors="replace").strip() if failure.exists() else "the job said nothing more"
        return f"AlgorithmError: {told[-950:]}, exit code: {exit_code}"

    def _upload(self, s3: Any, always: bool) -> None:
        output = join_uri(self.job["OutputDataConfig"]["S3OutputPath"], self.name, "output")
        for source, archive in (
            (self.base / "model", "model.tar.gz"),
            (self.base / "output" / "data", "output.tar.gz"),
        ):
            filled = any(source.iterdir())
            if not filled and not (always and archive == "model.tar.gz"):
                continue
            packed = self.folder / archive
            pack_folder(source, packed)
            bucket, _, key = join_uri(output, archive).removeprefix("s3://").partition("/")
            s3.upload_file(str(packed), bucket, key)
            packed.unlink()
            if archive == "model.tar.gz":
                self.cloud.store.change(
                    KIND, self.name, {"ModelArtifacts": {"S3ModelArtifacts": f"s3://{bucket}/{key}"}}
                )
