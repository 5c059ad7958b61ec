"""What a deployment needs that CloudFormation has no resource for."""

from pathlib import Path

from firnline.learning import model_code
from firnline.review.task_template import task_template
from firnline.store import keys
from firnline.store.bucket import Bucket
from layer_model import code_files
from provision.review_flow import ReviewFlow
from provision.serving import EndpointKeeper

FIRST_MODEL = Path(code_files.FOLDER) / "first_model" / "model.tar.gz"


class Provisioning:
    def __init__(self, workspace: Bucket, endpoint: EndpointKeeper, flow: ReviewFlow, region: str) -> None:
        self._workspace = workspace
        self._endpoint = endpoint
        self._flow = flow
        self._region = region

    def create_or_update(self) -> dict[str, str]:
        """Bring everything to where it should be; what is there already stays. Returns the resource's attributes.

        The endpoint takes minutes to start and is not waited for: until it serves, predictions are tried again.
        """
        source_dir = self._upload_code()
        first_model = self._upload_first_model()
        self._endpoint.ensure_model_package_group()
        self._endpoint.ensure(first_model, self._region)
        flow = self._flow.ensure(task_template())
        return {"FlowDefinitionArn": flow, "SourceDirUri": source_dir, "FirstModelUri": first_model}

    def delete(self) -> None:
        """Take away what bills and what only this stack could use. Buckets, table and registered models stay."""
        self._endpoint.remove()
        self._flow.remove()

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
