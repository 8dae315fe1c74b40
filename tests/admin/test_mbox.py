"""mbox files: every message comes out whole, with flags and date, in little memory."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymaild.admin.incoming import PIECE
from pymaild.admin.mbox import MboxSource, from_date, split_lines, write_message


def read(path: Path) -> list[tuple[bytes, set[str], float | None]]:
    with path.open("rb") as file:
        return [
            (b"".join(message.pieces()), message.flags, message.date)
            for message in MboxSource(file).messages()
        ]


def mbox(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "mbox"
    path.write_bytes(data)
    return path


TWO = (
    b"From a@example.org  Tue Jul 23 19:39:23 2002\n"
    b"Subject: one\nStatus: RO\nX-Status: AF\nX-Keywords: $Forwarded work\nX-UID: 7\n\n"
    b"body\n>From here\n>>From there\n> From not\n\n"
    b"From b@example.org  Tue Jul 23 19:39:24 2002\n"
    b"Subject: two\n folded\nContent-Length: 4\n folded too\nTo: x\n\nStatus: R\n\n\n"
)


def test_messages_flags_and_dates(tmp_path: Path) -> None:
    first, second = read(mbox(tmp_path, TWO))
    assert first == (
        b"Subject: one\n\nbody\nFrom here\n>From there\n> From not\n",
        {r"\Seen", r"\Answered", r"\Flagged", "$Forwarded", "work"},
        1027453163.0,
    )
    assert second[0] == b"Subject: two\n folded\nTo: x\n\nStatus: R\n\n"
    assert second[1] == set()


def test_crlf_is_kept(tmp_path: Path) -> None:
    text = TWO.replace(b"\n", b"\r\n")
    assert [m[0] for m in read(mbox(tmp_path, text))] == [
        m[0].replace(b"\n", b"\r\n") for m in read(mbox(tmp_path, TWO))
    ]


def test_gzip_is_recognised(tmp_path: Path) -> None:
    assert read(mbox(tmp_path, gzip.compress(TWO))) == read(mbox(tmp_path, TWO))


def test_a_from_line_needs_no_empty_line_but_a_date(tmp_path: Path) -> None:
    data = (
        b"From a  Tue Jul 23 19:39:23 2002\n\nFrom my view:\nFrom a Tue to Wed\n"
        b"From b  Tue Jul 23 19:39:23 2002\n\nx\n"
    )
    assert [m[0] for m in read(mbox(tmp_path, data))] == [
        b"\nFrom my view:\nFrom a Tue to Wed\n",
        b"\nx\n",
    ]


def test_no_message_in_an_empty_file(tmp_path: Path) -> None:
    assert read(mbox(tmp_path, b"")) == []
    assert read(mbox(tmp_path, b"\n\n")) == []


def test_what_is_no_mbox_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an mbox"):
        read(mbox(tmp_path, b"Subject: x\n\n"))


def test_the_next_message_comes_when_one_was_left_unread(tmp_path: Path) -> None:
    with mbox(tmp_path, TWO).open("rb") as file:
        messages = MboxSource(file).messages()
        next(messages)
        assert b"".join(next(messages).pieces()).startswith(b"Subject: two")


def test_a_line_without_end_comes_in_bounded_pieces(tmp_path: Path) -> None:
    body = b"x" * (5 * PIECE)
    path = mbox(tmp_path, b"From a  Tue Jul 23 19:39:23 2002\n\n" + body)
    with path.open("rb") as file:
        (message,) = MboxSource(file).messages()
        file.seek(0)
        pieces = [p for m in MboxSource(file).messages() for p in m.pieces()]
    assert message.date
    assert b"".join(pieces) == b"\n" + body
    assert max(map(len, pieces)) <= 2 * PIECE


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (b"From a  Thu Jan  1 00:00:10 1970\n", 10),
        (b"From a@b Thu Jan  1 01:00:10 1970 +0100\r\n", 10),
        (b"From Thu Jan 1 00:00 1970", 0),
        (b"From a at b.org  Thu Jan  1 00:00:10 GMT 1970", 10),
        (b'From "a b"@c  Thu Jan  1 00:00:10 1970', 10),
        (b"From a  Thu Xyz  1 00:00:10 1970\n", None),
        (b"From a  Thu Jan  1\n", None),
    ],
)
def test_dates_of_from_lines(line: bytes, seconds: float | None) -> None:
    assert from_date(line) == seconds


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    message = b"Subject: x\r\nStatus: old\r\n\r\nFrom me\r\n>From you\r\nStatus: y\r\nno end"
    file = io.BytesIO()
    flags = {r"\Seen", r"\Answered", r"\Draft", "$Junk"}
    for date in (1.0, 1027453163.0):
        write_message(file, [message[:9], message[9:30], message[30:]], flags, date)
    expected = b"Subject: x\n\nFrom me\n>From you\nStatus: y\nno end\n"
    assert read(mbox(tmp_path, file.getvalue())) == [
        (expected, flags, 1.0),
        (expected, flags, 1027453163.0),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_do_not_depend_on_the_pieces(size: int) -> None:
    data = b"a\r\nbb\n\nccc\rd"
    pieces: Iterator[bytes] = (data[i : i + size] for i in range(0, len(data), size))
    assert list(split_lines(pieces)) == [
        (b"a\r\n", True),
        (b"bb\n", True),
        (b"\n", True),
        (b"ccc\rd", True),
    ]


def test_a_long_line_keeps_its_start_and_its_carriage_return() -> None:
    pieces = [b"y" * PIECE + b"\r", b"\n", b"z" * (PIECE + 1), b"z\n"]
    assert list(split_lines(iter(pieces))) == [
        (b"y" * PIECE + b"\r\n", True),
        (b"z" * (PIECE + 1), True),
        (b"z\n", False),
    ]
