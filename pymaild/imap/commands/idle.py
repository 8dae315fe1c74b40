"""IDLE."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from pymaild._parser import BadSyntax
from pymaild.core.session import Event
from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


class Watch(Protocol):
    """What tells that the selected mailbox stirs (:meth:`Selected.watch`)."""

    timeout: float

    def fileno(self) -> int:
        """Return a descriptor to wait for, or -1: look every ``timeout`` seconds."""

    def drain(self) -> None:
        """Take note of what has happened."""

    def close(self) -> None:
        """Stop watching."""


def idle(session: ImapSession, args: Arguments) -> None:
    """IDLE (RFC 2177 §3): tell what happens until the client says DONE."""
    args.end()
    session.write(b"+ idling\r\n")
    again(session, args)


def again(session: ImapSession, args: Arguments) -> None:
    """Go on with an IDLE that began in another process, or has just begun."""
    selection = session.selection
    watch = selection.selected.watch() if selection is not None else None
    session.record.idling = session.tag.decode("ascii")
    session.note("idle")
    try:
        line = _until_line(session, watch)
    finally:
        if watch is not None:
            watch.close()
    session.record.idling = ""
    session.note()
    if line.upper() != b"DONE":
        raise BadSyntax("Expected DONE")


def _until_line(session: ImapSession, watch: Watch | None) -> bytes:
    """Return the client's next line; what was pipelined behind it stays in the tokenizer."""
    due = time.monotonic() + session.settings.keep_alive
    while (line := session.tokens.line()) is None:
        if session.selection is not None:
            session.tell(expunge=True)
        event = _wait(session, watch, due)
        if event is Event.CLIENT:
            session.tokens.feed(session.read())
        elif event is Event.WATCH and watch is not None:
            watch.drain()
        elif time.monotonic() >= due:
            session.write(b"* OK Still here\r\n")
            due = time.monotonic() + session.settings.keep_alive
    return line


def _wait(session: ImapSession, watch: Watch | None, due: float) -> Event:
    left = max(due - time.monotonic(), 0.0)
    if watch is None:
        return session.stream.wait(left, None)
    if watch.fileno() < 0:  # nothing announces changes here: look from time to time
        return session.stream.wait(min(left, watch.timeout), None)
    return session.stream.wait(left, watch.fileno())
