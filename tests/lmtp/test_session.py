"""Whole LMTP sessions into real mailboxes."""

from __future__ import annotations

import errno
import os
import smtplib
import socket
from typing import Any

import pytest

from pymaild.core.errors import Code, Refused, from_oserror
from pymaild.core.session import Ending, User
from pymaild.lmtp.record import LmtpRecord
from pymaild.lmtp.settings import LmtpSettings
from pymaild.mail.account import Account
from pymaild.mail.settings import MailSettings
from tests.lmtp.conftest import body, mailbox, ready, with_recipients
from tests.support import stores
from tests.support.rfc import rfc
from tests.support.sessions import Bench, Running

MESSAGE = b"Subject: hello\r\n\r\n.dot\r\n..dots\r\nend\r\n"
STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def data(session: Running, message: bytes = STUFFED, replies: int = 1) -> list[bytes]:
    assert session.ask(b"DATA").startswith(b"354 ")
    session.send(message)
    return session.lines(replies)


# -- delivery -----------------------------------------------------------------------------


def test_one_reply_for_each_recipient(lmtp: Bench) -> None:
    """RFC 2033 §4.2: in RCPT's order; the refused one gets none."""
    session = with_recipients(lmtp, "alice")
    assert session.ask(b"RCPT TO:<nobody@example.org>") == b"550 5.1.1 No such user"
    assert session.ask(b"RCPT TO:<bob@example.org>").startswith(b"250 2.1.5 ")
    assert data(session, replies=2) == [
        b"250 2.1.5 <alice@example.org> delivered",
        b"250 2.1.5 <bob@example.org> delivered",
    ]
    assert session.ask(b"QUIT").startswith(b"221 2.0.0 ")
    assert session.wait() is Ending.CLOSED
    assert lmtp.board.counts["delivered"] == 2
    for user in ("alice", "bob"):
        (message,) = mailbox(lmtp, user)
        assert body(message) == MESSAGE
        assert f"Delivered-To: {user}@example.org\r\n".encode() in message


def test_the_lines_that_delivery_adds(lmtp: Bench) -> None:
    """RFC 5321 §4.4: Return-Path first, then where it has been."""
    data(with_recipients(lmtp, "alice"))
    lines = mailbox(lmtp, "alice")[0].split(b"\r\n")
    assert lines[0] == b"Return-Path: <sender@example.org>"
    assert lines[1] == b"Delivered-To: alice@example.org"
    assert lines[2] == b"Received: from client.example.org (local)"
    assert lines[3] == b"\tby mail.example.org with LMTP id test-1"
    assert lines[4].startswith(b"\tfor <alice@example.org>; ")


def test_null_sender_quoted_local_part_and_source_route(lmtp: Bench) -> None:
    lmtp.add_user("odd one")
    session = ready(lmtp)
    assert session.ask(b"MAIL FROM:<>").startswith(b"250 2.1.0 ")
    assert session.ask(b'RCPT TO:<@relay.example:"alice"@example.org>').startswith(b"250 ")
    data(session)
    assert mailbox(lmtp, "alice")[0].startswith(b"Return-Path: <>\r\nDelivered-To: alice@")


@rfc("2033", "4.2", 1)
def test_no_message_without_a_recipient(lmtp: Bench) -> None:
    """RFC 2033 §4.2: DATA fails with 503 when every RCPT has failed."""
    session = with_recipients(lmtp)
    session.ask(b"RCPT TO:<nobody@example.org>")
    assert session.ask(b"DATA").startswith(b"503 5.5.1 ")


@rfc("2033", "4.3", 1)
@rfc("2033", "4.2", 2)
def test_the_same_recipient_twice_gets_one_copy_and_two_replies(lmtp: Bench) -> None:
    """RFC 2033 §4.2."""
    session = with_recipients(lmtp, "alice", "alice")
    assert len(set(data(session, replies=2))) == 1
    assert session.ask(b"NOOP").startswith(b"250 ")
    assert len(mailbox(lmtp, "alice")) == 1


