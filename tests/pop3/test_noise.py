"""Nothing a client sends is a bug of ours: half-right commands in any order."""

from __future__ import annotations

import random
import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymaild.pop3.commands import COMMANDS
from tests.pop3.conftest import MESSAGES, login
from tests.support.sessions import Bench

WORDS = (
    *sorted(COMMANDS.keys() - {b"QUIT"}),
    *(b"LAST", b"APOP"),
    *(b"alice secret PLAIN LOGIN = * AGFsaWNlAHNlY3JldA== YWxpY2U= c2VjcmV0 1 2 3 4 0 -1".split()),
    *(b"99999999999999999999", b"\0", b"\xff\xfe", b"%s", b"", b"x" * 3000, b"[AUTH]"),
)
ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n")


def noise(chance: random.Random) -> bytes:
    lines = []
    for _ in range(40):
        words = chance.choices(WORDS, k=chance.choice((1, 1, 2, 2, 3, 4)))
        lines.append(b" ".join(words) + chance.choice(ENDS))
        if chance.random() < 0.1:
            lines.append(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n")
    return b"".join(lines)


@pytest.mark.parametrize("seed", range(40))
def test_noise(pop3: Bench, seed: int) -> None:
    pop3.put("alice", *MESSAGES)
    pop3.configure(bad_commands=1000, login_attempts=1000)
    chance = random.Random(seed)
    session = pop3.start(tls=chance.random() < 0.5)
    with suppress(BrokenPipeError):  # the session may end before it has read all
        session.send(noise(chance) + b"\r\nQUIT\r\nQUIT\r\n")
    replies = session.rest()
    session.wait()
    assert replies.startswith(b"+OK")
    assert pop3.board.counts["bugs"] == 0


@pytest.mark.parametrize("name", sorted(COMMANDS))
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 0xFFFFFFFF))
def test_noise_behind_each_command(pop3: Bench, name: bytes, seed: int) -> None:
    """Whatever stands behind a command, it is answered, and so is what is asked next."""
    pop3.put("alice", MESSAGES[0])
    chance = random.Random(seed)
    inside = chance.random() < 0.7
    session = login(pop3) if inside else pop3.start()
    assert inside or session.line().startswith(b"+OK")
    words = chance.choices(WORDS, k=chance.choice((0, 1, 1, 2, 3)))
    session.send(b" ".join([name, *words]) + b"\r\n*\r\nCAPA\r\nQUIT\r\n")
    replies = session.rest()
    session.wait()
    assert re.match(rb"(\+OK|-ERR|\+ )[^\r\n]*\r\n", replies)
    assert b"\r\nUSER\r\n" in replies or name in (b"QUIT", b"STLS")
    assert pop3.board.counts["bugs"] == 0
