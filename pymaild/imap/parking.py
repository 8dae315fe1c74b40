"""How an IMAP session waits without a process: what for, and what its client is told meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.core.session import Ending, Wait

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

SILENT = "Autologout, the connection was silent for too long"


def park(session: ImapSession) -> None:
    """End the session in this process; it goes on in another when there is something to do."""
    wait = Wait(leave=b"* BYE %s\r\n")
    if session.record.idling:
        _idles(session, wait)
    else:
        wait.seconds = max(session.left, 0.001)
        wait.farewell = b"* BYE %b\r\n" % session.say(SILENT)
    _look(session, wait)
    session.record.wait = wait
    session.ending = Ending.PARK


def _idles(session: ImapSession, wait: Wait) -> None:
    """In IDLE silence has no end (RFC 2177 §3), and is filled now and then."""
    settings, before = session.settings, session.record.wait
    wait.every = before.every if before is not None and before.every else settings.keep_alive
    wait.longest = settings.keep_alive_max
    wait.alive = b"* OK %b\r\n" % session.say("Still here")
    done, idling = session.say("IDLE completed"), session.say("idling")
    wait.idle = [session.record.idling, f"OK {done.decode()}", f"+ {idling.decode()}"]


def _look(session: ImapSession, wait: Wait) -> None:
    """Watch what is to be told of, and tell what has happened until then."""
    parking, notifier = session.services.parking, session.notifier
    if parking is None:
        return
    if notifier is not None:
        parking.watch(notifier.paths(), wait)
        notifier.close()
        notifier.tell(expunge=bool(session.record.idling))
    elif session.record.idling and session.selection is not None:
        parking.watch(session.selection.selected.mailbox.paths(), wait)
        session.tell(expunge=True)
