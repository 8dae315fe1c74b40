"""Whole POP3 sessions over real mailboxes."""

from __future__ import annotations

import base64
import os
import poplib
import socket
from pathlib import Path

import pytest

from pymaild.core.session import Ending
from pymaild.mail.flags import SEEN
from pymaild.mail.selected import Selected
from pymaild.pop3.record import Pop3Record
from pymaild.pop3.session import Pop3Session
from pymaild.pop3.settings import Pop3Settings
from tests.pop3.conftest import MESSAGES, login
from tests.support import stores
from tests.support.rfc import rfc
from tests.support.scram import ScramClient
from tests.support.sessions import Bench, Running


def crlf() -> list[bytes]:
    """The messages as clients get them."""
    lines = (message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for message in MESSAGES)
    return [stores.ended(message) for message in lines]


def inbox(bench: Bench, name: str = "alice") -> Selected:
    return Selected.open(bench.account(name), "INBOX", read_only=True)


def seen(bench: Bench) -> list[bool]:
    selected = inbox(bench)
    try:
        return [bool(selected.view.flags(n) & SEEN) for n in range(1, len(selected.view) + 1)]
    finally:
        selected.close()


def unstuffed(lines: list[bytes]) -> bytes:
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)


# -- AUTHORIZATION ------------------------------------------------------------------------


@rfc("1939", "15", 2)
def test_greeting_and_quit(pop3: Bench) -> None:
    """RFC 1939 §4; no timestamp in it, for APOP is not offered."""
    session = pop3.start()
    greeting = session.line()
    assert greeting.startswith(b"+OK")
    assert b"<" not in greeting
    assert session.ask(b"QUIT") == b"+OK Bye"
    assert session.rest() == b""
    assert session.wait() is Ending.CLOSED


@rfc("1939", "7", 10)
def test_wrong_password_says_auth_and_nothing_of_the_user(pop3: Bench) -> None:
    """RFC 3206 §5, RFC 1939 §13: unknown user and wrong password look the same."""
    session = pop3.start()
    session.line()
    replies = []
    for name in (b"alice", b"nobody"):
        assert session.ask(b"USER " + name).startswith(b"+OK")
        replies.append(session.ask(b"PASS wrong"))
    assert replies[0] == replies[1]
    assert replies[0].startswith(b"-ERR [AUTH] ")
    assert pop3.board.counts["failed_logins"] == 2
    assert session.ask(b"PASS secret").startswith(b"-ERR")  # USER must come again
    assert session.ask(b"USER alice").startswith(b"+OK")
    assert session.ask(b"PASS secret").startswith(b"+OK")
    assert pop3.board.counts["logins"] == 1


@rfc("1939", "7", 10)
@rfc("1939", "4", 2)
def test_password_is_all_that_follows(pop3: Bench) -> None:
    """RFC 1939 §7, PASS: spaces belong to the password."""
    with pop3.auth.users.open("a") as file:
        file.write("spacy:{PLAIN}two  words \n")
    session = pop3.start()
    session.line()
    session.ask(b"USER spacy")
    assert session.ask(b"PASS two words ").startswith(b"-ERR [AUTH]")
    session.ask(b"USER spacy")
    assert session.ask(b"PASS two  words ").startswith(b"+OK")


def test_too_many_failures_end_the_connection(pop3: Bench) -> None:
    pop3.configure(login_attempts=2)
    session = pop3.start()
    session.line()
    for _ in range(2):
        session.ask(b"USER alice")
        assert session.ask(b"PASS wrong").startswith(b"-ERR [AUTH]")
    assert session.rest() == b""


