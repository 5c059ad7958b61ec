"""Which account a command talks to is never a guess."""

import os
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


def test_only_its_owner_may_read_the_file_with_the_secret_key() -> None:
    for _ in range(2):
        local_environment.write({"AWS_SECRET_ACCESS_KEY": "secret"}).chmod(0o644)
    assert local_environment.write({"AWS_SECRET_ACCESS_KEY": "secret"}).stat().st_mode & 0o777 == 0o600
