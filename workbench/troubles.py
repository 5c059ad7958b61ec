"""Sentences about faults of the machine, or of the connection to a stack, for the person at the keyboard."""

import errno
import os
import shutil
import tempfile
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as NoConnection

from firnline.store.row import BrokenRow
from workbench.local_cloud.process import FULL_BYTES
from workbench.local_cloud.settings import ROOT, default_state_dir

OF_THE_MACHINE = (OSError, HTTPException, BotoCoreError, Boto3Error, ClientError, BrokenRow)
TRACEBACKS = "FIRNLINE_TRACEBACK"
"""The variable that makes a developer see the traceback."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def sentence(error: Exception) -> str | None:
    """What to tell of an error of `OF_THE_MACHINE`; None if the error is Firnline's own, or its traceback is wanted."""
    if os.environ.get(TRACEBACKS):
        return None
    if isinstance(error, HTTPClientError | NoConnection | HTTPException | ConnectionError) or (
        isinstance(error, URLError) and not isinstance(error, HTTPError)
    ):
        return f"The stack does not answer any more ({error}). If it is the local one, `make up` starts it again."
    if isinstance(error, BrokenRow):
        return str(error)
    if isinstance(error, HTTPError):
        return f"The local cloud answered {error.code} ({error.reason}) at {error.url}; its log says more."
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        said = told.get("Message") or told.get("Code", "no reason given")
        if "No space left on device" in said:
            return "The disk of the local cloud is full: free some space and run the command again."
        return f"The stack refused {error.operation_name} ({told.get('Code', '')}): {said}"
    return None if isinstance(error, ParamValidationError) else f"The stack could not be asked: {error}"


def _of_the_system(error: OSError) -> str | None:
    where = error.filename or "a file"
    if error.errno in _FULL:
        full = error.filename or ", ".join(str(folder) for folder in full_folders())
        return f"The disk is full{f' ({full})' if full else ''}: free some space and run the command again."
    if error.errno in _FORBIDDEN:
        return f"{where} cannot be used ({error.strerror}): it belongs to somebody else, or is read-only."
    if isinstance(error, FileExistsError):
        return f"{where} exists, and is not replaced."
    return None


def full_folders() -> list[Path]:
    """The places that Firnline writes to and that are nearly full."""
    places = (default_state_dir(), ROOT, Path.home(), Path(tempfile.gettempdir()))
    return [place for place in places if place.exists() and shutil.disk_usage(place).free < FULL_BYTES]