@rfc("3206", "5", 2)
def test_passwords_need_tls_where_that_is_the_rule(tmp_path: Path, pop3: Bench) -> None:
    """RFC 2595 §2.3: neither USER nor PASS nor PLAIN is possible or announced without TLS.

    What USER is told has no [AUTH]: clients take that as a word about the user.
    """
    pop3.auth.settings = type(pop3.auth.settings)(
        passwd_file=pop3.auth.settings.passwd_file,
        mail_path=pop3.auth.settings.mail_path,
        allow_plaintext=False,
    )
    session = pop3.start()
    session.line()
    assert session.ask(b"USER alice") == b"-ERR Passwords are accepted under TLS only"
    assert session.ask(b"PASS secret").startswith(b"-ERR [AUTH] ")
    assert session.ask(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==").startswith(b"-ERR")
    session.ask(b"CAPA")
    tags = [line.split()[0] for line in session.listing()]
    assert b"STLS" in tags
    assert not {b"USER", b"SASL"} & set(tags)
    assert login(pop3, tls=True).ask(b"STAT").startswith(b"+OK")


PLAIN = base64.b64encode(b"\0alice\0secret")


@rfc("5034", "3", 3)
@rfc("5034", "4", 2)
def test_auth_plain_with_initial_response(pop3: Bench) -> None:
    """RFC 5034 §4."""
    session = pop3.start()
    session.line()
    assert session.ask(b"AUTH PLAIN " + PLAIN).startswith(b"+OK Logged in")
    assert session.ask(b"AUTH PLAIN " + PLAIN).startswith(b"-ERR")  # not after a success
    assert session.ask(b"CAPA").startswith(b"+OK")
    assert any(line.startswith(b"SASL ") for line in session.listing())


@rfc("5034", "4", 3, 5)
@rfc("5034", "5", 1)
def test_auth_plain_with_empty_challenge(pop3: Bench) -> None:
    """RFC 5034 §4: a plus, one space and nothing more."""
    session = pop3.start()
    session.line()
    assert session.ask(b"AUTH plain") == b"+ "
    assert session.ask(PLAIN).startswith(b"+OK Logged in")


def test_auth_login(pop3: Bench) -> None:
    session = pop3.start()
    session.line()
    assert base64.b64decode(session.ask(b"AUTH LOGIN")[2:]).lower().startswith(b"user")
    assert base64.b64decode(session.ask(base64.b64encode(b"alice"))[2:]).lower() == b"password:"
    assert session.ask(base64.b64encode(b"secret")).startswith(b"+OK Logged in")


@pytest.mark.parametrize(
    "response", [b"*", b"=AAA", b"AAA=BBB", b"AG Fs", b"$$$$", b"A", b"x" * 20_000]
)
@rfc("5034", "4", 4, 10, 12, 20)
def test_cancelled_and_malformed_responses(pop3: Bench, response: bytes) -> None:
    """RFC 5034 §4: all are refused, and another try is possible."""
    session = pop3.start()
    session.line()
    assert session.ask(b"AUTH PLAIN") == b"+ "
    reply = session.ask(response)
    assert reply.startswith(b"-ERR")
    assert b"[AUTH]" not in reply
    assert session.ask(b"AUTH PLAIN " + PLAIN).startswith(b"+OK Logged in")


@rfc("2449", "4", 2)
@rfc("5034", "4", 13, 14)
def test_a_token_may_come_with_the_command(pop3: Bench) -> None:
    """RFC 5034 §4 has 255 octets for it; tokens are longer, and clients send them like that."""
    session = pop3.start()
    session.line()
    long = base64.b64encode(b"\0alice\0" + b"s" * 6000)
    assert session.ask(b"AUTH PLAIN " + long).startswith(b"-ERR [AUTH]")
    assert session.ask(b"AUTH PLAIN " + long * 3) == b"-ERR Line too long"
    assert session.ask(b"AUTH PLAIN " + PLAIN).startswith(b"+OK Logged in")


@rfc("5034", "4", 1, 12)
def test_auth_refuses_bad_initial_responses_and_unknown_mechanisms(pop3: Bench) -> None:
    session = pop3.start()
    session.line()
    for word in (b"=AAA", b"AAA=BBB", b"AAA", b"AA-_"):
        assert session.ask(b"AUTH PLAIN " + word).startswith(b"-ERR")
    assert session.ask(b"AUTH PLAIN =").startswith(b"-ERR")  # empty, and PLAIN needs more
    assert session.ask(b"AUTH X-NOT-THERE").startswith(b"-ERR")
    assert session.ask(b"AUTH PLAIN " + PLAIN).startswith(b"+OK")


@pytest.mark.parametrize("command", [b"AUTH", b"AUTH ", b"auth"])
def test_bare_auth_lists_the_mechanisms(pop3: Bench, command: bytes) -> None:
    """Outlook asks so, with and without the space; no RFC tells of it."""
    session = pop3.start()
    session.line()
    assert session.ask(command).startswith(b"+OK")
    assert b"PLAIN" in session.listing()
    assert session.ask(b"NOOP").startswith(b"-ERR")


@rfc("5034", "4", 25)
def test_auth_scram(tmp_path: Path) -> None:
    """RFC 5802 over POP3; the server's proof is a challenge, and the answer to that is empty."""
    settings = Pop3Settings()
    with Bench(
        tmp_path, (Pop3Record, Pop3Session), settings, mechanisms=("SCRAM-SHA-256",)
    ) as pop3:
        pop3.add_user("alice")
        session = pop3.start()
        session.line()
        client = ScramClient("sha256", b"secret", b"n=alice,r=x")
        challenge = session.ask(b"AUTH SCRAM-SHA-256 " + base64.b64encode(client.first))
        final = client.final(base64.b64decode(challenge.removeprefix(b"+ ")))
        proof = session.ask(base64.b64encode(final))
        assert base64.b64decode(proof.removeprefix(b"+ ")) == client.signature
        assert session.ask(b"").startswith(b"+OK Logged in")


def test_auth_that_is_down_is_no_matter_of_credentials(pop3: Bench) -> None:
    """RFC 3206 §4: the client must not ask its user for another password."""
    session = pop3.start()
    session.line()
    os.unlink(pop3.auth.path)
    session.ask(b"USER alice")
    assert session.ask(b"PASS secret").startswith(b"-ERR [SYS/TEMP] ")


def test_too_many_sessions_of_a_user(pop3: Bench) -> None:
    pop3.board.admits = False
    session = pop3.start()
    session.line()
    session.ask(b"USER alice")
    assert session.ask(b"PASS secret").startswith(b"-ERR [SYS/TEMP] ")
    assert session.rest() == b""


# -- STLS ---------------------------------------------------------------------------------


def test_stls_passes_the_connection_on(pop3: Bench) -> None:
    """RFC 2595 §4."""
    session = pop3.start()
    session.line()
    session.ask(b"USER alice")
    assert session.ask(b"STLS").startswith(b"+OK")
    assert session.wait() is Ending.TLS
    record = Pop3Record.decode(session.record.encode())
    assert (record.state, record.name, record.unread) == ("authorization", "", b"")
    again = pop3.start(record, tls=True)
    assert again.ask(b"PASS secret").startswith(b"-ERR")  # no greeting; USER is forgotten
    assert again.ask(b"STLS").startswith(b"-ERR")
    again.ask(b"CAPA")
    assert b"STLS" not in again.listing()
    again.ask(b"USER alice")
    assert again.ask(b"PASS secret").startswith(b"+OK")


def test_nothing_may_be_pipelined_behind_stls(pop3: Bench) -> None:
    """What was injected before TLS is neither run nor carried over."""
    session = pop3.start()
    session.line()
    session.send(b"STLS\r\nUSER alice\r\nPASS secret\r\n")
    assert session.line().startswith(b"-ERR")
    assert session.rest() == b""
    assert session.wait() is Ending.CLOSED
    assert session.record.unread == b""


# -- TRANSACTION --------------------------------------------------------------------------


@rfc("1939", "11", 1)
@rfc("1939", "5", 1, 2, 3, 4)
def test_listings_count_what_retr_sends(pop3: Bench) -> None:
    """RFC 1939 §11: octets are those of the CRLF form, before byte-stuffing."""
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    sizes = [len(message) for message in crlf()]
    assert session.ask(b"STAT") == b"+OK 3 %d" % sum(sizes)
    assert session.ask(b"LIST").startswith(b"+OK 3 messages")
    assert session.listing() == [b"%d %d" % pair for pair in enumerate(sizes, 1)]
    assert session.ask(b"LIST 2") == b"+OK 2 %d" % sizes[1]
    for number, message in enumerate(crlf(), 1):
        assert session.ask(b"RETR %d" % number) == b"+OK %d octets" % len(message)
        got = unstuffed(session.listing())
        assert got == (message if message.endswith(b"\r\n") else message + b"\r\n")


@pytest.mark.parametrize("name", [b"LIST", b"UIDL", b"RETR", b"DELE", b"TOP"])
@pytest.mark.parametrize(
    "number", [b"0", b"4", b"-1", b"x", b"1x", b"99999999999", b"9999999999", b"1 2 3", b"\xb2"]
)
def test_no_such_message(pop3: Bench, name: bytes, number: bytes) -> None:
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    command = name + b" " + number + (b" 0" if name == b"TOP" else b"")
    assert session.ask(command).startswith(b"-ERR")
    assert session.ask(b"NOOP").startswith(b"+OK")


@rfc("1939", "7", 2)
@rfc("1939", "5", 5, 6)
def test_dele_rset_and_the_numbers_that_stay(pop3: Bench) -> None:
    """RFC 1939 §5: deleted messages are out of every listing, numbers do not move."""
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    assert session.ask(b"DELE 2").startswith(b"+OK")
    assert session.ask(b"STAT") == b"+OK 2 %d" % (len(crlf()[0]) + len(crlf()[2]))
    session.ask(b"LIST")
    assert [line.split()[0] for line in session.listing()] == [b"1", b"3"]
    session.ask(b"UIDL")
    assert [line.split()[0] for line in session.listing()] == [b"1", b"3"]
    for command in (b"DELE 2", b"LIST 2", b"UIDL 2", b"RETR 2", b"TOP 2 0"):
        assert session.ask(command).startswith(b"-ERR")
    assert session.ask(b"RSET").startswith(b"+OK")
    assert session.ask(b"STAT").startswith(b"+OK 3 ")


@rfc("1939", "6", 1)
def test_deletions_happen_at_quit_only(pop3: Bench) -> None:
    """RFC 1939 §3, §6: a connection that breaks deletes nothing."""
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    session.ask(b"DELE 1")
    session.close()
    session = login(pop3)
    assert session.ask(b"STAT").startswith(b"+OK 3 ")
    session.ask(b"DELE 1")
    session.ask(b"DELE 3")
    assert session.ask(b"QUIT").startswith(b"+OK")
    assert session.wait() is Ending.CLOSED
    session = login(pop3)
    assert session.ask(b"STAT") == b"+OK 1 %d" % len(crlf()[1])


def test_retr_sets_seen_top_does_not(pop3: Bench) -> None:
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    session.ask(b"RETR 1")
    session.listing()
    session.ask(b"TOP 2 10")
    session.listing()
    session.ask(b"QUIT")
    session.wait()
    assert seen(pop3) == [True, False, False]


def test_retr_leaves_flags_alone_when_told_so(pop3: Bench) -> None:
    pop3.put("alice", *MESSAGES)
    pop3.configure(mark_seen=False)
    session = login(pop3)
    session.ask(b"RETR 1")
    session.listing()
    session.ask(b"QUIT")
    session.wait()
    assert seen(pop3) == [False, False, False]


# -- TOP: what another server got wrong ---------------------------------------------------


TOP_MESSAGE = b"Subject: top\r\nFrom: a@example.org\r\n\r\none\r\n.two\r\n\r\nfour\r\n"
TOP_HEADER, TOP_BODY = TOP_MESSAGE.split(b"\r\n\r\n", 1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 100, 9999999999])
def test_top_counts_lines_behind_the_empty_line(pop3: Bench, count: int) -> None:
    """RFC 1939 §7, TOP: the header's lines do not count, and 0 is not "all of it"."""
    pop3.put("alice", TOP_MESSAGE)
    session = login(pop3)
    assert session.ask(b"TOP 1 %d" % count).startswith(b"+OK")
    body = b"".join(TOP_BODY.splitlines(keepends=True)[: min(count, 100)])
    assert unstuffed(session.listing()) == TOP_HEADER + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "message", [b"Subject: x\n", b"Subject: x", b"Subject: x\n\n", b"Subject: x\r\n\r\n"]
)
@pytest.mark.parametrize("count", [0, 5])
def test_top_ends_the_header_even_when_there_is_no_body(
    pop3: Bench, message: bytes, count: int
) -> None:
    pop3.put("alice", message)
    session = login(pop3)
    session.ask(b"TOP 1 %d" % count)
    assert session.listing() == [b"Subject: x", b""]


