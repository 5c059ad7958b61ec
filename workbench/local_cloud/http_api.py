"""SageMaker, its runtime and A2I's runtime as one MiniStack service: they all sign as `sagemaker`.

MiniStack's seam for a service is a function of a request, not an ASGI application. Which operation a request asks for
is AWS's wire protocol and no routing of our own: SageMaker's names it in a header, and the methods and paths of the two
runtimes stand in botocore's service models, which Starlette's path compiler reads.
"""

import asyncio
import functools
import json
import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from starlette.routing import compile_path

from .context import arn
from .errors import AwsError, InternalFailure, UnknownOperationException, ValidationException
from .human_review import HumanReview
from .sagemaker_api import SageMakerApi, resource_arn
from .service_model import service_model
from .serving import Endpoints

RUNTIMES = {"runtime": "sagemaker-runtime", "a2i": "sagemaker-a2i-runtime"}
"""Services whose operations are told by method and path, by our name of their API."""
JSON_1_1 = "application/x-amz-json-1.1"

logger = logging.getLogger("firnline.api")
Response = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Call:
    """One request, told apart: the API, the operation, and where the operation's name in the path is, that name."""

    api: str  # sagemaker, runtime or a2i
    operation: str
    name: str = ""


def identify(method: str, path: str, headers: dict[str, str]) -> Call:
    """Which operation a request asks for; raises UnknownOperationException."""
    target = headers.get("x-amz-target", "")
    if target.startswith("SageMaker."):
        return Call("sagemaker", target.partition(".")[2])
    for api, operation, wanted, address in _addresses():
        if method == wanted and (found := address.fullmatch(path)):
            return Call(api, operation, *(unquote(name) for name in found.groups()))
    raise UnknownOperationException(f"{method} {path} is no operation of SageMaker that the local cloud knows.")


@functools.cache
def _addresses() -> list[tuple[str, str, str, re.Pattern[str]]]:
    """(API, operation, method, path) of every operation of the runtimes."""
    models = ((api, service_model(service)) for api, service in RUNTIMES.items())
    return [
        (api, name, http["method"], compile_path(http["requestUri"])[0])
        for api, model in models
        for name in model.operation_names
        for http in (model.operation_model(name).http,)
    ]


def checked_arn(call: Call, body: bytes, query: dict[str, list[str]]) -> str:
    """The ARN that IAM checks for a call."""
    try:
        params = json.loads(body or b"{}") if call.api != "runtime" else {}
    except ValueError:
        params = {}
    if not isinstance(params, dict):
        params = {}
    if call.operation in ("StartHumanLoop", "ListHumanLoops"):
        return str(params.get("FlowDefinitionArn") or (query.get("FlowDefinitionArn") or ["*"])[0])
    if call.api == "a2i":
        return arn(f"human-loop/{call.name or params.get('HumanLoopName', '*')}")
    return resource_arn(call.operation, {"EndpointName": call.name} if call.name else params)


class HttpApi:
    def __init__(self, sagemaker: SageMakerApi, endpoints: Endpoints, reviews: HumanReview):
        self._sagemaker, self._endpoints, self._reviews = sagemaker, endpoints, reviews

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        """MiniStack's handler for the service; the work, which may wait, is done on a thread."""
        return await asyncio.to_thread(self._answer, method, path, headers, body, query)

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        call = None
        try:
            call = identify(method, path, headers)
            if call.api == "runtime":
                if call.operation != "InvokeEndpoint":
                    raise UnknownOperationException(f"The local cloud does not know {call.operation}.")
                return self._invoke(call.name, headers, body)
            if call.api == "a2i":
                answer = self._reviews.call(call.operation, a2i_params(call, body, query))
                status = 201 if call.operation == "StartHumanLoop" else 200
                return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()
            from ministack.core.router import extract_access_key_id

            answer = self._sagemaker.call(call.operation, parsed(body), extract_access_key_id(headers, query))
            return 200, {"Content-Type": JSON_1_1}, json.dumps(answer).encode()
        except AwsError as error:
            return error_response(error, call)
        except Exception:
            logger.exception("%s %s failed", method, path)
            return error_response(InternalFailure("The local cloud failed; its log says why."), call)

    def _invoke(self, name: str, headers: dict[str, str], body: bytes) -> Response:
        answer, content_type, variant = self._endpoints.invoke(
            name, body, headers.get("content-type", "application/octet-stream"), headers.get("accept", "*/*")
        )
        return 200, {"Content-Type": content_type, "x-Amzn-Invoked-Production-Variant": variant}, answer


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON request without its nulls, which AWS takes for absent members."""
    try:
        params = json.loads(body or b"{}")
    except ValueError as error:
        raise ValidationException(f"The request is not valid JSON: {error}") from error
    if not isinstance(params, dict):
        raise ValidationException("The request must be a JSON object.")
    return _without_nulls(params)


def a2i_params(call: Call, body: bytes, query: dict[str, list[str]]) -> dict[str, Any]:
    if call.name:
        return {"HumanLoopName": call.name}
    if call.operation != "ListHumanLoops":
        return parsed(body)
    params: dict[str, Any] = {name: values[0] for name, values in query.items()}
    try:
        if "MaxResults" in params:
            params["MaxResults"] = int(params["MaxResults"])
        for moment in ("CreationTimeAfter", "CreationTimeBefore"):
            if moment in params:
                params[moment] = datetime.fromisoformat(params[moment])
    except ValueError as error:
        raise ValidationException(f"The query is ill-formed: {error}") from error
    return params


def error_response(error: AwsError, call: Call | None) -> Response:
    rest = call is not None and call.api != "sagemaker"
    body = {
        "__type": error.code,
        "message": error.message,
        **({"Message": error.message} if rest else {}),
        **error.details,
    }
    return (
        error.status,
        {"Content-Type": "application/json" if rest else JSON_1_1, "x-amzn-errortype": error.code},
        json.dumps(body).encode(),
    )


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value if v is not None] if isinstance(value, list) else value
