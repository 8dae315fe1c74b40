"""Nothing a sender sends is a bug of ours: half-right commands and chunks in any order."""

from __future__ import annotations

import random
import re
from contextlib import suppress

import pytest

from tests.support.sessions import Bench

LINES = (
    b"LHLO x",
    b"MAIL FROM:<a@b>",
    b"MAIL FROM:<> BODY=8BITMIME SMTPUTF8 SIZE=1",
    b"MAIL FROM:<\xc3\xa4@b>",
    b"RCPT TO:<alice>",
    b"RCPT TO:<bob+x@example.org>",
    b"RCPT TO:<nobody>",
    b'RCPT TO:<"\\"@b>',
    b"RCPT TO:<" + b"a" * 3000 + b">",
    b"DATA",
    b".",
    b"BDAT 5\r\nABCDE",
    b"BDAT 0 LAST",
    b"BDAT 3 LAST\r\n\r\n.",
    b"RSET",
    b"NOOP x",
    b"VRFY \xff",
    b"HELP",
    b"EHLO x",
    b"\0",
    b"x" * 10000,
    b"",
)


@pytest.mark.parametrize("seed", range(40))
def test_noise(lmtp: Bench, seed: int) -> None:
    lmtp.configure(bad_commands=1000)
    chance = random.Random(seed)
    lines = [b"LHLO x", *chance.choices(LINES, k=60), b"", b".", b"", b".", b"QUIT"]
    session = lmtp.start()
    with suppress(BrokenPipeError):  # the session may end before it has read all
        session.send(b"".join(line + b"\r\n" for line in lines))
    replies = session.rest().split(b"\r\n")
    session.wait()
    assert replies.pop() == b""
    assert all(re.match(rb"[2345]\d\d[ -]", reply) for reply in replies)
    assert lmtp.board.counts["bugs"] == 0
