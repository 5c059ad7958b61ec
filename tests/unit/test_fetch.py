"""`firnline fetch`: what can be fetched, how a file comes over HTTP, and that the same command goes on where it stopped."""

import hashlib
import json
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pandas as pd
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from firnline.products.track import Box
from tests.support.review_world import ENVIRONMENT, World
from workbench.cli import app, terminal
from workbench.connection import Connection
from workbench.fetching import catalogue_query, catalogues, download, remote
from workbench.fetching.download import CannotBeFetched
from workbench.fetching.journal import Fetched, Journal
from workbench.fetching.remote import CannotFetch, Digest, Remote

FRAME = bytes(range(256)) * 20
NAME = "IRSNO1B_20120330_04_001.nc"
SHA256 = hashlib.sha256(FRAME).hexdigest()
SOON = 0.001


class Archive:
    """A web server on this machine. `files` has bytes by path; `faults` are what its next answers do, in turn."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.asked: list[tuple[str, str | None]] = []
        self.seen: list[Any] = []
        self.validator: dict[str, str] = {"ETag": '"one"'}
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                archive.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, wanted = urlsplit(request.path).path.lstrip("/"), request.headers.get("Range")
        self.asked.append((path, wanted))
        self.seen.append(request.headers)
        fault = self.faults.pop(0) if self.faults else ""
        content = self.files.get(path)
        if fault.isdigit() or content is None:
            self._send(request, int(fault or 404), {}, b"")
        elif fault.startswith("to "):
            self._send(request, 302, {"Location": fault.removeprefix("to ")}, b"")
        elif fault == "page":
            self._send(request, 200, {"Content-Type": "text/html; charset=utf-8"}, b"<title>Sign in</title>")
        elif fault == "huge":
            self._send(request, 200, {"Content-Length": str(10**12)}, b"")
        else:
            begins = 0
            if wanted and request.headers.get("If-Range") in self.validator.values():
                begins = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers = {"Content-Length": str(len(content) - begins), "CMR-Hits": "1", **self.validator}
            if begins:
                headers["Content-Range"] = f"bytes {begins}-{len(content) - 1}/{len(content)}"
            end = len(content) // 2 if fault == "breaks" else len(content)
            self._send(request, 206 if begins else 200, headers, content[begins:end])

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = True

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come of a piece is lost where it breaks off; these files are smaller than one."""
    monkeypatch.setattr(download, "CHUNK_BYTES", 256)


@pytest.fixture
def client() -> Iterator[requests.Session]:
    with download.session() as made:
        yield made


def bring(client: requests.Session, archive: Archive, target: Path, digest: Digest | None = None) -> None:
    download.download(client, Remote(archive.address(NAME), digest=digest), target, first_wait_s=SOON)


# ---------------------------------------------------------------------------------------------------- one file


def test_a_file_that_breaks_off_is_continued_where_it_stopped(
    archive: Archive, client: requests.Session, tmp_path: Path
) -> None:
    archive.files[NAME], archive.faults = FRAME, ["breaks", "503"]
    bring(client, archive, tmp_path / NAME, Digest("sha256", SHA256))
    assert (tmp_path / NAME).read_bytes() == FRAME
    assert archive.asked == [(NAME, None), (NAME, f"bytes={len(FRAME) // 2}-"), (NAME, f"bytes={len(FRAME) // 2}-")]
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


