"""THREAD: the algorithms, and their results on the wire (RFC 5256 §3, §4).

Messages are numbers from 0, their places among those that are threaded; behind them stand
dummies, which have children but no message. A forest is built from an array of parents by going
through the messages by date, so that all siblings come out sorted.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pymaild.imap._threads import Threaded

#: How deep parentheses of a thread nest: what would stand deeper becomes siblings.
MOST_NESTED = 100

ROOT = -1  # the parent of what has none
_CLOSE = -1
_SLICE = 8192  # pieces that are put together before they are written


@dataclass
class Forest:
    """Threads: the roots, and the children of all that have some, in their order."""

    roots: list[int]
    children: dict[int, list[int]]

    @classmethod
    def grown(cls, parents: Sequence[int], order: Iterable[int]) -> Forest:
        """Put messages in ``order`` below their parents; a dummy stands where its first child is.

        RFC 5256 §3, REFERENCES steps 2, 4 and 6. Dummies have no parents.
        """
        roots: list[int] = []
        children: dict[int, list[int]] = {}
        for node in order:
            parent = parents[node]
            if parent == ROOT:
                roots.append(node)
            elif parent in children:
                children[parent].append(node)
            else:
                children[parent] = [node]
                if parent >= len(parents):
                    roots.append(parent)
        return cls(roots, children)

    def below(self, root: int) -> Iterator[int]:
        """Yield a node and all below it, each before what is below it."""
        stack = [root]
        while stack:
            node = stack.pop()
            yield node
            stack += reversed(self.children.get(node, ()))


def ordered_subject(mail: Threaded) -> Forest:
    """ORDEREDSUBJECT: the first message with a base subject, and all others as its children."""
    first: dict[int, int] = {}
    parents = array("i", [ROOT]) * len(mail.subjects)
    order = by_date(mail.sent)
    for node in order:
        earliest = first.setdefault(mail.subjects[node], node)
        if earliest != node:
            parents[node] = earliest
    return Forest.grown(parents, order)


def references(mail: Threaded) -> Forest:
    """REFERENCES: by references, then by base subject."""
    parents, dummies = mail.parents()
    order = by_date(mail.sent)
    merger = _Merger(mail, parents, len(parents) + dummies)
    merger.merge(Forest.grown(parents, order))
    return Forest.grown(parents, order)


def refs(mail: Threaded) -> Forest:
    """REFS (draft-ietf-morg-inthread): by references alone.

    The thread that a message has come to last, by INTERNALDATE, is the last one.
    """
    parents, _ = mail.parents()
    forest = Forest.grown(parents, by_date(mail.sent))
    arrived, count = mail.arrived, len(parents)

    def latest(root: int) -> int:
        return max(arrived[node] for node in forest.below(root) if node < count)

    forest.roots.sort(key=latest)
    return forest


ALGORITHMS: dict[bytes, Callable[[Threaded], Forest]] = {
    b"ORDEREDSUBJECT": ordered_subject,
    b"REFERENCES": references,
    b"REFS": refs,
}

#: Those that need no references.
UNLINKED = (b"ORDEREDSUBJECT",)


def by_date(dates: Sequence[int]) -> list[int]:
    """Return messages by date; the mailbox's order decides between equal ones (§2.2)."""
    return sorted(range(len(dates)), key=dates.__getitem__)


class _Merger:
    """REFERENCES step 5: threads with the same base subject become one."""

    def __init__(self, mail: Threaded, parents: array[int], dummies_end: int) -> None:
        self._mail = mail
        self._parents = parents
        self._messages = len(parents)
        self._next_dummy = dummies_end
        self._table: dict[int, int] = {}

    def merge(self, forest: Forest) -> None:
        """Change parents so that each base subject has one thread. Empty subjects have none."""
        subjects = self._mail.subjects
        roots = []
        for root in forest.roots:
            first = root if root < self._messages else forest.children[root][0]
            if subject := subjects[first]:
                roots.append((root, subject))
        for root, subject in roots:
            if self._better(root, self._table.setdefault(subject, root)):
                self._table[subject] = root
        for root, subject in roots:
            if self._table[subject] != root and self._parent(root) == ROOT:
                self._join(root, subject, forest)

    def _dummy(self, root: int) -> bool:
        return root >= self._messages

    def _reply(self, root: int) -> bool:
        return not self._dummy(root) and bool(self._mail.replies[root])

    def _parent(self, root: int) -> int:
        return ROOT if self._dummy(root) else self._parents[root]

    def _better(self, root: int, held: int) -> bool:
        """Step 5 (B) (iv): a dummy before messages, an original before replies."""
        if self._dummy(held):
            return False
        return self._dummy(root) or (self._reply(held) and not self._reply(root))

    def _join(self, root: int, subject: int, forest: Forest) -> None:
        """Step 5 (C): let a thread and that of the table be one."""
        held = self._table[subject]
        if self._dummy(root):  # then the one held is a dummy too
            for child in forest.children[root]:
                self._parents[child] = held
        elif self._dummy(held) or (self._reply(root) and not self._reply(held)):
            self._parents[root] = held
        else:
            self._parents[root] = self._parents[held] = self._next_dummy
            self._table[subject] = self._next_dummy
            self._next_dummy += 1


# -- writing -----------------------------------------------------------------------------------


def pieces(forest: Forest, numbers: Sequence[int]) -> Iterator[bytes]:
    """Yield thread-lists (RFC 5256 §5) in pieces; ``numbers`` are those of the messages."""
    written: list[bytes] = []
    for piece in _lists(forest, numbers):
        written.append(piece)
        if len(written) == _SLICE:
            yield b"".join(written)
            written.clear()
    yield b"".join(written)


def _lists(forest: Forest, numbers: Sequence[int]) -> Iterator[bytes]:
    """Parents stand before their only children; several children are lists of their own."""
    children, count, depth = forest.children, len(numbers), 0
    stack = forest.roots[::-1]
    while stack:
        node = stack.pop()
        if node == _CLOSE:
            depth -= 1
            yield b")"
            continue
        depth += 1
        yield b"(%d" % numbers[node] if node < count else b"("
        below = children.get(node, ())
        while len(below) == 1:
            node = below[0]
            yield b" %d" % numbers[node]
            below = children.get(node, ())
        stack.append(_CLOSE)
        if below:
            if node < count:
                yield b" "
            stack += reversed(below if depth < MOST_NESTED else _flattened(forest, node))


def _flattened(forest: Forest, node: int) -> list[int]:
    """Make all below a node its children."""
    below = list(forest.below(node))[1:]
    for descendant in below:
        forest.children.pop(descendant, None)
    return below
