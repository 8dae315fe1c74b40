"""From a record to the account and the mailbox that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.core.errors import Refused
from pymaild.imap.contexts import Contexts
from pymaild.imap.notifier import Notifier
from pymaild.imap.selection import Gone
from pymaild.imap.states import State
from pymaild.mail import committed
from pymaild.mail.selected import Selected
from pymaild.storage.retry import delays, passes

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.account import Account


def resume_patiently(session: ImapSession) -> None:
    """Resume it; what fails for a moment is tried again. Raises Refused and Gone."""
    for delay in delays(session.services.mail.retry_timeout):
        try:
            resume(session)
            return
        except Refused as error:
            if not passes(error):
                raise
        session.stream.pause(delay)
    resume(session)


def resume(session: ImapSession) -> None:
    """Take up the account and the mailbox that the record names. Raises Refused and Gone.

    When it fails, the record is as before.
    """
    record = session.record
    if record.user is None:
        return
    mailbox = record.mailbox if record.state == State.SELECTED else ""
    account = session.services.open_account(record.user)
    state = record.state
    try:
        _take_up(session, account, mailbox)
    except BaseException:
        record.state = state
        account.close()
        raise


def _take_up(session: ImapSession, account: Account, mailbox: str) -> None:
    record = session.record
    if record.ticket:  # the login was in another process, which could not open it
        account.prepare()
        record.ticket = ""
    session.enter(account)
    if mailbox:
        _reselect(session, mailbox)
    if record.notify is not None:
        session.notifier = Notifier(session, record.notify)
        session.notifier.resume()


def follow_rename(session: ImapSession, mailbox: str) -> None:
    """Go on in the selected mailbox under its new name (RFC 3501 §6.3.5). Raises Gone."""
    session.save()
    selection, session.selection = session.current, None
    selection.selected.close()
    _reselect(session, mailbox)


def _reselect(session: ImapSession, mailbox: str) -> None:
    record = session.record
    selected = _selected(session, mailbox)
    if selected is None and record.intents:
        account = session.account
        now = committed.whereabouts(mailbox, account.separator, record.intents)
        if now is None:
            session.closed()
            return
        selected = _selected(session, now)
    if selected is None:
        raise Gone
    selected.keywords = record.keywords
    selection = session.select(selected)
    if record.contexts:
        selection.contexts = Contexts.restored(session, record.contexts)


def _selected(session: ImapSession, mailbox: str) -> Selected | None:
    record = session.record
    state = record.read_only, record.uidvalidity, record.snapshot, record.recent
    return Selected.resume(session.account, mailbox, *state)
