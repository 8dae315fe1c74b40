"""What CAPA announces is kept: LOGIN-DELAY, EXPIRE, PIPELINING (RFC 2449 §6), and what it hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymaild.core.errors import ConfigError
from pymaild.core.session import Ending
from pymaild.pop3.settings import Pop3Settings
from tests.pop3.conftest import MESSAGES, elsewhere, login
from tests.support import stores
from tests.support.rfc import rfc
from tests.support.sessions import Bench, Running

DAY = 86400.0
PLAIN = b"AGFsaWNlAHNlY3JldA=="


def capabilities(session: Running) -> list[bytes]:
    """The lines of CAPA."""
    assert session.ask(b"CAPA").startswith(b"+OK")
    return session.listing()


def refused(bench: Bench, password: bytes = b"secret") -> bytes:
    """The reply to a login that is refused; the connection is closed behind it."""
    session = bench.start()
    session.line()
    session.ask(b"USER alice")
    return session.ask(b"PASS " + password)


def note(bench: Bench) -> Path:
    """Where the last login is noted."""
    return stores.directory(bench.folder / "mail/alice/Maildir") / "pymaild.pop3.lock"


# -- LOGIN-DELAY --------------------------------------------------------------------------


def test_without_a_delay_none_is_announced_or_noted(pop3: Bench) -> None:
    session = login(pop3)
    assert not any(line.startswith(b"LOGIN-DELAY") for line in capabilities(session))
    assert session.ask(b"QUIT").startswith(b"+OK")
    assert note(pop3).read_bytes() == b""
    login(pop3)


@rfc("2449", "6.5", 2)
def test_a_login_too_near_the_last_one_is_refused(pop3: Bench) -> None:
    pop3.configure(login_delay=DAY)
    session = login(pop3)
    assert b"LOGIN-DELAY 86400" in capabilities(session)
    session.ask(b"QUIT")
    assert refused(pop3).startswith(b"-ERR [LOGIN-DELAY] ")
    session = pop3.start()
    session.line()
    assert b"LOGIN-DELAY 86400" in capabilities(session)
    assert session.ask(b"AUTH PLAIN " + PLAIN).startswith(b"-ERR [LOGIN-DELAY] ")
    assert session.rest() == b""
    login(pop3, b"bob")


def test_who_is_refused_learns_nothing_without_the_password(pop3: Bench) -> None:
    pop3.configure(login_delay=DAY)
    login(pop3).ask(b"QUIT")
    assert refused(pop3, b"wrong").startswith(b"-ERR [AUTH] ")


def test_a_refused_login_does_not_begin_the_delay_anew(pop3: Bench) -> None:
    pop3.configure(login_delay=DAY)
    login(pop3).ask(b"QUIT")
    before = note(pop3).read_bytes()
    assert refused(pop3).startswith(b"-ERR [LOGIN-DELAY] ")
    assert note(pop3).read_bytes() == before


@pytest.mark.parametrize("written", [b"0", b"99999999999", b"", b"\0\0\0", b"yesterday", b"9" * 99])
def test_a_login_long_ago_or_a_note_without_sense_is_no_obstacle(
    pop3: Bench, written: bytes
) -> None:
    """So is a note from the future: a clock that was wrong locks nobody out."""
    note(pop3).write_bytes(written)
    pop3.configure(login_delay=DAY)
    login(pop3).ask(b"QUIT")
    assert refused(pop3).startswith(b"-ERR [LOGIN-DELAY] ")


def test_a_maildrop_in_use_is_told_first(pop3: Bench) -> None:
    pop3.configure(login_delay=DAY)
    login(pop3)
    assert refused(pop3).startswith(b"-ERR [IN-USE] ")


def test_a_session_that_goes_on_elsewhere_is_no_new_login(pop3: Bench) -> None:
    pop3.configure(login_delay=DAY)
    session = login(pop3)
    again = elsewhere(pop3, session)
    assert again.ask(b"STAT") == b"+OK 0 0"


def test_a_full_disk_keeps_nobody_from_making_room(pop3: Bench) -> None:
    """The note cannot be written; the login goes on without it."""
    pop3.put("alice", *MESSAGES)
    note(pop3).unlink(missing_ok=True)
    note(pop3).symlink_to("/dev/full")
    pop3.configure(login_delay=DAY)
    session = login(pop3)
    assert session.ask(b"DELE 1").startswith(b"+OK")
    assert session.ask(b"QUIT") == b"+OK Bye, 1 messages deleted"


# -- EXPIRE -------------------------------------------------------------------------------


@rfc("2449", "6.7", 1)
@pytest.mark.parametrize(
    ("expire", "line"), [("never", b"EXPIRE NEVER"), ("30", b"EXPIRE 30"), ("0", b"EXPIRE 0")]
)
def test_the_policy_of_the_site_is_announced(pop3: Bench, expire: str, line: bytes) -> None:
    pop3.configure(expire=expire)
    session = pop3.start()
    session.line()
    assert line in capabilities(session)
    assert line in capabilities(login(pop3))


@pytest.mark.parametrize("expire", ["", "soon", "-1", "1.5", "007", "30 USER", "999999"])
def test_a_policy_has_a_grammar(expire: str) -> None:
    with pytest.raises(ConfigError, match=r"pop3\.expire"):
        Pop3Settings(expire=expire)


def left(bench: Bench) -> list[bytes]:
    """The messages of the next session."""
    session = login(bench)
    session.ask(b"LIST")
    found = session.listing()
    session.ask(b"QUIT")
    return found


def test_what_may_not_be_left_here_goes_when_it_was_retrieved(pop3: Bench) -> None:
    pop3.configure(expire="0")
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    for command in (b"RETR 1", b"TOP 2 10", b"RETR 1"):
        session.ask(command)
        session.listing()
    session.ask(b"DELE 3")
    session.ask(b"RSET")
    assert session.ask(b"QUIT") == b"+OK Bye, 1 messages deleted"
    assert len(left(pop3)) == 2


def test_without_quit_nothing_goes(pop3: Bench) -> None:
    pop3.configure(expire="0")
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    session.ask(b"RETR 1")
    session.listing()
    session.close()
    assert len(left(pop3)) == 3


def test_what_was_retrieved_is_remembered_in_another_process(pop3: Bench) -> None:
    pop3.configure(expire="0")
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    session.ask(b"RETR 2")
    session.listing()
    again = elsewhere(pop3, session)
    assert again.ask(b"QUIT") == b"+OK Bye, 1 messages deleted"


@pytest.mark.parametrize("expire", ["never", "1"])
def test_in_other_cases_only_dele_deletes(pop3: Bench, expire: str) -> None:
    pop3.configure(expire=expire)
    pop3.put("alice", *MESSAGES)
    session = login(pop3)
    session.ask(b"RETR 1")
    session.listing()
    assert session.ask(b"QUIT") == b"+OK Bye"


# -- hiding -------------------------------------------------------------------------------


def test_what_is_hidden_is_not_announced(pop3: Bench) -> None:
    pop3.configure(hide_capabilities=("implementation",))
    lines = capabilities(login(pop3))
    assert not any(line.startswith(b"IMPLEMENTATION") for line in lines)
    assert b"UIDL" in lines


def test_a_listener_and_a_user_can_hide_more(pop3: Bench) -> None:
    with pop3.auth.users.open("a") as file:
        file.write("carl:{PLAIN}secret::::::hide_capabilities=LANG\n")
    session = pop3.start(pop3.record(hidden=["UTF8"]))
    session.line()
    assert {b"UTF8 USER", b"LANG"} & set(capabilities(session)) == {b"LANG"}
    session.ask(b"USER carl")
    assert session.ask(b"PASS secret").startswith(b"+OK")
    assert {b"UTF8 USER", b"LANG"} & set(capabilities(session)) == set()


# -- PIPELINING ---------------------------------------------------------------------------


@rfc("2449", "6.6", 1)
def test_an_exchange_of_auth_may_stand_between_other_commands(pop3: Bench) -> None:
    pop3.put("alice", *MESSAGES)
    session = pop3.start()
    session.send(
        b"CAPA\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n" + PLAIN + b"\r\nSTAT\r\nTOP 1 0\r\nQUIT\r\n"
    )
    replies = session.rest().split(b".\r\n", 1)[1].split(b"\r\n")
    assert replies[0] == b"+ "
    assert replies[1].startswith(b"-ERR")
    assert replies[2] == b"+ "
    assert replies[3] == b"+OK Logged in, 3 messages"
    assert replies[4].startswith(b"+OK 3 ")
    assert replies[-2].startswith(b"+OK Bye")


@rfc("2449", "6.6", 1)
def test_thousands_of_commands_in_one_packet(pop3: Bench) -> None:
    pop3.put("alice", MESSAGES[0])
    session = pop3.start()
    session.send(b"USER alice\r\nPASS secret\r\n" + b"NOOP\r\nLIST 1\r\n" * 4000 + b"QUIT\r\n")
    lines = session.rest().split(b"\r\n")
    size = lines[4]
    assert size.startswith(b"+OK 1 ")
    assert lines[3:-2] == [b"+OK Still here", size] * 4000


def test_a_message_and_what_is_asked_behind_it(pop3: Bench) -> None:
    pop3.put("alice", b"Subject: x\r\n\r\n" + b"line\r\n" * 100_000)
    session = login(pop3)
    session.send(b"RETR 1\r\nUIDL\r\nLAST\r\nRETR 1\r\n")
    session.line()
    assert len(session.listing()) == 100_002
    session.line()
    assert len(session.listing()) == 1
    assert session.line() == b"-ERR Unknown command"
    session.line()
    assert len(session.listing()) == 100_002


def test_what_stands_behind_stls_never_counts_as_protected(pop3: Bench) -> None:
    session = pop3.start()
    session.send(b"CAPA\r\nLANG de\r\nSTLS\r\nAUTH PLAIN " + PLAIN + b"\r\n")
    replies = session.rest()
    assert replies.endswith(b"-ERR Auf STLS darf nichts folgen, bevor TLS aktiv ist\r\n")
    assert session.wait() is Ending.CLOSED
    assert (session.record.unread, session.record.user) == (b"", None)
