"""Every command in every state of a transaction (RFC 5321 §4.1.4, RFC 2033 §4.2)."""

from __future__ import annotations

import re

import pytest

from pymaild.lmtp.commands import COMMANDS, EXTENSIONS
from pymaild.lmtp.record import State
from tests.lmtp.conftest import ready, with_recipients
from tests.support.rfc import rfc
from tests.support.sessions import Bench, Running

#: One valid use of each command, and its reply code in CONNECTED, READY, MAIL, RECIPIENTS, CHUNKS.
GRID = {
    b"LHLO": (b"LHLO x", (250, 250, 250, 250, 250)),
    b"MAIL": (b"MAIL FROM:<a@example.org>", (503, 250, 503, 503, 503)),
    b"RCPT": (b"RCPT TO:<alice@example.org>", (503, 503, 250, 250, 503)),
    b"DATA": (b"DATA", (503, 503, 503, 354, 503)),
    b"BDAT": (b"BDAT 0", (503, 503, 503, 250, 250)),
    b"RSET": (b"RSET", (250, 250, 250, 250, 250)),
    b"VRFY": (b"VRFY alice", (252, 252, 252, 252, 252)),
    b"HELP": (b"HELP", (214, 214, 214, 214, 214)),
    b"NOOP": (b"NOOP", (250, 250, 250, 250, 250)),
    b"QUIT": (b"QUIT", (221, 221, 221, 221, 221)),
}
#: RFC 2033 §4.1 wants no positive reply to HELO and EHLO, and recommends 500.
UNKNOWN = (b"HELO x", b"EHLO x", b"EXPN list", b"STARTTLS", b"AUTH PLAIN", b"", b" NOOP", b"\0\xff")


def in_state(bench: Bench, state: State) -> Running:
    if state is State.CONNECTED:
        session = bench.start()
        session.line()
    elif state is State.READY:
        session = ready(bench)
    else:
        session = with_recipients(bench, *(["bob"] if state is not State.MAIL else []))
        if state is State.CHUNKS:
            session.send(b"BDAT 2\r\nX:")
            assert session.line().startswith(b"250 2.0.0 ")
    return session


def test_the_grid_is_the_table() -> None:
    assert set(GRID) == set(COMMANDS)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", GRID)
def test_grid(lmtp: Bench, name: bytes, state: State) -> None:
    use, codes = GRID[name]
    session = in_state(lmtp, state)
    assert session.record.state == state
    assert int(session.ask(use)[:3]) == codes[list(State).index(state)]


@rfc("2033", "4.1", 1, 2)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command", UNKNOWN)
def test_unknown_commands(lmtp: Bench, command: bytes, state: State) -> None:
    assert in_state(lmtp, state).ask(command) == b"500 5.5.1 Unknown command"


@pytest.mark.parametrize(
    "command",
    [
        b"LHLO",
        b"LHLO ",
        b"LHLO two words",
        b"LHLO \xff",
        b"MAIL",
        b"MAIL TO:<a@b>",
        b"MAIL FROM:<a@b>SIZE=1",
        b"MAIL FROM:<a@b> SIZE=1 SIZE=2",
        b"MAIL FROM:<a@b> SIZE=x",
        b"MAIL FROM:<a@b> SIZE=" + b"9" * 21,
        b"MAIL FROM:<a@b> SMTPUTF8=yes",
        b"MAIL FROM:<a@b> =1",
        b"MAIL FROM:<\xff@b>",
        b"RSET now",
        b"QUIT now",
        b"VRFY",
    ],
)
def test_arguments_that_are_wrong(lmtp: Bench, command: bytes) -> None:
    session = ready(lmtp)
    assert session.ask(command).startswith(b"501 5.5.4 ")
    assert session.ask(b"NOOP").startswith(b"250 2.0.0 ")


@rfc("2033", "5", 2, 3)
def test_lhlo_announces_the_extensions(lmtp: Bench) -> None:
    """RFC 2033 §4.1, §5."""
    session = lmtp.start()
    assert session.line() == b"220 mail.example.org LMTP ready"
    session.send(b"lhlo [192.0.2.1]\r\n")
    assert session.lines(7) == [
        b"250-mail.example.org",
        b"250-PIPELINING",
        b"250-SIZE %d" % lmtp.mail.message_size,
        b"250-8BITMIME",
        b"250-ENHANCEDSTATUSCODES",
        b"250-SMTPUTF8",
        b"250 CHUNKING",
    ]


def test_every_reply_has_a_status_of_its_class(lmtp: Bench) -> None:
    """RFC 2034 §4: the class of the status code is the first digit of the reply code."""
    session = in_state(lmtp, State.RECIPIENTS)
    for use, codes in GRID.values():
        if codes[3] in (354, 221) or use.startswith(b"LHLO"):
            continue
        reply = session.ask(use)
        assert re.match(rb"([245])\d\d \1\.\d{1,3}\.\d{1,3} ", reply), reply
    for command in UNKNOWN:
        assert re.match(rb"(5)\d\d 5\.\d\.\d ", session.ask(command))


def test_every_row_names_its_place() -> None:
    for row in (*COMMANDS.values(), *EXTENSIONS):
        assert re.fullmatch(r"RFC \d{4} §[\d.]+(, RFC \d{4} §[\d.]+)*", row.place)
