"""Which account a command talks to is never a guess."""

import os
import subprocess
from pathlib import Path

import pytest

from workbench import local_environment


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FIRNLINE_STATE", str(tmp_path))
    monkeypatch.setenv("PLACE", "before")


def test_what_was_written_is_read_back_even_with_spaces() -> None:
    local_environment.write({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "PLACE": "a 'quoted' place"})
    assert local_environment.read() == {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "PLACE": "a 'quoted' place"}


def test_the_local_stack_is_used_and_named_where_no_account_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    local_environment.write({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "PLACE": "here"})
    local_environment.load_if_none_is_chosen()
    os.environ.pop("AWS_ENDPOINT_URL")
    assert os.environ["PLACE"] == "here"
    assert "http://127.0.0.1:4566" in capsys.readouterr().err


def test_a_chosen_profile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    local_environment.write({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "PLACE": "here"})
    monkeypatch.setenv("AWS_PROFILE", "glaciology")
    local_environment.load_if_none_is_chosen()
    assert os.environ["PLACE"] == "before"


def test_only_its_owner_may_read_the_keys(tmp_path: Path) -> None:
    (tmp_path / "env.sh").write_text("export OLD=1\n")
    (tmp_path / "env.sh").chmod(0o644)
    assert local_environment.write({"AWS_SECRET_ACCESS_KEY": "secret"}).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["env.sh"]


def test_a_shell_that_sources_it_means_this_stack_and_no_profile(tmp_path: Path) -> None:
    written = local_environment.write({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    script = f"source {written}; echo $AWS_ENDPOINT_URL ${{AWS_PROFILE-none}} $FIRNLINE_CLONE; command -v firnline"
    environment = {"AWS_PROFILE": "glaciology", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    said = ran.stdout.split()
    assert said[:3] == ["http://127.0.0.1:4566", "none", str(local_environment.ROOT)]


def test_what_another_clone_has_set_is_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    theirs = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4999",
        "FIRNLINE_STATE": str(tmp_path),
        "FIRNLINE_PORT": "4999",
        "FIRNLINE_STACK": "firnline",
        "FIRNLINE_TableName": "theirs",
    }
    local_environment.write(theirs)
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FIRNLINE_MXNET_PYTHON", "/usr/bin/python3")
    monkeypatch.setenv(local_environment.CLONE, str(tmp_path / "theirs"))
    assert local_environment.forget_other_clone() == str(tmp_path / "theirs")
    left = {name for name in os.environ if name.startswith(("AWS_", "FIRNLINE_"))} - {"FIRNLINE_REAL_DATA"}
    assert left == {"FIRNLINE_MXNET_PYTHON"}


def test_what_this_clone_or_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(local_environment.CLONE, str(local_environment.ROOT))
    assert local_environment.forget_other_clone() is None
    monkeypatch.delenv(local_environment.CLONE)
    assert local_environment.forget_other_clone() is None
    assert os.environ["FIRNLINE_STATE"]


def test_a_command_says_whose_stack_it_talks_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4999")
    monkeypatch.setenv(local_environment.CLONE, "/theirs")
    local_environment.load_if_none_is_chosen()
    assert "using the stack of /theirs" in capsys.readouterr().err
