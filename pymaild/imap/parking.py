"""How an IMAP session waits without a process: what for, and what its client is told meanwhile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pymaild.core.session import Ending, Wait
from pymaild.core.texts import place
from pymaild.imap.notifier import attend

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

SILENT = "Autologout, the connection was silent for too long"
GROWTH = 1.5  # of the time between two keep-alives


def park(session: ImapSession) -> None:
    """End the session in this process; it goes on in another when there is something to do."""
    wait = Wait(leave=b"* BYE %b\r\n" % place(session.record.language).encode())
    if session.record.idling:
        _idles(session, wait)
    else:
        wait.seconds = max(session.left, 0.001)
        wait.farewell = b"* BYE %b\r\n" % session.say(SILENT)
    _look(session, wait)
    session.record.wait = wait
    session.ending = Ending.PARK


def every(session: ImapSession) -> float:
    """Return the seconds to the next keep-alive of an IDLE: those that have grown already."""
    return session.waited.every or session.settings.keep_alive


def grow(session: ImapSession) -> None:
    """A keep-alive was sent: the next may come later."""
    longest = session.settings.keep_alive_max
    session.waited.every = max(min(every(session) * GROWTH, longest), session.settings.keep_alive)


def _idles(session: ImapSession, wait: Wait) -> None:
    """In IDLE silence has no end (RFC 2177 §3), and is filled now and then.

    Only where no part of a line has come can the keeper read the client's DONE.
    """
    wait.every = every(session)
    wait.longest = max(session.settings.keep_alive_max, session.settings.keep_alive)
    wait.alive = b"* OK %b\r\n" % session.say("Still here")
    if not session.intake.tokens.behind:
        done, idling = session.say("IDLE completed"), session.say("idling")
        wait.idle = [session.record.idling, f"OK {done.decode()}", f"+ {idling.decode()}"]


def _look(session: ImapSession, wait: Wait) -> None:
    """Watch what is to be told of, and tell what has happened until then.

    Within a line of the client there is nothing to be told: its numbers would mean others.
    """
    server, notifier = session.services.parking, session.notifier
    if server is None or (session.intake.tokens.behind and not session.record.idling):
        return
    if notifier is not None:
        watch = partial(server.watch, wait=wait)
        attend(session, partial(notifier.settle, watch, expunge=bool(session.record.idling)))
    elif session.record.idling and session.selection is not None:
        server.watch(session.selection.selected.mailbox.paths(), wait)
        session.tell(expunge=True)
