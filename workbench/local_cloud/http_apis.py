"""What MiniStack's HTTP APIs lack of AWS's: a slash at the end of a path reaches the function."""

from contextvars import ContextVar
from typing import Any

_asked: ContextVar[str] = ContextVar("asked", default="")
"""The path of the request that is being answered."""


def install() -> None:
    """Put it in, before MiniStack starts."""
    from ministack import app

    answer, resolve = app._handle_execute_api_request, app._resolve_stage_and_path

    async def answer_path(host: str, path: str, *rest: Any, **more: Any) -> Any:
        _asked.set(path)
        return await answer(host, path, *rest, **more)

    def resolve_with_slash(api_id: str, tentative_stage: str, execute_path: str) -> tuple[str, str]:
        stage, path = resolve(api_id, tentative_stage, execute_path)
        return stage, path if path.endswith("/") or not _asked.get().endswith("/") else f"{path}/"

    app._handle_execute_api_request, app._resolve_stage_and_path = answer_path, resolve_with_slash
