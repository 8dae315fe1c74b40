"""Lines are cut the same wherever the stream is cut, and nothing is kept without limit."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pymaild.core.errors import Disconnected, Leave
from pymaild.core.lines import DISCARD, LineReader, LineTooLong


class Pieces:
    """A stream that yields the given pieces and is then disconnected."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.idle: list[bool] = []

    def read(self, timeout: float, idle: bool = True, parks: bool = False) -> bytes:
        self.idle.append(idle)
        for piece in self._pieces:
            return piece
        raise Disconnected


def reader(*pieces: bytes, unread: bytes = b"", bare_lf: bool = False) -> LineReader:
    return LineReader(Pieces(pieces), unread, bare_lf)  # type: ignore[arg-type]


def all_lines(source: LineReader, limit: int = 100) -> list[bytes]:
    lines = []
    try:
        while True:
            lines.append(source.line(limit, 10))
    except Disconnected:
        return lines


TEXT = b"NOOP\r\n\r\nUSER a\rb\r\nx\ny\r\n\r\r\nlast\r\n"


@pytest.mark.parametrize(
    ("bare_lf", "expected"),
    [
        (False, [b"NOOP", b"", b"USER a\rb", b"x\ny", b"\r", b"last"]),
        (True, [b"NOOP", b"", b"USER a\rb", b"x", b"y", b"\r", b"last"]),
    ],
)
def test_every_cut_gives_the_same_lines(bare_lf: bool, expected: list[bytes]) -> None:
    assert all_lines(reader(TEXT, bare_lf=bare_lf)) == expected
    octets = [TEXT[i : i + 1] for i in range(len(TEXT))]
    assert all_lines(reader(*octets, bare_lf=bare_lf)) == expected
    for cut in range(1, len(TEXT)):
        assert all_lines(reader(TEXT[:cut], TEXT[cut:], bare_lf=bare_lf)) == expected


def test_unread_input_comes_first_and_can_be_taken_along() -> None:
    source = reader(b"B\r\nC", unread=b"A\r\n")
    assert source.pending
    assert source.line(100, 10) == b"A"
    assert not source.pending
    assert source.line(100, 10) == b"B"
    assert source.take() == b"C"
    assert not source.pending


@pytest.mark.parametrize("bare_lf", [False, True])
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_long_line_is_dropped_and_the_next_one_read(size: int, bare_lf: bool) -> None:
    data = b"x" * 500 + b"\r\nNOOP\r\n"
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    source = reader(*pieces, bare_lf=bare_lf)
    with pytest.raises(LineTooLong) as caught:
        source.line(100, 10)
    assert caught.value.ended
    assert source.line(100, 10) == b"NOOP"


@pytest.mark.parametrize("size", [98, 99, 100])
def test_the_limit_counts_the_line_end(size: int) -> None:
    source = reader(b"x" * size + b"\r\n")
    if size + 2 <= 100:
        assert len(source.line(100, 10)) == size
    else:
        with pytest.raises(LineTooLong):
            source.line(100, 10)


def test_endless_line_is_given_up_with_bounded_memory() -> None:
    def forever() -> Iterable[bytes]:
        while True:
            yield b"x" * 65536

    source = LineReader(Pieces(forever()))  # type: ignore[arg-type]
    with pytest.raises(LineTooLong) as caught:
        source.line(1000, 10)
    assert not caught.value.ended
    assert len(source.take()) <= DISCARD // 8


def test_a_session_is_idle_only_before_the_first_octet_of_a_line() -> None:
    stream = Pieces([b"NO", b"OP\r\n"])
    source = LineReader(stream)  # type: ignore[arg-type]
    assert source.line(100, 10) == b"NOOP"
    assert stream.idle == [True, False]


def test_chunks_take_what_is_there_before_they_wait() -> None:
    source = reader(b"0123456789", b"next", unread=b"abc")
    assert source.chunk(10, 2) == b"ab"
    assert source.chunk(10, 2) == b"c"
    assert source.chunk(10, 4) == b"0123"
    assert source.take() == b"456789"
    source.give_back(b"56")
    assert source.chunk(10) == b"56"
    assert source.chunk(10) == b"next"


def test_leave_passes_through() -> None:
    class Leaving:
        def read(self, timeout: float, idle: bool = True, parks: bool = False) -> bytes:
            raise Leave("maintenance")

    with pytest.raises(Leave):
        LineReader(Leaving()).line(100, 10)  # type: ignore[arg-type]
