"""Appending to an mbox: all of the messages come into being with one octet.

The file is extended first, and its first new octet stays NUL until the others are on disk. Nobody's
mail begins so: whoever finds it under a free lock takes the rest away again.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pymaild.storage import atomic
from pymaild.storage._mbox import message_at
from pymaild.storage._mboxtext import places
from pymaild.storage.mboxfields import Numbering, State, fields, from_line
from pymaild.storage.mboxjournal import APPEND, Journal, Work
from pymaild.storage.mboxrewrite import Hole, Rewrite

DRAFT = ".draft"  # how a draft's name ends
_PIECE = 1 << 18  # octets written at once
_MOST_FIELDS = 1 << 16  # octets of the first message's fields that are looked at
_TELLS = re.compile(rb"(?im)^X-IMAP(?:base)?:[ \t]*(\d{1,10})[ \t]+(\d{10})(?![^ \t\r\n])")
_NOTE = struct.Struct("<qI")  # where the number stands, which it becomes


@dataclass(slots=True)
class Draft:
    """A message on disk as it will be stored, not yet in the mailbox. Sizes in octets.

    ``header_size``: where the empty line behind its header is.
    """

    path: str
    size: int
    wire_size: int
    header_size: int

    @property
    def name(self) -> str:
        """The unique name that it was given."""
        return os.path.basename(self.path).removesuffix(DRAFT)

    def discard(self) -> None:
        """Remove it; a draft that was appended is no longer there."""
        atomic.unlink(self.path)


@dataclass(frozen=True, slots=True)
class Addition:
    """A draft and what its From_ line and its internal fields will say; ``date`` in seconds."""

    draft: Draft
    state: State
    date: float
    sender: bytes = b""


class Append:
    """One append to the file ``fd``, which is locked and at least as long as it will be found.

    Raises NotMbox, OSError: nothing is added then.
    """

    def __init__(self, fd: int, path: str, journal: Journal, durable: bool) -> None:
        self._fd, self._path, self._journal, self._durable = fd, path, journal, durable

    def run(self, additions: Sequence[Addition], numbering: Numbering) -> None:
        """Add these messages; ``numbering`` is that of the mailbox with them."""
        found = os.fstat(self._fd)
        end = found.st_size
        note = _note(self._fd, numbering) if end else b""
        ending = _ending(self._fd, end)
        pieces = _gathered(_octets(ending, additions, None if end else numbering))
        size = len(ending) + sum(
            len(head) + addition.draft.size + len(text) + 1
            for addition, head, text in _texts(additions, None if end else numbering)
        )
        check = zlib.crc32(note)
        work = Work(APPEND, found.st_dev, found.st_ino, end, end + size, len(note), check)
        self._journal.write(note, 0)
        self._journal.begin(work)
        self._journal.sync()
        try:
            atomic.truncate(self._fd, self._path, work.new_end)
            self._fill(end, pieces, note)
        except BaseException:
            atomic.truncate(self._fd, self._path, end)
            self._journal.end(sync=False)
            raise
        self._journal.end(sync=False)

    def _fill(self, end: int, pieces: Iterator[bytes], note: bytes) -> None:
        """Write all but the first octet, and that when the others are on disk."""
        first = next(pieces)
        atomic.write_at(self._fd, self._path, first[1:], end + 1)
        place = end + len(first)
        for piece in pieces:
            atomic.write_at(self._fd, self._path, piece, place)
            place += len(piece)
        _tell(self._fd, self._path, note)
        self._sync()
        atomic.write_at(self._fd, self._path, first[:1], end)
        self._sync()

    def _sync(self) -> None:
        if self._durable:
            atomic.sync_file(self._fd, self._path)

    def take_back(self, work: Work, rewrite: Rewrite) -> None:
        """Remove what a dead process has not ended; what an MTA added behind it stays."""
        size = os.fstat(self._fd).st_size
        if size >= work.new_end and os.pread(self._fd, 1, work.end) == b"\0":
            _tell(self._fd, self._path, self._journal.read(work.body, 0))
            rewrite.succeed([Hole(work.end, work.new_end, b"")])
        self._journal.end(sync=True)


def _texts(
    additions: Sequence[Addition], numbering: Numbering | None
) -> Iterator[tuple[Addition, bytes, bytes]]:
    """Yield each addition with its From_ line and its internal fields."""
    for addition in additions:
        yield (
            addition,
            from_line(addition.sender, addition.date),
            fields(addition.state, numbering, 0),
        )
        numbering = None


def _octets(
    ending: bytes, additions: Sequence[Addition], numbering: Numbering | None
) -> Iterator[bytes]:
    yield ending
    for addition, head, text in _texts(additions, numbering):
        yield head
        with open(addition.draft.path, "rb") as file:
            yield file.read(addition.draft.header_size)
            yield text
            while piece := file.read(_PIECE):
                yield piece
        yield b"\n"


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces: each that is yielded is written in one step."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _ending(fd: int, end: int) -> bytes:
    """Return what the last line, and the last message, lack of their ends."""
    tail = os.pread(fd, 4, max(0, end - 4))
    if not tail or tail in (b"\n", b"\r\n") or tail.endswith((b"\n\n", b"\n\r\n")):
        return b""
    line_end = b"\r\n" if tail.endswith(b"\r\n") else b"\n"
    return line_end if tail.endswith(b"\n") else line_end * 2


def _note(fd: int, numbering: Numbering) -> bytes:
    """Return where the first message tells the last UID, if it does, and what it is to tell."""
    message = message_at(fd, 0, whole=False)
    for start, stop in places(fd, message)[0]:
        found = _TELLS.search(os.pread(fd, min(stop - start, _MOST_FIELDS), start))
        if found and int(found[1]) == numbering.uidvalidity and int(found[2]) < numbering.last_uid:
            return _NOTE.pack(start + found.start(2), numbering.last_uid)
    return b""


def _tell(fd: int, path: str, note: bytes) -> None:
    """Let the first message tell the last UID, where its digits still are."""
    if note:
        place, last_uid = _NOTE.unpack(note)
        if os.pread(fd, 10, place).isdigit():
            atomic.write_at(fd, path, b"%010d" % last_uid, place)
