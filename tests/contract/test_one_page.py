"""The page that Lambda serves in an account and the page on a reviewer's own machine are one application."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from firnline.portal.segment_store import SegmentStore
from firnline.portal.serve import PageServer
from firnline.portal.table_store import TableStore
from portal import app
from portal.session import SignedIn
from tests.support.http_api import ADDRESS
from tests.support.review_world import World, on_moto
from tests.support.user_pool import CLIENT_ID, ISSUER, POOL_ID


@pytest.fixture
def world() -> Iterator[World]:
    pool = {
        "USER_POOL_ID": POOL_ID,
        "USER_POOL_ISSUER": ISSUER,
        "USER_POOL_CLIENT_ID": CLIENT_ID,
        "WORKER_TEMPLATE": "layer-editor",
    }
    with on_moto(PAGE_ADDRESS=ADDRESS, **pool) as made:
        yield made


def addresses(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, object, object]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from addresses(route.routes, prefix + route.path)
        else:
            assert isinstance(route, Route)
            yield (
                prefix + route.path,
                frozenset(route.methods or ()),
                route.endpoint.__code__,
            )


def parts(page: Starlette) -> tuple[object, ...]:
    """Addresses with the functions that answer them, middleware in its order, what answers errors."""
    handlers = {kind: getattr(handler, "func", handler) for kind, handler in page.exception_handlers.items()}
    return sorted(addresses(page.routes), key=str), [one.cls for one in page.user_middleware], handlers


def test_lambda_and_a_reviewers_own_machine_serve_one_application(world: World) -> None:
    signed_in = app.page()
    assert isinstance(signed_in, SignedIn)
    store = TableStore(world.table, world.bucket, world.bus)
    own = PageServer(store, segments=SegmentStore(world.table, world.bucket))  # as `firnline review` has them
    own._socket.close()
    assert parts(signed_in._page) == parts(own.config.app)
    assert len(parts(own.config.app)[0]) > 5
