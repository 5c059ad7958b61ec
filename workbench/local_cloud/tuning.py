"""Hyperparameter tuning jobs: training jobs of the local cloud, one for each configuration that the search tries."""

import logging
import re
import secrets
import threading
import time
import uuid
from collections.abc import Iterator

from . import state_events, training
from .context import Cloud, arn
from .errors import ValidationException
from .s3_paths import join_uri
from .training import TrainingJobs, jobs_at_once
from .tuning_search import Configuration, drawn, falls_behind, grid_point, grid_size, read_ranges

KIND = "hyper-parameter-tuning-job"
STRATEGIES = ("Random", "Grid")
FAILURES_BEFORE_GIVING_UP = 5
NOT_RUN_HERE = {
    "TrainingJobDefinitions": "several training job definitions",
    "WarmStartConfig": "a warm start",
    "Autotune": "Autotune",
}
NOT_IN_DEFINITIONS = ("HyperParameterRanges", "TuningObjective")
RESOURCES = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")

logger = logging.getLogger("firnline.tuning")


def check_request(request: dict) -> None:
    """Refuse what AWS would refuse, and what it would take but this machine can't do, with a sentence."""
    config, definition = request["HyperParameterTuningJobConfig"], request.get("TrainingJobDefinition")
    for member, words in NOT_RUN_HERE.items():
        if member in request:
            raise ValidationException(f"The local cloud does not run {words}: leave {member} out.")
    if definition is None:
        raise ValidationException("TrainingJobDefinition is missing.")
    for member in NOT_IN_DEFINITIONS:
        if member in definition:
            raise ValidationException(f"The local cloud does not read {member} of a training job definition.")
    if "TuningJobCompletionCriteria" in config:
        raise ValidationException("The local cloud ends a tuning job by its ResourceLimits only.")
    if config["Strategy"] not in STRATEGIES:
        raise ValidationException(
            f"The local cloud runs the strategies {' and '.join(STRATEGIES)}, not {config['Strategy']}: "
            "choose one of them, or an AWS account."
        )
    if ("ResourceConfig" in definition) == ("HyperParameterTuningResourceConfig" in definition):
        raise ValidationException("Give either ResourceConfig or HyperParameterTuningResourceConfig.")
    _check_objective(config, definition)
    _check_search(config, definition)
    training.check_request(_training_request(request, "check", {}))


def _check_objective(config: dict, definition: dict) -> None:
    objective = config.get("HyperParameterTuningJobObjective")
    if objective is None:
        raise ValidationException("HyperParameterTuningJobObjective is missing.")
    metrics = definition["AlgorithmSpecification"].get("MetricDefinitions", [])
    for metric in metrics:
        try:
            re.compile(metric["Regex"])
        except re.error as error:
            raise ValidationException(f"The regex of the metric '{metric['Name']}' is not one: {error}.") from error
    if objective["MetricName"] not in [metric["Name"] for metric in metrics]:
        raise ValidationException(
            f"The objective metric '{objective['MetricName']}' is not among the MetricDefinitions of the training."
        )


def _check_search(config: dict, definition: dict) -> None:
    ranges = read_ranges(config.get("ParameterRanges", {}))
    both = sorted({one.name for one in ranges} & set(definition.get("StaticHyperParameters", {})))
    if both:
        raise ValidationException(f"'{both[0]}' is both a static hyperparameter and one to tune.")
    asked = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if config["Strategy"] == "Grid":
        size = grid_size(ranges)
        if asked not in (None, size):
            raise ValidationException(
                f"The grid has {size} combinations, MaxNumberOfTrainingJobs is {asked}: make it {size}, or leave it out."
            )
    elif asked is None:
        raise ValidationException("MaxNumberOfTrainingJobs is missing: a random search has no end of its own.")


def new_document(request: dict, job_arn: str, now: float) -> dict:
    config = request["HyperParameterTuningJobConfig"]
    return {
        **request,
        "HyperParameterTuningJobArn": job_arn,
        "HyperParameterTuningJobStatus": "InProgress",
        "CreationTime": now,
        "LastModifiedTime": now,
        "seed": config.get("RandomSeed", secrets.randbits(31)),
    }


