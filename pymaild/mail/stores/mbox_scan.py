"""What others did to an mbox: deliveries, flags, removals, and what a crash has left.

One procedure, :class:`Scan`, finds all of it; mailbox and file are locked. A file that has grown
behind an end that is still the one we know is read from there on. Else all of it is, and messages
are known again by their X-UID, where the file's numbering is ours, and by their headers: a message
whose header or size is another is another message.
"""

from __future__ import annotations

import heapq
import logging
import struct
import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pymaild.index import IN_NEW, Index, Unusable
from pymaild.mail import sync
from pymaild.mail.keywords import MOST, known_place
from pymaild.mail.reserving import reserve, reserved
from pymaild.mail.stores import FULL, NEVER, SYSTEM, mbox_note
from pymaild.storage.mbox import Edit, Message, Moves, NotMbox, State
from pymaild.storage.takeover import Adopted

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox
    from pymaild.mail.stores.mbox import MboxStore

_NEW = (1 << 32) - 1  # stands for a UID that is still to be given
_AT_ONCE = 4096  # messages that one transaction brings
_MOST_UID = (1 << 31) - 1  # of a numbering that is not ours: a sender could have written it

_log = logging.getLogger("pymaild.mail")


class _Stranger(NamedTuple):
    """One message that no row stands for; thousands are kept packed."""

    offset: int
    size: int
    wire_size: int
    date: int
    uid: int
    flags: int
    old: bool
    identity: bytes


_PACKED = struct.Struct("<qqqqII?16s")


def is_row(index: Index, row: int, message: Message) -> bool:
    """Say whether a message is the one of a row, whatever flags it has."""
    same = index.size(row) == message.size
    return same and index.name(row).endswith(message.identity.hex().encode())


@dataclass(slots=True)
class _Found:
    """What was met: rows, messages without one, and messages whose X-UID is to be written."""

    seen: bytearray
    strangers: bytearray = field(default_factory=bytearray)
    keywords: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)

    def __iter__(self) -> Iterator[_Stranger]:
        return map(_Stranger._make, _PACKED.iter_unpack(self.strangers))

    def __getitem__(self, number: int) -> _Stranger:
        return _Stranger._make(_PACKED.unpack_from(self.strangers, number * _PACKED.size))