@rfc("2033", "5", 6, 7)
def test_replies_do_not_wait_for_the_recipients_to_come(lmtp: Bench) -> None:
    """RFC 2033 §5: another process holds the second one's mailbox."""
    with lmtp.account("bob").open("INBOX") as held:
        with held.lock:
            session = with_recipients(lmtp, "alice", "bob")
            assert b"<alice@example.org> delivered" in data(session)[0]
            assert len(mailbox(lmtp, "alice")) == 1
            assert lmtp.board.counts["delivered"] == 1
        assert b"<bob@example.org> delivered" in session.line()


def test_folders_of_addresses(lmtp: Bench) -> None:
    """The folder when it exists, else INBOX; never another user's."""
    lmtp.account("alice").create("lists")
    session = with_recipients(lmtp, "alice+lists", "alice+none", "alice+../bob", "bob+lists")
    data(session, replies=4)
    assert len(mailbox(lmtp, "alice", "lists")) == 1
    assert len(mailbox(lmtp, "alice")) == 2
    assert len(mailbox(lmtp, "bob")) == 1


def test_separator_can_be_turned_off(lmtp: Bench) -> None:
    lmtp.configure(separators="")
    session = with_recipients(lmtp)
    assert session.ask(b"RCPT TO:<alice+lists@example.org>").startswith(b"550 5.1.1 ")


@pytest.mark.parametrize(
    ("names", "alice", "carol"), [("any", 250, 250), ("address", 550, 250), ("local", 250, 550)]
)
def test_what_of_an_address_is_the_user(lmtp: Bench, names: str, alice: int, carol: int) -> None:
    lmtp.add_user("carol@example.org")
    lmtp.configure(user_names=names)
    session = with_recipients(lmtp)
    assert int(session.ask(b"RCPT TO:<alice@example.org>")[:3]) == alice
    assert int(session.ask(b"RCPT TO:<carol@example.org>")[:3]) == carol
    assert int(session.ask(b"RCPT TO:<carol@example.net>")[:3]) == 550


@pytest.mark.parametrize("address", [b"postmaster", b"Postmaster@example.org"])
def test_postmaster(lmtp: Bench, address: bytes) -> None:
    """RFC 5321 §4.5.1."""
    session = with_recipients(lmtp)
    assert session.ask(b"RCPT TO:<" + address + b">").startswith(b"550 5.1.1 ")
    lmtp.configure(postmaster="bob")
    session = with_recipients(lmtp)
    assert session.ask(b"RCPT TO:<" + address + b">").startswith(b"250 ")
    data(session)
    assert len(mailbox(lmtp, "bob")) == 1


def test_smtputf8(lmtp: Bench) -> None:
    """RFC 6531 §3.5: such addresses need the parameter, with codes of their own."""
    lmtp.add_user("j\u00fcrgen")
    session = ready(lmtp)
    wide = "\u00e4@example.org".encode()
    recipient = "RCPT TO:<j\u00fcrgen@ex\u00e4mple.org>".encode()
    assert session.ask(b"MAIL FROM:<" + wide + b">").startswith(b"550 5.6.7 ")
    session.ask(b"MAIL FROM:<a@example.org>")
    assert session.ask(recipient).startswith(b"553 5.6.7 ")
    session.ask(b"RSET")
    assert session.ask(b"MAIL FROM:<" + wide + b"> BODY=8BITMIME SMTPUTF8").startswith(b"250 ")
    assert session.ask(recipient).startswith(b"250 ")
    assert data(session) == [b"250 2.1.5 Delivered"]
    message = mailbox(lmtp, "j\u00fcrgen")[0]
    assert message.startswith("Return-Path: <\u00e4@example.org>\r\n".encode())
    assert b" with UTF8LMTP id " in message


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"MAIL FROM:<a@b> BODY=8bitmime", b"250 2.1.0 "),
        (b"MAIL FROM:<a@b> BODY=7BIT SIZE=100", b"250 2.1.0 "),
        (b"MAIL FROM: <a@b>", b"250 2.1.0 "),
        (b"MAIL FROM:<a@b> BODY=BINARYMIME", b"555 5.5.4 "),
        (b"MAIL FROM:<a@b> RET=HDRS", b"555 5.5.4 "),
        (b"MAIL FROM:a@b", b"501 5.1.7 "),
        (b"MAIL FROM:<a@b", b"501 5.1.7 "),
    ],
)
def test_mail_parameters(lmtp: Bench, command: bytes, reply: bytes) -> None:
    assert ready(lmtp).ask(command).startswith(reply)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"RCPT TO:<>", b"501 5.1.3 "),
        (b"RCPT TO:alice", b"501 5.1.3 "),
        (b"RCPT TO:<alice@example.org> NOTIFY=NEVER", b"555 5.5.4 "),
        (b"RCPT TO:<alice/../bob@example.org>", b"550 5.1.1 "),
        (b"RCPT TO:<alice>", b"250 2.1.5 "),
    ],
)
def test_rcpt_parameters(lmtp: Bench, command: bytes, reply: bytes) -> None:
    assert with_recipients(lmtp).ask(command).startswith(reply)


