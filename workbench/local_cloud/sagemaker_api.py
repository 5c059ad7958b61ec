"""SageMaker's control plane: each operation of AWS's model that Firnline uses, over the records of the store."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import ClientError

from . import human_review, serving, training, transform, tuning
from .context import Cloud, arn
from .errors import ResourceInUse, ResourceNotFound, UnknownOperationException, ValidationException
from .human_review import HumanReview
from .identity import assume_role, drop_session, require_pass_role
from .s3_paths import split_uri
from .service_model import check, operation_model, shaped
from .serving import Endpoints
from .training import TrainingJobs
from .transform import TransformJobs
from .tuning import TuningJobs

PAGE = 100


@dataclass(frozen=True)
class Kind:
    """How one kind of resource is named in AWS's API and messages."""

    kind: str  # as in ARNs, and the store's kind
    member: str  # prefix of its members: <member>Name, <member>Arn, <member>Status
    words: str
    summaries: str = ""  # member of the List answer

    @property
    def name_member(self) -> str:
        return f"{self.member}Name"

    @property
    def arn_member(self) -> str:
        return f"{self.member}Arn"


TRAINING_JOB = Kind(training.KIND, "TrainingJob", "training job", "TrainingJobSummaries")
TRANSFORM_JOB = Kind(transform.KIND, "TransformJob", "transform job", "TransformJobSummaries")
TUNING_JOB = Kind(
    tuning.KIND, "HyperParameterTuningJob", "hyperparameter tuning job", "HyperParameterTuningJobSummaries"
)
MODEL = Kind("model", "Model", "model", "Models")
PACKAGE_GROUP = Kind("model-package-group", "ModelPackageGroup", "model package group", "ModelPackageGroupSummaryList")
PACKAGE = Kind("model-package", "ModelPackage", "model package", "ModelPackageSummaryList")
ENDPOINT_CONFIG = Kind("endpoint-config", "EndpointConfig", "endpoint configuration", "EndpointConfigs")
ENDPOINT = Kind(serving.KIND, "Endpoint", "endpoint", "Endpoints")
TASK_UI = Kind("human-task-ui", "HumanTaskUi", "human task UI", "HumanTaskUiSummaries")
FLOW = Kind(human_review.FLOW_KIND, "FlowDefinition", "flow definition", "FlowDefinitionSummaries")
KINDS = (
    TRAINING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    MODEL,
    PACKAGE_GROUP,
    PACKAGE,
    ENDPOINT_CONFIG,
    ENDPOINT,
    TASK_UI,
    FLOW,
)
# Kinds whose absence and whose name conflicts AWS reports with codes of their own; the others use ValidationException.
RESOURCE_ERRORS = (TUNING_JOB, TASK_UI, FLOW)
JOBS = (TRAINING_JOB, TRANSFORM_JOB)


def resource_arn(operation: str, params: dict) -> str:
    """The ARN that IAM checks for an operation; `*` where the operation names no resource."""
    if operation.startswith("List") and operation not in ("ListTags", "ListTrainingJobsForHyperParameterTuningJob"):
        return "*"
    if "ResourceArn" in params:
        return str(params["ResourceArn"])
    # Longest first: CreateEndpointConfig is about the configuration, not the endpoint.
    for kind in sorted(KINDS, key=lambda k: -len(k.member)):
        if operation.endswith(kind.member) or (kind is ENDPOINT and operation == "InvokeEndpoint"):
            name = str(params.get(kind.name_member) or params.get("ModelPackageGroupName") or "*")
            return name if name.startswith("arn:") else arn(f"{kind.kind}/{name.lower()}")
    return "*"


