"""Every protocol's sessions wait without a process: what they hold, and what they are told."""

from __future__ import annotations

import poplib
import socket
from collections.abc import Iterator

import pytest

from tests.support.deflated import compress
from tests.support.imap import Imap
from tests.support.instance import Instance, instance
from tests.support.lmtp import Lmtp
from tests.support.rfc import rfc

from .conftest import eventually
from .test_keeper import MAIL, deliver, die, waits

USERS = {"alice": "pw", "bob": "pw"}


@pytest.fixture
def mail() -> Iterator[Instance]:
    """A server whose workers lose their patience at once."""
    with instance(dict(USERS)) as made:
        made.settings["server"] |= {"park_after": 0.01}
        made.start()
        yield made


def pop3(mail: Instance, password: str = "pw") -> poplib.POP3:
    """A client that has given its name, and its password if there is one."""
    assert isinstance(mail.pop3, tuple)
    client = poplib.POP3(*mail.pop3, timeout=20)
    client.user("alice")
    if password:
        client.pass_(password)
    return client


def refused(mail: Instance) -> str:
    """What a second session of alice is told."""
    client = pop3(mail, password="")
    with pytest.raises(poplib.error_proto) as error:
        client.pass_("pw")
    client.close()
    return str(error.value)


def woken(mail: Instance) -> int:
    return int(mail.control("status")["totals"]["woken"])


# -- POP3 ------------------------------------------------------------------------------------------


def test_pop3_before_login(mail: Instance) -> None:
    client = pop3(mail, password="")
    waits(mail)
    client.pass_("pw")
    waits(mail)
    assert client.stat() == (0, 0)
    client.quit()
    waits(mail, 0)


@rfc("1939", "4", 3)
def test_pop3_keeps_its_lock(mail: Instance) -> None:
    """The maildrop is locked while its session waits, also when the keeper dies meanwhile."""
    deliver(mail)
    client = pop3(mail)
    waits(mail)
    assert "IN-USE" in refused(mail)
    die(mail, "keeper")
    waits(mail)
    assert "IN-USE" in refused(mail)
    client.dele(1)
    waits(mail)
    assert "IN-USE" in refused(mail)
    client.quit()
    again = pop3(mail)
    assert again.stat()[0] == 0
    again.quit()


def test_pop3_keeps_its_lock_when_a_worker_dies(mail: Instance) -> None:
    client = pop3(mail)
    waits(mail)
    client.noop()
    die(mail, "worker")
    assert "IN-USE" in refused(mail)
    client.noop()
    client.quit()
    pop3(mail).quit()


def test_a_pop3_client_that_goes_lets_go_of_the_lock(mail: Instance) -> None:
    client = pop3(mail)
    waits(mail)
    client.close()
    waits(mail, 0)
    pop3(mail).quit()


def test_a_pop3_client_that_goes_has_seen_what_it_was_sent(mail: Instance) -> None:
    deliver(mail)
    client = pop3(mail)
    client.retr(1)
    waits(mail)
    client.close()
    with mail.client("alice") as imap:
        eventually(lambda: "UNSEEN 0" in status(imap), "the flag")


def status(imap: Imap) -> str:
    return str(imap.ok("STATUS INBOX (UNSEEN)").untagged[0].raw)


def test_a_pop3_line_in_pieces(mail: Instance) -> None:
    client = pop3(mail)
    for piece in (b"ST", b"A", b"T\r", b"\n"):
        waits(mail)
        client.sock.sendall(piece)
    assert client._getresp().startswith(b"+OK 0 0")  # type: ignore[attr-defined]
    client.quit()


def test_pop3_logs_out_who_is_silent() -> None:
    """Before login it is the keeper that has to let a worker end the session (RFC 1939 §3)."""
    with instance(dict(USERS)) as mail:
        mail.settings["server"] |= {"park_after": 0.01}
        mail.settings["pop3"] = {"login_timeout": 1}
        mail.start()
        client = pop3(mail, password="")
        assert client.sock.recv(100) == b""
        client.close()


# -- LMTP ------------------------------------------------------------------------------------------


def test_lmtp_within_a_transaction(mail: Instance) -> None:
    client = Lmtp(mail.lmtp)
    waits(mail)
    assert client.mail("s@example.org")[0] == 250
    waits(mail)
    assert client.rcpt("alice")[0] == 250
    waits(mail)
    assert client.docmd("DATA")[0] == 354
    client.send(MAIL + b".\r\n")
    assert client.getreply()[0] == 250
    waits(mail)
    assert client.deliver(["alice"], MAIL) == {"alice": 250}
    client.quit()
    waits(mail, 0)


