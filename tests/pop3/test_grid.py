"""Every command in every state (RFC 1939 §3), and what CAPA says in each of them."""

from __future__ import annotations

import re

import pytest

from pymaild.pop3.capabilities import CAPABILITIES
from pymaild.pop3.commands import COMMANDS
from tests.pop3.conftest import MESSAGES, login
from tests.support.rfc import rfc
from tests.support.sessions import Bench, Running

#: One valid use of each command, and where the RFCs allow it: Authorization, Transaction.
GRID = {
    b"CAPA": (b"CAPA", "AT"),
    b"STLS": (b"STLS", "A"),
    b"USER": (b"USER alice", "A"),
    b"PASS": (b"PASS secret", "A"),
    b"AUTH": (b"AUTH", "A"),
    b"UTF8": (b"UTF8", "A"),
    b"LANG": (b"LANG en", "AT"),
    b"QUIT": (b"QUIT", "AT"),
    b"STAT": (b"STAT", "T"),
    b"LIST": (b"LIST 1", "T"),
    b"UIDL": (b"UIDL 1", "T"),
    b"RETR": (b"RETR 1", "T"),
    b"TOP": (b"TOP 1 0", "T"),
    b"DELE": (b"DELE 1", "T"),
    b"NOOP": (b"NOOP", "T"),
    b"RSET": (b"RSET", "T"),
}
#: Commands without a multi-line response in the uses above.
UNKNOWN = (b"LAST", b"APOP alice 0", b"XTND", b"HELO", b"", b" STAT", b"STAT\t", b"RETR1")


def in_state(bench: Bench, state: str) -> Running:
    bench.put("alice", *MESSAGES)
    if state == "T":
        return login(bench)
    session = bench.start()
    session.line()
    session.ask(b"USER alice")
    return session


def test_the_grid_is_the_table() -> None:
    assert set(GRID) == set(COMMANDS)


@rfc("1939", "15", 1)
@rfc("1939", "7", 1)
@rfc("1939", "3", 1, 4)
@pytest.mark.parametrize("state", "AT")
@pytest.mark.parametrize("name", GRID)
def test_grid(pop3: Bench, name: bytes, state: str) -> None:
    command, states = GRID[name]
    session = in_state(pop3, state)
    for spelling in (command.swapcase() if name != b"PASS" else command, command):
        reply = session.ask(spelling)
        if state not in states:
            assert reply == b"-ERR Not allowed in this state"
            continue
        assert reply.startswith(b"+OK")
        break


@rfc("1939", "3", 3)
@pytest.mark.parametrize("state", "AT")
@pytest.mark.parametrize("command", UNKNOWN)
def test_unknown_commands(pop3: Bench, command: bytes, state: str) -> None:
    """RFC 1939 §3: a negative status for what is not recognized."""
    assert in_state(pop3, state).ask(command) == b"-ERR Unknown command"


@rfc("1939", "3", 3)
@pytest.mark.parametrize("name", [n for n, (use, _) in GRID.items() if n not in (b"PASS", b"USER")])
def test_too_many_arguments(pop3: Bench, name: bytes) -> None:
    use, states = GRID[name]
    session = in_state(pop3, states[-1])
    assert session.ask(use + b" 1 2 3").startswith(b"-ERR")


@rfc("1939", "3", 3)
@rfc("1939", "7", 7, 9)
@pytest.mark.parametrize("name", [b"RETR", b"TOP", b"DELE", b"USER", b"PASS"])
def test_too_few_arguments(pop3: Bench, name: bytes) -> None:
    session = in_state(pop3, GRID[name][1][0])
    assert session.ask(name).startswith(b"-ERR")
    assert session.ask(name + b" ").startswith(b"-ERR")


def capabilities(session: Running) -> list[bytes]:
    assert session.ask(b"CAPA").startswith(b"+OK")
    return session.listing()


@rfc("3206", "5", 1)
@rfc("2595", "4", 1)
@rfc("2449", "5", 2, 5)
def test_capa_in_both_states(pop3: Bench) -> None:
    """RFC 2449 §5: what is announced before the login is announced after it as well.

    STLS is the exception that its RFC makes (RFC 2595 §4: permitted in the current state).
    """
    before = capabilities(in_state(pop3, "A"))
    after = capabilities(login(pop3))
    assert before == [
        b"TOP",
        b"UIDL",
        b"USER",
        b"SASL PLAIN LOGIN",
        b"STLS",
        b"PIPELINING",
        b"RESP-CODES",
        b"AUTH-RESP-CODE",
        b"EXPIRE NEVER",
        b"UTF8 USER",
        b"LANG",
    ]
    assert set(before) - {b"STLS"} <= set(after)
    assert [line.split(b"-")[0] for line in set(after) - set(before)] == [b"IMPLEMENTATION pymaild"]


def test_every_row_names_its_place() -> None:
    for row in (*COMMANDS.values(), *CAPABILITIES):
        assert re.fullmatch(r"RFC \d{4} §[\d.]+(, §[\d.]+)*", row.place)
