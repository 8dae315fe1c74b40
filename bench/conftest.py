"""The server that the benchmarks of commands run against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .ratio import servers


@pytest.fixture(scope="session")
def target() -> Iterator[Any]:
    """A pymaild of eight workers serving the whole corpus."""
    with servers(0, "pymaild", "") as running:
        yield running["pymaild"]