@rfc("1939", "7", 2)
@pytest.mark.parametrize("arguments", [b"", b" 1", b" 1 -1", b" 1 x", b" 1 0 0"])
def test_top_needs_two_numbers(pop3: Bench, arguments: bytes) -> None:
    pop3.put("alice", TOP_MESSAGE)
    session = login(pop3)
    assert session.ask(b"TOP" + arguments).startswith(b"-ERR")


# -- UIDL ---------------------------------------------------------------------------------


def uidl(session: Running) -> list[bytes]:
    assert session.ask(b"UIDL").startswith(b"+OK")
    return [line.split()[1] for line in session.listing()]


def remove_index(maildir: Path) -> list[Path]:
    found = [path for path in maildir.glob("pymaild.index*") if path.is_file()]
    for path in found:
        path.unlink()
    return found


@rfc("1939", "7", 4)
def test_unique_ids_stay(pop3: Bench) -> None:
    """RFC 1939 §7: across sessions, deletions and a lost index."""
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    first = uidl(session)
    assert len(set(first)) == 3
    assert all(len(name) == 16 for name in first)
    assert session.ask(b"UIDL 2") == b"+OK 2 " + first[1]
    session.ask(b"DELE 1")
    session.ask(b"QUIT")
    session.wait()
    session = login(pop3)
    assert uidl(session) == first[1:]
    session.close()
    assert remove_index(stores.directory(pop3.folder / "mail" / "alice" / "Maildir"))
    assert uidl(login(pop3)) == first[1:]