def test_a_file_that_was_replaced_meanwhile_begins_anew(
    archive: Archive, client: requests.Session, tmp_path: Path
) -> None:
    """If-Range: the server sends the whole of the new file, since the tag is another one."""
    archive.files[NAME] = b"old" + FRAME
    archive.faults = ["breaks", *["500"] * download.ATTEMPTS]
    with pytest.raises(CannotBeFetched, match="answered 500, 6 times in a row: run the command again later"):
        bring(client, archive, tmp_path / NAME)
    archive.files[NAME], archive.faults, archive.validator = FRAME, [], {"ETag": '"two"'}
    bring(client, archive, tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == FRAME


@pytest.mark.parametrize("validator", [{}, {"ETag": 'W/"weak"'}, {"Last-Modified": "yesterday"}])
def test_without_a_strong_validator_nothing_is_continued(
    archive: Archive, client: requests.Session, tmp_path: Path, validator: dict[str, str]
) -> None:
    archive.files[NAME], archive.faults, archive.validator = FRAME, ["breaks"], validator
    bring(client, archive, tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == FRAME
    assert archive.asked == [(NAME, None), (NAME, None)]


def test_a_date_tells_versions_apart_where_there_is_no_tag(
    archive: Archive, client: requests.Session, tmp_path: Path
) -> None:
    archive.files[NAME], archive.faults = FRAME, ["breaks"]
    archive.validator = {"Last-Modified": "Fri, 30 Mar 2012 12:00:00 GMT"}
    bring(client, archive, tmp_path / NAME)
    assert archive.asked[1] == (NAME, f"bytes={len(FRAME) // 2}-")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("404", "has no such file"),
        ("401", r"does not give it out \(401\).*\.netrc"),
        ("page", r"sent a web page in place of the file.*\.netrc"),
        ("huge", "frames may have 200 MB: cut it along the track"),
        ("418", "answered 418"),
        ("to http://archive.example/elsewhere.nc", "is no https address"),
    ],
)
def test_what_cannot_come_is_told_at_once(
    archive: Archive, client: requests.Session, tmp_path: Path, fault: str, sentence: str
) -> None:
    archive.files[NAME], archive.faults = FRAME, [fault]
    with pytest.raises((CannotBeFetched, CannotFetch), match=sentence):
        bring(client, archive, tmp_path / NAME)
    assert len(archive.asked) == 1
    assert not (tmp_path / NAME).exists()


def test_what_does_not_have_its_checksum_is_not_kept(
    archive: Archive, client: requests.Session, tmp_path: Path
) -> None:
    archive.files[NAME] = FRAME
    with pytest.raises(CannotBeFetched, match="does not have the md5 checksum"):
        bring(client, archive, tmp_path / NAME, Digest("md5", "0" * 32))
    assert list(tmp_path.iterdir()) == []


def test_names_and_passwords_come_from_the_netrc_and_stay_with_their_host(
    archive: Archive, client: requests.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login glaciologist password firn\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    archive.files[NAME] = FRAME
    archive.faults = [f"to {archive.address(NAME).replace('127.0.0.1', 'localhost')}"]
    bring(client, archive, tmp_path / NAME)
    sent = [headers.get("Authorization") for headers in archive.seen]
    assert sent[0] is not None
    assert sent[0].startswith("Basic ")
    assert sent[1] is None


# --------------------------------------------------------------------------------------------------- the lists


def test_a_list_has_addresses_and_checksums(tmp_path: Path) -> None:
    file = tmp_path / "frames.txt"
    file.write_text(f"# a campaign\n\nhttps://a.example/x/{NAME}\n{SHA256} *https://a.example/y%20z/{NAME}\n")
    assert remote.listed(file, None) == [
        Remote(f"https://a.example/x/{NAME}"),
        Remote(f"https://a.example/y%20z/{NAME}", None, Digest("sha256", SHA256)),
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("http://a.example/f.nc", "Line 2.*no https address"),
        ("ftp://a.example/f.nc", "no https address"),
        ("https://me:secret@a.example/f.nc", "put them into ~/.netrc"),
        ("00112233 https://a.example/f.nc", "neither an address nor a checksum"),
        ("an address of two words", "neither an address nor a checksum"),
    ],
)
def test_a_line_that_names_nothing_is_told_with_its_number(tmp_path: Path, line: str, sentence: str) -> None:
    file = tmp_path / "frames.txt"
    file.write_text(f"https://a.example/{NAME}\n{line}\n")
    with pytest.raises(CannotFetch, match=sentence) as raised:
        remote.listed(file, None)
    assert "secret" not in str(raised.value)


