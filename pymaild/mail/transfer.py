"""COPY and MOVE: messages from one mailbox to another, both locked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pymaild.mail import committed
from pymaild.mail.reserving import reserve
from pymaild.mail.stores import Order, Taken
from pymaild.storage.maildir import unique_mark

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox


def run(source: Mailbox, uids: Sequence[int], target: Mailbox, move: bool) -> list[tuple[int, int]]:
    """Copy or move messages, but for what a process that died has done of it.

    Returns pairs of old and new UID, those of before included. Raises Refused and OSError.
    """
    done = dict(committed.taken(source, target))
    if done:
        uids = [uid for uid in uids if uid not in done] if move else []
    if not uids:
        return list(done.items())
    if not move or target.root != source.root:
        target.admit(len(uids), source.octets(uids) if target.quota else 0)
    for box in (source, target):
        box.refresh()  # what a move left half done is settled while none of both is held
    first, second = sorted((source, target), key=lambda box: box.directory)
    with first.changing(), second.changing():
        return [*done.items(), *Transfer(source, target, move).run(uids)]


class Transfer:
    """One COPY or MOVE, both mailboxes locked."""

    def __init__(self, source: Mailbox, target: Mailbox, move: bool) -> None:
        self.source, self.target, self.move = source, target, move
        self.allowed = target.allowed()
        self._mark = unique_mark()

    def run(self, uids: Sequence[int]) -> list[tuple[int, int]]:
        source, target = self.source.index, self.target.index
        rows = [row for row in map(source.row_of_uid, uids) if row >= 0]
        first = target.uidnext
        reserve(self.target, target, first + len(rows))
        orders = list(self._orders(rows))
        self.target.intend("taken", first, self._mark)
        how = self._mark, first, self.move, self.source.beat
        with self.target.mail.receiving(self.source.mail, source, orders, *how) as taken:
            places = [self._stage(one) for one in taken]
            self.target.publish(target)
        self.source.publish(source)
        for place, one in zip(places, taken, strict=True):
            entry = source.cached(one.order.row) if one.same else None
            if entry is not None:
                target.set_cached(place, entry, one.wire_size)
        return [(one.order.uid, one.uid) for one in taken]

    def _orders(self, rows: Sequence[int]) -> Iterator[Order]:
        index, mapping = self.source.index, self._keyword_map(rows)
        for row in rows:
            uid, bits, keywords, _ = index.fields(row)
            flags = bits & self.allowed.system
            yield Order(row, uid, flags, _translate(keywords, mapping))

    def _stage(self, one: Taken) -> int:
        order = one.order
        index, dates = self.target.index, (one.date, one.saved)
        what = (*dates, one.size, one.wire_size, one.name)
        return index.add(one.uid, order.flags, order.keywords, *what, place=one.place)

    def _keyword_map(self, rows: Sequence[int]) -> dict[int, int]:
        """Bits of the source's keywords in use, to bits of the target's."""
        used = 0
        for row in rows:
            used |= self.source.index.fields(row)[2]
        names = self.source.keyword_names()
        mapping = {}
        for bit, name in enumerate(names):
            if used >> bit & 1 and self.allowed.keywords:
                mapping[bit] = self.target.flags([name], self.target.may_create_keywords()).keywords
        return mapping


def _translate(keywords: int, mapping: dict[int, int]) -> int:
    words = 0
    for bit, target in mapping.items():
        if keywords >> bit & 1:
            words |= target
    return words
