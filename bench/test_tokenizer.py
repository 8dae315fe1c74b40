"""The tokenizer alone: commands as clients send them, tokenized again and again."""

from __future__ import annotations

from typing import Any

import pytest

from pymaild import _parser

COMMANDS = {
    "noop": b"a1 NOOP\r\n",
    "login": b'a2 LOGIN "alice" "a secret"\r\n',
    "fetch": b"a3 UID FETCH 1:100,200:* (UID FLAGS INTERNALDATE RFC822.SIZE "
    b"BODY.PEEK[HEADER.FIELDS (From To Subject Date Message-ID)])\r\n",
    "search": b'a4 UID SEARCH RETURN (MIN MAX) UNSEEN SUBJECT "x y" OR (FROM a) (TO b)\r\n',
    "long set": b"a5 UID FETCH "
    + b",".join(b"%d" % n for n in range(1, 20_000, 2))
    + b" FLAGS\r\n",
}
BATCH = 1000


def tokenize(wire: bytes, times: int) -> int:
    """Feed the octets of ``times`` commands; returns how many were complete."""
    tokenizer = _parser.Tokenizer(65_536, 50)
    done = 0
    for _ in range(times):
        tokenizer.feed(wire)
        while tokenizer.next() == _parser.COMMAND:
            done += 1
    return done


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_tokenizer(benchmark: Any, name: str) -> None:
    """Whole commands at once."""
    assert benchmark(tokenize, COMMANDS[name], BATCH) == BATCH


def test_tokenizer_octet_by_octet(benchmark: Any) -> None:
    """The slowest way to send a command."""
    octets = [bytes([octet]) for octet in COMMANDS["fetch"]]

    def trickle() -> int:
        tokenizer = _parser.Tokenizer(65_536, 50)
        for octet in octets:
            tokenizer.feed(octet)
            state = tokenizer.next()
        return state

    assert benchmark(trickle) == _parser.COMMAND