@pytest.mark.parametrize("text", ["%v-%u", "%f"])
def test_unique_ids_in_another_form(pop3: Bench, text: str) -> None:
    uids = pop3.put("alice", *MESSAGES)
    pop3.configure(uidl_format=text)
    session = login(pop3)
    found = uidl(session)
    session.ask(b"QUIT")
    assert len(set(found)) == 3
    if text == "%v-%u":
        assert [int(name.split(b"-")[1]) for name in found] == uids
    assert uidl(login(pop3)) == found


# -- the lock -----------------------------------------------------------------------------


@rfc("1939", "4", 3)
def test_the_maildrop_has_one_session(pop3: Bench) -> None:
    """RFC 1939 §4, RFC 2449 §8.1.2: the second is told IN-USE, until the first has gone."""
    first = login(pop3)
    second = pop3.start()
    second.line()
    second.ask(b"USER alice")
    assert second.ask(b"PASS secret").startswith(b"-ERR [IN-USE] ")
    assert second.rest() == b""
    first.close()
    login(pop3)


def test_quit_has_let_go_before_it_is_answered(pop3: Bench) -> None:
    for _ in range(20):
        session = login(pop3)
        assert session.ask(b"QUIT").startswith(b"+OK")


# -- mail that others touch ---------------------------------------------------------------


