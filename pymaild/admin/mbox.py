"""Reads and writes mbox files, gzipped or not, a piece at a time.

A message starts at a line ``From sender date`` (RFC 4155). Archives exist that lack the empty line
before it, so what tells it from text is that sender and date are there and nothing else. ``>From``
lines lose one ``>`` (the form called mboxrd), and the fields in which mbox readers keep state
(Status, X-Status, X-Keywords, ...) become flags.
"""

from __future__ import annotations

import gzip
import os
import re
import time
from calendar import timegm
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from pymaild.admin.incoming import PIECE

#: ``From_`` line: a sender, a date in the form of asctime, and where the zone may stand.
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_FROM = re.compile(
    rb"From (?:(?:\S+(?: at \S+)?|\"[^\"\n]*\"@?\S*) {1,3})?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
    rb"(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<hour>\d\d):(?P<minute>\d\d)"
    rb"(?::(?P<second>\d\d))?(?: [A-Z]{1,5})? (?P<year>[1-9]\d{3})"
    rb"(?: (?P<zone>[-+]\d{4}))?[^\n]*\n?"
)
_STATE_FIELDS = re.compile(
    rb"(Status|X-Status|X-Keywords|X-UID|X-IMAP|X-IMAPbase|Content-Length):[ \t]*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_STATUS = {"R": r"\Seen"}
_X_STATUS = {"A": r"\Answered", "F": r"\Flagged", "T": r"\Draft", "D": r"\Deleted"}
_QUOTED = re.compile(rb">+From ")
_QUOTABLE = re.compile(rb">*From ")
_EMPTY = (b"\n", b"\r\n")


class MboxMessage:
    """One message of the file; an :class:`~pymaild.admin.incoming.Incoming`."""

    def __init__(self, reader: MboxSource, from_line: bytes) -> None:
        self.flags: set[str] = set()
        self.date = from_date(from_line)
        self.internal = False
        self._reader = reader

    def pieces(self) -> Iterator[bytes]:
        """Yield the message without what belongs to the mbox."""
        gathered: list[bytes] = []
        size = 0
        for line in self._content():
            gathered.append(line)
            size += len(line)
            if size >= PIECE:
                yield b"".join(gathered)
                gathered, size = [], 0
        yield b"".join(gathered)

    def _content(self) -> Iterator[bytes]:
        header = True
        dropping = False
        for line, whole in self._reader.lines_of_message():
            if header and whole and line in _EMPTY:
                header = False
            elif header:
                if whole and line[:1] not in b" \t":
                    dropping = self._state(line)
                if dropping:
                    continue
            yield line[1:] if whole and _QUOTED.match(line) else line

    def _state(self, line: bytes) -> bool:
        """Take flags from a header line; true when the line is the mbox's own."""
        found = _STATE_FIELDS.match(line)
        if found is None:
            return False
        name, value = found[1].lower(), found[2].decode("ascii", "replace").strip()
        self.internal |= name == b"x-imap"
        if name == b"x-keywords":
            self.flags.update(value.split())
        else:
            letters = {b"status": _STATUS, b"x-status": _X_STATUS}.get(name, {})
            self.flags.update(letters[letter] for letter in value if letter in letters)
        return True


class MboxSource:
    """Messages of one file. Memory is bounded by :data:`PIECE`, whatever the file holds."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self._raw = file
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._file = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if zipped else file
        self._whole = True  # the next line starts where a line starts
        self._line = self._next_line()

    def position(self) -> int:
        """Return how many octets of the file (as it is stored) have been read."""
        return self._raw.tell()

    def messages(self) -> Iterator[MboxMessage]:
        """Yield the messages. Raises ValueError when the file is no mbox."""
        while self._line in _EMPTY:
            self._line = self._next_line()
        while self._line:
            if not _FROM.match(self._line):
                raise ValueError("not an mbox file: it does not start with a From line")
            message = MboxMessage(self, self._line)
            self._line = self._next_line()
            yield message
            for _ in self.lines_of_message():  # what the caller has left
                pass

    def lines_of_message(self) -> Iterator[tuple[bytes, bool]]:
        """Yield lines up to the next message, and whether each starts where a line starts."""
        held = b""  # an empty line, which belongs to the mbox when a From line follows
        while self._line:
            line, whole = self._line, self._whole
            if whole and _FROM.match(line):
                return
            if held:
                yield held, True
            held = line if whole and line in _EMPTY else b""
            if not held:
                yield line, whole
            self._whole = line.endswith(b"\n")
            self._line = self._next_line()

    def _next_line(self) -> bytes:
        return self._file.readline(PIECE)


def from_date(line: bytes) -> float | None:
    """Return the date of a ``From_`` line, UTC where it names no zone; None if it is no date."""
    found = _FROM.match(line)
    if found is None or found["month"] not in _MONTHS:
        return None
    parts = ("year", "day", "hour", "minute", "second")
    year, day, hour, minute, second = (int(found[part] or 0) for part in parts)
    month = _MONTHS.index(found["month"]) + 1
    seconds = timegm((year, month, day, hour, minute, second))
    return float(seconds - _zone(found["zone"] or b"+0000"))


def _zone(text: bytes) -> int:
    seconds = int(text[1:3]) * 3600 + int(text[3:5]) * 60
    return -seconds if text[:1] == b"-" else seconds


def write_message(
    file: BinaryIO, pieces: Iterable[bytes], flags: Iterable[str], date: float
) -> None:
    """Append one message, flags as Status, X-Status and X-Keywords, ``From`` lines quoted."""
    stamp = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(date))
    file.write(f"From MAILER-DAEMON {stamp}\n".encode())
    file.write(_state_fields(set(flags)))
    last = b"\n"
    for last in _quoted_lines(pieces):
        file.write(last)
    file.write(b"\n" if last.endswith(b"\n") else b"\n\n")


def _state_fields(flags: set[str]) -> bytes:
    status = "".join(letter for letter, name in _STATUS.items() if name in flags)
    x_status = "".join(letter for letter, name in _X_STATUS.items() if name in flags)
    keywords = " ".join(sorted(flag for flag in flags if not flag.startswith("\\")))
    fields = {"Status": f"{status}O", "X-Status": x_status, "X-Keywords": keywords}
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value).encode()


def _quoted_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines with LF ends (a very long one in pieces), state fields of before left out."""
    header = True
    dropping = False
    for line, whole in split_lines(pieces):
        text = line[:-2] + b"\n" if line.endswith(b"\r\n") else line
        if header and whole:
            header = text != b"\n"
            if text[:1] not in b" \t":
                dropping = _STATE_FIELDS.match(text) is not None
        if header and dropping:
            continue
        yield b">" + text if whole and _QUOTABLE.match(text) else text


def split_lines(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Cut pieces into lines with their ends; a line longer than :data:`PIECE` comes in parts.

    The flag says whether the part starts where a line starts.
    """
    rest = b""
    whole = True
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n", whole
            whole = True
        if len(rest) > PIECE and not rest.endswith(b"\r"):
            yield rest, whole
            whole, rest = False, b""
    if rest:
        yield rest, whole
