"""RETR on its two ways, and what it leaves in the record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pymaild.mail.flags import SEEN, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mime._crlf import stuffed, to_crlf
from pymaild.pop3.framing import framed
from tests.pop3.conftest import Bench, login
from tests.support import corpus

STRANGE = (
    b"Subject: dots\n\n.\n..\n.\r\n\r.\n.",
    b"Subject: crlf\r\n\r\nalready\r\n.there\r\n",
    b"Subject: nul\n\na\0b\n\0",
    b"\n.\n",
    b"Subject: large\n\n" + b".line\n" * 60_000,
)
OCTETS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\0"])).map(b"".join)


@given(OCTETS)
def test_octets_are_framed(data: bytes) -> None:
    expected = b"".join(framed([to_crlf(data)])).replace(b"\0", b"\x80")
    assert stuffed(data) == expected


def test_what_is_sent_is_what_is_read_piece_by_piece(pop3: Bench) -> None:
    messages = (*corpus.mime_mail(), *STRANGE)
    pop3.put("alice", *messages)
    session = login(pop3)
    session.ask(b"UTF8")
    mailbox: Mailbox = pop3.account("alice").open("INBOX", "r")
    view = mailbox.view()
    for number in range(1, len(messages) + 1):
        source = mailbox.message(view, number).section((), "")
        assert source is not None
        told = session.ask(b"RETR %d" % number)
        if told.startswith(b"+OK"):
            assert told == b"+OK %d octets" % source.size
            sent = b"".join(line + b"\r\n" for line in session.listing()) + b".\r\n"
            whole = b"".join(framed(source.pieces()))
            assert sent in (whole, whole[:-3] + b"\r\n.\r\n")  # a header alone is ended


def test_the_record_stays_short(pop3: Bench) -> None:
    """Where some of many messages are unread, and in the order in which clients go through them."""
    uids = pop3.put("alice", *(b"Subject: %d\n\nx\n" % number for number in range(300)))
    mailbox = pop3.account("alice").open("INBOX", "r")
    read = [number for number in range(1, len(uids) + 1) if number % 3]
    mailbox.store(mailbox.view(), read, "add", Flags(SEEN))
    for step in (1, -1):
        session = login(pop3)
        for number in range(1, len(uids) + 1)[::step]:
            session.ask(b"RETR %d" % number)
            session.listing()
            assert len(session.record.seen) <= 101
        session.ask(b"QUIT")
        session.wait()
        assert all(mailbox.view().flags(seq) & SEEN for seq in range(1, len(uids) + 1))
        unread = [number for number in range(1, len(uids) + 1) if not number % 3]
        mailbox.refresh()
        mailbox.store(mailbox.view(), unread, "remove", Flags(SEEN))