def _training_request(tuning: dict, name: str, configuration: Configuration) -> dict:
    """The request for one training of a tuning job, as AWS makes it."""
    definition = tuning["TrainingJobDefinition"]
    metric = tuning["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
    not_passed = ("DefinitionName", "StaticHyperParameters", "RetryStrategy", "HyperParameterTuningResourceConfig")
    request = {member: value for member, value in definition.items() if member not in not_passed}
    if "HyperParameterTuningResourceConfig" in definition:
        resources = definition["HyperParameterTuningResourceConfig"]
        # Of several kinds of instances AWS takes the first that is to be had; here none is.
        first = resources.get("InstanceConfigs", [resources])[0]
        request["ResourceConfig"] = {member: value for member, value in first.items() if member in RESOURCES}
    hyperparameters = {**definition.get("StaticHyperParameters", {}), **configuration}
    request |= {"TrainingJobName": name, "HyperParameters": {**hyperparameters, "_tuning_objective_metric": metric}}
    if "CheckpointConfig" in definition:  # a training must not go on from another's checkpoint
        checkpoints = definition["CheckpointConfig"]
        request["CheckpointConfig"] = {**checkpoints, "S3Uri": join_uri(checkpoints["S3Uri"], name)}
    return request


class TuningJobs:
    def __init__(self, cloud: Cloud, training_jobs: TrainingJobs):
        self._cloud, self._training_jobs = cloud, training_jobs
        self._runs: dict[str, _TuningRun] = {}

    def start(self, name: str, answering: threading.Event | None = None) -> None:
        """Run the tuning job `name`, or go on with it, once the server is `answering`."""
        run = self._runs[name] = _TuningRun(self._cloud, self._training_jobs, name)

        def work() -> None:
            if answering:
                answering.wait()
            run.run()
            del self._runs[name]

        threading.Thread(target=work, daemon=True, name=f"tuning {name}").start()

    def stop(self, name: str) -> None:
        run = self._runs.get(name)
        if run:
            run.stop()

    def recover(self, answering: threading.Event) -> None:
        """Go on with tuning jobs that a stopped local cloud left behind; call after TrainingJobs.recover.

        A training that was interrupted is run again under a new name.
        """
        for job in self._cloud.store.all(KIND):
            name, status = job["HyperParameterTuningJobName"], job["HyperParameterTuningJobStatus"]
            if status == "Stopping":
                _finish(self._cloud, name, "Stopped")
            elif status == "InProgress":
                self.start(name, answering)

    def described(self, job: dict) -> dict:
        """`job` with its counters and its best training, as DescribeHyperParameterTuningJob and the list show it."""
        summaries = [_summary(job, child) for child in _children(self._cloud, job)]
        config = job["HyperParameterTuningJobConfig"]
        ended = [s for s in summaries if s["TrainingJobStatus"] == "Completed" and s["ObjectiveStatus"] == "Succeeded"]
        maximise = config["HyperParameterTuningJobObjective"]["Type"] == "Maximize"
        best = (max if maximise else min)(ended, key=_objective, default=None)
        seconds = [
            s["TrainingEndTime"] - s["TrainingStartTime"]
            for s in summaries
            if s.get("TrainingStartTime") and s.get("TrainingEndTime")
        ]
        return {
            **job,
            "Strategy": config["Strategy"],
            "ResourceLimits": config["ResourceLimits"],
            "TrainingJobStatusCounters": _status_counters(summaries),
            "ObjectiveStatusCounters": {
                status: sum(s["ObjectiveStatus"] == status for s in summaries)
                for status in ("Succeeded", "Pending", "Failed")
            },
            "BestTrainingJob": best,
            "ConsumedResources": {"RuntimeInSeconds": int(sum(seconds))},
        }

    def training_summaries(self, job: dict, params: dict) -> list[dict]:
        """The summaries of a tuning job's trainings, filtered and sorted as `params` of the List operation ask."""
        summaries = [_summary(job, child) for child in _children(self._cloud, job)]
        if "StatusEquals" in params:
            summaries = [s for s in summaries if s["TrainingJobStatus"] == params["StatusEquals"]]
        order = params.get("SortBy", "Name")
        if order == "FinalObjectiveMetricValue":
            summaries = sorted(
                (s for s in summaries if "FinalHyperParameterTuningJobObjectiveMetric" in s), key=_objective
            )
        else:
            member = order if order == "CreationTime" else f"TrainingJob{order}"
            summaries.sort(key=lambda s: s[member])
        return summaries[::-1] if params.get("SortOrder") == "Descending" else summaries


def _children(cloud: Cloud, job: dict) -> list[dict]:
    """The training jobs of a tuning job, in the order in which they were made."""
    found = cloud.store.all(training.KIND)
    return [child for child in found if child.get("TuningJobArn") == job["HyperParameterTuningJobArn"]]


def _interrupted(child: dict) -> bool:
    return child["TrainingJobStatus"] == "Failed" and child["FailureReason"] == training.INTERRUPTED


def _running(child: dict) -> bool:
    return child["TrainingJobStatus"] in ("InProgress", "Stopping")


def _summary(job: dict, child: dict) -> dict:
    """A training in the form of AWS's HyperParameterTrainingJobSummary."""
    objective = job["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    values, status = child["objective_values"], child["TrainingJobStatus"]
    summary = {
        **child,
        "TunedHyperParameters": child["configuration"],
        "ObjectiveStatus": "Pending" if _running(child) else "Failed",
    }
    if "DefinitionName" in job["TrainingJobDefinition"]:
        summary["TrainingJobDefinitionName"] = job["TrainingJobDefinition"]["DefinitionName"]
    if values and status in ("Completed", "Stopped"):
        summary["ObjectiveStatus"] = "Succeeded"
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = {**objective, "Value": values[-1]}
    return summary


def _objective(summary: dict) -> float:
    return float(summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def _status_counters(summaries: list[dict]) -> dict[str, int]:
    retryable = sum(_interrupted(s) for s in summaries)
    failed = sum(s["TrainingJobStatus"] == "Failed" for s in summaries)
    return {
        "Completed": sum(s["TrainingJobStatus"] == "Completed" for s in summaries),
        "InProgress": sum(map(_running, summaries)),
        "RetryableError": retryable,
        "NonRetryableError": failed - retryable,
        "Stopped": sum(s["TrainingJobStatus"] == "Stopped" for s in summaries),
    }


def _stopping(job: dict) -> dict:
    ended = job["HyperParameterTuningJobStatus"] != "InProgress"
    return {} if ended else {"HyperParameterTuningJobStatus": "Stopping", "LastModifiedTime": time.time()}


def _finish(cloud: Cloud, name: str, status: str, reason: str | None = None) -> None:
    now = time.time()
    changes = {
        "HyperParameterTuningJobStatus": status,
        "FailureReason": reason and reason[:1024],
        "HyperParameterTuningEndTime": now,
        "LastModifiedTime": now,
    }
    job = cloud.store.change(KIND, name, changes)
    if job is not None:
        state_events.tuning_job(job)


class _TuningRun:
    """One tuning job at work. What it has tried is in the store; here is only what a restart may forget."""

    def __init__(self, cloud: Cloud, training_jobs: TrainingJobs, name: str):
        self.cloud, self.training_jobs, self.name = cloud, training_jobs, name
        self.job: dict = cloud.store.get(KIND, name) or {}
        self.config = self.job["HyperParameterTuningJobConfig"]
        self.ranges = read_ranges(self.config["ParameterRanges"])
        self.maximise = self.config["HyperParameterTuningJobObjective"]["Type"] == "Maximize"
        self.grid = self.config["Strategy"] == "Grid"
        self.total = grid_size(self.ranges) if self.grid else self.config["ResourceLimits"]["MaxNumberOfTrainingJobs"]
        self.lock = threading.Lock()
        self.stopping = False
        self.broken: str | None = None

    def run(self) -> None:
        asked = self.config["ResourceLimits"]["MaxParallelTrainingJobs"]
        parallel = min(asked, jobs_at_once())
        if parallel < asked:
            logger.info("%s: %d of %d trainings at a time, for want of cores", self.name, parallel, asked)
        seconds = self.config["ResourceLimits"].get("MaxRuntimeInSeconds")
        if seconds:
            clock = threading.Timer(max(0.0, self.job["CreationTime"] + seconds - time.time()), self.stop)
            clock.daemon = True
            clock.start()
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(parallel)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if seconds:
            clock.cancel()
        self._end()

    def stop(self) -> None:
        with self.lock:
            self.stopping = True
            self.cloud.store.change(KIND, self.name, _stopping)
            for child in _children(self.cloud, self.job):
                if _running(child):
                    self.training_jobs.stop(child["TrainingJobName"])

    def _work(self) -> None:
        try:
            while (running := self._start_next()) is not None:
                running.join()
        except Exception as error:
            logger.exception("tuning job %s failed", self.name)
            self.broken = f"InternalServerError: {error}"

    def _start_next(self) -> threading.Thread | None:
        """Start the training of the next configuration; None if there is none, or it is time to end."""
        with self.lock:
            children = _children(self.cloud, self.job)
            tried = {child["configuration_number"] for child in children if not _interrupted(child)}
            waiting: Iterator[int] = (number for number in range(self.total) if number not in tried)
            number = next(waiting, None)
            if self.stopping or self.broken or number is None or self._hopeless(children):
                return None
            found = grid_point(self.ranges, number) if self.grid else drawn(self.ranges, self.job["seed"], number)
            name = f"{self.name}-{len(children) + 1:03d}-{uuid.uuid4().hex[:8]}"
            child_arn = arn(f"training-job/{name.lower()}")
            document = training.new_document(_training_request(self.job, name, found), child_arn, time.time())
            document |= {
                "TuningJobArn": self.job["HyperParameterTuningJobArn"],
                "configuration": found,
                "configuration_number": number,
                "objective_values": [],
            }
            self.cloud.store.add(training.KIND, name, document)
            return self.training_jobs.start(name, lambda metric, value: self._reported(name, metric, value))

    def _hopeless(self, children: list[dict]) -> bool:
        ended = [_summary(self.job, c)["ObjectiveStatus"] for c in children if not (_running(c) or _interrupted(c))]
        return "Succeeded" not in ended and len(ended) >= FAILURES_BEFORE_GIVING_UP

    def _reported(self, name: str, metric: str, value: float) -> None:
        """A training reported a metric: keep the objective's values, and stop the training if it falls behind."""
        if metric != self.config["HyperParameterTuningJobObjective"]["MetricName"]:
            return
        self.cloud.store.change(
            training.KIND, name, lambda child: {"objective_values": [*child["objective_values"], value]}
        )
        if self.config.get("TrainingJobEarlyStoppingType", "Off") == "Off":
            return
        values = {c["TrainingJobName"]: c["objective_values"] for c in _children(self.cloud, self.job)}
        if falls_behind(values.pop(name), list(values.values()), self.maximise):
            logger.info("%s falls behind the median of the others: stopped early", name)
            self.training_jobs.stop(name)

    def _end(self) -> None:
        children = _children(self.cloud, self.job)
        if self.broken:
            _finish(self.cloud, self.name, "Failed", self.broken)
        elif self.stopping:
            _finish(self.cloud, self.name, "Stopped")
        elif any(_summary(self.job, child)["ObjectiveStatus"] == "Succeeded" for child in children):
            _finish(self.cloud, self.name, "Completed")
        else:
            reason = (
                f"No training job succeeded after {len(children)} attempts: none ended with a value of the metric "
                f"'{self.config['HyperParameterTuningJobObjective']['MetricName']}'. List the tuning job's "
                "training jobs for the reasons."
            )
            _finish(self.cloud, self.name, "Failed", reason)
