"""What a deployment needs that CloudFormation has no resource for."""

from pathlib import Path
from typing import Any

from firnline.learning import model_code
from firnline.portal.scripts import with_editor
from firnline.review.task_template import WorkerTemplate, task_template
from firnline.store import keys
from firnline.store.bucket import Bucket
from layer_model import code_files
from provision.review_flow import ReviewFlow
from provision.serving import EndpointKeeper

FIRST_MODEL = Path(code_files.FOLDER) / "first_model" / "model.tar.gz"
OWN_PREFIXES = ("code/", keys.FIRST_MODEL)


class Provisioning:
    """`cloudformation` is a boto3 client, `stack_id` this stack's."""

    def __init__(
        self,
        workspace: Bucket,
        endpoint: EndpointKeeper,
        flow: ReviewFlow,
        region: str,
        cloudformation: Any,
        stack_id: str,
        worker_template: WorkerTemplate,
    ) -> None:
        self._workspace = workspace
        self._endpoint = endpoint
        self._flow = flow
        self._region = region
        self._cloudformation = cloudformation
        self._stack_id = stack_id
        self._worker_template = worker_template

    def create_or_update(self) -> dict[str, str]:
        """Bring everything to where it should be; what is there already stays. Returns the resource's attributes.

        An endpoint that is made here is waited for: one that fails is a deployment that fails, and says why. It comes last,
        since it may take all the time that there is, and one that is still on its way then counts as made.
        """
        source_dir = self._upload_code()
        first_model = self._upload_first_model()
        self._endpoint.ensure_model_package_group()
        flow = self._flow.ensure(with_editor(task_template(self._worker_template)))
        self._endpoint.ensure(first_model, self._region)
        return {"FlowDefinitionArn": flow, "SourceDirUri": source_dir, "FirstModelUri": first_model}

    def delete(self) -> None:
        """Take away what bills and what only this stack could use. Buckets, table and registered models stay.

        The objects first: whatever SageMaker or A2I refuses, a bucket that CloudFormation deletes must be empty.
        """
        if self._creation_is_rolled_back():
            self._remove_own_objects()
        self._endpoint.remove()
        self._flow.remove()

    def _creation_is_rolled_back(self) -> bool:
        """Whether the stack goes because it never came to be: then CloudFormation deletes its buckets too."""
        [stack] = self._cloudformation.describe_stacks(StackName=self._stack_id)["Stacks"]
        return stack["StackStatus"] == "ROLLBACK_IN_PROGRESS"

    def _remove_own_objects(self) -> None:
        """S3 deletes no bucket that holds anything, and the versions of what was written here are such things."""
        client, bucket = self._workspace.client, self._workspace.name
        for prefix in OWN_PREFIXES:
            for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
                for item in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                    client.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])

    def _upload_code(self) -> str:
        name, packed = model_code.pack(code_files.training_files())
        key = f"code/{name}/sourcedir.tar.gz"
        if not self._workspace.exists(key):
            self._workspace.write(key, packed, "application/gzip")
        return self._workspace.uri(key)

    def _upload_first_model(self) -> str:
        """Artefacts are immutable: a later model in the box doesn't replace the one that was deployed.

        One that never served does not count: what was wrong may have been the file.
        """
        if self._endpoint.first_model_failed() or not self._workspace.exists(keys.FIRST_MODEL):
            if not FIRST_MODEL.exists():
                raise FileNotFoundError(f"{FIRST_MODEL} is missing: get it with the sources, or train it anew")
            self._workspace.write(keys.FIRST_MODEL, FIRST_MODEL.read_bytes(), "application/gzip")
        return self._workspace.uri(keys.FIRST_MODEL)
