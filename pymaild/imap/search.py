"""SEARCH: keys as a tree, and its evaluation, the cheap keys first (RFC 3501 §6.4.4).

Keys that a row answers are tested over the whole view at once, or for one message. Those that
need more sift the messages that all cheaper keys let through, many at a time.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from pymaild.core.errors import Code, Refused
from pymaild.imap._found import both, either, everything, without
from pymaild.imap.spans import Spans
from pymaild.index import History
from pymaild.mail import fulltext

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymaild.imap.selection import Selection
    from pymaild.index import View
    from pymaild.mail.message import Message

ROW, CACHE, HEADER, BODY = range(4)  # what a key costs: the row, the cache, the file

_FOREVER = (1 << 62) - 1

Column = Literal["date", "save_date"]


class Scope:
    """The messages that are searched; keeps the message that was opened last.

    ``beat`` is called from time to time, with how far it is where that is known: a search can
    be long.
    """

    def __init__(self, selection: Selection, beat: Callable[..., None]) -> None:
        self.selection = selection
        self.beat = beat
        self.view: View = selection.selected.view
        self.now = int(time.time())
        self.gone: set[int] = set()  # messages that others have expunged, as their files told
        self._last = 0
        self._message: Message | None = None
        self._possible: dict[str, array[int] | None] = {}  # by text, what its full text allows

    def message(self, seq: int) -> Message:
        """Return the message of a sequence number. Its methods raise Refused."""
        if self._message is None or self._last != seq:
            self._message = self.selection.mailbox.message(self.view, seq)
            self._last = seq
        return self._message

    def narrowed(self, text: str, seqs: array[int]) -> array[int]:
        """Leave out messages that do not contain a text, as far as that is known without them.

        ``text`` is as any comparator prepares it.
        """
        if len(seqs) < fulltext.WORTH:
            return seqs
        if text not in self._possible:
            self._possible[text] = fulltext.possible(self.selection.mailbox, self.view, text)
        found = self._possible[text]
        return seqs if found is None else both(seqs, found)

    def all(self) -> array[int]:
        """All sequence numbers."""
        return everything(len(self.view))

    def test(self, key: Key, seq: int) -> bool:
        """Say whether a message matches; one that others have just expunged does not."""
        try:
            return key.test(self, seq)
        except Refused as refused:
            if refused.code != Code.EXPUNGEISSUED:
                raise
            self.gone.add(seq)
            return False

    def each(self, key: Key, seqs: Sequence[int]) -> array[int]:
        """Return the messages that match a key which looks at one after the other."""
        found = array("I")
        for done, seq in enumerate(seqs):
            if self.test(key, seq):
                found.append(seq)
            self.beat(done, len(seqs))
        return found


class Key(Protocol):
    """One search key. ``find`` may be asked only of keys that cost no more than ROW."""

    @property
    def cost(self) -> int:
        """ROW, CACHE, HEADER or BODY."""

    def find(self, scope: Scope) -> array[int]:
        """Return the matching sequence numbers of the view, ascending."""

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        """Return those of ``seqs``, which ascend, that match; never one that has gone."""

    def test(self, scope: Scope, seq: int) -> bool:
        """Say whether one message matches."""


class Ends(NamedTuple):
    """How many results are needed: of the first ones, and of the last ones."""

    first: int
    last: int


def evaluate(key: Key, scope: Scope, ends: Ends | None = None) -> array[int]:
    """Return the matching sequence numbers, ascending.

    Where only ``ends`` of the results are needed others may be missing in between.
    """
    keys = sorted(conjuncts(key), key=lambda part: part.cost)
    cheap = _joined([part for part in keys if part.cost == ROW])
    found = _intersection(scope, cheap) if cheap else scope.all()
    dear = [part for part in keys if part.cost > ROW]
    if not dear:
        return found
    if ends is None:
        return _sifted(dear, scope, found)
    return _at_the_ends(dear, scope, found, ends)


def _sifted(keys: Iterable[Key], scope: Scope, found: array[int]) -> array[int]:
    return reduce(lambda seqs, key: key.sift(scope, seqs), keys, found)


def _at_the_ends(keys: Sequence[Key], scope: Scope, found: array[int], ends: Ends) -> array[int]:
    """Look from both ends, at more and more messages, until enough is found or both have met."""
    first = array("I")
    for batch in _batches(found, 1):
        if len(first) >= ends.first:
            break
        first += _sifted(keys, scope, batch)
    if len(first) < ends.first:
        return first
    del first[ends.first :]
    untested, last = found[bisect_right(found, first[-1]) :] if first else found, array("I")
    for batch in _batches(untested, -1):
        if len(last) >= ends.last:
            break
        last = _sifted(keys, scope, batch) + last
    return first + last[max(len(last) - ends.last, 0) :]


def _batches(seqs: array[int], step: Literal[1, -1]) -> Iterator[array[int]]:
    """Yield runs of messages, each twice as long as that before it, from the start or the end."""
    done, size = 0, 1
    while done < len(seqs):
        start = done if step > 0 else max(len(seqs) - done - size, 0)
        yield seqs[start : done + size if step > 0 else len(seqs) - done]
        done, size = done + size, 2 * size


def conjuncts(key: Key) -> Sequence[Key]:
    """The keys that must all match."""
    return key.keys if isinstance(key, And) else [key]


def leaves(key: Key) -> Iterator[Key]:
    """Yield the keys that a key is made of in the end."""
    if isinstance(key, And):
        parts: Sequence[Key] = key.keys
    elif isinstance(key, Or):
        parts = (key.left, key.right)
    elif isinstance(key, Not):
        parts = (key.key,)
    else:
        yield key
        return
    for part in parts:
        yield from leaves(part)


def matches(keys: Sequence[Key], scope: Scope, seq: int) -> bool:
    """Say whether a message matches all keys; one that others have just expunged does not."""
    return all(scope.test(key, seq) for key in keys)


def _joined(keys: Sequence[Key]) -> Sequence[Key]:
    """Return keys that mean the same: all that is asked of flags is asked at once."""
    flags = [key for key in keys if isinstance(key, HasFlags)]
    if len(flags) < 2:
        return keys
    return [reduce(HasFlags.joined, flags), *(key for key in keys if key not in flags)]


def _intersection(scope: Scope, keys: Sequence[Key]) -> array[int]:
    """Arrays keep little memory while keys below are evaluated: clients nest them deeply."""
    result = keys[0].find(scope)
    for key in keys[1:]:
        result = both(result, key.find(scope))
        scope.beat()
    return result


# -- keys of rows ------------------------------------------------------------------------------


class _OfRows:
    """Keys that are tested over the whole view at once."""

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        return both(seqs, self.find(scope))

    def find(self, scope: Scope) -> array[int]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class All(_OfRows):
    """ALL."""

    cost: int = ROW

    def find(self, scope: Scope) -> array[int]:
        return scope.all()

    def test(self, scope: Scope, seq: int) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class HasFlags(_OfRows):
    """System flags and keywords, as bits that must be set and bits that must not."""

    must: int = 0
    must_not: int = 0
    keywords: int = 0
    not_keywords: int = 0
    cost: int = ROW

    def joined(self, other: HasFlags) -> HasFlags:
        """Return the key for what both ask."""
        return HasFlags(
            self.must | other.must,
            self.must_not | other.must_not,
            self.keywords | other.keywords,
            self.not_keywords | other.not_keywords,
        )

    def find(self, scope: Scope) -> array[int]:
        return scope.view.match_flags(self.must, self.must_not, self.keywords, self.not_keywords)

    def test(self, scope: Scope, seq: int) -> bool:
        flags, keywords = scope.view.flags(seq), scope.view.keywords(seq)
        return (
            flags & self.must == self.must
            and not flags & self.must_not
            and keywords & self.keywords == self.keywords
            and not keywords & self.not_keywords
        )


@dataclass(frozen=True, slots=True)
class Recent(_OfRows):
    """RECENT."""

    cost: int = ROW

    def find(self, scope: Scope) -> array[int]:
        return scope.selection.selected.recent_seqs()

    def test(self, scope: Scope, seq: int) -> bool:
        return scope.selection.selected.is_recent(seq)


@dataclass(frozen=True, slots=True)
class Between(_OfRows):
    """A column of the row within bounds, both included: BEFORE, SAVEDON, ..."""

    column: Column
    low: int = 0
    high: int = _FOREVER
    cost: int = ROW

    def find(self, scope: Scope) -> array[int]:
        return scope.view.match_range(self.column, self.low, self.high)

    def test(self, scope: Scope, seq: int) -> bool:
        value: int = getattr(scope.view, self.column)(seq)
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class ModSeq(_OfRows):
    """MODSEQ: this mod-sequence or a higher one (RFC 7162 §3.1.5)."""

    low: int
    cost: int = ROW

    def find(self, scope: Scope) -> array[int]:
        return History(scope.view).changed(self.low - 1) if self.low else scope.all()

    def test(self, scope: Scope, seq: int) -> bool:
        return scope.view.modseq(seq) >= self.low


@dataclass(frozen=True, slots=True)
class Older(_OfRows):
    """OLDER: INTERNALDATE was so many seconds ago or more (RFC 5032 §2). Time goes on."""

    seconds: int
    cost: int = ROW

    def find(self, scope: Scope) -> array[int]:
        return scope.view.match_range("date", -_FOREVER, scope.now - self.seconds)

    def test(self, scope: Scope, seq: int) -> bool:
        return scope.view.date(seq) <= scope.now - self.seconds


@dataclass(frozen=True, slots=True)
class Younger(_OfRows):
    """YOUNGER: INTERNALDATE was so many seconds ago or less (RFC 5032 §2)."""

    seconds: int
    cost: int = ROW

    def find(self, scope: Scope) -> array[int]:
        return scope.view.match_range("date", scope.now - self.seconds, _FOREVER)

    def test(self, scope: Scope, seq: int) -> bool:
        return scope.view.date(seq) >= scope.now - self.seconds


@dataclass(frozen=True, slots=True)
class Size(_OfRows):
    """LARGER and SMALLER. Sizes that nobody has counted yet are counted now."""

    low: int = 0
    high: int = _FOREVER
    cost: int = ROW

    def find(self, scope: Scope) -> array[int]:
        unknown = scope.view.match_range("size", 0, 0)
        if unknown:
            return scope.each(self, scope.all())
        return scope.view.match_range("size", self.low, self.high)

    def test(self, scope: Scope, seq: int) -> bool:
        return self.low <= (scope.view.size(seq) or scope.message(seq).size) <= self.high


@dataclass(slots=True)
class Numbers(_OfRows):
    """A set of sequence numbers or UIDs."""

    ranges: list[tuple[int, int]]
    by_uid: bool
    cost: int = ROW
    _spans: Spans | None = None

    def find(self, scope: Scope) -> array[int]:
        return scope.view.resolve(self.ranges, self.by_uid)

    def test(self, scope: Scope, seq: int) -> bool:
        if self._spans is None:
            self._spans = Spans.of(self.ranges, self._highest(scope))
        return (scope.view.uid(seq) if self.by_uid else seq) in self._spans

    def _highest(self, scope: Scope) -> int:
        count = len(scope.view)
        return scope.view.uid(count) if self.by_uid and count else count


# -- keys of keys ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Not:
    """NOT."""

    key: Key

    @property
    def cost(self) -> int:
        return self.key.cost

    def find(self, scope: Scope) -> array[int]:
        return without(scope.all(), self.key.find(scope))

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        left = without(seqs, self.key.sift(scope, seqs))
        return without(left, array("I", sorted(scope.gone))) if scope.gone else left

    def test(self, scope: Scope, seq: int) -> bool:
        return not self.key.test(scope, seq)


@dataclass(slots=True)
class And:
    """Keys that must all match."""

    keys: list[Key]
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        self.keys.sort(key=lambda key: key.cost)
        self.cost = self.keys[-1].cost

    def find(self, scope: Scope) -> array[int]:
        return _intersection(scope, self.keys)

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        return _sifted(self.keys, scope, seqs)

    def test(self, scope: Scope, seq: int) -> bool:
        return all(key.test(scope, seq) for key in self.keys)


@dataclass(slots=True)
class Or:
    """OR. Asks the cheaper key first."""

    left: Key
    right: Key
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        if self.left.cost > self.right.cost:
            self.left, self.right = self.right, self.left
        self.cost = self.right.cost

    def find(self, scope: Scope) -> array[int]:
        found = either(self.left.find(scope), self.right.find(scope))
        scope.beat()
        return found

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        left = self.left.sift(scope, seqs)
        return either(left, self.right.sift(scope, without(seqs, left)))

    def test(self, scope: Scope, seq: int) -> bool:
        return self.left.test(scope, seq) or self.right.test(scope, seq)
