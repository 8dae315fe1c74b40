"""The numbers of a mailbox, as STATUS tells them (RFC 9051 §6.3.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pymaild.mail.message import Message

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox


class Status(NamedTuple):
    """Numbers as of one moment; ``size`` in octets of the CRLF form (RFC 8438 §3).

    ``deleted_storage``: octets of the files of messages marked as deleted (RFC 9208 §4.1.4).
    """

    messages: int
    recent: int
    uidnext: int
    uidvalidity: int
    unseen: int
    deleted: int
    size: int
    highestmodseq: int
    deleted_storage: int
    mailboxid: str = ""  # only when asked


def status(mailbox: Mailbox, size: bool) -> Status:
    """Return what the index counts; what concerns octets is 0 unless ``size`` is wanted."""
    messages, unseen, recent, deleted, uidnext, snapshot = mailbox.index.counts()
    total, doomed = (_size(mailbox), mailbox.index.usage()[2]) if size else (0, 0)
    counts = (messages, recent, uidnext, mailbox.uidvalidity, unseen, deleted, total, snapshot)
    return Status(*counts, doomed)


def _size(mailbox: Mailbox) -> int:
    """The octets of all messages, those included that nobody has counted yet."""
    view = mailbox.view()
    total, unknown = view.total_size()
    return total + sum(Message(mailbox, view.index, row).size for row in unknown)
