"""Where pymaild and Dovecot 2.3 differ on purpose: a table, each row with its reason.

A row says which items it is about, and a test that gets the message (LF line ends), our value
and Dovecot's. A difference that no row explains is a failure of the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Test = Callable[[bytes, Any, Any], bool]


@dataclass(frozen=True)
class Difference:
    """One explained difference: ``items`` is a pattern of FETCH item names."""

    reason: str
    items: str
    holds: Test


TABLE: tuple[Difference, ...] = ()


def explain(item: str, message: bytes, ours: Any, theirs: Any) -> str:
    """The reason for a difference, or "" when there is none."""
    for row in TABLE:
        if re.fullmatch(row.items, item) and row.holds(message, ours, theirs):
            return row.reason
    return ""
