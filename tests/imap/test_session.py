"""The loop: greeting, limits, literals, outcomes, and what other processes take up."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass

import pytest

from pymaild.core.config_file import BadConfig, parse_config
from pymaild.core.errors import Code, Refused, StorageFailure
from pymaild.core.session import Ending, User
from pymaild.imap.record import ImapRecord
from pymaild.imap.settings import ImapSettings
from pymaild.imap.states import State
from pymaild.mail.account import Account
from tests.imap.conftest import ImapBench
from tests.support.rfc import rfc


@rfc("9051", "6.2.2", 12)
@rfc("3501", "6.2.2", 7)
def test_greeting_carries_the_capabilities(imap: ImapBench) -> None:
    """RFC 3501 §7.1, CAPABILITY."""
    client = imap.connect()
    told = client.told(client.ok("CAPABILITY"))
    assert client.greeting.code[0] == "CAPABILITY"
    assert told == [" ".join(map(str, client.greeting.code))]


def capabilities(imap: ImapBench, tls: bool = False, login: bool = False) -> set[str]:
    client = imap.connect(tls=tls)
    if login:
        client.ok("LOGIN alice secret")
    return set(map(str, client.ok("CAPABILITY").one("CAPABILITY").values[1:]))


@rfc("9051", "7.2.2", 2)
@rfc("9051", "6.2.1", 5)
@rfc("9051", "6.1.1", 1, 3, 4)
@rfc("3501", "9", 11)
@rfc("3501", "7.2.1", 1, 2)
@rfc("3501", "6.1.1", 1, 2, 3)
@rfc("2595", "2.2", 2)
def test_capabilities_depend_on_state_and_tls(imap: ImapBench) -> None:
    """RFC 3501 §6.1.1, §6.2.1, §6.2.3."""
    clear, inside = capabilities(imap), capabilities(imap, login=True)
    assert {"IMAP4rev1", "STARTTLS", "AUTH=PLAIN", "SASL-IR", "LITERAL+"} <= clear
    assert "IDLE" not in clear
    assert {"IMAP4rev1", "IDLE", "UIDPLUS", "MOVE", "SPECIAL-USE"} <= inside
    assert not {"STARTTLS", "AUTH=PLAIN", "LOGINDISABLED"} & inside
    assert "STARTTLS" not in capabilities(imap, tls=True)


@rfc("9051", "11.7", 2)
@rfc("3501", "11.2", 2)
@rfc("9051", "6.2.3", 3)
@rfc("9051", "6.2.2", 9)
@rfc("3501", "6.2.3", 2)
@rfc("3501", "6.2.2", 4)
@rfc("2595", "9", 4)
@rfc("2595", "6", 1)
@rfc("2595", "3.2", 1)
@rfc("2595", "2.3", 1)
@rfc("2595", "2.2", 1)
def test_passwords_need_tls(imap: ImapBench) -> None:
    """RFC 3501 §6.2.3, RFC 5530 §3: refused before the client sends name or password."""
    object.__setattr__(imap.auth.settings, "allow_plaintext", False)
    assert {"LOGINDISABLED", "STARTTLS"} <= capabilities(imap)
    assert "LOGINDISABLED" not in capabilities(imap, tls=True)
    client = imap.connect()
    assert client.no("LOGIN alice secret").code == "PRIVACYREQUIRED"
    assert client.no("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==").code == "PRIVACYREQUIRED"
    client.send(b"x LOGIN {5}\r\n")
    assert client.read().code == ["PRIVACYREQUIRED"]
    client.ok("NOOP")


def test_capabilities_can_be_hidden(imap: ImapBench) -> None:
    imap.configure(hide_capabilities=("move", "AUTH=LOGIN"))
    assert "AUTH=LOGIN" not in capabilities(imap)
    assert "MOVE" not in capabilities(imap, login=True)


@rfc("9051", "5.5", 2)
@rfc("3501", "5.5", 3)
def test_pipelined_commands_are_answered_in_order(mail: ImapBench) -> None:
    client = mail.connect()
    answers = client.pipeline(
        ["LOGIN alice secret", "SELECT INBOX", "STORE 1 +FLAGS (\\Deleted)", "EXPUNGE", "NOOP"]
    )
    assert [answer.status for answer in answers] == ["OK"] * 5
    assert client.told(answers[3]) == ["1 EXPUNGE", "2 RECENT"]


def test_commands_octet_by_octet(mail: ImapBench) -> None:
    client = mail.connect()
    client.trickle(b"a LOGIN {5}\r\n")
    assert client.read().tag == "+"
    client.trickle(b"alice {6+}\r\nsecret\r\nb SELECT INBOX\r\n")
    assert client.finish("a").status == "OK"
    assert client.finish("b").status == "OK"


# -- limits ------------------------------------------------------------------------------------


def test_long_command_is_refused_and_the_session_kept(imap: ImapBench) -> None:
    """RFC 2683 §3.2.1.5: BAD."""
    client = imap.login()
    numbers = ",".join(str(2 * number) for number in range(1, 200_000))
    answer = client.bad(f"FETCH {numbers} FLAGS")
    assert answer.code == "TOOBIG"
    client.ok("NOOP")


def test_literal_above_the_limit_is_refused_before_it_is_sent(imap: ImapBench) -> None:
    client = imap.connect()
    client.send(b"a LOGIN {100000}\r\n")
    assert client.read().code == ["TOOBIG"]
    client.send(b"b LOGIN alice {100000+}\r\n" + b"x" * 100_000 + b" {3+}\r\nabc\r\n")
    assert client.read().code == ["TOOBIG"]
    client.ok("LOGIN alice secret")


def test_deep_nesting_is_refused(imap: ImapBench) -> None:
    client = imap.connect()
    client.bad("X " + "(" * 500 + ")" * 500)
    client.ok("LOGIN alice secret")
    client.ok("SELECT INBOX")
    client.bad("SEARCH " + "(" * 51 + "ALL" + ")" * 51)
    assert client.no("SEARCH " + "NOT " * 60 + "ALL").code == "LIMIT"
    client.ok("SEARCH " + "NOT " * 40 + "ALL")


def test_literal_of_an_unknown_command_is_not_asked_for(imap: ImapBench) -> None:
    client = imap.connect()
    client.send(b"a FROB {10}\r\n")
    assert client.read().name == "BAD"
    client.send(b"b FROB {10+}\r\n0123456789 {2+}\r\n\r\n\r\nc APPEND x {10}\r\n")
    assert client.read().name == "BAD"
    assert client.read().name == "BAD"
    client.ok("NOOP")


@rfc("9051", "4.3", 3, 4)
@rfc("7888", "5", 1, 3, 5)
def test_literal_minus(imap: ImapBench) -> None:
    """RFC 7888 §5: above 4096 octets BAD with TOOBIG; the two are never both announced."""
    imap.configure(literal="minus")
    assert "LITERAL-" in capabilities(imap)
    assert "LITERAL+" not in capabilities(imap)
    client = imap.login()
    client.send(b"a APPEND INBOX {5000+}\r\n" + b"x" * 5000 + b"\r\n")
    reply = client.read()
    assert (reply.name, reply.code) == ("BAD", ["TOOBIG"])
    client.ok(b"APPEND INBOX {4096+}\r\n" + b"x" * 4096)
    client.appended("INBOX", b"x" * 5000)


@dataclass(frozen=True, slots=True)
class File:
    """A configuration with one section."""

    imap: ImapSettings


@rfc("3501", "5.4", 1)
@rfc("9051", "5.4", 1)
def test_half_an_hour_of_silence_is_the_least() -> None:
    """RFC 3501 §5.4: a file that asks for less is refused."""
    assert ImapSettings().idle_timeout >= 1800
    File(**parse_config('[imap]\nidle_timeout = "30m"\n', "pymaild.toml", File))
    with pytest.raises(BadConfig, match="idle_timeout"):
        parse_config('[imap]\nidle_timeout = "29m"\n', "pymaild.toml", File)


def test_silence_before_login_ends_with_bye(imap: ImapBench) -> None:
    imap.configure(unauthenticated_timeout=0.2)
    client = imap.connect()
    assert client.read().name == "BYE"
    assert client.ended()


def test_trickling_does_not_prolong_the_time_to_log_in(imap: ImapBench) -> None:
    imap.configure(unauthenticated_timeout=0.3)
    client = imap.connect()
    replies: list[str] = []
    while "BYE" not in replies:
        with suppress(BrokenPipeError):  # closed already: the BYE waits to be read
            client.send(b"a NOOP\r\n")
        replies.append(client.read().name)
    assert client.wait() is Ending.CLOSED


@rfc("9051", "3.4", 2)
@rfc("3501", "3.4", 2)
def test_silence_after_login_ends_with_bye(imap: ImapBench) -> None:
    """RFC 3501 §5.4."""
    imap.configure(idle_timeout=0.2)
    client = imap.login()
    assert client.read().name == "BYE"
    assert client.wait() is Ending.CLOSED


def test_the_server_can_end_an_idle_session(mail: ImapBench) -> None:
    client = mail.select()
    client.leave("Shutting down")
    reply = client.read()
    assert (reply.name, reply.text) == ("BYE", "Shutting down")
    assert client.ended()


def test_the_server_can_end_idle(mail: ImapBench) -> None:
    client = mail.select()
    client.idle()
    client.leave("Shutting down")
    assert client.read().name == "BYE"


def test_a_client_that_vanishes_leaves_quietly(mail: ImapBench) -> None:
    client = mail.select()
    client.socket.shutdown(socket.SHUT_RDWR)
    assert client.wait() is Ending.CLOSED


# -- outcomes ----------------------------------------------------------------------------------


def failing(error: Exception) -> object:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_a_bug_is_answered_with_its_reference(
    imap: ImapBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 5530 §3, SERVERBUG: the same id is in the log, the session goes on."""
    client = imap.login()
    monkeypatch.setattr(Account, "entries", failing(ZeroDivisionError("a secret path")))
    answer = client.no('LIST "" *')
    assert answer.code == "SERVERBUG"
    assert "secret" not in answer.tagged.text
    assert answer.tagged.text.rpartition(" ")[2] in caplog.text
    assert imap.board.counts["bugs"] == 1
    client.ok("NOOP")


