"""Work on untrusted bytes, in a process of its own with a limit of time and of memory.

libhdf5, libtiff and their like loop, crash or ask for any amount of memory over a file that is broken in the right
place, and nothing inside a process can stop them. The child is forked, so it has the file without a copy and starts in
milliseconds; large arrays come back through an anonymous file in memory.
"""

import faulthandler
import json
import mmap
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeVar

from firnline.errors import Refused
from firnline.radar.parcel import array_at, packed, places, unpacked

Result = TypeVar("Result")
Limit = Literal["time", "memory", "crash"]

_WALL_S, _WALL_PER_CPU = 30.0, 4.0
"""Seconds, and seconds for each second of its limit of computing time: a process that runs longer hangs on something else."""
_WRITE_BYTES = 1 << 28
_PIPE_BYTES = 1 << 20


class BeyondLimits(Exception):
    """The work took more than it may, or its process died; `limit` says which."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(f"beyond the limit: {limit}")
        self.limit = limit


def within_limits(work: Callable[[], Result], cpu_s: int, memory_bytes: int) -> Result:
    """What `work()` returns, computed in a forked process with `cpu_s` of computing and `memory_bytes` more of memory.

    Raises `Refused` as `work` does, `BeyondLimits`, RuntimeError with the traceback for anything else that `work`
    raises, and TimeoutError if the process hung without computing, which is no fault of its input.
    """
    receiver, sender = os.pipe()
    large = os.memfd_create("firnline")
    child = os.fork()
    if child == 0:
        os.close(receiver)
        _in_child(work, cpu_s, memory_bytes, sender, large)
    os.close(sender)
    try:
        answer = _received(receiver, _WALL_S + cpu_s * _WALL_PER_CPU)
        if answer is None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if answer is None:
            raise TimeoutError("reading a file hung without computing; it will be tried again")
        result: Result = _result(answer, status, large)
        return result
    finally:
        os.close(receiver)
        os.close(large)


def _in_child(
    work: Callable[[], Any], cpu_s: int, memory_bytes: int, sender: int, large: int
) -> NoReturn:  # pragma: no cover (a forked process)
    """Never returns: nothing of the parent, neither its exit handlers nor its test runner, may run twice."""
    try:
        faulthandler.disable()
        used = os.times()
        spent = int(used.user + used.system)
        resource.setrlimit(resource.RLIMIT_CPU, (spent + cpu_s, spent + cpu_s + 2))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory_bytes, resource.RLIM_INFINITY))
        try:
            answer = _packed("done", work(), large)
        except Refused as refusal:
            answer = _packed("refused", (str(refusal), _cause(refusal)), large)
        except MemoryError:
            answer = _packed("memory", None, large)
        except Exception:
            answer = _packed("failed", traceback.format_exc(), large)
        view = memoryview(answer)
        while view:
            view = view[os.write(sender, view[:_PIPE_BYTES]) :]
    finally:
        os._exit(0)


def _address_space() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 (few allocations: the limit is close)
        return int(statm.read().split()[0]) * resource.getpagesize()


def _cause(refusal: Refused) -> str:
    cause = refusal.__cause__
    return "" if cause is None else "".join(traceback.format_exception(cause))


def _packed(kind: str, value: Any, large: int) -> bytes:
    """The answer as JSON, but for the arrays' own memory, which goes to the file `large`."""
    body, arrays = packed(value)
    where = list(places(arrays))
    for (offset, _, _), array in zip(where, arrays, strict=True):
        view, written = array.data.cast("B") if array.size else memoryview(b""), 0
        while written < view.nbytes:
            written += os.pwrite(large, view[written : written + _WRITE_BYTES], offset + written)
    return json.dumps({"answer": kind, "arrays": where, "body": body.decode()}).encode()


def _received(receiver: int, seconds: float) -> bytes | None:
    """Everything that the child wrote until it ended; None if it did not end in time."""
    deadline = time.monotonic() + seconds
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(receiver, select.POLLIN | select.POLLHUP)
    while (left := deadline - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            part = os.read(receiver, _PIPE_BYTES)
            if not part:
                return b"".join(parts)
            parts.append(part)
    return None


def _result(answer: bytes, status: int, large: int) -> Any:
    if os.WIFSIGNALED(status):
        killed = os.WTERMSIG(status)
        raise BeyondLimits("time" if killed == signal.SIGXCPU else "memory" if killed == signal.SIGKILL else "crash")
    if not answer:  # the answer could not be encoded
        raise BeyondLimits("memory")
    parcel = json.loads(answer)
    kind, size = parcel["answer"], os.fstat(large).st_size
    memory = memoryview(mmap.mmap(large, size)) if size else memoryview(b"")
    value = unpacked(parcel["body"].encode(), [array_at(memory, *place) for place in parcel["arrays"]])
    if kind == "refused":
        sentence, cause = value
        raise Refused(sentence) from (RuntimeError(cause) if cause else None)
    if kind == "memory":
        raise BeyondLimits("memory")
    if kind == "failed":
        raise RuntimeError(f"reading failed in its process:\n{value}")
    return value
