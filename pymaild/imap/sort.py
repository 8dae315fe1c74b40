"""The order of messages: the criteria of SORT, and what they compare (RFC 5256 §3, RFC 5957)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import _sort
from pymaild.imap._arguments import Arguments
from pymaild.imap.search import Key, Scope
from pymaild.imap.search_keys import Reader
from pymaild.mail.cache import SEAL
from pymaild.mime.collation import Comparator
from pymaild.mime.order import STRINGS, sort_keys, thread_keys

#: A criterion: what is compared, as _sort.pyx names it, and whether in reverse.
Criterion = tuple[int, bool]

_CRITERIA: dict[bytes, int] = {
    b"ARRIVAL": _sort.ARRIVAL,
    b"DATE": _sort.DATE,
    b"SIZE": _sort.SIZE,
    **{name.encode(): _sort.STRING + place for place, name in enumerate(STRINGS)},
}


def read_criteria(args: Arguments) -> list[Criterion]:
    """Read sort-criteria (RFC 5256 §5). One that came before decides nothing when it is repeated.

    No criterion at all, or none behind REVERSE, is the client's error.
    """
    criteria: dict[int, bool] = {}
    reverse, any_yet = False, False
    args.open()
    while args.item():
        name = args.name()
        if name == b"REVERSE" and not reverse:
            reverse = True
            continue
        if name not in _CRITERIA:
            raise BadSyntax("Unknown sort criterion")
        criteria.setdefault(_CRITERIA[name], reverse)
        reverse, any_yet = False, True
    if reverse or not any_yet:
        raise BadSyntax("Expected a sort criterion")
    return list(criteria.items())


def read_sort(reader: Reader) -> tuple[list[Criterion], Key]:
    """Read what SORT has to the end of the command. Raises Refused BADCHARSET."""
    criteria = read_criteria(reader.args)
    reader.args.sp()
    reader.charset_first()
    return criteria, reader.program()


class Keys:
    """What SORT and THREAD compare, of messages of which the cache does not have it.

    It has the keys of the default comparator alone (RFC 5255 §4.4). A message that others have
    just expunged has no fields and no octets.
    """

    def __init__(self, scope: Scope, comparator: Comparator) -> None:
        self.scope = scope
        self.comparator = comparator

    def sort(self, seq: int) -> bytes:
        """Return the sort keys of a message."""
        try:
            entry = self.scope.message(seq).entry()
        except Refused as refused:
            return sort_keys(_nothing(refused))
        if self.comparator.folds:
            return entry.sort[SEAL:]
        return sort_keys(entry.fields, self.comparator.prepare)

    def thread(self, seq: int) -> bytes:
        """Return the thread keys of a message."""
        try:
            return self.scope.message(seq).entry().thread[SEAL:]
        except Refused as refused:
            return thread_keys(_nothing(refused))

    def size(self, seq: int) -> int:
        """Return the octets of a message."""
        try:
            return self.scope.message(seq).size
        except Refused as refused:
            return len(_nothing(refused))


def _nothing(refused: Refused) -> bytes:
    if refused.code != Code.EXPUNGEISSUED:
        raise refused
    return b""


class Order(Protocol):
    """An order of messages that never changes, whatever happens to the mailbox."""

    def sorted(self, seqs: Sequence[int]) -> Sequence[int]:
        """Return messages, given in the order of the mailbox, in this one. Raises Refused."""

    def precedes(self, one: int, other: int) -> bool:
        """Say whether the first of two messages, by UID, comes first. Raises Refused."""


class OfMailbox:
    """The order of SEARCH."""

    def sorted(self, seqs: Sequence[int]) -> Sequence[int]:
        """As :meth:`Order.sorted`."""
        return seqs

    def precedes(self, one: int, other: int) -> bool:
        """As :meth:`Order.precedes`."""
        return one < other


class OfCriteria:
    """The order of SORT in one view."""

    def __init__(self, keys: Keys, criteria: list[Criterion]) -> None:
        self._keys = keys
        turned = keys.comparator.reverse
        self._criteria = [
            (what, reverse != (turned and what >= _sort.STRING)) for what, reverse in criteria
        ]

    def sorted(self, seqs: Sequence[int]) -> Sequence[int]:
        """As :meth:`Order.sorted`."""
        found = seqs if isinstance(seqs, array) else array("I", seqs)
        keys = self._keys
        scope, folds = keys.scope, keys.comparator.folds
        try:
            return _sort.order(
                scope.view, found, self._criteria, keys.sort, keys.size, scope.beat, folds
            )
        except _sort.TooMuch:
            raise Refused(Code.LIMIT, "This is too much to be sorted at once") from None

    def precedes(self, one: int, other: int) -> bool:
        """As :meth:`Order.precedes`."""
        seq = self._keys.scope.view.seq
        pair = seq(one), seq(other)
        return self.sorted(sorted(pair))[0] == pair[0]
