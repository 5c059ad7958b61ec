"""Functions write their logs with their own role, as on AWS: MiniStack writes them, and makes the group, for everyone.

What a role may not write is lost. A group that was deleted comes back with a late line only if the role may make it,
which is how the logs of a deleted stack come to hinder its next deployment.
"""

import functools
import logging
from typing import Any

from .identity import refusal

logger = logging.getLogger("firnline.logs")


def install() -> None:
    from ministack.services import cloudwatch_logs, lambda_svc

    emit = lambda_svc._emit_lambda_logs

    @functools.wraps(emit)
    def emit_as_role(function: dict, *rest: Any, **more: Any) -> None:
        config = function.get("config") or function
        name = config.get("FunctionName", "unknown")
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
        if group not in cloudwatch_logs._log_groups:
            actions.append("logs:CreateLogGroup")
        # The resource that AWS names in its refusals, of a group's own actions too.
        place = f"{cloudwatch_logs._make_group_arn(group).removesuffix(':*')}:log-stream:"
        refused = refusal(config.get("Role", ""), "lambda.amazonaws.com", "logs", actions, place)
        if refused:
            logger.warning("logs of %s are lost: %s", name, refused)
        else:
            emit(function, *rest, **more)

    lambda_svc._emit_lambda_logs = emit_as_role
