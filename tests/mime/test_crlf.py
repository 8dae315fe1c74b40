"""Line ends of files and of the wire (RFC 9051 §2.3.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime._crlf import CrlfReader, LfStream, crlf_size, is_wire, to_crlf, to_lf
from tests.support.corpus import crlf

OCTETS = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"\0", b"bc"])).map(b"".join)


@pytest.mark.parametrize(
    ("stored", "wire"),
    [
        (b"", b""),
        (b"a", b"a"),
        (b"\n", b"\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\nb\n", b"a\r\nb\r\n"),
        (b"\r\r\n\r", b"\r\r\n\r"),
        (b"\n\n", b"\r\n\r\n"),
    ],
)
def test_whole(stored: bytes, wire: bytes) -> None:
    assert to_crlf(stored) == to_crlf(memoryview(stored)) == wire
    assert crlf_size(stored) == len(wire)


@given(OCTETS)
def test_whole_against_a_pattern(data: bytes) -> None:
    assert to_crlf(data) == crlf(data)
    assert crlf_size(data) == len(crlf(data))
    assert to_lf(data) == data.replace(b"\r\n", b"\n")
    assert is_wire(data) == (crlf(data) == data and b"\0" not in data)


@given(st.lists(OCTETS))
def test_pieces(pieces: list[bytes]) -> None:
    """A stream cut anywhere, also between CR and LF, converts as the whole does."""
    whole = b"".join(pieces)
    previous = 0
    converted = b""
    size = 0
    stream = LfStream()
    plain = b""
    for piece in pieces:
        converted += to_crlf(piece, previous)
        size += crlf_size(piece, previous)
        plain += stream.feed(piece)
        previous = piece[-1] if piece else previous
    assert converted == crlf(whole)
    assert size == len(converted)
    assert plain + stream.end() == whole.replace(b"\r\n", b"\n")


@given(OCTETS, st.integers(-1, 30), st.integers(-1, 30), st.integers(0, 40), st.integers(1, 9))
def test_reader(data: bytes, start: int, end: int, skip: int, size: int) -> None:
    """Any range, any offset and any size of piece give a slice of the CRLF form."""
    start = max(start, 0)
    if 0 < start < len(data) and data[start] == 0x0A and data[start - 1] == 0x0D:
        start += 1  # ranges begin at the start of a line, never inside a CRLF
    stop = len(data) if end < 0 else min(end, len(data))
    wire = crlf(data[start:stop]).replace(b"\0", b"\x80")
    reader = CrlfReader(data, start, end)
    assert reader.skip(skip) == min(skip, len(wire))
    pieces = list(iter(lambda: reader.read(size), b""))
    assert all(len(piece) == size for piece in pieces[:-1])
    assert b"".join(pieces) == wire[skip:]


def test_reader_bounds() -> None:
    """Numbers out of range are no slice of anything else."""
    assert CrlfReader(b"abc", 2, 1).read(9) == b""
    assert CrlfReader(b"abc", 7, 9).read(9) == b""
    assert CrlfReader(b"abc").read(-1) == b""
    assert CrlfReader(b"abc").skip(-1) == 0
    assert CrlfReader(b"a\nc").read(10**15) == b"a\r\nc"
