"""The end of an IDLE without news, and the next one: what the keeper answers by itself."""

from __future__ import annotations

import re

from pymaild.server import errands
from pymaild.server._exchange import LINES
from pymaild.server.errands import Packed

LONGEST_LINES = LINES  # octets; what is longer is for a worker

#: The end of an IDLE, the beginning of the next, or both (RFC 2177 §3).
_LINES = re.compile(rb"(DONE\r\n)?(?:([A-Za-z0-9._-]{1,32}) IDLE\r\n)?", re.IGNORECASE)


def is_for(packed: Packed, lines: bytes) -> bool:
    """Whether a session that waits so can be answered without a worker."""
    found = _LINES.fullmatch(lines)
    return bool(lines) and found is not None and bool(packed.tag) is bool(found[1])


def tag_of(lines: bytes) -> bytes:
    """Return the tag of the IDLE that begins, b"" where none does."""
    found = _LINES.fullmatch(lines)
    return found[2] or b"" if found is not None else b""


def reply_to(packed: Packed, lines: bytes) -> bytes:
    """Return what the client is told."""
    ends = packed.tag + b" " + packed.text(errands.DONE) + b"\r\n" if packed.tag else b""
    return ends + (packed.text(errands.AGAIN) + b"\r\n" if tag_of(lines) else b"")
