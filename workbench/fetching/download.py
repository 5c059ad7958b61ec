"""One file over HTTP: continued where it stopped, bounded, and checked before it has its name."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from firnline.limits import MAX_FILE_BYTES
from workbench.fetching.remote import Remote, checked

CHUNK_BYTES = 1 << 16
TIMEOUT_S = (15.0, 60.0)
"""To connect, and between two pieces of an answer."""
ATTEMPTS = 6
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
PARTIAL, VALIDATOR = ".part", ".part.validator"
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_MEGABYTE = 1_000_000

Told = Callable[[int], None]


class CannotBeFetched(Exception):
    """This file will not come, however often it is asked for; the message says why, and what to do."""


class _Passing(Exception):
    """A fault that may have passed when the file is asked for again."""


class Stopped(Exception):
    """The person asked the command to end."""


def session() -> requests.Session:
    """A client that takes names and passwords from the user's own netrc, for the hosts named there, and keeps none."""
    made = requests.Session()
    made.headers["User-Agent"] = "firnline-fetch"
    made.headers["Accept-Encoding"] = "identity"  # a range of compressed bytes could not be continued
    made.hooks["response"] = [_stays_safe]
    return made


def download(
    client: requests.Session,
    remote: Remote,
    target: Path,
    *,
    stopped: Callable[[], bool] = lambda: False,
    told: Told = lambda _: None,
    first_wait_s: float = FIRST_WAIT_S,
) -> None:
    """Fetch `remote` to `target`; what is there of an earlier attempt is continued if the server still has that file.

    Raises
    ------
    CannotBeFetched
        It is not there, not ours to have, too large, or not the file that its checksum is of.
    Stopped
        `stopped` said so; what has come is kept.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(_Passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=first_wait_s, max=LONGEST_WAIT_S),
        before_sleep=lambda _: None if not stopped() else _raise(Stopped()),
        reraise=True,
    )
    try:
        attempts(_attempt, client, remote, target, stopped, told)
    except _Passing as error:
        raise CannotBeFetched(f"{error}, {ATTEMPTS} times in a row: run the command again later.") from error
    partial = _partial(target)
    if remote.digest and not remote.digest.matches(partial):
        _forget(target)
        raise CannotBeFetched(
            f"What came does not have the {remote.digest.algorithm} checksum that it should have: it was damaged on its "
            "way, or has been replaced. Nothing of it was kept."
        )
    partial.replace(target)
    _forget(target)


def _attempt(client: requests.Session, remote: Remote, target: Path, stopped: Callable[[], bool], told: Told) -> None:
    partial, validator = _partial(target), _validator(target)
    have = partial.stat().st_size if partial.exists() and validator.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": validator.read_text()} if have else {}
    try:
        with client.get(remote.address, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            _check_status(answer, target)
            begins = _begins_at(answer, have)
            _check_size(answer, begins)
            with partial.open("r+b" if begins else "wb") as stream:
                stream.truncate(begins)
                stream.seek(begins)
                _keep_validator(answer, validator)
                for piece in answer.iter_content(CHUNK_BYTES):
                    if stopped():
                        raise Stopped
                    stream.write(piece)
                    told(len(piece))
                    if stream.tell() > MAX_FILE_BYTES:
                        _too_large(stream.tell(), target)
                came = stream.tell()
            expected = _whole_length(answer, begins)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Passing(f"The connection to {_host(remote.address)} broke off ({type(error).__name__})") from error
    except requests.TooManyRedirects as error:
        raise CannotBeFetched(f"{_host(remote.address)} sends on without end; {_SIGN_IN}") from error
    if expected is not None and came != expected:
        raise _Passing(f"{_host(remote.address)} sent {came} bytes of {expected}")


_SIGN_IN = (
    "it may ask to sign in. Put a line `machine HOST login NAME password PASSWORD` into ~/.netrc "
    "(for NASA's archives HOST is urs.earthdata.nasa.gov), readable by you alone, and run the command again."
)


def _check_status(answer: requests.Response, target: Path) -> None:
    host = _host(answer.url)
    if answer.status_code in (401, 403):
        raise CannotBeFetched(f"{host} does not give it out ({answer.status_code}); {_SIGN_IN}")
    if answer.status_code in (404, 410):
        raise CannotBeFetched(f"{host} has no such file ({answer.status_code}): look at the address.")
    if answer.status_code == 416:
        _forget(target)
        raise _Passing(f"{host} has another file than the one that was begun")
    if answer.status_code in _AGAIN:
        raise _Passing(f"{host} answered {answer.status_code}")
    if answer.status_code not in (200, 206):
        raise CannotBeFetched(f"{host} answered {answer.status_code} {answer.reason}.")
    if answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html":
        raise CannotBeFetched(f"{host} sent a web page in place of the file; {_SIGN_IN}")


def _begins_at(answer: requests.Response, have: int) -> int:
    """The byte that the answer begins with: 0 unless the server continues just where it was asked to."""
    if answer.status_code != 206:
        return 0
    begins = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if begins != str(have):
        raise CannotBeFetched(f"{_host(answer.url)} sent another part of the file than it was asked for.")
    return have


def _check_size(answer: requests.Response, begins: int) -> None:
    whole = _whole_length(answer, begins)
    if whole is not None and whole > MAX_FILE_BYTES:
        raise CannotBeFetched(_size_sentence(whole))


def _too_large(size: int, target: Path) -> None:
    _forget(target)
    raise CannotBeFetched(_size_sentence(size))


def _size_sentence(size: int) -> str:
    return (
        f"It has {size / _MEGABYTE:.0f} MB or more, and frames may have {MAX_FILE_BYTES // _MEGABYTE} MB: "
        "cut it along the track first."
    )


def _whole_length(answer: requests.Response, begins: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return begins + int(length) if length.isdigit() else None


def _keep_validator(answer: requests.Response, file: Path) -> None:
    """Keep what tells this version of the file from others, for `If-Range` (RFC 9110, 13.1.5): a strong tag, or a date.

    Without one, what has come cannot be continued.
    """
    tag, date = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    if tag and not tag.startswith("W/"):
        file.write_text(tag)
    elif date and _is_date(date):
        file.write_text(date)
    else:
        file.unlink(missing_ok=True)


def _is_date(text: str) -> bool:
    try:
        parsedate_to_datetime(text)
    except ValueError:
        return False
    return True


def _stays_safe(answer: requests.Response, **_options: Any) -> None:
    """Refuse to be sent on to an address that could not have been asked for in the first place."""
    if answer.is_redirect:
        checked(requests.compat.urljoin(answer.url, answer.headers["location"]))


def _partial(target: Path) -> Path:
    return target.with_name(target.name + PARTIAL)


def _validator(target: Path) -> Path:
    return target.with_name(target.name + VALIDATOR)


def _forget(target: Path) -> None:
    _partial(target).unlink(missing_ok=True)
    _validator(target).unlink(missing_ok=True)


def _host(address: str) -> str:
    return requests.utils.urlparse(address).netloc


def _raise(error: Exception) -> None:
    raise error
