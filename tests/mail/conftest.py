"""Fixtures of tests of the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import stores


@pytest.fixture(params=stores.FORMATS)
def both_formats(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test once with each format of mail."""
    before = stores.chosen()
    stores.choose(request.param)
    yield
    stores.choose(before)