# -- the message --------------------------------------------------------------------------


def test_only_crlf_dot_crlf_ends_data(lmtp: Bench) -> None:
    """What others took for an end stays content: a second message cannot be smuggled."""
    session = with_recipients(lmtp, "alice")
    smuggled = b"\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nx"
    message = b"Subject: x\r\n\r\na" + smuggled + b"\r\n\r.\rb\r\n"
    replies = data(session, message + b".\r\n")
    assert replies == [b"250 2.1.5 <alice@example.org> delivered"]
    assert session.ask(b"NOOP").startswith(b"250 ")
    assert mailbox(lmtp, "bob") == []
    assert b"RCPT TO:<bob@example.org>" in mailbox(lmtp, "alice")[0]


def test_bare_lf_does_not_end_a_command(lmtp: Bench) -> None:
    """RFC 5321 §2.3.8."""
    session = ready(lmtp)
    session.send(b"NOOP\nNOOP\r\nRSET\r\n")
    assert session.line().startswith(b"500 5.5.1 ")
    assert session.line().startswith(b"250 ")


def test_lines_of_any_length_and_any_octet(lmtp: Bench) -> None:
    octets = bytes(range(1, 256)).replace(b"\r", b"").replace(b"\n", b"")
    message = b"Subject: x\r\n\r\n" + octets + b"y" * 3_000_000 + b"\r\n"
    data(with_recipients(lmtp, "alice"), message + b".\r\n")
    assert body(mailbox(lmtp, "alice")[0]) == message


def test_empty_message(lmtp: Bench) -> None:
    data(with_recipients(lmtp, "alice"), b".\r\n")
    assert body(mailbox(lmtp, "alice")[0]) == stores.ended(b"")


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_pipelined_transactions(lmtp: Bench, memory: int) -> None:
    """RFC 2920: everything at once, DATA last in its group; in memory and on disk."""
    lmtp.configure(spool_memory=memory)
    session = ready(lmtp)
    recipients = b"RCPT TO:<alice>\r\nRCPT TO:<nobody>\r\nRCPT TO:<bob>\r\n"
    group = b"MAIL FROM:<a@b> SIZE=40\r\n" + recipients + b"DATA\r\n"
    session.send((group + STUFFED) * 3 + b"QUIT\r\n")
    codes = [line[:3] for line in session.rest().split(b"\r\n")[:-1]]
    assert codes == [b"250", b"250", b"550", b"250", b"354", b"250", b"250"] * 3 + [b"221"]
    assert len(mailbox(lmtp, "alice")) == len(mailbox(lmtp, "bob")) == 3
    assert os.listdir(lmtp.spool) == []


def test_octet_by_octet(lmtp: Bench) -> None:
    session = ready(lmtp)
    for octet in b"MAIL FROM:<a@b>\r\nRCPT TO:<alice>\r\nDATA\r\n" + STUFFED + b"QUIT\r\n":
        session.send(bytes([octet]))
    assert session.rest().count(b"\r\n") == 5
    assert body(mailbox(lmtp, "alice")[0]) == MESSAGE


