"""IDLE."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pymaild._parser import BadSyntax
from pymaild.core.errors import Refused
from pymaild.core.session import Event
from pymaild.imap import parking
from pymaild.imap._arguments import Arguments
from pymaild.imap.notifier import Notifier, attend, waiting

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


class Source(Protocol):
    """What IDLE waits for, and tells."""

    def descriptor(self) -> tuple[int | None, float]:
        """Return what to wait for, if anything, and after how many seconds to look anyway."""

    def look(self) -> object:
        """Take note of what has happened."""

    def tell(self) -> None:
        """Tell the client."""

    def close(self) -> None:
        """Stop watching."""


class _Selected:
    """The selected mailbox, if there is one: what IDLE tells of without NOTIFY."""

    def __init__(self, session: ImapSession) -> None:
        self._session = session
        selection = session.selection
        self._watch = selection.selected.watch() if selection is not None else None

    def descriptor(self) -> tuple[int | None, float]:
        return waiting(self._watch) if self._watch is not None else (None, math.inf)

    def look(self) -> None:
        if self._watch is not None:
            self._watch.drain()

    def tell(self) -> None:
        if self._session.selection is not None:
            self._session.tell(expunge=True)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()


class _Notified:
    """All that NOTIFY asks for: IDLE tells exactly that (RFC 5465 §4)."""

    def __init__(self, session: ImapSession) -> None:
        self._session = session

    @property
    def _notifier(self) -> Notifier:
        """That of the session; an overflow has put another one in its place."""
        assert self._session.notifier is not None
        return self._session.notifier

    def descriptor(self) -> tuple[int | None, float]:
        return waiting(self._notifier.watch())

    def look(self) -> None:
        self._notifier.look()

    def tell(self) -> None:
        attend(self._session, partial(self._notifier.tell, expunge=True))

    def close(self) -> None:
        self._notifier.close()


def idle(session: ImapSession, args: Arguments) -> None:
    """IDLE (RFC 2177 §3): tell what happens until the client says DONE."""
    args.end()
    session.write(b"+ %b\r\n" % session.say("idling"))
    again(session, args)


def again(session: ImapSession, args: Arguments) -> None:
    """Go on with an IDLE that began in another process, or has just begun."""
    source: Source = _Selected(session) if session.notifier is None else _Notified(session)
    session.record.idling = session.tag.decode("ascii")
    session.note("idle")
    try:
        line = _until_line(session, source)
    except (Refused, OSError):
        session.record.idling = ""
        raise
    finally:
        source.close()
    session.record.idling = ""
    session.note()
    if line.upper() != b"DONE":
        raise BadSyntax("Expected DONE")


def _until_line(session: ImapSession, source: Source) -> bytes:
    """Return the client's next line; what was pipelined behind it stays in the tokenizer."""
    session.catch_up()
    due = time.monotonic() + parking.every(session)
    while (line := session.intake.tokens.line()) is None:
        source.tell()
        session.commit()
        watched, patience = source.descriptor()
        left = max(due - time.monotonic(), 0.0)
        event = session.stream.wait(min(left, patience), watched)
        if event is Event.CLIENT:
            session.intake.tokens.feed(session.read())
        elif event is Event.WATCH or time.monotonic() < due:
            source.look()
        else:
            session.write(b"* OK %b\r\n" % session.say("Still here"))
            parking.grow(session)
            due = time.monotonic() + parking.every(session)
    return line
