"""DATA is undone wherever it is cut, and ends at CRLF "." CRLF alone (RFC 5321 §4.5.2)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.lmtp.data import DataDecoder


def decode(pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    decoder = DataDecoder()
    found = b""
    rest = b""
    for piece in pieces:
        if decoder.done:
            rest += piece
            continue
        found += decoder.feed(piece)
        rest = decoder.rest
        assert len(decoder._held) <= 4
    return found, rest, decoder.done


CASES = [
    (b".\r\n", b"", b""),
    (b"\r\n.\r\n", b"\r\n", b""),
    (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
    (b"..\r\n.\r\n", b".\r\n", b""),
    (b".a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n", b""),
    (b"a\r\n.\r\n.\r\n", b"a\r\n", b".\r\n"),
    # What other servers have taken for the end: it is content here.
    (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n", b""),
    (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n", b""),
    (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n", b""),
    (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n", b""),
    (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n", b""),
    (b"a\r\r\n.\r\nb", b"a\r\r\n", b"b"),
    (b"a\0b\xff\r\n.\r\n", b"a\0b\xff\r\n", b""),
]


@pytest.mark.parametrize(("wire", "message", "rest"), CASES)
def test_every_cut(wire: bytes, message: bytes, rest: bytes) -> None:
    assert decode([wire]) == (message, rest, True)
    assert decode([wire[i : i + 1] for i in range(len(wire))]) == (message, rest, True)
    for cut in range(1, len(wire)):
        assert decode([wire[:cut], wire[cut:]]) == (message, rest, True)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"x", b"\r", b"\n", b"\r\n."]), max_size=20),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_what_a_sender_stuffs_comes_back(parts: list[bytes], cuts: list[int]) -> None:
    message = b"".join(parts) + b"\r\n"
    lines = message.split(b"\r\n")[:-1]
    wire = b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    pieces = [wire[a:b] for a, b in pairwise(edges) if a != b]
    assert decode(pieces) == (message, b"", True)


def test_no_end_without_the_dot() -> None:
    assert decode([b"a\r\nb\r\n"]) == (b"a\r\nb", b"", False)