# -- limits -------------------------------------------------------------------------------


def test_size_is_refused_before_it_is_sent(lmtp: Bench) -> None:
    """RFC 1870 §6.1."""
    limit = lmtp.mail.message_size
    session = ready(lmtp)
    assert session.ask(b"MAIL FROM:<a@b> SIZE=%d" % (limit + 1)).startswith(b"552 5.3.4 ")
    assert session.ask(b"MAIL FROM:<a@b> SIZE=%d" % limit).startswith(b"250 ")


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_too_big_a_message_is_read_to_its_end(lmtp: Bench, memory: int) -> None:
    """RFC 1870 §6.3: a reply for each recipient, and the session goes on."""
    lmtp.mail = MailSettings(fsync=False, message_size=100_000)
    lmtp.configure(spool_memory=memory)
    session = with_recipients(lmtp, "alice", "bob")
    replies = data(session, b"x" * 1_000_000 + b"\r\n.\r\n", 2)
    assert [reply[:10] for reply in replies] == [b"552 5.3.4 "] * 2
    session.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<alice>\r\n")
    assert [line[:3] for line in session.lines(2)] == [b"250", b"250"]
    assert data(session, b"x" * 99_997 + b"\r\n.\r\n")[0].startswith(b"250 ")
    assert mailbox(lmtp, "bob") == []


def test_too_many_recipients(lmtp: Bench) -> None:
    """RFC 5321 §4.5.3.1.10: the ones before stay."""
    lmtp.configure(recipients=2)
    session = with_recipients(lmtp, "alice", "bob")
    assert session.ask(b"RCPT TO:<alice>").startswith(b"452 4.5.3 ")
    assert len(data(session, replies=2)) == 2


def test_long_lines_and_too_many_errors(lmtp: Bench) -> None:
    lmtp.configure(bad_commands=2)
    session = ready(lmtp)
    assert session.ask(b"NOOP " + b"x" * 5000).startswith(b"500 5.5.2 ")
    assert session.ask(b"NOOP").startswith(b"250 ")
    assert session.ask(b"WHAT").startswith(b"500 ")
    session.send(b"WHAT\r\n")
    assert session.rest().split(b"\r\n")[1].startswith(b"421 4.7.0 ")


# -- failures -----------------------------------------------------------------------------


def failing(bench: Bench, error: Exception, user: str = "alice") -> None:
    """From now on the mail of one user cannot be had."""

    class Failing(Account):
        def prepare(self) -> None:
            raise error

    def open_account(who: User) -> Account:
        return (Failing if who.name == user else Account)(who, bench.mail)

    bench.open_account = open_account


def oserror(number: int) -> Refused:
    return from_oserror(OSError(number, os.strerror(number), "/secret/path"))


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (oserror(errno.ENOSPC), b"452 4.3.1 "),
        (oserror(errno.EDQUOT), b"452 4.2.2 "),
        (oserror(errno.EIO), b"451 4.3.0 "),
        (oserror(errno.EMFILE), b"451 4.3.0 "),
        (oserror(errno.EACCES), b"451 4.3.0 "),
        (Refused(Code.INUSE, "busy"), b"450 4.2.0 "),
        (Refused(Code.NONEXISTENT, "gone"), b"550 5.1.1 "),
        (Refused(None, "no"), b"451 4.3.0 "),
        (ZeroDivisionError("oops"), b"451 4.3.0 Internal error, reference "),
    ],
)
def test_a_failure_is_one_recipients_own(lmtp: Bench, error: Exception, reply: bytes) -> None:
    failing(lmtp, error)
    session = with_recipients(lmtp, "alice", "bob")
    first, second = data(session, replies=2)
    assert first.startswith(reply)
    assert b"/secret" not in first
    assert second.startswith(b"250 ")
    assert len(mailbox(lmtp, "bob")) == 1
    assert lmtp.board.counts["bugs"] == isinstance(error, ZeroDivisionError)


