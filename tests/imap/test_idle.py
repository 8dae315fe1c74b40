"""IDLE (RFC 2177 §3)."""

from __future__ import annotations

from pymaild.core.session import Ending
from tests.imap.conftest import ImapBench
from tests.support.rfc import rfc


def test_new_mail_is_told_at_once(mail: ImapBench) -> None:
    client = mail.select()
    tag = client.idle()
    mail.put("alice", b"Subject: new\r\n\r\n")
    replies = client.until("EXISTS", "RECENT")
    assert [(reply.name, reply.number) for reply in replies] == [("EXISTS", 4), ("RECENT", 4)]
    assert client.done(tag).status == "OK"


@rfc("9051", "7.5.2", 17)
@rfc("9051", "6.3.13", 1)
@rfc("9051", "7", 4)
@rfc("3501", "7", 4)
def test_flags_and_expunges_of_others_are_told(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    tag = client.idle()
    other.ok("STORE 2 +FLAGS (\\Flagged $Work)")
    replies = client.until("FETCH")
    assert [reply.name for reply in replies] == ["FLAGS", "OK", "FETCH"]
    assert replies[-1].raw == b"* 2 FETCH (UID 2 FLAGS (\\Flagged $Work \\Recent))\r\n"
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    assert client.until("EXPUNGE")[-1].number == 1
    assert client.done(tag).status == "OK"


@rfc("9051", "6.3.13", 2)
@rfc("2177", "3", 3)
def test_commands_may_follow_done_in_one_packet(mail: ImapBench) -> None:
    client = mail.select()
    tag = client.idle()
    client.send(b"done\r\nb NOOP\r\nc FETCH 1 (UID)\r\n")
    assert client.finish(tag).status == "OK"
    assert client.finish("b").status == "OK"
    assert client.finish("c").status == "OK"


def test_idle_and_done_in_one_packet(mail: ImapBench) -> None:
    client = mail.select()
    client.send(b"a IDLE\r\nDONE\r\nb NOOP\r\n")
    assert client.finish("a").status == "OK"
    assert client.finish("b").status == "OK"


@rfc("9051", "6.3.13", 2)
def test_anything_but_done_is_bad(mail: ImapBench) -> None:
    client = mail.select()
    tag = client.idle()
    client.send(b"b NOOP\r\n")
    assert client.finish(tag).status == "BAD"
    client.ok("NOOP")


def test_idle_without_a_mailbox(imap: ImapBench) -> None:
    client = imap.login()
    assert client.done(client.idle()).status == "OK"


def test_an_idle_client_is_told_that_the_server_is_there(mail: ImapBench) -> None:
    mail.configure(keep_alive=0.05, idle_timeout=0.1)
    client = mail.select()
    tag = client.idle()
    for _ in range(5):
        reply = client.read()
        assert (reply.name, reply.text) == ("OK", "Still here")
    client.send(b"DONE\r\n")
    assert client.finish(tag).status == "OK"


def test_a_client_that_vanishes_ends_idle(mail: ImapBench) -> None:
    client = mail.select()
    client.idle()
    client.socket.shutdown(2)
    assert client.wait() is Ending.CLOSED


def test_a_line_without_end_is_thrown_away(mail: ImapBench) -> None:
    client = mail.select()
    tag = client.idle()
    client.send(b"x" * 300_000 + b"\r\n")
    assert client.finish(tag).status == "BAD"
    client.ok("NOOP")


def test_an_idle_that_fails_is_over(mail: ImapBench) -> None:
    """No other process goes on with it."""
    folder = mail.folder / "mail" / "alice" / "Maildir"
    (folder / "cur").rename(folder / "kept")
    (folder / "cur").symlink_to("kept")
    client = mail.select()
    client.send(b"x IDLE\r\n")
    assert client.read().tag == "+"
    (folder / "file").write_bytes(b"no directory")
    (folder / "file").replace(folder / "cur")  # at once: it is never missing
    (folder / "new" / "1.stirs").write_bytes(b"\r\n")
    reply = client.read()
    assert reply.raw.startswith(b"x NO [")
    assert client.record.idling == ""
