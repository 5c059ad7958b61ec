"""The worker template and the human review workflow of Amazon A2I."""

import hashlib
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from firnline.observability import logger
from provision.request import Properties
from provision.serving import find

MAX_TEMPLATE_CHARACTERS = 128_000
TASK_AVAILABLE_SECONDS = 864_000
TASK_TIME_LIMIT_SECONDS = 3_600
NO_FLOW = "none"
POLL_SECONDS = 2


class FlowFailed(Exception):
    """A2I did not take the flow; the message says why, as far as A2I does."""


class ReviewFlow:
    """Neither template nor flow can be changed, so their names carry a hash of their content.

    `client` is boto3's `sagemaker`; nothing is waited for after `until`, of the monotonic clock.
    """

    def __init__(self, client: Any, properties: Properties, workspace_bucket: str, until: float) -> None:
        self._client = client
        self._properties = properties
        self._workspace_bucket = workspace_bucket
        self._until = until

    @property
    def _prefix(self) -> str:
        return f"{self._properties.stack_name}-review-"

    @property
    def _wanted(self) -> bool:
        return self._properties.review_provider == "a2i" and bool(self._properties.workteam_arn)

    def ensure(self, template: str) -> str:
        """The flow's ARN, or `NO_FLOW` where no work team reviews through A2I.

        Earlier flows stay: they may have open tasks.
        """
        if not self._wanted:
            return NO_FLOW
        properties = self._properties
        if len(template) > MAX_TEMPLATE_CHARACTERS:
            raise ValueError(
                f"the worker template has {len(template)} characters, A2I takes {MAX_TEMPLATE_CHARACTERS}: shorten it"
            )
        ui_arn = self._ensure_ui(self._prefix + _digest(template), template)
        output = f"s3://{self._workspace_bucket}/a2i"
        people = properties.reviewers_per_task
        several = (str(people),) if people > 1 else ()  # a flow of one reviewer keeps the name that it always had
        name = self._prefix + _digest(
            ui_arn, properties.workteam_arn, properties.review_flow_role_arn, output, *several
        )
        flow = self._settled(name)
        if flow and flow["FlowDefinitionStatus"] == "Failed":  # by an earlier deployment; it can't be changed
            self._client.delete_flow_definition(FlowDefinitionName=name)
            flow = self._settled(name)
        if flow is None:
            self._client.create_flow_definition(
                FlowDefinitionName=name,
                HumanLoopConfig={
                    "WorkteamArn": properties.workteam_arn,
                    "HumanTaskUiArn": ui_arn,
                    "TaskTitle": "Correct the layers of a radar frame",
                    "TaskDescription": "Move, add and delete vertices until every line follows its layer.",
                    "TaskCount": people,
                    "TaskAvailabilityLifetimeInSeconds": TASK_AVAILABLE_SECONDS,
                    "TaskTimeLimitInSeconds": TASK_TIME_LIMIT_SECONDS,
                },
                OutputConfig={"S3OutputPath": output},
                RoleArn=properties.review_flow_role_arn,
            )
            flow = self._settled(name)
        if flow is None or flow["FlowDefinitionStatus"] != "Active":
            state = flow or {}
            raise FlowFailed(
                f"Amazon A2I did not take the review flow {name} for the work team {properties.workteam_arn}: it is "
                f"{state.get('FlowDefinitionStatus', 'gone')}. {state.get('FailureReason', 'No reason is given.')} "
                "Check WorkteamArn, or deploy with ReviewProvider=portal, which needs no work team."
            )
        return flow["FlowDefinitionArn"]

    def _settled(self, name: str) -> dict[str, Any] | None:
        """The flow once it is neither being made nor being deleted, which takes seconds; None if there is none."""
        while True:
            flow = find(self._client.describe_flow_definition, FlowDefinitionName=name)
            if flow is None or flow["FlowDefinitionStatus"] not in ("Initializing", "Deleting"):
                return flow
            if time.monotonic() > self._until:
                return flow
            time.sleep(POLL_SECONDS)

    def remove(self) -> None:
        """Take away every flow and template of this stack.

        Many accounts and regions have no A2I. Where the stack wants no flow, a list that is refused counts as empty: at
        worst a flow of earlier days stays, which costs nothing.
        """
        try:
            self._remove_all()
        except (ClientError, BotoCoreError) as error:
            if self._wanted:
                raise
            logger.warning("A2I is not asked for flows: it refuses, and this stack has none", exc_info=error)

    def _remove_all(self) -> None:
        for page in self._client.get_paginator("list_flow_definitions").paginate():
            for flow in page["FlowDefinitionSummaries"]:
                if flow["FlowDefinitionName"].startswith(self._prefix):
                    self._client.delete_flow_definition(FlowDefinitionName=flow["FlowDefinitionName"])
        for page in self._client.get_paginator("list_human_task_uis").paginate():
            for ui in page["HumanTaskUiSummaries"]:
                if ui["HumanTaskUiName"].startswith(self._prefix):
                    self._client.delete_human_task_ui(HumanTaskUiName=ui["HumanTaskUiName"])

    def _ensure_ui(self, name: str, template: str) -> str:
        ui = find(self._client.describe_human_task_ui, HumanTaskUiName=name)
        if ui is None:
            ui = self._client.create_human_task_ui(HumanTaskUiName=name, UiTemplate={"Content": template})
        return ui["HumanTaskUiArn"]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
