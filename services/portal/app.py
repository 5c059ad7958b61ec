"""Lambda behind an HTTP API: the review page for people who sign in, the same application as on a reviewer's own machine."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from mangum import Mangum
from starlette.middleware.gzip import GZipMiddleware

from firnline.events import EventBus
from firnline.observability import logger
from firnline.portal.application import make_app
from firnline.portal.guards import site_at
from firnline.portal.pictures import origin, signed
from firnline.portal.segment_store import SegmentStore
from firnline.portal.table_store import TableStore
from firnline.settings import load_settings
from firnline.store.bucket import Bucket
from firnline.store.table import Table
from portal.pool import UserPool
from portal.session import BACK, SignedIn, identify
from portal.settings import PortalSettings

SIGNS_FOR_BROWSERS = Config(signature_version="s3v4", s3={"addressing_style": "auto"})
"""Signatures of S3's older kind are refused by newer regions."""

COMPRESSED_FROM = 4_000
"""Bytes."""


@cache
def page() -> SignedIn:
    settings = load_settings(PortalSettings)
    bucket = Bucket(boto3.client("s3", config=SIGNS_FOR_BROWSERS), settings.workspace_bucket)
    table = Table(boto3.resource("dynamodb").Table(settings.table_name))
    bus = EventBus(boto3.client("events"), settings.event_bus)
    store = TableStore(table, bucket, bus, settings.worker_template)
    site = site_at(settings.page_address, pictures=origin(bucket.signed_address("any", 1, "image/png")))
    # Whatever endpoint the SDK has for Cognito is where the pool describes itself: AWS's own, or the local cloud.
    cognito = boto3.client("cognito-idp").meta.endpoint_url
    pool = UserPool(
        f"{cognito}/{settings.user_pool_id}", settings.issuer, settings.client_id, settings.page_address + BACK
    )
    secure = settings.page_address.startswith("https:")
    return SignedIn(make_app(store, identify, site, signed(store), SegmentStore(table, bucket)), pool, site, secure)


@cache
def adapter() -> Mangum:
    # Lambda answers with 6 MB at most, which the page of a task with the most lines would pass.
    return Mangum(GZipMiddleware(page(), minimum_size=COMPRESSED_FROM), lifespan="off")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return adapter()(event, context)  # type: ignore[arg-type] # Mangum's protocol wants a context that can be written to
