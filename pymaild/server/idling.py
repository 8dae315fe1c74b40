"""The end of an IDLE without news, and the next one: what the keeper answers by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from pymaild.server import clients, errands
from pymaild.server._exchange import LINES, Exchange
from pymaild.server.errands import Packed
from pymaild.server.kept import Kept
from pymaild.server.parked import ANSWERED, Table

LONGEST_LINES = LINES  # octets; what is longer is for a worker
BETWEEN = 60.0  # seconds after the end of an IDLE in which the next may begin without a worker

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


class Idling:
    """Answers the clients of a table; ``change`` takes what a session waits for from then on,
    and when its next keep-alive is due (0: never)."""

    def __init__(self, table: Table, change: Callable[[Kept, Packed, float], None]) -> None:
        self._table = table
        self._change = change
        self._exchange = Exchange(table.exchange)

    def answer(self, kept: Kept, packed: Packed, lines: bytes) -> bool:
        """Answer lines of which :func:`is_for` holds; false where the client does not take it."""
        reply = reply_to(packed, lines)
        sent = self._exchange.answer(kept.row, kept.fd, lines, reply)
        self._note(kept, packed, lines)
        self._exchange.end()
        return sent >= len(reply)

    def _note(self, kept: Kept, packed: Packed, lines: bytes) -> None:
        """Write down that these lines were answered."""
        tag = tag_of(lines)
        commands = packed.numbers[errands.COMMANDS] + bool(tag)
        every = packed.numbers[errands.EVERY] if tag else BETWEEN
        self._table.numbers[ANSWERED] += bool(tag)
        changed = packed.having(errands.COMMANDS, commands).with_tag(tag)
        self._change(kept, changed, time.monotonic() + every if every else 0.0)

    def finish(self, kept: Kept, packed: Packed) -> None:
        """Do the rest of an answer during which the last keeper died."""
        left = self._exchange.left()
        if left is None or left[0] != kept.row:
            return
        _, lines, taken, sent = left
        if taken and packed.tag != tag_of(lines):
            clients.say(kept.fd, reply_to(packed, lines)[sent:])
            self._note(kept, packed, lines)
        self._exchange.end()