def test_quota_may_bounce(lmtp: Bench) -> None:
    lmtp.configure(quota_full="bounce")
    failing(lmtp, oserror(errno.EDQUOT))
    assert data(with_recipients(lmtp, "alice"))[0].startswith(b"552 5.2.2 ")


def test_a_user_who_is_removed_meanwhile(lmtp: Bench) -> None:
    """The user is asked for once in a transaction: what RCPT has promised is kept."""
    session = with_recipients(lmtp, "alice")
    lmtp.auth.users.write_text("")
    assert data(session)[0].startswith(b"250 ")
    session.ask(b"MAIL FROM:<>")
    assert session.ask(b"RCPT TO:<alice>").startswith(b"550 5.1.1 ")


def test_auth_down_is_temporary(lmtp: Bench) -> None:
    os.unlink(lmtp.auth.path)
    session = with_recipients(lmtp)
    assert session.ask(b"RCPT TO:<alice>").startswith(b"451 4.3.0 ")


def test_a_spool_that_cannot_be_written(lmtp: Bench) -> None:
    lmtp.configure(spool_memory=0)
    lmtp.spool.rmdir()
    session = with_recipients(lmtp, "alice", "bob")
    replies = data(session, replies=2)
    assert [reply[:10] for reply in replies] == [b"451 4.3.0 "] * 2
    assert session.ask(b"NOOP").startswith(b"250 ")


def test_a_client_that_goes_away_leaves_nothing(lmtp: Bench) -> None:
    session = with_recipients(lmtp, "alice")
    session.ask(b"DATA")
    session.send(MESSAGE)
    session.close()
    assert session.ending is Ending.CLOSED
    assert mailbox(lmtp, "alice") == []


def test_timeout_and_drain(lmtp: Bench) -> None:
    lmtp.configure(timeout=0.05)
    session = lmtp.start()
    session.line()
    assert session.rest().startswith(b"421 4.4.2 ")
    lmtp.configure(timeout=30.0)
    waiting, working = ready(lmtp), with_recipients(lmtp, "alice")
    for session in (waiting, working):
        session.supervisor.leave("Restarting")  # type: ignore[attr-defined]
    assert waiting.rest() == b"421 4.3.2 Restarting\r\n"
    assert data(working)[0].startswith(b"250 ")
    assert working.rest() == b"421 4.3.2 Restarting\r\n"


# -- chunks -------------------------------------------------------------------------------


def test_chunks(lmtp: Bench) -> None:
    """RFC 3030 §2: octets as they are, no dot is taken away."""
    session = with_recipients(lmtp, "alice", "bob")
    message = MESSAGE + b".\r\nQUIT\r\n"
    for start in range(0, len(message), 7):
        chunk = message[start : start + 7]
        session.send(b"BDAT %d\r\n" % len(chunk) + chunk)
        assert session.line().startswith(b"250 2.0.0 ")
    session.send(b"BDAT 0 LAST\r\n")
    assert [reply[:10] for reply in session.lines(2)] == [b"250 2.1.5 "] * 2
    assert body(mailbox(lmtp, "bob")[0]) == message


def test_pipelined_chunks(lmtp: Bench) -> None:
    session = ready(lmtp)
    session.send(
        b"MAIL FROM:<a@b>\r\nRCPT TO:<alice>\r\nBDAT %d\r\n" % len(MESSAGE)
        + MESSAGE
        + b"bdat 3 last\r\nx\r\nQUIT\r\n"
    )
    codes = [line[:3] for line in session.rest().split(b"\r\n")[:-1]]
    assert codes == [b"250"] * 4 + [b"221"]
    assert body(mailbox(lmtp, "alice")[0]) == MESSAGE + b"x\r\n"


def test_data_and_chunks_do_not_mix(lmtp: Bench) -> None:
    session = with_recipients(lmtp, "alice")
    session.send(b"BDAT 1\r\nx")
    assert session.line().startswith(b"250 ")
    assert session.ask(b"DATA").startswith(b"503 5.5.1 ")
    assert session.ask(b"RSET").startswith(b"250 ")
    assert session.ask(b"DATA").startswith(b"503 5.5.1 ")
    assert mailbox(lmtp, "alice") == []


