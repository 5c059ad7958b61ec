"""`firnline fetch`, against HTTP servers of this machine: what breaks off, what is wrong, and what is never done twice."""

import hashlib
import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pandas as pd
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from firnline.errors import Refused
from firnline.products.track import Box
from workbench.cli import app, terminal
from workbench.connection import Connection
from workbench.fetching import items, sources, transfer

FRAME = bytes(range(256)) * 4000
BUCKET = "uploads"


@dataclass
class Site:
    """A web server with files, and what goes wrong there: by path, how many of the first answers do so."""

    files: dict[str, bytes]
    breaks_off: Counter[str] = field(default_factory=Counter)
    busy: Counter[str] = field(default_factory=Counter)
    changes: set[str] = field(default_factory=set)
    """Files that are another one after the first answer."""
    forbidden: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range) of each request."""
    served: Counter[str] = field(default_factory=Counter)
    """Bytes sent."""
    url: str = ""

    def content(self, path: str) -> bytes:
        again = path in self.changes and sum(asked == path for asked, _ in self.asked) > 1
        return self.files[path][::-1] if again else self.files[path]


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site({"/2012_Greenland_P3/CSARP_standard/20120507_01/Data_20120507_01_001.mat": FRAME})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, self.headers.get("Range", "")))
            if self.path in found.forbidden:
                return self._say(403)
            if self.path not in found.files:
                return self._say(404)
            if found.busy[self.path]:
                found.busy[self.path] -= 1
                return self._say(503)
            content = found.content(self.path)
            etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
            told = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            begin = int(told[1]) if told and self.headers.get("If-Range") == etag else 0
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.send_header("ETag", etag)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            end = len(content)
            if found.breaks_off[self.path]:
                found.breaks_off[self.path] -= 1
                end = begin + (len(content) - begin) // 2
            self.wfile.write(content[begin:end])
            found.served[self.path] += end - begin
            self.close_connection = True
            return None

        def _say(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PAUSE_S", 0.01)


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[str, bytes]]]:
    """What lies in the bucket of uploads, which the command is connected to."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", "*")
    with mock_aws():
        session = boto3.Session()
        s3 = session.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        monkeypatch.setattr(terminal, "connect", lambda: Connection(session, {"FramesBucketName": BUCKET}, local=False))

        def held() -> dict[str, bytes]:
            listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
            return {one["Key"]: s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed}

        yield held


@pytest.fixture
def firnline(uploads: Callable[[], dict[str, bytes]], tmp_path: Path) -> Callable[..., Result]:
    folder = str(tmp_path / "way")
    return lambda *words: CliRunner().invoke(app, ["fetch", *words, "--folder", folder])


