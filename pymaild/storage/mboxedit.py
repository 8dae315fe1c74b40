"""Edits of an mbox as holes of a rewrite: messages removed, internal fields replaced."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pymaild.storage._mbox import Message, message_at
from pymaild.storage._mboxtext import places
from pymaild.storage.mboxfields import Numbering, State, fields, pseudo_fields
from pymaild.storage.mboxrewrite import Hole

_MOST_KEPT = 1 << 12  # octets of fields that stay what they are as room; more is given back


class Edit(NamedTuple):
    """``offset``: of a message's From_ line; ``state``: what its fields shall say, None where it
    is removed."""

    offset: int
    state: State | None


def holes(fd: int, edits: Iterable[Edit], numbering: Numbering | None) -> Iterator[Hole]:
    """Yield the holes of these edits, from the start of the file on. Raises NotMbox, OSError.

    The first message that stays says ``numbering``; where it says so already, it stays as it is.
    """
    first = _First(fd, numbering)
    for edit in edits:
        yield from first.up_to(edit.offset)
        if edit.state is None:
            message = message_at(fd, edit.offset)
            yield Hole(message.offset, message.next, b"")
            first.removed(message)
            continue
        message = message_at(fd, edit.offset, whole=False)
        yield from _replaced(fd, message, edit.state, first.numbering_of(message))
    yield from first.up_to(os.fstat(fd).st_size)


class _First:
    """Finds the first message that stays: ``place`` is where it is, unless it is removed."""

    def __init__(self, fd: int, numbering: Numbering | None) -> None:
        self._fd = fd
        self._numbering = numbering
        size = os.fstat(fd).st_size
        self._place = message_at(fd, 0, whole=False).offset if size else 0

    def up_to(self, offset: int) -> Iterator[Hole]:
        """Yield the holes of the first message where no edit has reached it."""
        if self._numbering is None or self._place >= offset:
            return
        message = message_at(self._fd, self._place, whole=False)
        numbering = self.numbering_of(message)
        if message.base != (
            numbering and (numbering.uidvalidity, numbering.last_uid, (*numbering.keywords,))
        ):
            yield from _replaced(self._fd, message, _state(message), numbering)

    def removed(self, message: Message) -> None:
        """Go on to the next message where the first one is removed."""
        if message.offset == self._place:
            self._place = message.next

    def numbering_of(self, message: Message) -> Numbering | None:
        """Return what this message says of the mailbox: all of it the first one, others none."""
        if message.offset != self._place:
            return None
        numbering, self._numbering = self._numbering, None
        return numbering


def _state(message: Message) -> State:
    return State(message.uid, message.flags, message.keywords, message.old)


def _replaced(
    fd: int, message: Message, state: State, numbering: Numbering | None
) -> Iterator[Hole]:
    """Yield holes that put a message's fields where the first of them is, or behind its header."""
    found, end, line_end = places(fd, message)
    room = sum(stop - start for start, stop in found)
    write = pseudo_fields if message.pseudo else fields
    text = write(state, numbering, room if room <= _MOST_KEPT else 0, line_end)
    yield Hole(*(found[0] if found else (end, end)), text)
    for start, stop in found[1:]:
        yield Hole(start, stop, b"")
