"""Signs of life of a long command: to the server at each step, to the client now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


class Progress:
    """INPROGRESS (RFC 9585 §4). Costs nothing where no command is long enough to show it."""

    def __init__(self, session: ImapSession, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._command = -1
        self._due = 0.0
        self._told = -1

    def beat(self, done: int = 0, goal: int = 0) -> None:
        """Say that a step is done: that many of ``goal``, 0 where nobody knows.

        Who begins from the start again tells no numbers before it is further than it was.
        Never between the octets of a response. What is told does not wait for the client, which
        may be in no hurry to read while a mailbox is locked.
        """
        session = self._session
        session.services.board.beat()
        now = self._clock()
        if self._command != session.record.commands:
            self._command, self._told = session.record.commands, -1
        elif now < self._due:
            return
        else:
            known = self._told < done < goal
            self._told = done if known else self._told
            session.stream.offer(_notice(session, (done, goal) if known else None))
        self._due = now + session.settings.progress_interval


def _notice(session: ImapSession, numbers: tuple[int, int] | None) -> bytes:
    """RFC 9585 §4: what is done is less than the goal, and never less than it was."""
    done = b"%d %d" % numbers if numbers is not None else b"NIL NIL"
    told = session.say("Still at work")
    return b'* OK [INPROGRESS ("%b" %b)] %b\r\n' % (session.tag, done, told)
