"""All functions on moto, for tests of what one leaves to the next."""

from collections.abc import Iterator

import pytest

from tests.support.functions import Functions, functions_on_moto


@pytest.fixture
def functions() -> Iterator[Functions]:
    with functions_on_moto() as made:
        yield made
