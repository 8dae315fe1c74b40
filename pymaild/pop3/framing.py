"""How a message travels in a multi-line response (RFC 1939 §3).

Works on pieces of any size: a line's start may fall between two of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def framed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Byte-stuff CRLF text and end it with the line that is a single dot.

    A message whose last line has no end gets one: it belongs to the frame, not to the message,
    and is not in the octet count of LIST.
    """
    tail = b"\r\n"  # the last two octets of what went before
    for piece in pieces:
        stuffed = piece.replace(b"\r\n.", b"\r\n..")
        if tail == b"\r\n" and piece.startswith(b"."):
            stuffed = b"." + stuffed
        elif tail[-1:] == b"\r" and piece.startswith(b"\n."):
            stuffed = b"\n." + stuffed[1:]
        yield stuffed
        tail = (tail + piece[-2:])[-2:]
    yield b".\r\n" if tail == b"\r\n" else b"\r\n.\r\n"


def with_empty_line(header: bytes) -> bytes:
    """Return a header that ends with the empty line, also when the message has no body."""
    if header.endswith(b"\r\n\r\n") or header == b"\r\n":
        return header
    return header + (b"\r\n" if not header or header.endswith(b"\r\n") else b"\r\n\r\n")


def with_end_of_header(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Add the empty line behind a message that is nothing but a header."""
    tail, ended = b"\r\n", False  # a message that begins with the empty line has no header
    for piece in pieces:
        ended = ended or b"\r\n\r\n" in tail + piece
        tail = (tail + piece[-3:])[-3:]
        yield piece
    if not ended:
        yield b"\r\n" if tail.endswith(b"\r\n") else b"\r\n\r\n"


def first_lines(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Cut pieces of text behind their ``count``-th line."""
    if count <= 0:
        return
    for piece in pieces:
        lines = piece.count(b"\n")
        if lines >= count:
            yield piece[: _end_of_line(piece, count)]
            return
        count -= lines
        yield piece


def _end_of_line(piece: bytes, number: int) -> int:
    end = 0
    for _ in range(number):
        end = piece.index(b"\n", end) + 1
    return end