def test_where_a_file_goes() -> None:
    address = f"https://a.example/data/2012_Greenland_P3/{NAME}"
    assert Remote(address).key("greenland").frame_id == f"greenland/20120330_04/{NAME[:-3]}"
    assert Remote(address, "s1").key("greenland").segment == "s1"
    assert Remote("https://a.example/my%20flight/f.mat?sig=1").key("c").frame_id == "c/my-flight/f"


# ------------------------------------------------------------------------------------------------- the journal


def fetched(number: int) -> Fetched:
    return Fetched(
        address=f"https://a.example/{number}.nc", bucket="b", key=f"c/s/{number}.nc", bytes=1, sha256="0", fetched="now"
    )


@given(torn=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r")))
def test_a_line_that_was_torn_costs_its_own_file_only(tmp_path_factory: pytest.TempPathFactory, torn: str) -> None:
    folder = tmp_path_factory.mktemp("journal")
    Journal(folder).note(fetched(1))
    with (folder / "fetched.jsonl").open("a") as stream:
        stream.write(torn)
    Journal(folder).note(fetched(2))
    assert Journal(folder).entries() == [fetched(1), fetched(2)]
    assert Journal(folder).has("https://a.example/2.nc", "b", "c/s/2.nc")
    assert not Journal(folder).has("https://a.example/2.nc", "another stack's", "c/s/2.nc")


# ------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def uploaded(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, bytes]]:
    """What lies in the bucket of frames, by key."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="frames")
    names = {"FramesBucketName": "frames", "WorkspaceBucketName": ENVIRONMENT["WORKSPACE_BUCKET"]}
    connection = Connection(boto3.Session(), names | {"TableName": ENVIRONMENT["TABLE_NAME"]}, local=False)
    monkeypatch.setattr(terminal, "connect", lambda: connection)

    def contents() -> dict[str, bytes]:
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="frames").get("Contents", [])]
        return {key: s3.get_object(Bucket="frames", Key=key)["Body"].read() for key in keys}

    return contents


def firnline(*words: str) -> Result:
    return CliRunner().invoke(app, ["fetch", *words], env={"COLUMNS": "200"})


def listed(tmp_path: Path, *addresses: str) -> str:
    file = tmp_path / "list.txt"
    file.write_text("\n".join(addresses))
    return str(file)


def test_what_was_uploaded_is_not_fetched_again(
    archive: Archive, uploaded: Callable[[], dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.files = {f"{number}/IRSNO1B_20120330_04_00{number}.nc": FRAME[number:] for number in range(1, 8)}
    addresses = listed(tmp_path, *map(archive.address, archive.files), archive.address("gone/f.nc"))
    folder = ["--folder", str(tmp_path / "fetched"), "--campaign", "greenland"]
    ran = firnline("list", addresses, *folder)
    assert ran.exit_code == 1
    assert "7 files uploaded" in ran.output
    assert "has no such file (404)" in ran.output
    assert uploaded() == {f"greenland/20120330_04/{path.split('/')[1]}": body for path, body in archive.files.items()}
    assert [path.name for path in (tmp_path / "fetched").rglob("*") if path.is_file()] == ["fetched.jsonl"]

    archive.asked.clear()
    archive.files["gone/f.nc"] = FRAME
    ran = firnline("list", addresses, *folder)
    assert ran.exit_code == 0, ran.output
    assert archive.asked == [("gone/f.nc", None)]
    assert "1 files uploaded (0 MB), 7 were there already" in ran.output


def test_an_upload_that_failed_is_done_by_the_next_run_without_fetching_again(
    archive: Archive, uploaded: Callable[[], dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.files[NAME] = FRAME
    words = ["list", listed(tmp_path, archive.address(NAME)), "--folder", str(tmp_path / "fetched")]
    with monkeypatch.context() as broken:
        broken.setattr("workbench.uploads.upload", lambda *_: (_ for _ in ()).throw(ConnectionResetError("gone")))
        ran = firnline(*words)
    assert ran.exit_code == 1
    assert "the same command goes on from there" in " ".join(ran.output.split())
    assert uploaded() == {}
    assert firnline(*words).exit_code == 0
    assert uploaded() == {f"adhoc/20120330_04/{NAME}": FRAME}
    assert len(archive.asked) == 1


def test_a_folder_is_uploaded_where_it_lies(uploaded: Callable[[], dict[str, bytes]], tmp_path: Path) -> None:
    tree = tmp_path / "season"
    for name in ("20120330_04/a.nc", "20120330_04/a.layers.csv", "20120331_01/b.mat", "notes.txt", ".hidden.nc"):
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    ran = firnline("folder", str(tree), "--campaign", "g12", "--folder", str(tmp_path / "fetched"))
    assert ran.exit_code == 0, ran.output
    assert sorted(uploaded()) == ["g12/20120330_04/a.layers.csv", "g12/20120330_04/a.nc", "g12/20120331_01/b.mat"]
    assert (tree / "20120330_04/a.nc").exists()


def test_two_files_for_one_key_are_refused_before_anything_is_fetched(
    archive: Archive, uploaded: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    addresses = listed(tmp_path, archive.address(f"a/{NAME}"), archive.address(f"b/{NAME}"))
    ran = firnline("list", addresses, "--folder", str(tmp_path / "fetched"))
    assert ran.exit_code == 1
    assert "would both be uploaded as adhoc/20120330_04" in ran.output
    assert (archive.asked, uploaded()) == ([], {})


def test_a_name_that_no_frame_has_is_told(
    archive: Archive, uploaded: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    ran = firnline("list", listed(tmp_path, archive.address("x/readme.pdf")), "--folder", str(tmp_path / "fetched"))
    assert ran.exit_code == 1
    assert "is of no kind that Firnline reads" in ran.output
    assert archive.asked == []


# ---------------------------------------------------------------------------------------------- the catalogues


def test_archives_are_asked_with_libraries_that_are_installed_when_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(catalogues, "TOOLS", tmp_path / "none")
    ran = firnline("nsidc", "IRSNO1B")
    assert ran.exit_code == 1
    assert "`make fetch-tools` installs them" in ran.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--box", "1,2,3"], "is no box"),
        (["--box", "0,80,10,70"], "south below north"),
        (["--since", "2012-03-30"], "Give both"),
        (["--since", "2012-03-30", "--until", "2012-03-29"], "the earlier day first"),
    ],
)
def test_a_box_and_dates_that_are_none_are_told(words: list[str], sentence: str) -> None:
    ran = firnline("nsidc", "IRSNO1B", *words)
    assert ran.exit_code == 1
    assert sentence in ran.output


needs_tools = pytest.mark.skipif(
    not catalogues.TOOLS.exists(), reason="earthaccess and xopr are not installed (`make fetch-tools` installs them)"
)


def test_what_xopr_finds_becomes_addresses_with_their_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame's columns are those of `OPRConnection.query_frames` in xopr 0.6."""
    asked: dict[str, Any] = {}

    class Connection:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def query_frames(self, **wanted: Any) -> pd.DataFrame | None:
            asked.update(wanted)
            return pd.DataFrame([_stac_item(1, -45.0), _stac_item(2, -44.0) | {"assets": {}}])

    monkeypatch.setitem(sys.modules, "xopr", types.SimpleNamespace(OPRConnection=Connection))
    box, days = (-50.0, 60.0, -40.0, 80.0), ("2012-03-30", "2012-03-31")
    found = list(catalogue_query.opr("2012_Greenland_P3", "CSARP_standard", ["20120330_04"], box, days, None))
    assert found == [{"address": "https://data.example/Data_20120330_04_001.mat", "segment": "20120330_04"}]
    assert asked["collections"] == ["2012_Greenland_P3"]
    assert asked["segment_paths"] == ["20120330_04"]
    assert asked["geometry"].bounds == box
    assert asked["date_range"] == "2012-03-30/2012-03-31"
    monkeypatch.setattr(Connection, "query_frames", lambda *_, **__: None)
    assert list(catalogue_query.opr("2012_Greenland_P3", "CSARP_standard", [], None, None, None)) == []


def test_a_box_across_the_date_line_is_its_two_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    connection = types.SimpleNamespace(query_frames=lambda **wanted: asked.update(wanted))
    monkeypatch.setitem(sys.modules, "xopr", types.SimpleNamespace(OPRConnection=lambda **_: connection))
    assert (
        list(catalogue_query.opr("2018_Antarctica", "CSARP_standard", [], (170.0, -80.0, -170.0, -75.0), None, None))
        == []
    )
    assert [half.bounds for half in asked["geometry"].geoms] == [
        (170.0, -80.0, 180.0, -75.0),
        (-180.0, -80.0, -170.0, -75.0),
    ]


@needs_tools
def test_a_season_of_open_polar_radar(tmp_path: Path) -> None:
    """Over xopr itself, with a catalogue of two frames as theirs is: STAC items in GeoParquet."""
    catalogue = tmp_path / "season.parquet"
    write = (
        "import sys, json, asyncio, rustac\n"
        "async def write(): await rustac.write(sys.argv[1], json.load(sys.stdin))\n"
        "asyncio.run(write())"
    )
    items = [_stac_item(1, -45.0), _stac_item(2, 12.0)]
    subprocess.run([catalogues.TOOLS, "-c", write, catalogue], input=json.dumps(items), text=True, check=True)
    try:
        found = catalogues.listed("opr", "2012_Greenland_P3", box=Box.of("-50,60,-40,80"), catalogue=str(catalogue))
    except CannotFetch as error:
        if "duckdb.org/docs/stable/extensions" not in str(error):
            raise
        pytest.skip("xopr's DuckDB fetches its spatial extension from the network, which is not to be had here")
    assert found == [Remote("https://data.example/Data_20120330_04_001.mat", "20120330_04")]


def _stac_item(frame: int, longitude: float) -> dict[str, Any]:
    line = [[longitude, 70.0], [longitude + 0.1, 70.1]]
    return {
        "type": "Feature", "stac_version": "1.1.0", "id": f"Data_20120330_04_{frame:03d}", "collection": "2012_Greenland_P3",
        "geometry": {"type": "LineString", "coordinates": line},
        "bbox": [longitude, 70.0, longitude + 0.1, 70.1],
        "properties": {"datetime": "2012-03-30T12:00:00Z", "opr:date": "20120330", "opr:segment": 4, "opr:frame": frame},
        "links": [],
        "assets": {"CSARP_standard": {"href": f"https://data.example/Data_20120330_04_{frame:03d}.mat"}},
    }  # fmt: skip


@needs_tools
def test_a_dataset_of_nsidc(archive: Archive) -> None:
    """Over earthaccess itself, with a catalogue on this machine that answers as NASA's does (UMM-G 1.6)."""
    granule = {
        "GranuleUR": "g1",
        "RelatedUrls": [{"URL": f"https://n5eil01u.example/{NAME}", "Type": "GET DATA"}],
        "DataGranule": {"ArchiveAndDistributionInformation": [
            {"Name": NAME, "SizeInBytes": len(FRAME), "Checksum": {"Value": SHA256, "Algorithm": "SHA-256"}}]},
    }  # fmt: skip
    archive.files["granules.umm_json"] = json.dumps({"hits": 1, "items": [{"meta": {}, "umm": granule}]}).encode()
    code = (
        "import sys, runpy, cmr.queries as queries\n"
        "mode, here = queries.Query.mode, sys.argv.pop(1)\n"
        "queries.Query.mode = lambda query, _='': mode(query, here)\n"
        "sys.argv.pop(0)\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    script = catalogue_query.__file__
    ran = subprocess.run(
        [catalogues.TOOLS, "-W", "ignore", "-c", code, archive.address(""), script, "nsidc", "IRSNO1B",
         "--box", "-50", "60", "-40", "80", "--dates", "2012-03-30", "2012-03-31"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = [catalogues._remote(line) for line in ran.stdout.splitlines()]
    assert found == [Remote(f"https://n5eil01u.example/{NAME}", None, Digest("sha256", SHA256), len(FRAME))]
