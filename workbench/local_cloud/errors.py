"""Errors as AWS names them; the handlers turn them into AWS's error answers."""

from typing import Any


class AwsError(Exception):
    status = 400

    def __init__(self, message: str, **details: Any):
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def code(self) -> str:
        return type(self).__name__


class ValidationException(AwsError):
    pass


class ValidationError(AwsError):
    """InvokeEndpoint's own name for a bad request."""


class ResourceNotFound(AwsError):
    pass


class ResourceNotFoundException(AwsError):
    """The A2I runtime's name for an unknown resource."""

    status = 404


class ResourceInUse(AwsError):
    pass


class ResourceLimitExceeded(AwsError):
    pass


class ConflictException(AwsError):
    status = 409


class ModelError(AwsError):
    status = 424


class ServiceUnavailable(AwsError):
    status = 503


class InternalFailure(AwsError):
    status = 500


class UnknownOperationException(AwsError):
    pass


class AccessDenied(AwsError):
    status = 403

    @property
    def code(self) -> str:
        return "AccessDeniedException"


class JobStopped(Exception):
    """A job was asked to stop, or its time is up."""