def a_list(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "addresses.txt"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def said(ran: Result) -> str:
    return " ".join(ran.output.split())


KEY = "2012_Greenland_P3/20120507_01/Data_20120507_01_001.mat"


def test_a_list_of_addresses_comes_with_campaign_and_segment(
    site: Site, firnline: Callable[..., Result], uploads: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    (path,) = site.files
    site.files["/other/IRSNO1B_20120330_04_001.nc"] = FRAME[:1000]
    good = hashlib.sha256(FRAME).hexdigest()
    listed = a_list(
        tmp_path, "# two frames", f"{site.url}{path},{good}", f"{site.url}/other/IRSNO1B_20120330_04_001.nc"
    )
    ran = firnline("list", listed)
    assert ran.exit_code == 0, ran.output
    assert uploads() == {KEY: FRAME, "adhoc/20120330_04/IRSNO1B_20120330_04_001.nc": FRAME[:1000]}
    assert not [one for one in (tmp_path / "way").rglob("*") if one.is_file() and one.name != transfer.MANIFEST]
    lines = [json.loads(line) for line in (tmp_path / "way" / transfer.MANIFEST).read_text().splitlines()]
    last = {line["key"]: line for line in lines}[KEY]
    assert (last["sha256"], last["bytes"], last["uploaded"]) == (good, len(FRAME), KEY)
    assert last["etag"]
    asked = len(site.asked)
    again = firnline("list", listed)
    assert "0 files uploaded, 2 were before" in said(again)
    assert len(site.asked) == asked, "nothing is asked for twice"


def test_what_breaks_off_goes_on_where_it_ended(
    site: Site, firnline: Callable[..., Result], uploads: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    (path,) = site.files
    site.breaks_off[path] = 3
    assert firnline("list", a_list(tmp_path, site.url + path)).exit_code == 0
    assert uploads() == {KEY: FRAME}
    ranges = [given for _, given in site.asked]
    assert len(ranges) == 4
    assert ranges[0] == ""
    assert all(given.startswith("bytes=") for given in ranges[1:])
    assert site.served[path] == len(FRAME), "no byte comes twice"


def test_a_later_run_goes_on_where_the_last_one_gave_up(
    site: Site, firnline: Callable[..., Result], uploads: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    (path,) = site.files
    site.breaks_off[path] = transfer.ATTEMPTS
    listed = a_list(tmp_path, site.url + path)
    ran = firnline("list", listed)
    assert ran.exit_code == 1
    assert "run the same again, it goes on where it ended" in said(ran)
    assert uploads() == {}
    assert firnline("list", listed).exit_code == 0
    assert uploads() == {KEY: FRAME}
    assert site.served[path] == len(FRAME)


def test_a_file_that_changed_meanwhile_is_not_sewn_together(
    site: Site, firnline: Callable[..., Result], uploads: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    (path,) = site.files
    site.breaks_off[path] = 1
    site.changes.add(path)
    assert firnline("list", a_list(tmp_path, site.url + path)).exit_code == 0
    assert uploads() == {KEY: FRAME[::-1]}


def test_a_busy_server_is_asked_again(
    site: Site, firnline: Callable[..., Result], uploads: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    (path,) = site.files
    site.busy[path] = 2
    assert firnline("list", a_list(tmp_path, site.url + path)).exit_code == 0
    assert uploads() == {KEY: FRAME}


def test_what_is_wrong_is_said_and_the_rest_comes(
    site: Site, firnline: Callable[..., Result], uploads: Callable[[], dict[str, bytes]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(transfer, "MAX_FILE_BYTES", len(FRAME))
    (path,) = site.files
    site.files |= {"/large.nc": FRAME + b"1", "/other.nc": FRAME, "/mine.nc": FRAME}
    site.forbidden.add("/mine.nc")
    wrong = "0" * 64
    listed = a_list(
        tmp_path, site.url + path, f"{site.url}/large.nc", f"{site.url}/other.nc,{wrong}", f"{site.url}/gone.nc",
        f"{site.url}/mine.nc",
    )  # fmt: skip
    ran = firnline("list", listed, "--segment", "s")
    assert ran.exit_code == 1
    assert uploads().keys() == {"2012_Greenland_P3/s/Data_20120507_01_001.mat"}
    for sentence in (
        "4 of 5 files did not come", "and a frame may have", "is another one", "(404): look up its address again",
        "(403): have the server's login in your ~/.netrc",
    ):  # fmt: skip
        assert sentence in said(ran), sentence
    assert sum(asked == "/gone.nc" for asked, _ in site.asked) == 1, "what is gone is not asked for again"


def test_a_server_that_is_not_there_is_said(
    firnline: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    ran = firnline("list", a_list(tmp_path, "http://127.0.0.1:9/Data_20120507_01_001.mat"))
    assert ran.exit_code == 1
    assert "did not come in 2 attempts" in said(ran)


def test_logins_come_from_the_users_netrc_and_stay_there(
    site: Site, firnline: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = site.files
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password not-to-be-kept\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert firnline("list", a_list(tmp_path, site.url + path), "--keep").exit_code == 0
    kept = b"".join(one.read_bytes() for one in (tmp_path / "way").rglob("*") if one.is_file())
    assert b"not-to-be-kept" not in kept


def test_a_tree_of_this_machine(
    firnline: Callable[..., Result], uploads: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    tree = tmp_path / "2014_Greenland_P3" / "20140407_02"
    tree.mkdir(parents=True)
    for name in ("a.nc", "a.layers.csv", "b.png", "notes.txt"):
        (tree / name).write_bytes(name.encode())
    ran = firnline("tree", str(tmp_path / "2014_Greenland_P3"))
    assert ran.exit_code == 0, ran.output
    assert uploads() == {
        f"2014_Greenland_P3/20140407_02/{name}": name.encode() for name in ("a.nc", "a.layers.csv", "b.png")
    }
    assert (tree / "a.nc").exists(), "what lies on the user's disk stays there"
    assert "3 were before" in said(firnline("tree", str(tmp_path / "2014_Greenland_P3")))


def test_two_files_of_one_name_are_not_mixed(firnline: Callable[..., Result], tmp_path: Path) -> None:
    listed = a_list(tmp_path, "https://one/Data_20120507_01_001.mat", "https://two/Data_20120507_01_001.mat")
    ran = firnline("list", listed)
    assert ran.exit_code == 1
    assert "would both be uploaded as adhoc/20120507_01/Data_20120507_01_001.mat" in said(ran)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["list", "nowhere.txt"], "There is no file"),
        (["tree", "nowhere"], "There is no folder"),
        (["tree", ".", "--box", "1,2,3,4"], "are for nsidc and opr"),
        (["nsidc", "IRSNO1B", "--since", "yesterday"], "are no days"),
        (["nsidc", "IRSNO1B", "--since", "2012-03-30", "--until", "2011-03-30"], "lies before"),
    ],
)
def test_what_makes_no_sense_is_said(firnline: Callable[..., Result], words: list[str], sentence: str) -> None:
    ran = firnline(*words)
    assert ran.exit_code == 1
    assert sentence in said(ran)


def test_a_list_with_columns_and_a_wrong_sum(tmp_path: Path) -> None:
    listed = Path(
        a_list(tmp_path, "campaign,address,segment", "c,https://one/a.nc,s", ",https://one/Data_20120507_01_001.mat,")
    )
    found = list(items.of_list(listed, "given", None))
    assert [item.key for item in found] == ["c/s/a.nc", "given/20120507_01/Data_20120507_01_001.mat"]
    with pytest.raises(Refused, match="no SHA-256"):
        list(items.of_list(Path(a_list(tmp_path, "https://one/a.nc,abc")), None, None))


def test_a_manifest_whose_last_line_was_cut_off_is_read(tmp_path: Path) -> None:
    whole = transfer.Fetched("https://one/a.nc", "c/s/a.nc", 1, "0" * 64)
    transfer.Manifest.of(tmp_path).put(whole)
    path = tmp_path / transfer.MANIFEST
    path.write_text(path.read_text() + '{"address": "https://o')
    assert transfer.Manifest.of(tmp_path).get("c/s/a.nc") == whole
    path.write_text("no manifest\n")
    with pytest.raises(Refused, match="is none of `firnline fetch`"):
        transfer.Manifest.of(tmp_path)


# ---------------------------------------------------------------------------------------------------- data centres


@pytest.mark.parametrize(("source", "package"), [("nsidc", "earthaccess"), ("opr", "xopr")])
def test_a_package_that_is_missing_is_named(
    firnline: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, source: str, package: str
) -> None:
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    ran = firnline(source, "anything")
    assert ran.exit_code == 1
    assert f"needs the package {package}, which is not installed: `make fetch-extras` installs it" in said(ran)


def in_place_of(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: Any) -> None:
    module = ModuleType(name)
    module.__spec__ = SimpleNamespace(name=name)  # type: ignore[assignment]
    for attribute, value in attributes.items():
        setattr(module, attribute, value)
    monkeypatch.setitem(sys.modules, name, module)


class LoginAttemptFailure(Exception):
    """As earthaccess calls it."""


def test_nsidc_is_asked_by_product_box_and_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def search_data(**given: Any) -> list[Any]:
        asked.update(given)
        links = ["https://n5/IRSNO1B_20120330_04_001.nc", "https://n5/IRSNO1B_20120330_04_001.nc.xml"]
        return [SimpleNamespace(data_links=lambda access: links)]

    logins = []
    in_place_of(monkeypatch, "earthaccess.exceptions", LoginAttemptFailure=LoginAttemptFailure,
                LoginStrategyUnavailable=type("Unavailable", (Exception,), {}))  # fmt: skip
    in_place_of(
        monkeypatch, "earthaccess", search_data=search_data, get_requests_https_session=lambda: "session",
        login=lambda **given: logins.append(given) or SimpleNamespace(authenticated=True),
    )  # fmt: skip
    session, found = sources.nsidc("IRSNO1B", Box.of("-50,70,-40,72"), ("2012-03-30", "2012-03-31"), None, 10)
    assert session == "session"
    assert [item.key for item in found] == ["IRSNO1B/20120330_04/IRSNO1B_20120330_04_001.nc"]
    assert asked == {
        "short_name": "IRSNO1B", "count": 10, "bounding_box": (-50, 70, -40, 72), "temporal": ("2012-03-30", "2012-03-31"),
    }  # fmt: skip
    assert logins == [{"strategy": "netrc", "persist": False}], "credentials are the user's, and kept nowhere"


def test_a_login_that_is_refused_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def login(**_: Any) -> Any:
        raise LoginAttemptFailure("wrong password")

    in_place_of(monkeypatch, "earthaccess.exceptions", LoginAttemptFailure=LoginAttemptFailure,
                LoginStrategyUnavailable=type("Unavailable", (Exception,), {}))  # fmt: skip
    in_place_of(monkeypatch, "earthaccess", login=login)
    with pytest.raises(Refused, match=r"machine urs\.earthdata\.nasa\.gov"):
        sources.nsidc("IRSNO1B", None, None, None, 10)


def test_open_polar_radar_is_asked_by_season_and_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    href = "https://data.example/rds/2012_Greenland_P3/CSARP_standard/20120507_01/Data_20120507_01_001.mat"
    frames = pd.DataFrame(
        [{"collection": "2012_Greenland_P3", "assets": {"CSARP_standard": {"href": href}}}], index=["Data_001"]
    )

    class OPRConnection:
        def query_frames(self, **given: Any) -> pd.DataFrame:
            asked.update(given)
            return frames

    in_place_of(monkeypatch, "xopr", OPRConnection=OPRConnection)
    found = list(sources.open_polar_radar("2012_Greenland_P3", "20120507_01", None, None, "CSARP_standard", None, 5))
    assert [item.key for item in found] == [KEY]
    assert asked == {"max_items": 5, "collections": ["2012_Greenland_P3"], "segment_paths": ["20120507_01"]}
    with pytest.raises(Refused, match="it has CSARP_standard: choose another --product"):
        list(sources.open_polar_radar("2012_Greenland_P3", None, None, None, "CSARP_mvdr", None, 5))
