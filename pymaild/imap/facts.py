"""What a search program meant when its command came, for reading it again later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymaild.imap.sets import Ranges, uid_ranges

if TYPE_CHECKING:
    from pymaild.index import View

_LARGEST_UID = 0xFFFFFFFF


def fixed(view: View, ranges: Ranges, by_uid: bool) -> Ranges:
    """Return UIDs that a set means from now on (RFC 5267 §4.3): "n:*" has no end."""
    if not by_uid:
        return uid_ranges(view, view.resolve(ranges, False))
    last = view.uid(len(view)) if len(view) else 1
    open_ended = [(min(low, last), _LARGEST_UID) for low, high in ranges if low and not high]
    closed = [(low or last, high or last) for low, high in ranges if high or not low]
    return closed + open_ended


@dataclass
class Facts:
    """What parts of a program meant when its command came, in the order in which they are read.

    A program that is read again takes them from ``given`` instead of finding out anew.
    """

    noted: list[Any] = field(default_factory=list)
    given: Iterator[Any] | None = None

    def of(self, find: Callable[[], Any]) -> Any:
        """Return the next fact."""
        if self.given is not None:
            return next(self.given)
        self.noted.append(find())
        return self.noted[-1]
