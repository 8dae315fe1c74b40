"""Byte-stuffing (RFC 1939 §3) at every place where a message may be cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.pop3.framing import first_lines, framed, with_empty_line


def oracle(message: bytes) -> bytes:
    """Line by line, as the RFC tells it."""
    lines = message.split(b"\r\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"


MESSAGES = [
    b"",
    b"\r\n",
    b".",
    b".\r\n",
    b"..\r\n",
    b"\r\n.\r\n.\r\n",
    b"Subject: x\r\n\r\n.first\r\n..second\r\nthird\r\n",
    b"no end",
    b"no end.",
    b"bare\r.cr\r\n.\r.\r\n",
    b"a\r\n\r\n.\r\r\n.",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_cut_in_two(message: bytes) -> None:
    for cut in range(len(message) + 1):
        assert b"".join(framed([message[:cut], message[cut:]])) == oracle(message)


@pytest.mark.parametrize("message", MESSAGES)
def test_octet_by_octet(message: bytes) -> None:
    octets = [message[i : i + 1] for i in range(len(message))]
    assert b"".join(framed(octets)) == oracle(message)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"x", b"\r", b"\r\n.", b"\r\n.\r\n"]), max_size=20),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_random_cuts(parts: list[bytes], cuts: list[int]) -> None:
    message = b"".join(parts)
    edges = [0, *sorted(min(cut, len(message)) for cut in cuts), len(message)]
    pieces = [message[a:b] for a, b in pairwise(edges)]
    assert b"".join(framed(pieces)) == oracle(message)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"A: b\r\n\r\n", b"A: b\r\n\r\n"),
        (b"A: b\r\n", b"A: b\r\n\r\n"),
        (b"A: b", b"A: b\r\n\r\n"),
        (b"\r\n", b"\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_the_empty_line_is_always_there(header: bytes, expected: bytes) -> None:
    assert with_empty_line(header) == expected


BODY = b"one\r\ntwo\r\n\r\nfour\r\nfive"


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_first_lines(count: int, size: int) -> None:
    pieces = [BODY[i : i + size] for i in range(0, len(BODY), size)]
    expected = b"".join(BODY.splitlines(keepends=True)[:count])
    assert b"".join(first_lines(pieces, count)) == expected


def test_no_line_means_that_nothing_is_read() -> None:
    def never() -> list[bytes]:
        raise AssertionError("the body was asked for")

    assert list(first_lines((piece for piece in [1] if never()), 0)) == []  # type: ignore[misc]