@rfc("1939", "4", 3)
def test_numbers_stay_while_others_deliver_and_remove(pop3: Bench) -> None:
    """RFC 1939 §3: the session's view does not change."""
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    total = session.ask(b"STAT")
    selected = inbox(pop3)
    selected.mailbox.expunge([selected.view.uid(1)])
    selected.close()
    pop3.put("alice", MESSAGES[0])
    assert session.ask(b"STAT") == total
    assert session.ask(b"RETR 1").startswith(b"-ERR")
    assert session.ask(b"RETR 2").startswith(b"+OK")
    session.listing()
    session.ask(b"DELE 1")
    assert session.ask(b"QUIT").startswith(b"+OK")


def test_a_bug_is_answered_with_its_id_and_the_session_goes_on(
    pop3: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    session.session._drop._selected.view = None  # what no program would do
    reply = session.ask(b"STAT")
    assert reply.startswith(b"-ERR [SYS/TEMP] Internal error, reference ")
    assert reply.split()[-1].decode() in caplog.text
    assert pop3.board.counts["bugs"] == 1
    assert session.ask(b"NOOP").startswith(b"+OK")


# -- the loop -----------------------------------------------------------------------------


@rfc("2449", "6.6", 1)
def test_pipelining(pop3: Bench) -> None:
    """RFC 2449 §6.6: all commands at once, all replies in order."""
    pop3.put("alice", *MESSAGES)
    session = pop3.start()
    session.send(b"USER alice\r\nPASS secret\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nNOOP\r\nQUIT\r\n")
    lines = session.rest().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"+OK")][-1] == b"+OK Bye, 1 messages deleted"
    assert len([line for line in lines if line.startswith((b"+OK", b"-ERR"))]) == 8


def test_octet_by_octet(pop3: Bench) -> None:
    pop3.put("alice", *MESSAGES)
    session = pop3.start()
    for octet in b"USER alice\r\nPASS secret\nSTAT\r\nQUIT\r\n":
        session.send(bytes([octet]))
    assert len(session.rest().split(b"\r\n")) == 6


def test_long_lines_and_wrong_commands_are_counted(pop3: Bench) -> None:
    pop3.configure(bad_commands=3)
    session = pop3.start()
    session.line()
    assert session.ask(b"X" * 5000).startswith(b"-ERR")
    assert session.ask(b"\0\xff").startswith(b"-ERR")
    assert session.ask(b"CAPA").startswith(b"+OK")
    session.listing()
    for _ in range(3):
        assert session.ask(b"LAST").startswith(b"-ERR")
    assert session.rest() == b""


@rfc("2449", "4", 1)
def test_commands_of_255_octets_are_understood(pop3: Bench) -> None:
    """RFC 2449 §4."""
    session = pop3.start()
    session.line()
    assert session.ask(b"USER " + b"x" * 248).startswith(b"+OK")


