"""The results of a search that its client knows, and what to tell when they change.

Pairs are (UID, number to be told), the number being a UID or a sequence number.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pymaild.imap.responses import sequence_set
from pymaild.imap.spans import Spans

Pairs = Sequence[tuple[int, int]]
Precedes = Callable[[int, int], bool]


class Known(Protocol):
    """Results. ``add`` and ``remove`` return context positions and sets (RFC 5267 §4.3.3)."""

    def __contains__(self, uid: int) -> bool: ...

    def add(self, pairs: Pairs, precedes: Precedes) -> bytes:
        """Take new results in, given in the order of the results.

        ``precedes`` says whether the first of two messages, by UID, comes first in it.
        """

    def remove(self, pairs: Pairs) -> bytes:
        """Take results out (RFC 5267 §4.3.4)."""

    def state(self) -> list[int]:
        """What the record holds: which messages these are, not their order."""


class InMailboxOrder(Spans):
    """The results of SEARCH: their place follows from their number, so no position is told."""

    __slots__ = ()

    def add(self, pairs: Pairs, precedes: Precedes) -> bytes:
        """As :meth:`Known.add`."""
        return self.remove(pairs)

    def remove(self, pairs: Pairs) -> bytes:
        """As :meth:`Known.remove`."""
        for uid, _ in pairs:
            self.toggle(uid)
        return b"0 " + sequence_set(number for _, number in pairs)

    def state(self) -> list[int]:
        """As :meth:`Known.state`."""
        return list(self.bounds)


class InSortOrder:
    """The results of SORT."""

    def __init__(self, uids: Iterable[int]) -> None:
        self.uids = array("I", uids)
        self._members = Spans.of((uid, uid) for uid in self.uids)

    def __contains__(self, uid: int) -> bool:
        return uid in self._members

    def add(self, pairs: Pairs, precedes: Precedes) -> bytes:
        """As :meth:`Known.add`."""
        places: list[int] = []
        for uid, _ in pairs:
            place = self._place(uid, places[-1] + 1 if places else 0, precedes)
            self.uids.insert(place, uid)
            self._members.toggle(uid)
            places.append(place)
        return _positions(places, pairs)

    def remove(self, pairs: Pairs) -> bytes:
        """As :meth:`Known.remove`, in the order of the results whatever that of ``pairs``."""
        numbers = dict(pairs)
        places = [place for place, uid in enumerate(self.uids) if uid in numbers]
        gone = [(self.uids[place], numbers[self.uids[place]]) for place in places]
        for place, (uid, _) in zip(reversed(places), reversed(gone), strict=True):
            del self.uids[place]
            self._members.toggle(uid)
        # Each removal has moved what stands behind it by one place.
        return _positions(places, gone, moved=1)

    def state(self) -> list[int]:
        """As :meth:`Known.state`."""
        return list(self._members.bounds)

    def _place(self, uid: int, low: int, precedes: Precedes) -> int:
        high = len(self.uids)
        while low < high:
            middle = (low + high) // 2
            if precedes(uid, self.uids[middle]):
                high = middle
            else:
                low = middle + 1
        return low


def _positions(places: Sequence[int], pairs: Pairs, moved: int = 0) -> bytes:
    """Tell neighbours at one position, the first one's; positions count from 1."""
    groups: list[tuple[int, list[int]]] = []
    for i, (place, (_, number)) in enumerate(zip(places, pairs, strict=True)):
        if groups and place == places[i - 1] + 1:
            groups[-1][1].append(number)
        else:
            groups.append((place + 1 - moved * i, [number]))
    return b" ".join([b"%d %b" % (start, sequence_set(numbers)) for start, numbers in groups])
