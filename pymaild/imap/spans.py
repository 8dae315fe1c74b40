"""Sets of numbers as the bounds of disjoint ranges."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Self


class Spans:
    """A set of numbers: ``bounds`` ascend, and a number is inside at an odd place among them."""

    __slots__ = ("bounds",)

    def __init__(self, bounds: Iterable[int] = ()) -> None:
        self.bounds = array("Q", bounds)

    @classmethod
    def of(cls, ranges: Iterable[Sequence[int]], highest: int = 0) -> Self:
        """Return what ranges in any order hold; 0 in them stands for ``highest``."""
        bounds = array("Q")
        for low, high in sorted(sorted((low or highest, high or highest)) for low, high in ranges):
            if bounds and low <= bounds[-1]:
                bounds[-1] = max(bounds[-1], high + 1)
            else:
                bounds.extend((low, high + 1))
        return cls(bounds)

    def __contains__(self, number: int) -> bool:
        return bisect_right(self.bounds, number) % 2 == 1

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (low, high) of each range."""
        pairs = zip(self.bounds[::2], self.bounds[1::2], strict=True)
        return ((low, stop - 1) for low, stop in pairs)

    def toggle(self, number: int) -> None:
        """Take a number in, or out: it moves two bounds, which come up or meet their like."""
        for bound in (number, number + 1):
            place = bisect_left(self.bounds, bound)
            if place < len(self.bounds) and self.bounds[place] == bound:
                del self.bounds[place]
            else:
                self.bounds.insert(place, bound)
