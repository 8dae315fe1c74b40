"""Python's own imaplib, poplib and smtplib, which many scripts are made of."""

from __future__ import annotations

import imaplib
import os
import poplib
from pathlib import Path

import pytest

from tests.support import corpus, lmtp, maildir
from tests.support.place import give
from tests.support.served import Served

from .conftest import MESSAGES, messages


def test_imaplib(server: Served) -> None:
    """Login, list, select, search, fetch, store, append, copy, expunge, logout."""
    with imaplib.IMAP4(*server.imap) as imap:
        assert imap.login("alice", "secret")[0] == "OK"
        kind, listed = imap.list()
        assert kind == "OK"
        assert any(b"Lists" in line for line in listed if isinstance(line, bytes))
        assert imap.select("INBOX") == ("OK", [str(MESSAGES).encode()])
        assert imap.search(None, "ALL")[1][0].split() == [b"%d" % n for n in range(1, MESSAGES + 1)]
        parts = imap.fetch("1", "(BODY.PEEK[] UID FLAGS)")[1]
        assert isinstance(parts[0], tuple)
        assert parts[0][1] == corpus.crlf(messages()[0])
        assert imap.store("2", "+FLAGS", r"(\Deleted)")[0] == "OK"
        assert imap.copy("3", "Lists")[0] == "OK"
        assert imap.expunge() == ("OK", [b"2"])
        date = imaplib.Time2Internaldate(1700000000)
        assert imap.append("INBOX", r"(\Seen)", date, corpus.simple(1))[0] == "OK"
        assert imap.uid("SEARCH", "SUBJECT", '"simple 1"')[1][0].split() != []
        assert imap.status("INBOX", "(MESSAGES UNSEEN)")[0] == "OK"


def test_imaplib_authenticate(server: Served) -> None:
    """AUTHENTICATE PLAIN the way imaplib does it: without an initial response."""
    with imaplib.IMAP4(*server.imap) as imap:
        assert imap.authenticate("PLAIN", lambda _: b"\0alice\0secret")[0] == "OK"
    with imaplib.IMAP4(*server.imap) as imap, pytest.raises(imaplib.IMAP4.error):
        imap.authenticate("PLAIN", lambda _: b"\0alice\0wrong")


def test_poplib(server: Served) -> None:
    """Every call of poplib, and a deletion that counts only after QUIT."""
    pop = poplib.POP3(*server.pop3)
    assert pop.user("alice").startswith(b"+OK")
    assert pop.pass_("secret").startswith(b"+OK")
    wire = [corpus.crlf(message) for message in messages()]
    assert pop.stat() == (MESSAGES, sum(map(len, wire)))
    assert pop.list()[1] == [b"%d %d" % (n, len(m)) for n, m in enumerate(wire, 1)]
    unique = pop.uidl()[1]
    assert len(set(unique)) == MESSAGES
    assert b"\r\n".join(pop.retr(1)[1]) + b"\r\n" == wire[0]
    head = wire[1].partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert pop.top(2, 0)[1] == [*head, b""]
    pop.dele(1)
    pop.rset()
    pop.dele(2)
    pop.quit()
    pop = poplib.POP3(*server.pop3)
    pop.user("alice")
    pop.pass_("secret")
    assert "UIDL" in pop.capa()
    after = [line.split(b" ")[1] for line in pop.uidl()[1]]
    before = [line.split(b" ")[1] for line in unique]
    assert after == [before[0], *before[2:]]
    pop.quit()


def test_lmtp(server: Served) -> None:
    """smtplib delivers to two recipients; the refused third says so alone."""
    codes = lmtp.deliver(server.lmtp, ["alice", "bob", "no-such-user"], corpus.simple(7))
    assert codes == {"alice": 250, "bob": 250, "no-such-user": 550}
    for user in ("alice", "bob"):
        with server.client(user) as imap:
            imap.ok("SELECT INBOX")
            assert imap.ok('SEARCH SUBJECT "simple 7"').one("SEARCH").values[1:]


MANY = 150_000


def links(folder: Path, message: bytes, count: int) -> None:
    """Fill a Maildir with ``count`` names of few files: a file has no more than 65,000."""
    for number in range(1, count + 1):
        name = str(folder / "cur" / f"{number}.many:2,S")
        if number % 50_000 == 1:
            source = name
            Path(name).write_bytes(message)
        else:
            os.link(source, name)


def test_imaplib_with_many_messages(server: Served) -> None:
    """It reads lines of up to 1,000,000 octets: what SEARCH says of 150,000 messages is less.

    Where there are more, RETURN tells them as ranges. Commands of 60 KB come from scripts that
    send back what SEARCH told.
    """
    folder = maildir.make(server.maildir("alice") / ".Many")
    links(folder, corpus.simple(1), MANY)
    give(folder)
    with imaplib.IMAP4(*server.imap) as imap:
        imap.login("alice", "secret")
        assert imap.select("Many") == ("OK", [b"%d" % MANY])
        for found in (imap.search(None, "ALL"), imap.uid("SEARCH", "ALL")):
            assert found[1][0].split() == [b"%d" % uid for uid in range(1, MANY + 1)]
        assert imap.uid("SEARCH", "RETURN (ALL)", "SEEN")[0] == "OK"
        assert imap.response("ESEARCH")[1][0].endswith(b" UID ALL 1:%d" % MANY)
        every_other = ",".join(str(uid) for uid in range(MANY - 17_000, MANY, 2))
        assert len(every_other) > 59_000
        kind, rows = imap.uid("FETCH", every_other, "(FLAGS)")
        assert (kind, len(rows)) == ("OK", 8_500)