class Scan:
    """One comparison. ``adopted``: the index is made anew, and UIDs of the file count."""

    def __init__(
        self, store: MboxStore, box: Mailbox, index: Index, adopted: Adopted | None
    ) -> None:
        self._store, self._box, self._index, self._adopted = store, box, index, adopted
        self._found = _Found(bytearray(index.count))
        self._words: dict[bytes, int] = {}
        self._next = 0  # the row that is expected

    def run(self) -> None:
        """Make the index say what the file says."""
        index = self._index
        base = self._numbering()
        self._trusted = base[1] if base else 0
        self._start = start = self._known_end()
        for message in self._store.mbox.scan(start):
            if not message.pseudo:
                self._meet(message)
        self._box.publish(index)
        stamp = None
        try:
            self._take_in()
        except OSError as error:
            if self._adopted is not None or error.errno not in FULL:
                raise
            # What is known already can be read and removed; the rest waits for the next scan.
            index.forget()
            stamp = (*NEVER, 0)
            _log.error("mail in %s is not taken in: %s", self._box.directory, error)
        if not start:
            self._let_go()
        self._box.publish(index)
        # Flags that others changed before the file grew show at the next look at all of it, which
        # no further mail puts off.
        index.stamp = stamp or self._store.mark((index.stamp[2] or time.time_ns()) if start else 0)

    def _numbering(self) -> tuple[int, int] | None:
        """Return UIDVALIDITY and the last UID that the file tells, if its numbers count here.

        Another program's higher UIDVALIDITY says that it has given all messages new UIDs.
        """
        base = self._store.base()
        if base is None or not 0 < base[0] < 1 << 32:
            return None
        validity, last, _ = base
        if validity == self._index.uidvalidity:
            return validity, last
        if validity > self._index.uidvalidity and last <= _MOST_UID:
            self._renumber(validity, last)
        return None

    def _renumber(self, validity: int, last: int) -> None:
        held = reserved(self._box, self._index)
        held.uidvalidity, held.reserved_uid = validity, last + 1
        held.save(self._box.directory, self._box.settings.fsync)
        raise Unusable("another program has numbered the mailbox anew")

    def _known_end(self) -> int:
        """Return where new messages begin, 0 where all of them are to be looked at."""
        index = self._index
        end = index.stamp[1]
        last = next((row for row in reversed(range(index.count)) if self._lives(row)), -1)
        if self._adopted is not None or last < 0 or not 0 < end < self._store.mbox.size():
            return 0
        if self._others_were_here() or not sync.level(index, index.stamp[:2]):
            return 0
        try:
            message = self._store.mbox.message(index.place(last))
        except NotMbox:
            return 0
        return end if message.next == end and is_row(index, last, message) else 0

    def _others_were_here(self) -> bool:
        """Say whether one has given UIDs who is no MTA, and may have changed flags as well."""
        base = self._store.base()
        return base is not None and base[1] >= self._index.uidnext

    def _lives(self, row: int) -> bool:
        return self._index.row_of_uid(self._index.fields(row)[0]) == row

    # -- comparing -----------------------------------------------------------------------------

    def _meet(self, message: Message) -> None:
        row = self._row(message)
        if row < 0:
            self._found.strangers += _PACKED.pack(
                message.offset,
                message.size,
                message.wire_size,
                message.date,
                message.uid,
                message.flags,
                message.old,
                message.identity,
            )
            if message.keywords:
                self._found.keywords[message.offset] = message.keywords
            return
        one = _Stranger(message.offset, 0, 0, 0, message.uid, message.flags, message.old, b"")
        self._level(row, one, message.keywords)

    def _row(self, message: Message) -> int:
        """Return the row of a message: by its X-UID, or the next one where it has none."""
        if message.uid and message.uid <= self._trusted:
            row = self._index.row_of_uid(message.uid)
        else:
            row = self._expected()
        if row < 0 or self._found.seen[row] or not is_row(self._index, row, message):
            return -1
        self._next = row + 1
        return row

    def _expected(self) -> int:
        rows = range(self._next, self._index.count)
        return next((row for row in rows if not self._found.seen[row] and self._lives(row)), -1)

    def _level(self, row: int, one: _Stranger, keywords: tuple[bytes, ...]) -> None:
        """Stage the flags of a message that is known, and remember where it is."""
        index = self._index
        self._found.seen[row] = 1
        uid, old_flags, old_keywords, _ = index.fields(row)
        flags, bits = one.flags & SYSTEM | (0 if one.old else IN_NEW), self._bits(keywords)
        if (old_flags, old_keywords) != (flags, bits):
            index.change(row, flags, bits)
        if index.place(row) != one.offset:
            index.set_place(row, one.offset)
        if one.uid != uid:
            self._found.edits.append(Edit(one.offset, State(uid, one.flags, keywords, one.old)))

    def _bits(self, keywords: Iterable[bytes]) -> int:
        bits = 0
        for word in keywords:
            if word not in self._words:
                self._words[word] = self._bit(word.decode("utf-8", "replace"))
            bits |= self._words[word]
        return bits

    def _bit(self, name: str) -> int:
        """Return the bit of a keyword, a new one where there is room for it, else none."""
        names = self._index.keyword_names()
        place = known_place(names, name)
        if place >= 0:
            return 1 << place
        if len(names) >= MOST:
            return 0
        held = reserved(self._box, self._index)
        held.keywords = [*names, name]
        held.save(self._box.directory, self._box.settings.fsync)
        return 1 << self._index.define_keyword(name)

    # -- taking in -----------------------------------------------------------------------------

    def _take_in(self) -> None:
        """Give each new message its UID, in the file and in the index."""
        index = self._index
        uids = self._uids()
        known = max((uid for uid in uids if uid != _NEW), default=0)
        after = max(index.uidnext, self._trusted + 1, known + 1)
        for number, uid in enumerate(uids):
            if uid == _NEW:
                uids[number], after = after, after + 1
        reserve(self._box, index, after)
        moves = self._write(uids, after - 1)
        names = mbox_note.names(self._store) if uids else {}
        order = sorted((number for number, uid in enumerate(uids) if uid), key=uids.__getitem__)
        for done, number in enumerate(order):
            self._box.beat(done, len(order))
            self._add(uids[number], self._found[number], names.get(uids[number], ""), moves)
            if not (done + 1) % _AT_ONCE:
                self._box.publish(index)
        self._box.publish(index)

    def _uids(self) -> array[int]:
        """Return the UIDs that messages without a row have, 0 where one has a row after all."""
        named = self._adopted is not None and self._adopted.named
        floor = 1 if named else self._index.uidnext
        lost, used = self._lost(), set()
        uids = array("I")
        for one in self._found:
            if self._is_again(one, lost):
                uids.append(0)
            elif floor <= one.uid <= self._trusted and one.uid not in used:
                used.add(one.uid)
                uids.append(one.uid)
            else:
                uids.append(_NEW)
        return uids

    def _lost(self) -> dict[bytes, deque[int]]:
        """Return rows that nothing was met for, by digest and size."""
        lost: dict[bytes, deque[int]] = {}
        if self._found.strangers and not self._start:
            for row, *_, size, _, name, _ in self._index.living():
                if not self._found.seen[row]:
                    key = b"%b %d" % (name.rpartition(b",")[2], size)
                    lost.setdefault(key, deque()).append(row)
        return lost

    def _is_again(self, one: _Stranger, lost: dict[bytes, deque[int]]) -> bool:
        """Say whether a message is one that has lost its X-UID, or got one of another file."""
        rows = lost.get(b"%b %d" % (one.identity.hex().encode(), one.size))
        if not rows:
            return False
        self._level(rows.popleft(), one, self._found.keywords.get(one.offset, ()))
        return True

    def _write(self, uids: array[int], last: int) -> Moves | None:
        """Write X-UIDs that are not there yet, and what the first message says of the mailbox."""
        edits = sorted(self._found.edits, key=lambda edit: edit.offset)
        told, base = self._store.numbering(self._index, last), self._store.base()
        level = base == (told.uidvalidity, told.last_uid, tuple(told.keywords))
        new = any(uid and uid != one.uid for uid, one in zip(uids, self._found, strict=True))
        if not self._store.mbox.size() or (level and not edits and not new):
            return None
        ordered = heapq.merge(edits, self._edits(uids), key=lambda edit: edit.offset)
        return self._store.rewrite(self._index, ordered, last)

    def _edits(self, uids: array[int]) -> Iterator[Edit]:
        for uid, one in zip(uids, self._found, strict=True):
            if uid and uid != one.uid:
                words = self._found.keywords.get(one.offset, ())
                yield Edit(one.offset, State(uid, one.flags, words, one.old))

    def _add(self, uid: int, one: _Stranger, name: str, moves: Moves | None) -> None:
        flags = one.flags & SYSTEM | (0 if one.old else IN_NEW)
        bits = self._bits(self._found.keywords.get(one.offset, ()))
        named = f"{name},{one.identity.hex()}".encode()
        place = moves(one.offset) if moves is not None else one.offset
        what = (one.date, one.date, one.size, one.wire_size, named)
        self._index.add(uid, flags, bits, *what, place=place)

    def _let_go(self) -> None:
        """Stage the end of rows whose message was not met."""
        for row, *_ in self._index.living():
            if row < len(self._found.seen) and not self._found.seen[row]:
                self._index.expunge(row)
