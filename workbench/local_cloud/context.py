"""What every part of the local cloud shares: settings, records, clients and events."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from .identity import Credentials
from .settings import ACCOUNT, REGION, Settings
from .store import Store


@dataclass(frozen=True)
class Cloud:
    settings: Settings
    store: Store
    admin: Credentials

    def client(self, service: str, credentials: Credentials | None = None) -> Any:
        """A client of this very stack, as the developer or as the holder of `credentials`."""
        key = credentials or self.admin
        session: Any = boto3.session.Session()  # its own, since boto3's shared one is not safe on threads
        return session.client(
            service,
            region_name=REGION,
            endpoint_url=self.settings.endpoint,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
            aws_session_token=key.token,
            config=Config(
                retries={"max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=120,
            ),
        )


def arn(resource: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{resource}"


def scope() -> AbstractContextManager[None]:
    """MiniStack's account and region for work that no request started."""
    from ministack.core import responses

    return responses.request_scope(ACCOUNT, REGION)


def emit(detail_type: str, resources: list[str], detail: str) -> None:
    """Put an event of `aws.sagemaker` on the default bus, which refuses that source from outside."""
    from ministack.services import eventbridge

    with scope():
        eventbridge._put_events(
            {
                "Entries": [
                    {"Source": "aws.sagemaker", "DetailType": detail_type, "Resources": resources, "Detail": detail}
                ]
            },
            allow_aws_source=True,
        )
