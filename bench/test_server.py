"""Every row of the table of ratios, for pymaild alone, with the spread of its rounds."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from .ratio import empty
from .rows import ROWS, Row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(benchmark: Any, target: Any, row: Row) -> None:
    """Time a round; a round has a fixed amount of work."""
    with ExitStack() as stack:
        work = row.prepare(target, stack)
        units = benchmark.pedantic(work, rounds=5, warmup_rounds=1)
        benchmark.extra_info["units"] = units
        assert units > 0
    if row.name.startswith(("append", "lmtp")):
        empty(target)
