"""The internal fields of an mbox as they are written: X-IMAPbase, X-UID, Status and the others.

Dovecot's and UW-IMAP's form, so that they go on with our numbers and we with theirs. The last
field ends with spaces: room for flags and keywords to come, so that no other message moves.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

ROOM = 40  # octets of keywords for which a message has room from the start
_STATUS = ((1, b"R"),)
_XSTATUS = ((2, b"A"), (8, b"D"), (4, b"F"), (16, b"T"))
_LONGEST_SENDER = 320  # octets: what SMTP allows for a path is less (RFC 5321 §4.5.3.1.3)


@dataclass(frozen=True, slots=True)
class Numbering:
    """What the first message says of the mailbox; ``keywords`` are names."""

    uidvalidity: int
    last_uid: int
    keywords: Sequence[bytes] = ()

    def head(self) -> bytes:
        """Return the part of the field whose length never changes."""
        return b"X-IMAPbase: %010d %010d" % (self.uidvalidity, self.last_uid)


@dataclass(frozen=True, slots=True)
class State:
    """What a message's fields say. ``flags``: bits as in a Maildir's names; ``keywords``: names;
    ``old``: not recent any more."""

    uid: int
    flags: int = 0
    keywords: Sequence[bytes] = ()
    old: bool = False


def _letters(flags: int, table: Sequence[tuple[int, bytes]]) -> bytes:
    return b"".join(letter for bit, letter in table if flags & bit)


def _padded(lines: Sequence[bytes], length: int, room: int, end: bytes) -> bytes:
    text = end.join(lines)
    least = len(text) + len(end)
    return text.ljust((length if least <= length else least + room) - len(end)) + end


def fields(state: State, numbering: Numbering | None, length: int, end: bytes = b"\n") -> bytes:
    """Return the fields of a message, ``length`` octets if they fit, and else with room to grow.

    ``numbering`` is that of the mailbox, for its first message.
    """
    lines = [b"X-UID: %d" % state.uid]
    if numbering is not None:
        lines.insert(0, b" ".join([numbering.head(), *numbering.keywords]))
    lines.append(b"Status: " + _letters(state.flags, _STATUS) + b"O" * state.old)
    lines.append(b"X-Status: " + _letters(state.flags, _XSTATUS))
    lines.append(b"X-Keywords: " + b" ".join(state.keywords))
    used = sum(len(name) + 1 for name in state.keywords)
    return _padded(lines, length, max(ROOM // 2, ROOM - used), end)


def pseudo_fields(
    state: State, numbering: Numbering | None, length: int, end: bytes = b"\n"
) -> bytes:
    """Return the fields of UW-IMAP's note, which stands for the first message."""
    lines = [b"Status: RO"]
    if numbering is not None:
        head = numbering.head().replace(b"X-IMAPbase", b"X-IMAP", 1)
        lines.insert(0, b" ".join([head, *numbering.keywords]))
    return _padded(lines, length, ROOM, end)


def from_line(sender: bytes, date: float) -> bytes:
    """Return the From_ line of a message: envelope sender, and the date in UTC with its zone."""
    name = b"".join(sender[:_LONGEST_SENDER].split()) or b"MAILER-DAEMON"
    when = time.gmtime(min(max(0, int(date)), 253402300799))  # asctime(3) has years of four digits
    return b"From %s %s +0000\n" % (name, time.asctime(when).encode())
