"""`firnline export --in-cloud` against the deployed stack, by somebody who has the right to that and to nothing else."""

import json
from pathlib import Path

import pytest
from conftest import with_policy
from typer.testing import CliRunner

from firnline.exports.forms import WRITERS_IN_CLOUD
from tests.support.exported import written
from workbench import uploads
from workbench.cli import app
from workbench.connection import Connection

CAMPAIGN = "taken-away"


def firnline(*arguments: str, **environment: str) -> str:
    result = CliRunner().invoke(app, ["export", *arguments], env={"COLUMNS": "200", **environment})
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.slow
def test_what_the_stack_writes_is_what_the_command_writes_here(
    deployed: Connection, campaign: list[tuple[Path, Path]], tmp_path: Path
) -> None:
    sent = [uploads.upload(deployed, frame, CAMPAIGN) for frame, _ in campaign[:4]]
    uploads.follow(deployed, sent, 180, lambda _done, _rejected: None)
    segments = sorted({item.frame_id.rpartition("/")[0] for item in sent})
    person = with_policy(deployed, "ExportPolicyArn").session.get_credentials()
    keys = {"AWS_ACCESS_KEY_ID": person.access_key, "AWS_SECRET_ACCESS_KEY": person.secret_key}
    forms = [word for form in WRITERS_IN_CLOUD for word in ("--to", form)]
    what = ("--status", "unreviewed", *forms, "--herron-langway", "350,0.25,-30", "--surface-year", "2012.25")
    in_cloud = (CAMPAIGN, "--in-cloud", "--name", "e2e", *what)
    said = firnline(*in_cloud, "--out", str(tmp_path / "cloud"), **keys)
    assert f"all {len(segments)} segments were written" in said
    for segment in segments:
        here = tmp_path / segment.replace("/", "-")
        firnline(segment, "--out", str(here), *what)
        assert written(tmp_path / "cloud" / segment) == written(here)
    account = json.loads((tmp_path / "cloud" / "export.json").read_text())
    assert account["statuses"]["unreviewed"]["frames"] == len(sent)
    before = sorted(deployed.workspace.names("products/e2e/"))
    firnline(*in_cloud, **keys)
    assert sorted(deployed.workspace.names("products/e2e/")) == before