@rfc("1939", "6", 1)
@rfc("1939", "3", 7)
def test_autologout_without_a_word(pop3: Bench) -> None:
    """RFC 1939 §3: no UPDATE, no reply; before and after the login."""
    pop3.put("alice", *MESSAGES)
    pop3.configure(idle_timeout=0.05)
    session = login(pop3)
    session.send(b"DELE 1\r\n")
    assert session.rest() in (b"", b"+OK Message 1 marked for deletion\r\n")
    assert session.wait() is Ending.CLOSED
    pop3.configure(idle_timeout=600.0, login_timeout=0.05)
    session = pop3.start()
    session.line()
    assert session.rest() == b""
    pop3.configure(login_timeout=60.0)
    assert login(pop3).ask(b"STAT").startswith(b"+OK 3 ")


def test_drain_before_the_login_and_after(pop3: Bench) -> None:
    """A session that is not logged in is sent away; one that is may finish."""
    waiting, working = pop3.start(), login(pop3)
    waiting.line()
    for session in (waiting, working):
        session.supervisor.leave("The server is restarting")  # type: ignore[attr-defined]
    assert waiting.rest() == b"-ERR [SYS/TEMP] The server is restarting\r\n"
    assert working.ask(b"NOOP").startswith(b"+OK")
    assert working.ask(b"QUIT").startswith(b"+OK")


# -- the record ---------------------------------------------------------------------------


def test_a_session_goes_on_from_its_record(pop3: Bench) -> None:
    """Deletions, view and unread input travel; the greeting is not said again."""
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    session.ask(b"DELE 2")
    session.ask(b"RETR 1")
    session.listing()
    copy = Pop3Record.decode(session.record.encode())
    session.close()
    pop3.put("alice", MESSAGES[0])
    copy.unread = b"STAT\r\n"
    session = pop3.start(copy)
    assert session.line() == b"+OK 2 %d" % (len(crlf()[0]) + len(crlf()[2]))
    assert session.ask(b"QUIT") == b"+OK Bye, 1 messages deleted"
    session.wait()
    assert seen(pop3) == [True, False, False]


def test_a_record_whose_maildrop_was_renumbered_is_refused(pop3: Bench) -> None:
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    copy = Pop3Record.decode(session.record.encode())
    session.close()
    copy.uidvalidity += 1
    assert pop3.start(copy).rest().startswith(b"-ERR [SYS/PERM] ")


def test_a_system_users_maildrop_is_opened_by_the_process_that_keeps_it(pop3: Bench) -> None:
    """The reply to PASS waits until the lock is held: IN-USE can still be told."""
    record = pop3.record(greeted=True, state="authenticated", user=pop3.user("alice"))
    session = pop3.start(record)
    assert session.line().startswith(b"+OK Logged in")
    second = pop3.start(pop3.record(greeted=True, state="authenticated", user=pop3.user("alice")))
    assert second.rest().startswith(b"-ERR [IN-USE] ")


# -- poplib -------------------------------------------------------------------------------


class Client(poplib.POP3):
    """poplib over a socket that is connected already."""

    def __init__(self, connected: socket.socket) -> None:
        self._given = connected
        super().__init__("test")

    def _create_socket(self, timeout: float) -> socket.socket:
        return self._given


def test_poplib(pop3: Bench) -> None:
    pop3.put("alice", *MESSAGES)
    client = Client(pop3.start().client)
    assert client.capa()["EXPIRE"] == ["NEVER"]
    client.user("alice")
    client.pass_("secret")
    assert client.stat() == (3, sum(map(len, crlf())))
    for number, message in enumerate(crlf(), 1):
        assert client.retr(number)[1] == message.splitlines()
        assert len(client.uidl(number).split()[2]) == 16
    assert client.top(1, 1)[1] == [b"Subject: one", b"", b"first line"]
    client.dele(1)
    client.rset()
    client.dele(3)
    client.quit()
    assert seen(pop3) == [True, True]


@rfc("1939", "11", 1)
def test_big_message(pop3: Bench) -> None:
    """Pieces are stuffed across their ends; every line of this one begins with dots."""
    message = b"Subject: big\r\n\r\n" + b"".join(
        b"." * (n % 7) + b"x%d\r\n" % n for n in range(200_000)
    )
    pop3.put("alice", message)
    client = Client(pop3.start().client)
    client.user("alice")
    client.pass_("secret")
    assert client.list(1).split()[2] == b"%d" % len(message)
    assert b"\r\n".join(client.retr(1)[1]) + b"\r\n" == message
    client.quit()