def test_lmtp_between_chunks_stays_where_they_are(mail: Instance) -> None:
    client = Lmtp(mail.lmtp)
    client.mail("s@example.org")
    client.rcpt("alice")
    waits(mail)
    before = woken(mail)
    client.send(b"BDAT %d\r\n%b" % (len(MAIL), MAIL))
    assert client.getreply()[0] == 250
    client.send(b"BDAT 0 LAST\r\n")
    assert client.getreply()[0] == 250
    waits(mail)
    assert woken(mail) == before + 1
    client.quit()


def test_lmtp_says_why_it_ends() -> None:
    with instance(dict(USERS)) as mail:
        mail.settings["server"] |= {"park_after": 0.01}
        mail.settings["lmtp"] = {"timeout": 1}
        mail.start()
        client = Lmtp(mail.lmtp)
        before = woken(mail)
        assert client.getreply()[0] == 421
        assert woken(mail) == before
        client.close()


# -- IMAP ------------------------------------------------------------------------------------------


def test_an_imap_line_in_pieces(mail: Instance) -> None:
    with mail.client("alice") as imap:
        for piece in (b"x ST", b"ATUS IN", b"BOX (MESS", b"AGES)\r", b"\n"):
            waits(mail)
            imap.socket.sendall(piece)
        imap.finish("x")


def test_done_in_pieces(mail: Instance) -> None:
    """The keeper ends no IDLE of which a part of the last line is in the record."""
    with mail.client("alice") as imap:
        imap.ok("SELECT INBOX")
        tag = imap.idle()
        for piece in (b"DO", b"NE\r", b"\n"):
            waits(mail)
            imap.socket.sendall(piece)
        imap.finish(tag)


def test_before_login_the_keeper_says_bye() -> None:
    with instance(dict(USERS)) as mail:
        mail.settings["server"] |= {"park_after": 0.01}
        mail.settings["imap"] = {"unauthenticated_timeout": 2}
        mail.start()
        with Imap(mail.imap) as imap:
            waits(mail)
            imap.socket.sendall(b"x")  # which earns nobody more time
            assert imap.until("BYE")
            assert imap.ended()


def test_notify(mail: Instance) -> None:
    """A mailbox that is not selected is watched as well, whatever its name."""
    with mail.client("alice") as imap, mail.client("alice") as other:
        other.ok("CREATE lists")
        imap.ok("SELECT INBOX")
        imap.ok(
            "NOTIFY SET (selected (MessageNew MessageExpunge)) (mailboxes lists (MessageNew "
            "MessageExpunge)) (personal (MailboxName))"
        )
        for folder in ("lists", "INBOX"):
            waits(mail, 2)
            other.ok(b"APPEND %b {%d+}\r\n%b" % (folder.encode(), len(MAIL), MAIL))
            assert imap.until("STATUS" if folder == "lists" else "EXISTS")
        waits(mail, 2)
        other.ok("CREATE fresh")
        assert "fresh" in str(imap.until("LIST")[-1].raw)


def test_in_german(mail: Instance) -> None:
    """What others say to a session that waits is in its language."""
    with mail.client("alice") as imap:
        imap.ok("LANGUAGE de")
        waits(mail)
        mail.control("drain")
        assert imap.until("BYE")[-1].text == "Der Server wird beendet"


def test_compressed(mail: Instance) -> None:
    """The keeper talks through the process between."""
    with mail.client("alice") as imap:
        imap.ok("SELECT INBOX")
        compress(imap)
        waits(mail)
        tag = imap.idle()
        waits(mail)
        deliver(mail)
        assert imap.until("EXISTS")[-1].number == 1
        imap.done(tag)


def test_a_literal_keeps_its_worker(mail: Instance) -> None:
    with mail.client("alice") as imap:
        waits(mail)
        imap.socket.sendall(b"x APPEND INBOX {%d}\r\n" % len(MAIL))
        assert imap.read().raw.startswith(b"+")
        eventually(lambda: mail.control("status")["workers"]["busy"] == 1, "a busy worker")
        imap.socket.sendall(MAIL[:10])
        imap.socket.sendall(MAIL[10:] + b"\r\n")
        imap.finish("x")


def test_a_line_that_ends_no_more(mail: Instance) -> None:
    """A client that goes within a line leaves nothing behind."""
    with Imap(mail.imap) as imap:
        waits(mail)
        imap.socket.sendall(b"x LOG")
        waits(mail)
        imap.socket.shutdown(socket.SHUT_WR)
        assert imap.ended()
    waits(mail, 0)