def test_a_storage_failure_is_answered_no(
    imap: ImapBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = imap.login()
    failure = StorageFailure(Code.OVERQUOTA, "No space left for mail", "/secret: ENOSPC")
    monkeypatch.setattr(Account, "create", failing(failure))
    answer = client.no("CREATE x")
    assert answer.code == "OVERQUOTA"
    assert "/secret: ENOSPC" in caplog.text


def test_texts_for_clients_are_one_line_of_ascii(
    imap: ImapBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = imap.login()
    monkeypatch.setattr(Account, "create", failing(Refused(None, "a\r\nb \u00fc")))
    assert client.no("CREATE x").tagged.text == "a?b ?"


# -- going on elsewhere ------------------------------------------------------------------------


@rfc("9051", "6.2.1", 1)
def test_starttls_hands_the_session_over(imap: ImapBench) -> None:
    """RFC 3501 §6.2.1: the session goes on, not authenticated and not greeted again."""
    client = imap.connect()
    client.ok("STARTTLS")
    assert client.wait() is Ending.TLS
    record = ImapRecord.decode(client.record.encode())
    assert (record.state, record.greeted, record.unread) == (State.NOT_AUTHENTICATED, True, b"")
    resumed = imap.connect(record, tls=True)
    resumed.bad("STARTTLS")
    resumed.ok("LOGIN alice secret")


@rfc("9051", "6.2.1", 3)
def test_what_follows_starttls_is_thrown_away(imap: ImapBench) -> None:
    """RFC 9051 §6.2.1: what was sent in clear text is never taken for protected."""
    client = imap.connect()
    client.send(b"a STARTTLS\r\nb LOGIN alice secret\r\n")
    assert client.finish("a").status == "OK"
    assert client.wait() is Ending.TLS
    record = ImapRecord.decode(client.record.encode())
    assert (record.state, record.unread) == (State.NOT_AUTHENTICATED, b"")
    resumed = imap.connect(record, tls=True)
    assert resumed.told(resumed.ok("NOOP")) == []
    resumed.bad("SELECT INBOX")


def test_system_user_goes_on_in_another_process(mail: ImapBench) -> None:
    client = mail.connect()
    user = mail.user("alice")
    user.system, user.uid = True, 12345
    lookup = client.running.session.services.auth
    accepted = lookup.password("alice", b"secret", _facts())
    object.__setattr__(accepted, "user", user)
    object.__setattr__(accepted, "ticket", "a ticket")
    lookup.password = lambda *_: accepted
    client.send(b"a LOGIN alice secret\r\nb SELECT INBOX\r\nc NO")
    assert client.finish("a").status == "OK"
    assert client.wait() is Ending.USER
    record = ImapRecord.decode(client.record.encode())
    assert (record.state, record.unread) == (State.AUTHENTICATED, b"b SELECT INBOX\r\nc NO")
    assert record.ticket
    resumed = mail.connect(record)
    assert resumed.finish("b").status == "OK"
    resumed.send(b"OP\r\n")
    assert resumed.finish("c").status == "OK"
    assert resumed.record.ticket == ""


def _facts() -> object:
    from pymaild.auth.client import Facts

    return Facts("imap", "", False, "")


def test_selected_session_goes_on_where_it_was(mail: ImapBench) -> None:
    """The view, \\Recent and all, is in the record."""
    client = mail.select()
    client.ok("STORE 2 +FLAGS (\\Deleted)")
    client.leave("parked")
    assert client.read().name == "BYE"
    client.wait()
    record = ImapRecord.decode(client.record.encode())
    assert (record.state, record.mailbox) == (State.SELECTED, "INBOX")
    other = mail.select()
    other.ok("EXPUNGE")
    resumed = mail.connect(record)
    answer = resumed.ok("FETCH 1,3 (UID FLAGS)")
    assert resumed.told(answer) == [
        "1 FETCH (UID 1 FLAGS (\\Recent))",
        "3 FETCH (UID 3 FLAGS (\\Recent))",
    ]
    assert resumed.told(resumed.ok("NOOP")) == ["2 EXPUNGE", "2 RECENT"]


def test_idle_goes_on_in_another_process(mail: ImapBench) -> None:
    client = mail.select()
    tag = client.idle()
    client.leave("parked")
    assert client.read().name == "BYE"
    client.wait()
    record = ImapRecord.decode(client.record.encode())
    assert record.idling == tag
    resumed = mail.connect(record)
    mail.put("alice", b"Subject: new\r\n\r\n")
    assert resumed.until("EXISTS")[0].number == 4
    assert resumed.done(tag).status == "OK"
    assert resumed.record.idling == ""


def test_a_mailbox_that_is_gone_ends_the_resumed_session(mail: ImapBench) -> None:
    client = mail.select(mailbox="Archive")
    client.leave("parked")
    client.wait()
    record = ImapRecord.decode(client.record.encode())
    mail.account("alice").delete("Archive")
    resumed = mail.connect(record)
    assert resumed.read().name == "BYE"
    assert resumed.wait() is Ending.CLOSED


def test_a_session_that_cannot_be_resumed_goes_on_when_it_can(mail: ImapBench) -> None:
    """Until then each of its commands is refused, and none of what it knows is lost."""
    client = mail.select()
    client.leave("maintenance")
    assert client.read().name == "BYE"
    client.wait()
    record = ImapRecord.decode(client.record.encode())
    fails = [True]

    def open_account(user: User) -> Account:
        if fails[0]:
            raise StorageFailure(Code.UNAVAILABLE, "The mail store failed")
        return mail.sharing(user)

    mail.open_account = open_account
    resumed = mail.connect(record)
    resumed.count = client.count
    assert resumed.no("FETCH 1 (UID)").code == "UNAVAILABLE"
    assert resumed.no(b"APPEND INBOX {5+}\r\nhello").code == "UNAVAILABLE"
    mail.put("alice", b"Subject: four\r\n\r\n")
    fails[0] = False
    assert "4 EXISTS" in resumed.told(resumed.ok("NOOP"))


def test_a_session_whose_mailbox_nobody_may_open_ends(imap: ImapBench) -> None:
    record = imap.record(state="authenticated", greeted=True, user=User("alice"))
    imap.open_account = failing(Refused(Code.NOPERM, "Denied"))  # type: ignore[assignment]
    client = imap.connect(record)
    assert client.read().name == "BYE"


def test_too_many_connections_of_a_user(imap: ImapBench) -> None:
    imap.board.admits = False
    client = imap.connect()
    assert client.no("LOGIN alice secret").code == "LIMIT"
    assert client.record.user is None
    imap.board.admits = True
    client.ok("LOGIN alice secret")


def test_a_mailbox_deleted_by_another_session_ends_this_one(mail: ImapBench) -> None:
    client = mail.select(mailbox="Archive")
    mail.account("alice").delete("Archive")
    client.send(b"a NOOP\r\n")
    assert client.read().name == "BYE"
    assert client.wait() is Ending.CLOSED


def test_what_a_session_shows(mail: ImapBench) -> None:
    client = mail.select()
    client.ok('ID ("name" "Mail\\"er" "version" "1\t2" "x" NIL)')
    assert client.record.client == 'Mail"er 1?2'
    assert mail.board.notes[-1] == (State.SELECTED, "INBOX")
    client.ok("LOGOUT")
    assert mail.board.counts["commands"] == 4


def test_a_listener_can_hide_more(imap: ImapBench) -> None:
    session = imap.login(hidden=["IMAP4rev2", "MOVE"])
    told = session.ok("CAPABILITY").untagged[0].raw.split()
    assert not {b"IMAP4rev2", b"MOVE"} & set(told)
    assert session.ok("ENABLE IMAP4rev2").untagged[0].raw == b"* ENABLED\r\n"
    assert session.record.enabled == []


def test_what_a_user_has_hidden_comes_with_the_login(imap: ImapBench) -> None:
    with imap.auth.users.open("a") as file:
        file.write("carol:{PLAIN}secret::::::hide_capabilities=MOVE,IMAP4rev2\n")
    session = imap.connect()
    assert b"MOVE" not in session.ok("LOGIN carol secret").tagged.raw
    assert session.ok("ENABLE IMAP4rev2").untagged[0].raw == b"* ENABLED\r\n"
