"""AWS on one machine, on loopback: MiniStack, SageMaker's training and serving, A2I, and durable state."""

from .process import (
    LocalCloudError,
    client_environment,
    credentials,
    free_port,
    review_url,
    running_pid,
    running_port,
    start,
    stop,
)

__all__ = [
    "LocalCloudError",
    "client_environment",
    "credentials",
    "free_port",
    "review_url",
    "running_pid",
    "running_port",
    "start",
    "stop",
]