class SageMakerApi:
    def __init__(
        self,
        cloud: Cloud,
        training_jobs: TrainingJobs,
        transform_jobs: TransformJobs,
        tuning_jobs: TuningJobs,
        endpoints: Endpoints,
        reviews: HumanReview,
    ):
        self._cloud, self._store = cloud, cloud.store
        self._training_jobs, self._transform_jobs = training_jobs, transform_jobs
        self._tuning_jobs = tuning_jobs
        self._endpoints, self._reviews = endpoints, reviews

    def call(self, operation: str, params: dict, caller: str) -> dict:
        """Answer `operation` for the owner of the access key `caller`, in the shape of AWS's model.

        Raises AwsError with AWS's code and message.
        """
        model = operation_model("sagemaker", operation)
        check(params, model.input_shape)
        handle: Callable[[dict, str], dict | None] | None = getattr(self, f"_{operation}", None)
        if handle is None:
            handle = self._generic(operation)
        return shaped(handle(params, caller) or {}, model.output_shape)

    def _generic(self, operation: str) -> Callable[[dict, str], dict | None]:
        for kind in KINDS:
            if operation == f"Describe{kind.member}":
                return lambda params, _: self._existing(kind, params[kind.name_member])
            if kind.summaries and operation in (f"List{kind.member}s", f"List{kind.member}"):
                return lambda params, _: self._list(kind, params)
        raise UnknownOperationException(f"The local cloud has no {operation}. Use an AWS account for it.")

    # Jobs

    def _CreateTrainingJob(self, params: dict, caller: str) -> dict:
        training.check_request(params)
        job_arn = arn(f"training-job/{params['TrainingJobName'].lower()}")
        require_pass_role(caller, params["RoleArn"], "sagemaker.amazonaws.com")
        self._add(TRAINING_JOB, params, training.new_document(params, job_arn, time.time()))
        self._training_jobs.start(params["TrainingJobName"])
        return {"TrainingJobArn": job_arn}

    def _StopTrainingJob(self, params: dict, _: str) -> None:
        job = self._existing(TRAINING_JOB, params["TrainingJobName"])
        if job["TrainingJobStatus"] != "InProgress":
            raise ValidationException(
                f"The request was rejected because the training job is in status {job['TrainingJobStatus']}."
            )
        self._training_jobs.stop(params["TrainingJobName"])

    def _CreateTransformJob(self, params: dict, _: str) -> dict:
        transform.check_request(params)
        serving.load_model(self._cloud, params["ModelName"])
        job_arn = arn(f"transform-job/{params['TransformJobName'].lower()}")
        self._add(
            TRANSFORM_JOB,
            params,
            {**params, "TransformJobArn": job_arn, "TransformJobStatus": "InProgress", "CreationTime": time.time()},
        )
        self._transform_jobs.start(params["TransformJobName"])
        return {"TransformJobArn": job_arn}

    def _StopTransformJob(self, params: dict, _: str) -> None:
        job = self._existing(TRANSFORM_JOB, params["TransformJobName"])
        if job["TransformJobStatus"] == "InProgress":
            self._transform_jobs.stop(params["TransformJobName"])

    # Tuning

    def _CreateHyperParameterTuningJob(self, params: dict, caller: str) -> dict:
        tuning.check_request(params)
        name = params["HyperParameterTuningJobName"]
        job_arn = arn(f"{tuning.KIND}/{name.lower()}")
        require_pass_role(caller, params["TrainingJobDefinition"]["RoleArn"], "sagemaker.amazonaws.com")
        self._add(TUNING_JOB, params, tuning.new_document(params, job_arn, time.time()))
        self._tuning_jobs.start(name)
        return {"HyperParameterTuningJobArn": job_arn}

    def _DescribeHyperParameterTuningJob(self, params: dict, _: str) -> dict:
        return self._tuning_jobs.described(self._existing(TUNING_JOB, params["HyperParameterTuningJobName"]))

    def _StopHyperParameterTuningJob(self, params: dict, _: str) -> None:
        job = self._existing(TUNING_JOB, params["HyperParameterTuningJobName"])
        if job["HyperParameterTuningJobStatus"] != "InProgress":
            raise ValidationException(
                "The request was rejected because the hyperparameter tuning job is in status "
                f"{job['HyperParameterTuningJobStatus']}."
            )
        self._tuning_jobs.stop(params["HyperParameterTuningJobName"])

    def _ListHyperParameterTuningJobs(self, params: dict, _: str) -> dict:
        answer = self._list(TUNING_JOB, {"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 10, **params})
        answer[TUNING_JOB.summaries] = [self._tuning_jobs.described(job) for job in answer[TUNING_JOB.summaries]]
        return answer

    def _ListTrainingJobsForHyperParameterTuningJob(self, params: dict, _: str) -> dict:
        job = self._existing(TUNING_JOB, params["HyperParameterTuningJobName"])
        found = self._tuning_jobs.training_summaries(job, params)
        return _page("TrainingJobSummaries", found, {"MaxResults": 10, **params})

    # Models

    def _CreateModel(self, params: dict, caller: str) -> dict:
        containers = params.get("Containers", [])
        if "PrimaryContainer" not in params and len(containers) != 1:
            raise ValidationException("The local cloud serves one container per model: give PrimaryContainer.")
        if "ExecutionRoleArn" not in params:
            raise ValidationException("ExecutionRoleArn is missing: the model's data is read with that role.")
        model_arn = arn(f"model/{params['ModelName'].lower()}")
        model = {
            **params,
            "PrimaryContainer": params.get("PrimaryContainer") or containers[0],
            "ModelArn": model_arn,
            "CreationTime": time.time(),
            "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
        }
        require_pass_role(caller, params["ExecutionRoleArn"], "sagemaker.amazonaws.com")
        self._require_model_data(serving.model_container(self._cloud, model))
        self._add(MODEL, params, model)
        return {"ModelArn": model_arn}

    def _require_model_data(self, model: dict) -> None:
        uri = model["PrimaryContainer"].get("ModelDataUrl")
        if not uri:
            raise ValidationException("The local cloud needs the model's ModelDataUrl: a model.tar.gz in S3.")
        credentials = assume_role(model["ExecutionRoleArn"], "sagemaker.amazonaws.com", "SageMaker")
        try:
            bucket, key = split_uri(uri)
            self._cloud.client("s3", credentials).head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise ValidationException(
                f"Could not access model data at {uri}. Please ensure that the role "
                f'"{model["ExecutionRoleArn"]}" exists, that its trust relationship policy '
                'allows the action "sts:AssumeRole" for the service principal '
                '"sagemaker.amazonaws.com" and that it has "s3:GetObject" permissions and '
                f"that the object is there. ({error})"
            ) from error
        finally:
            drop_session(credentials)

    def _DeleteModel(self, params: dict, _: str) -> None:
        self._remove(MODEL, params["ModelName"])

    def _CreateModelPackageGroup(self, params: dict, _: str) -> dict:
        group_arn = arn(f"model-package-group/{params['ModelPackageGroupName'].lower()}")
        self._add(
            PACKAGE_GROUP,
            params,
            {
                **params,
                "ModelPackageGroupArn": group_arn,
                "ModelPackageGroupStatus": "Completed",
                "CreationTime": time.time(),
                "CreatedBy": {},
            },
        )
        return {"ModelPackageGroupArn": group_arn}

    def _CreateModelPackage(self, params: dict, _: str) -> dict:
        group, name = params.get("ModelPackageGroupName"), params.get("ModelPackageName")
        if bool(group) == bool(name):
            raise ValidationException("Give either ModelPackageGroupName or ModelPackageName, not both.")
        details = {}
        if group:
            group = group.rsplit("/", 1)[-1]
            self._existing(PACKAGE_GROUP, group)
            for package in self._store.all(PACKAGE.kind):
                if "ClientToken" in params and package.get("ClientToken") == params["ClientToken"]:
                    return package  # the same call again
            counted = (
                self._store.change(PACKAGE_GROUP.kind, group, lambda g: {"versions": g.get("versions", 0) + 1}) or {}
            )
            details = {
                "ModelPackageGroupName": group,
                "ModelPackageVersion": counted["versions"],
                "ModelApprovalStatus": params.get("ModelApprovalStatus", "PendingManualApproval"),
            }
            name = f"{group}/{counted['versions']}"
        package_arn = arn(f"model-package/{str(name).lower()}")
        # A version has no name of its own: it is called by its ARN, as model packages may be.
        self._add(
            PACKAGE,
            {**params, "ModelPackageName": package_arn},
            {
                **params,
                **details,
                "ModelPackageName": name,
                "ModelPackageArn": package_arn,
                "ModelPackageStatus": "Completed",
                "CreationTime": time.time(),
                "ModelPackageStatusDetails": {"ValidationStatuses": []},
            },
        )
        return {"ModelPackageArn": package_arn}

    def _DescribeModelPackage(self, params: dict, _: str) -> dict:
        name = params["ModelPackageName"]
        return self._existing(PACKAGE, name if name.startswith("arn:") else arn(f"model-package/{name.lower()}"))

    def _UpdateModelPackage(self, params: dict, _: str) -> dict:
        package = self._existing(PACKAGE, params["ModelPackageArn"])
        self._store.change(
            PACKAGE.kind,
            params["ModelPackageArn"],
            {
                **{k: params[k] for k in ("ModelApprovalStatus", "ApprovalDescription") if k in params},
                "CustomerMetadataProperties": {
                    **package.get("CustomerMetadataProperties", {}),
                    **params.get("CustomerMetadataProperties", {}),
                },
                "LastModifiedTime": time.time(),
            },
        )
        return package

    def _ListModelPackages(self, params: dict, _: str) -> dict:
        group = params.get("ModelPackageGroupName", "").rsplit("/", 1)[-1]
        return self._list(PACKAGE, params, lambda p: not group or p.get("ModelPackageGroupName") == group)

    # Endpoints

    def _CreateEndpointConfig(self, params: dict, _: str) -> dict:
        if len(params["ProductionVariants"]) != 1:
            raise ValidationException("The local cloud serves one production variant per endpoint.")
        for variant in params["ProductionVariants"]:
            self._existing(MODEL, variant.get("ModelName", ""))
        config_arn = arn(f"endpoint-config/{params['EndpointConfigName'].lower()}")
        self._add(ENDPOINT_CONFIG, params, {**params, "EndpointConfigArn": config_arn, "CreationTime": time.time()})
        return {"EndpointConfigArn": config_arn}

    def _DeleteEndpointConfig(self, params: dict, _: str) -> None:
        name = params["EndpointConfigName"]
        users = [e["EndpointName"] for e in self._store.all(ENDPOINT.kind) if e["EndpointConfigName"] == name]
        if users:
            raise ValidationException(
                f'Cannot delete the endpoint configuration "{name}": the endpoint "{users[0]}" uses it.'
            )
        self._remove(ENDPOINT_CONFIG, name)

    def _CreateEndpoint(self, params: dict, _: str) -> dict:
        self._existing(ENDPOINT_CONFIG, params["EndpointConfigName"])
        endpoint_arn = arn(f"endpoint/{params['EndpointName'].lower()}")
        now = time.time()
        self._add(
            ENDPOINT,
            params,
            {
                **params,
                "EndpointArn": endpoint_arn,
                "EndpointStatus": "Creating",
                "CreationTime": now,
                "LastModifiedTime": now,
            },
        )
        self._endpoints.create(params["EndpointName"])
        return {"EndpointArn": endpoint_arn}

    def _UpdateEndpoint(self, params: dict, _: str) -> dict:
        name = params["EndpointName"]
        self._existing(ENDPOINT_CONFIG, params["EndpointConfigName"])
        self._existing(ENDPOINT, name)

        def begin(endpoint: dict) -> dict:
            if endpoint["EndpointStatus"] != "InService":
                raise ValidationException(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')
            return {"EndpointStatus": "Updating", "FailureReason": None, "LastModifiedTime": time.time()}

        endpoint = self._store.change(ENDPOINT.kind, name, begin)
        self._endpoints.update(name, params["EndpointConfigName"])
        return endpoint or {}

    def _DeleteEndpoint(self, params: dict, _: str) -> None:
        endpoint = self._existing(ENDPOINT, params["EndpointName"])
        self._remove(ENDPOINT, params["EndpointName"])
        self._endpoints.delete(endpoint)

    # Human review

    def _CreateHumanTaskUi(self, params: dict, _: str) -> dict:
        ui_arn = arn(f"human-task-ui/{params['HumanTaskUiName'].lower()}")
        content = params["UiTemplate"]["Content"]
        self._add(
            TASK_UI,
            params,
            {
                "HumanTaskUiName": params["HumanTaskUiName"],
                "HumanTaskUiArn": ui_arn,
                "HumanTaskUiStatus": "Active",
                "CreationTime": time.time(),
                "content": content,
                "UiTemplate": {
                    "ContentSha256": hashlib.sha256(content.encode()).hexdigest(),
                    "Url": f"{self._cloud.settings.endpoint}/review/",
                },
            },
        )
        return {"HumanTaskUiArn": ui_arn}

    def _DeleteHumanTaskUi(self, params: dict, _: str) -> None:
        self._remove(TASK_UI, params["HumanTaskUiName"])

    def _CreateFlowDefinition(self, params: dict, caller: str) -> dict:
        human_review.check_flow(params)
        require_pass_role(caller, params["RoleArn"], "sagemaker.amazonaws.com")
        ui_arn = params["HumanLoopConfig"]["HumanTaskUiArn"]
        if not any(ui["HumanTaskUiArn"] == ui_arn for ui in self._store.all(TASK_UI.kind)):
            raise ValidationException(f'Could not find the human task UI "{ui_arn}".')
        flow_arn = arn(f"flow-definition/{params['FlowDefinitionName'].lower()}")
        self._add(
            FLOW,
            params,
            {
                **params,
                "FlowDefinitionArn": flow_arn,
                "FlowDefinitionStatus": "Initializing",  # `HumanReview` finds out whether it can be active
                "CreationTime": time.time(),
            },
        )
        return {"FlowDefinitionArn": flow_arn}

    def _DeleteFlowDefinition(self, params: dict, _: str) -> None:
        self._remove(FLOW, params["FlowDefinitionName"])

    # Tags

    def _AddTags(self, params: dict, _: str) -> dict:
        self._tag(params["ResourceArn"], params["Tags"])
        return {"Tags": params["Tags"]}

    def _DeleteTags(self, params: dict, _: str) -> None:
        with self._store.transaction() as db:
            db.executemany(
                "DELETE FROM tags WHERE arn = ? AND key = ?",
                [(params["ResourceArn"], key) for key in params["TagKeys"]],
            )

    def _ListTags(self, params: dict, _: str) -> dict:
        return {
            "Tags": [
                {"Key": row["key"], "Value": row["value"]}
                for row in self._store.rows(
                    "SELECT key, value FROM tags WHERE arn = ? ORDER BY key", params["ResourceArn"]
                )
            ]
        }

    # Records

    def _existing(self, kind: Kind, name: str) -> dict:
        found = self._store.get(kind.kind, name)
        if found is not None:
            return found
        if kind in JOBS:
            raise ValidationException("Requested resource not found.")
        shown = name if name.startswith("arn:") else arn(f"{kind.kind}/{name.lower()}")
        raise (ResourceNotFound if kind in RESOURCE_ERRORS else ValidationException)(
            f'Could not find {kind.words} "{shown}".'
        )

    def _add(self, kind: Kind, params: dict, document: dict) -> None:
        name = params[kind.name_member]
        shown = document[kind.arn_member]
        document.pop("Tags", None)
        if not self._store.add(kind.kind, name, document):
            if kind in JOBS:
                raise ResourceInUse(
                    f"Job names must be unique within an AWS account and region, and a {kind.words} "
                    f"with this name already exists ({shown})."
                )
            raise (ResourceInUse if kind in RESOURCE_ERRORS else ValidationException)(
                f'Cannot create already existing {kind.words} "{shown}".'
            )
        self._tag(shown, params.get("Tags", []))

    def _remove(self, kind: Kind, name: str) -> None:
        document = self._existing(kind, name)
        self._store.remove(kind.kind, name)
        with self._store.transaction() as db:
            db.execute("DELETE FROM tags WHERE arn = ?", (document[kind.arn_member],))

    def _tag(self, resource: str, tags: list[dict]) -> None:
        with self._store.transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", [(resource, tag["Key"], tag["Value"]) for tag in tags]
            )

    def _list(self, kind: Kind, params: dict, keep: Callable[[dict], bool] = lambda _: True) -> dict:
        after, before = params.get("CreationTimeAfter", 0), params.get("CreationTimeBefore", float("inf"))
        changed_after = params.get("LastModifiedTimeAfter", 0)
        changed_before = params.get("LastModifiedTimeBefore", float("inf"))
        found = [
            d
            for d in self._store.all(kind.kind)
            if keep(d)
            and params.get("NameContains", "") in str(d.get(kind.name_member, ""))
            and params.get("StatusEquals", d.get(f"{kind.member}Status")) == d.get(f"{kind.member}Status")
            and float(after) <= d["CreationTime"] <= float(before)
            and float(changed_after) <= d.get("LastModifiedTime", d["CreationTime"]) <= float(changed_before)
        ]
        if params.get("SortBy") in ("Name", "Status"):
            member = f"{kind.member}{params['SortBy']}"
            found.sort(key=lambda d: d.get(member, ""))
        if params.get("SortOrder", "Descending") == "Descending":
            found.reverse()
        return _page(kind.summaries, found, params)


def _page(member: str, found: list[dict], params: dict) -> dict:
    """The page of `found` that NextToken and MaxResults ask for, under `member`."""
    token = params.get("NextToken", "0")
    if not token.isdigit():
        raise ValidationException("NextToken is not one that this API gave out.")
    start, size = int(token), params.get("MaxResults", PAGE)
    more = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return {member: found[start : start + size], **more}
