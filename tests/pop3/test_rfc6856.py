"""UTF8 and LANG (RFC 6856)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pymaild.core.session import Ending
from pymaild.core.texts import LANGUAGES
from pymaild.pop3.record import Pop3Record
from tests.pop3.conftest import MESSAGES, elsewhere, login
from tests.support.rfc import rfc
from tests.support.sessions import Bench, Running

WIDE = "From: Jörg <jörg@example.org>\r\nSubject: Grüße\r\n\r\nHallo\r\n.\r\n".encode()
INSIDE = (
    b"Subject: plain\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: message/rfc822\r\n\r\n" + WIDE + b"\r\n--b--\r\n"
)
BODY = (
    "Subject: plain\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n"
).encode()


@pytest.fixture
def strict(pop3: Bench) -> Bench:
    """A server that sends such header fields to those alone who asked for UTF8."""
    pop3.switch(pop3_raw_headers=False)
    pop3.put("alice", WIDE, INSIDE, BODY, MESSAGES[0])
    return pop3


def enter(session: Running, name: str = "alice", password: str = "secret") -> bytes:
    """Log in; returns the last reply."""
    session.ask(b"USER " + name.encode())
    return session.ask(b"PASS " + password.encode())


def utf8(bench: Bench) -> Running:
    """A session in the TRANSACTION state and UTF-8 mode."""
    session = bench.start()
    session.line()
    assert session.ask(b"UTF8").startswith(b"+OK")
    assert enter(session).startswith(b"+OK")
    return session


def retrieved(session: Running, command: bytes) -> bytes:
    """What a command sends behind its status line, byte-stuffing undone."""
    assert session.ask(command).startswith(b"+OK")
    lines = [line.removeprefix(b".") for line in session.listing()]
    return b"".join(line + b"\r\n" for line in lines)


# -- UTF8 ---------------------------------------------------------------------------------


@rfc("6856", "2.1", 1)
def test_in_utf8_mode_messages_come_as_they_are(strict: Bench) -> None:
    session = utf8(strict)
    assert [retrieved(session, b"RETR %d" % n) for n in (1, 2, 3)] == [WIDE, INSIDE, BODY]
    assert retrieved(session, b"TOP 1 0") == WIDE[: WIDE.index(b"Hallo")]


@rfc("6856", "2.1", 2, 3)
@pytest.mark.parametrize("number", [1, 2])
def test_without_it_what_needs_it_is_refused(strict: Bench, number: int) -> None:
    session = login(strict)
    for command in (b"RETR %d", b"TOP %d 0", b"TOP %d 5"):
        reply = session.ask(command % number)
        assert reply.startswith(b"-ERR [UTF8] ")
    assert session.record.seen == []
    assert retrieved(session, b"RETR 3") == BODY  # MIME says how to read this body
    assert retrieved(session, b"RETR 4") == MESSAGES[0]
    assert session.ask(b"DELE %d" % number).startswith(b"+OK")


def test_by_default_nobodys_mail_is_out_of_reach(pop3: Bench) -> None:
    pop3.put("alice", WIDE)
    assert retrieved(login(pop3), b"RETR 1") == WIDE


@rfc("6856", "2.1", 4)
def test_list_tells_what_retr_sends(strict: Bench) -> None:
    session = utf8(strict)
    session.ask(b"LIST")
    sizes = [int(line.split()[1]) for line in session.listing()]
    assert sizes == [len(retrieved(session, b"RETR %d" % n)) for n in (1, 2, 3, 4)]


def test_the_mode_goes_on_in_another_process(strict: Bench) -> None:
    session = utf8(strict)
    again = elsewhere(strict, session)
    assert retrieved(again, b"RETR 1") == WIDE


@rfc("6856", "2.1", 5)
def test_stls_comes_first(pop3: Bench) -> None:
    session = pop3.start()
    session.line()
    assert session.ask(b"UTF8").startswith(b"+OK")
    assert session.ask(b"STLS") == b"-ERR STLS comes before UTF8"
    assert enter(session).startswith(b"+OK")


# -- names and passwords ------------------------------------------------------------------


def add(bench: Bench, name: str, password: str) -> None:
    """Let one more user in."""
    bench.add_user(name)
    text = bench.auth.users.read_text()
    bench.auth.users.write_text(
        text.replace(f"{name}:{{PLAIN}}secret", f"{name}:{{PLAIN}}{password}")
    )


@rfc("6856", "2.2", 1, 4)
@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("jörg", "geheim für mich"),
        ("jo\u0308rg", "geheim fu\u0308r mich"),
        ("JÖRG", "geheim\u00a0für\u2003mich"),
        ("j\u00ado\u0308rg", "geheim für mich"),
    ],
)
def test_names_and_passwords_are_prepared(pop3: Bench, name: str, password: str) -> None:
    add(pop3, "jörg", "geheim für mich")
    session = pop3.start()
    session.line()
    assert enter(session, name, password).startswith(b"+OK")


@rfc("6856", "2.2", 4)
def test_characters_that_are_newer_than_saslprep_are_no_obstacle(pop3: Bench) -> None:
    """As in a query: what has no meaning yet may have one where it is stored."""
    add(pop3, "alice", "geheim \U0001f600")
    session = pop3.start()
    session.line()
    assert enter(session, "alice", "geheim \U0001f600").startswith(b"+OK")


FORBIDDEN = [
    "\u200e",
    "\u0085",
    "\ue000",
    "\ufffe",
    "\ufffd",
    "\u2ff0",
    "\u0341",
    "\U000e0001",
    "\x7f",
]


@rfc("6856", "2.2", 3)
@pytest.mark.parametrize("character", FORBIDDEN)
def test_characters_that_saslprep_forbids_are_rejected(pop3: Bench, character: str) -> None:
    add(pop3, "alice", f"secret{character}")
    session = pop3.start()
    session.line()
    assert enter(session, "alice", f"secret{character}").startswith(b"-ERR [AUTH] ")
    assert enter(session, f"alice{character}", "secret").startswith(b"-ERR [AUTH] ")


@rfc("6856", "2.2", 7)
@pytest.mark.parametrize("octets", [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"j\xf6rg"])
def test_what_is_not_utf8_is_rejected(pop3: Bench, octets: bytes) -> None:
    session = pop3.start()
    session.line()
    assert session.ask(b"USER " + octets).startswith(b"-ERR [AUTH] ")
    session.ask(b"USER alice")
    assert session.ask(b"PASS " + octets).startswith(b"-ERR [AUTH] ")


# -- LANG ---------------------------------------------------------------------------------


def test_languages_are_listed_in_themselves(pop3: Bench) -> None:
    for session in (pop3.start(), login(pop3)):
        session.send(b"NOOP\r\nLANG\r\n")
        while session.line() != b"+OK Languages follow":
            pass
        told = [f"{tag} {name}".encode() for tag, name in LANGUAGES.items()]
        assert session.listing() == told
        assert session.record.language == ""


def test_texts_are_in_the_language_chosen(pop3: Bench) -> None:
    pop3.put("alice", *MESSAGES)
    session = pop3.start()
    session.line()
    assert session.ask(b"LANG de-AT") == b"+OK de Das ist ab hier die Sprache"
    assert session.ask(b"LAST") == b"-ERR Unbekannter Befehl"
    assert session.ask(b"STAT") == b"-ERR In diesem Zustand nicht erlaubt"
    assert enter(session, "alice", "wrong") == b"-ERR [AUTH] Anmeldung gescheitert"
    assert enter(session) == b"+OK Angemeldet, 3 Nachrichten"
    assert session.ask(b"STAT").startswith(b"+OK 3 ")
    assert session.ask(b"LIST 1").startswith(b"+OK 1 ")
    assert session.ask(b"DELE 1").decode().startswith("+OK ")
    assert session.ask(b"QUIT").decode() == "+OK Auf Wiedersehen, 1 Nachrichten gelöscht"


def test_what_nobody_speaks_leaves_the_language_as_it_was(pop3: Bench) -> None:
    session = login(pop3)
    assert session.ask(b"LANG uga") == b"-ERR This language is not spoken here"
    session.ask(b"LANG de")
    for wanted in (b"uga", b"de-", b"\xff", b"d*"):
        assert session.ask(b"LANG " + wanted) == b"-ERR Diese Sprache wird hier nicht gesprochen"
    assert session.ask(b"LANG en") == b"+OK en This is the language from here on"
    assert session.ask(b"NOOP") == b"+OK Still here"


def test_a_star_is_what_the_administrator_prefers(pop3: Bench) -> None:
    assert login(pop3).ask(b"LANG *").startswith(b"+OK i-default ")
    pop3.mail = replace(pop3.mail, language="de")
    assert login(pop3, b"bob").ask(b"LANG *").startswith(b"+OK de ")


def test_the_language_goes_on_in_another_process(pop3: Bench) -> None:
    session = login(pop3)
    session.ask(b"LANG de")
    again = elsewhere(pop3, session)
    assert again.ask(b"NOOP") == b"+OK Noch da"


def test_who_is_sent_away_is_told_in_the_language(pop3: Bench) -> None:
    session = pop3.start()
    session.line()
    session.ask(b"LANG de")
    session.supervisor.leave("Server is shutting down")  # type: ignore[attr-defined]
    assert session.line() == b"-ERR [SYS/TEMP] Der Server wird beendet"


def test_what_was_said_before_tls_is_forgotten(pop3: Bench) -> None:
    session = pop3.start()
    session.line()
    session.ask(b"LANG de")
    assert session.ask(b"STLS") == b"+OK TLS-Aushandlung kann beginnen"
    assert session.wait() is Ending.TLS
    again = pop3.start(Pop3Record.decode(session.record.encode()), tls=True)
    assert again.ask(b"NOOP") == b"-ERR Not allowed in this state"
