"""Nothing a client sends is a bug of ours: half-right commands in any order."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from tests.pop3.conftest import MESSAGES
from tests.support.sessions import Bench

WORDS = (
    *(b"CAPA STLS USER PASS AUTH STAT LIST UIDL RETR TOP DELE NOOP RSET LAST".split()),
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
