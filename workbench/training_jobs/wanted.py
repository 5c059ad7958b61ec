"""What a training is to learn from, from which model, with which hyperparameters."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firnline.store import keys
from workbench.connection import Connection
from workbench.training_arguments import CannotTrain, Tuned, check, read_hyperparameters

SPLITS = ("train", "validation", "holdout")
WITH_OPTIONS = {"network": "--network", "max-seconds": "--seconds", "snapshot": "--snapshot"}
MAX_MANIFEST_BYTES = 256_000_000


@dataclass(frozen=True)
class Wanted:
    """What a person asked for; None: what retraining takes. `hyperparameters` are `name=value`."""

    snapshot: str | None = None
    from_version: str | None = None
    from_scratch: bool = False
    seconds: int | None = None
    network: str = "layers"
    hyperparameters: Sequence[str] = ()
    pipe: bool = False


@dataclass(frozen=True)
class Plan:
    """What a training is given. `channels` are S3 prefixes by name, `started_from` a model version."""

    snapshot: str
    channels: dict[str, str]
    hyperparameters: dict[str, Any]
    started_from: str | None
    pipe: bool

    @property
    def from_what(self) -> str:
        return f"going on from model {self.started_from}" if self.started_from else "from scratch"


def plan(connection: Connection, wanted: Wanted, searched: Tuned | None = None) -> Plan:
    """What to train on, from which model, with which hyperparameters; raises CannotTrain.

    Without a snapshot the newest is taken, without a version the champion, as far as its network is the one that is
    trained; without seconds what retraining takes. `searched` are the hyperparameters that a tuning job chooses.
    """
    searched = searched or {}
    given = _given(wanted, searched)
    if wanted.from_version and wanted.from_scratch:
        raise CannotTrain("Choose one of --from-version and --from-scratch.")
    snapshot = wanted.snapshot or newest_snapshot(connection)
    counts = _counts(connection, snapshot)
    prefix = connection.workspace.uri(keys.dataset_prefix(snapshot))
    channels = {split: f"{prefix}{split}/" for split in SPLITS if counts.get(split)}
    started_from = _started_from(connection, wanted, searched)
    if started_from:
        channels["model"] = _model_data(connection, started_from)
    fixed = {
        "max-seconds": wanted.seconds or _stack_parameter(connection, "TrainingSeconds"),
        "network": wanted.network,
    }
    fixed |= {"epochs": _stack_parameter(connection, "MaxEpochs"), "snapshot": snapshot, **given}
    kept = {name: value for name, value in fixed.items() if name not in searched}
    return Plan(snapshot, channels, kept, started_from, wanted.pipe)


def _given(wanted: Wanted, searched: Tuned) -> dict[str, Any]:
    given = read_hyperparameters(list(wanted.hyperparameters))
    for name in given:
        if name in WITH_OPTIONS:
            raise CannotTrain(f"'{name}' has an option of its own: use {WITH_OPTIONS[name]}.")
    check(given, searched)
    return given


def _started_from(connection: Connection, wanted: Wanted, searched: Mapping[str, Any]) -> str | None:
    if wanted.from_version or wanted.from_scratch or wanted.network != "layers" or "network" in searched:
        return wanted.from_version
    champion = connection.models.champion()
    return champion.model_version if champion else None


def newest_snapshot(connection: Connection) -> str:
    bucket = connection.workspace
    pages = bucket.client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket.name, Prefix="datasets/", Delimiter="/"
    )
    found = {}
    for page in pages:
        for folder in page.get("CommonPrefixes", []):
            key = folder["Prefix"] + "manifest.json"
            if bucket.exists(key):  # without a manifest there is no snapshot yet
                made = bucket.client.head_object(Bucket=bucket.name, Key=key)["LastModified"]
                found[folder["Prefix"].split("/")[1]] = made
    if not found:
        raise CannotTrain(
            "There is no data snapshot to train on yet. The first retraining writes one: correct some frames, then run "
            "`firnline retrain`."
        )
    return max(found, key=lambda name: (found[name], name))


def _counts(connection: Connection, snapshot: str) -> dict[str, int]:
    """Frames of each split of a snapshot."""
    try:
        manifest = connection.workspace.read(keys.dataset_prefix(snapshot) + "manifest.json", MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise CannotTrain(
            f"There is no data snapshot '{snapshot}': snapshots are named after the retraining that wrote them, "
            "which `firnline executions` lists."
        ) from error
    if next(connection.workspace.names(keys.dataset_prefix(snapshot) + "train/"), None) is None:
        raise CannotTrain(
            f"The data of snapshot '{snapshot}' has expired, as that of every model that was not promoted does: "
            "`firnline retrain` takes a new one of all corrections and annotations."
        )
    return json.loads(manifest)["counts"]


def _model_data(connection: Connection, version: str) -> str:
    """Where the artefact of a model version lies: one that was judged, or one that a training job left."""
    known = connection.models.version(version)
    if known and known.model_data:
        return known.model_data
    champion = connection.models.champion()
    if champion and champion.model_version == version:
        return champion.model_data
    key = f"models/{version}/output/model.tar.gz"
    if not connection.workspace.exists(key):
        raise CannotTrain(f"There is no model '{version}' to start from: `firnline models` lists those there are.")
    return connection.workspace.uri(key)


def _stack_parameter(connection: Connection, name: str) -> int:
    stack_name = connection.outputs["EndpointName"]  # they are one
    stacks = connection.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    return int(float(next(p["ParameterValue"] for p in stacks[0]["Parameters"] if p["ParameterKey"] == name)))
