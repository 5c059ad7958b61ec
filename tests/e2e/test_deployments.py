"""A first deployment that fails, and a stack that is deleted and comes back with what it had kept."""

from pathlib import Path

import boto3
import pytest
from conftest import deployed_stack, wait_until
from rich.console import Console

from workbench import adopt as adoption
from workbench import stack, uploads
from workbench.connection import connect
from workbench.stack import deployment


def status() -> str | None:
    return deployment._status(stack.STACK_NAME)


def leftovers() -> list[str]:
    buckets = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    kept = [name for name in buckets if name.startswith(stack.STACK_NAME)]
    return kept + boto3.client("dynamodb").list_tables()["TableNames"]


@pytest.mark.slow
def test_a_stack_that_is_deleted_comes_back_with_its_frames(tmp_path: Path, campaign: list[tuple[Path, Path]]) -> None:
    # Given a stack with a frame that has its layers, which is deleted
    with deployed_stack(tmp_path) as first:
        sent = [uploads.upload(first, campaign[0][0], "kept")]
        uploads.follow(first, sent, 120, lambda _done, _rejected: None)
        cloudformation = boto3.client("cloudformation")
        cloudformation.delete_stack(StackName=stack.STACK_NAME)
        wait_until(lambda: status() is None, 120, "the stack deleted")
        outputs = first.outputs
        names = {
            "FramesBucket": outputs["FramesBucketName"],
            "WorkspaceBucket": outputs["WorkspaceBucketName"],
            "FirnlineTable": outputs["TableName"],
        }
        assert set(names.values()) <= set(leftovers())
        # When what it kept is adopted, and the template deployed over it
        adoption.adopt(cloudformation, stack.STACK_NAME, names)
        stack.up({}, Console(stderr=True))
        # Then the new stack has the frame, and predicts the next one
        second = connect()
        assert {second.outputs[f"{name}Name"] for name in ("FramesBucket", "WorkspaceBucket", "Table")} == set(
            names.values()
        )
        assert second.register.get(sent[0].frame_id).status in uploads.PREDICTED
        more = [uploads.upload(second, campaign[1][0], "kept")]
        rows = uploads.follow(second, more, 120, lambda _done, _rejected: None)
        assert rows[more[0].frame_id].status in uploads.PREDICTED


@pytest.mark.slow
def test_a_first_deployment_that_fails_says_why_and_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an image that cannot be had
    up, left = stack.up, []

    def fail_first(parameters: dict[str, str], console: Console) -> dict[str, str]:
        with pytest.raises(stack.CommandFailed, match=r"Provision: .*somebody/elses:1"):
            up({**parameters, "InferenceImageUri": "somebody/elses:1"}, console)
        left.append((status(), leftovers()))
        return up(parameters, console)

    monkeypatch.setattr(stack, "up", fail_first)
    # When it is deployed, then nothing is left, and the next deployment has the name for itself
    with deployed_stack(tmp_path) as connection:
        assert left == [("ROLLBACK_COMPLETE", [])]
        assert (
            connection.client("sagemaker").describe_endpoint(EndpointName="firnline")["EndpointStatus"] == "InService"
        )
