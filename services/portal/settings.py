"""The settings of the review page's function."""

from pydantic import Field

from firnline.review.task_template import WorkerTemplate
from firnline.settings import Settings


class PortalSettings(Settings):
    """`page_address` is the origin that browsers know, without a slash at its end."""

    page_address: str = Field(alias="PAGE_ADDRESS")
    user_pool_id: str = Field(alias="USER_POOL_ID")
    issuer: str = Field(alias="USER_POOL_ISSUER")
    client_id: str = Field(alias="USER_POOL_CLIENT_ID")
    worker_template: WorkerTemplate = Field(alias="WORKER_TEMPLATE")