def test_chunks_without_recipients(lmtp: Bench) -> None:
    """RFC 2033 §4.3: the last chunk has no reply then; others are refused after being read."""
    session = with_recipients(lmtp)
    session.send(b"BDAT 6\r\nQUIT\r\n")
    assert session.line().startswith(b"503 5.5.1 ")
    session.send(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\nMAIL FROM:<>\r\n")
    assert session.line() == b"250 2.0.0 OK"
    assert session.line().startswith(b"250 2.1.0 ")


def test_chunks_that_are_too_big(lmtp: Bench) -> None:
    """RFC 3030 §2: the failed chunk and those behind it are read and dropped."""
    lmtp.mail = MailSettings(fsync=False, message_size=1024)
    session = with_recipients(lmtp, "alice", "bob")
    session.send(b"BDAT 1000\r\n" + b"x" * 1000 + b"BDAT 25\r\n" + b"y" * 25)
    session.send(b"BDAT 1\r\nzBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    replies = [reply[:10] for reply in session.lines(6)]
    assert replies == [b"250 2.0.0 "] + [b"552 5.3.4 "] * 4 + [b"250 2.0.0 "]
    assert mailbox(lmtp, "alice") == []


@pytest.mark.parametrize(
    "arguments", [b"", b" x", b" -1", b" 1 2", b" 1 LAST LAST", b" " + b"9" * 21]
)
def test_a_chunk_whose_end_nobody_knows_ends_the_session(lmtp: Bench, arguments: bytes) -> None:
    session = with_recipients(lmtp, "alice")
    session.send(b"BDAT" + arguments + b"\r\nMAIL FROM:<evil@example.org>\r\n")
    assert session.rest().startswith(b"501 5.5.4 ")
    assert session.record.sender == "sender@example.org"


def test_chunks_that_a_move_has_lost_are_asked_for_again(lmtp: Bench) -> None:
    session = with_recipients(lmtp, "alice", "bob")
    session.send(b"BDAT 1\r\nx")
    assert session.line().startswith(b"250 ")
    copy = LmtpRecord.decode(session.record.encode())
    session.close()
    session = lmtp.start(copy)
    session.send(b"BDAT 1\r\nxBDAT 1 LAST\r\nx")
    assert [reply[:10] for reply in session.lines(3)] == [b"451 4.3.0 "] * 3
    session.send(b"MAIL FROM:<>\r\n")
    assert session.line().startswith(b"250 ")


def test_a_transaction_goes_on_from_its_record(lmtp: Bench) -> None:
    session = with_recipients(lmtp, "alice+x", "bob")
    copy = LmtpRecord.decode(session.record.encode())
    session.close()
    copy.unread = b"DATA\r\n"
    session = lmtp.start(copy)
    assert session.line().startswith(b"354 ")
    session.send(STUFFED)
    assert [reply[:3] for reply in session.lines(2)] == [b"250", b"250"]
    assert mailbox(lmtp, "alice")[0].startswith(b"Return-Path: <sender@example.org>\r\n")


# -- smtplib ------------------------------------------------------------------------------


def connected(sock: socket.socket) -> smtplib.LMTP:
    client = smtplib.LMTP()
    client.sock = sock
    assert client.getreply()[0] == 220
    return client


def test_smtplib(lmtp: Bench) -> None:
    client = connected(lmtp.start().client)
    assert client.ehlo()[0] == 250
    assert client.has_extn("size")
    failed = client.sendmail("a@example.org", ["alice", "bob", "nobody"], MESSAGE)
    assert failed == {"nobody": (550, b"5.1.1 No such user")}
    assert body(mailbox(lmtp, "alice")[0]) == MESSAGE
    client.quit()


def test_defaults_keep_what_the_rfcs_ask_for() -> None:
    """RFC 5321 §4.5.3."""
    settings: Any = LmtpSettings()
    assert settings.recipients >= 100
    assert settings.command_size >= 512
    assert settings.timeout >= 300
