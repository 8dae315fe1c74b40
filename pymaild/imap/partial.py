"""PARTIAL: a range of places among results (RFC 9394)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from pymaild._parser import BadSyntax
from pymaild.imap._arguments import Arguments

_PARTIAL = re.compile(rb"(-?)([1-9][0-9]{0,9}):\1([1-9][0-9]{0,9})")
_LARGEST = 0xFFFFFFFF  # nz-number, RFC 3501 §9

Numbers = Sequence[int]


class Partial(NamedTuple):
    """A range of places among the results, from 1, or from -1 for the last (RFC 9394 §3.1)."""

    first: int
    last: int

    @classmethod
    def read(cls, args: Arguments) -> Partial:
        """Read partial-range (RFC 9394 §4)."""
        match = _PARTIAL.fullmatch(args.word())
        if match is None or max(int(match[2]), int(match[3])) > _LARGEST:
            raise BadSyntax("Expected a range of results")
        sign = -1 if match[1] else 1
        return cls(sign * int(match[2]), sign * int(match[3]))

    @property
    def places(self) -> int:
        """How many places these are."""
        return abs(self.last - self.first) + 1

    def cut(self, found: Numbers) -> Numbers:
        """Return the results in these places, in their order."""
        low, high = sorted(self)
        if low < 0:
            return found[max(len(found) + low, 0) : max(len(found) + high + 1, 0)]
        return found[low - 1 : high]
