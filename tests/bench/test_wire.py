"""The reader of replies finds their ends and counts what they hold, however they arrive."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

pytest.importorskip("bench._wire", reason="the extensions are not built")
from bench._wire import Wire

REPLY = (
    b"* 3000 EXISTS\r\n"
    b'* 1 FETCH (BODY[] {12}\r\nx OK\r\n* 2 E\n UID 7 BODY[1] {0}\r\n FLAGS ("a {5} b"))\r\n'
    b"* SEARCH 1 22 333 4444\r\n"
    b"x OK done\r\n"
)
COUNTS = {"untagged": 3, "literal": 12, "members": 4, "exists": 3000}


class Pieces:
    """Stands where TLS does: hands out octets a piece at a time."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def recv_into(self, view: memoryview) -> int:
        piece = self._pieces.pop(0)
        view[: len(piece)] = piece
        return len(piece)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Wire]]:
    """A server's socket, and the reader at its other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 5, 0))
        yield ours, Wire(theirs.fileno())


def counts(wire: Wire) -> dict[str, int]:
    return {name: getattr(wire, name) for name in COUNTS}


@pytest.mark.parametrize("cut", range(1, len(REPLY)))
def test_a_reply_in_two_pieces(cut: int) -> None:
    wire = Wire(-1, Pieces(REPLY[:cut], REPLY[cut:]))
    assert wire.until(b"x ") == b"x OK done\r\n"
    assert counts(wire) == COUNTS
    assert wire.told == b"* SEARCH 1 22 333 4444\r\n"


def test_a_reply_octet_by_octet() -> None:
    wire = Wire(-1, Pieces(*(bytes([octet]) for octet in REPLY)))
    wire.until(b"x ")
    assert counts(wire) == COUNTS


def test_what_follows_a_reply_is_kept(pair: tuple[socket.socket, Wire]) -> None:
    server, wire = pair
    server.sendall(REPLY + b"* 4 EXISTS\r\nx OK again\r\n* BYE\r\n")
    wire.until(b"x ")
    assert wire.until(b"x ") == b"x OK again\r\n"
    assert counts(wire) == {"untagged": 1, "literal": 0, "members": 0, "exists": 4}
    assert wire.line() == b"* BYE\r\n"


def test_a_line_longer_than_the_buffer() -> None:
    numbers = b" 1234567" * 100_000
    reply = b"* SORT" + numbers + b"\r\nx OK\r\n"
    size = 1 << 18
    wire = Wire(-1, Pieces(*(reply[at : at + size] for at in range(0, len(reply), size))))
    wire.until(b"x ")
    assert wire.members == 100_000


@pytest.mark.parametrize(
    ("line", "members"),
    [
        (b"* THREAD (1)(2 3)(4 (5)(6 7))", 7),
        (b"* SEARCH", 0),
        (b"* SORT 9", 1),
        (b"* 12 FETCH (UID 13)", 0),
    ],
)
def test_members(line: bytes, members: int) -> None:
    wire = Wire(-1, Pieces(line + b"\r\nx OK\r\n"))
    wire.until(b"x ")
    assert wire.members == members


def test_many_lines_of_pop3() -> None:
    message = b"Subject: {5}\r\n\r\nbody {9}\r\n..dot\r\n"
    wire = Wire(-1, Pieces(b"+OK\r\n" + message[:9], message[9:] + b".\r", b"\n+OK bye\r\n"))
    assert wire.line() == b"+OK\r\n"
    wire.until(b".\r\n", False)
    assert (wire.octets, wire.literal) == (len(message) + 3, 0)
    assert wire.line() == b"+OK bye\r\n"


def test_an_end_is_an_error(pair: tuple[socket.socket, Wire]) -> None:
    server, wire = pair
    server.sendall(b"* 1 FETCH (BODY[] {100}\r\nhalf of it")
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        wire.until(b"x ")
