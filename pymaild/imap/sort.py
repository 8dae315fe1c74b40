"""SORT: the criteria, and messages in their order (RFC 5256 §3, RFC 5957 §4)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import _sort
from pymaild.imap._arguments import Arguments
from pymaild.imap.search import Scope
from pymaild.mail.cache import SEAL
from pymaild.mime.collation import Prepare
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

    At least one, and none behind the last REVERSE, is the client's error.
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


class Keys:
    """What SORT and THREAD compare, of messages of which the cache does not have it.

    ``prepare`` is the active comparator's (RFC 5255 §4.4); None is the default one, whose keys
    the cache has. A message that others have just expunged has no fields and no octets.
    """

    def __init__(self, scope: Scope, prepare: Prepare | None = None) -> None:
        self.scope = scope
        self.cached = prepare is None
        self._prepare = prepare

    def sort(self, seq: int) -> bytes:
        """Return the sort keys of a message."""
        try:
            entry = self.scope.message(seq).entry()
        except Refused as refused:
            return sort_keys(_nothing(refused))
        if self._prepare is None:
            return entry.sort[SEAL:]
        return sort_keys(entry.fields, self._prepare)

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


class Sorter:
    """Puts messages of one view in the order of some criteria."""

    def __init__(self, keys: Keys, criteria: list[Criterion]) -> None:
        self._keys = keys
        self._criteria = criteria

    def order(self, seqs: Iterable[int]) -> array[int]:
        """Return messages, given in the order of the mailbox, in that of the criteria."""
        found = seqs if isinstance(seqs, array) else array("I", seqs)
        keys = self._keys
        return _sort.order(
            keys.scope.view,
            found,
            self._criteria,
            keys.sort,
            keys.size,
            keys.scope.beat,
            keys.cached,
        )

    def precedes(self, one: int, other: int) -> bool:
        """Say which of two messages, by UID, comes first."""
        seq = self._keys.scope.view.seq
        pair = sorted((seq(one), seq(other)))
        return self.order(pair)[0] == seq(one)
