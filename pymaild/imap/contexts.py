"""Searches and sorts whose changes a client is told of (RFC 5267 §4.3).

A context is its program as text, what the sets and filters in it meant when the command came,
and the results the client knows. After a change only the messages that changed are tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pymaild._parser import BadSyntax
from pymaild.core.errors import Refused
from pymaild.imap import results
from pymaild.imap.facts import Facts
from pymaild.imap.known import InMailboxOrder, InSortOrder, Known, Pairs
from pymaild.imap.reread import reread
from pymaild.imap.search import (
    HasFlags,
    Key,
    ModSeq,
    Older,
    Scope,
    Younger,
    evaluate,
    leaves,
    matches,
)
from pymaild.imap.search_keys import Reader
from pymaild.imap.sets import uid_ranges
from pymaild.imap.sort import Criterion, Keys, OfCriteria, OfMailbox, Order, read_sort
from pymaild.mime.collation import Comparator, comparator

if TYPE_CHECKING:
    from pymaild.imap.selection import Selection
    from pymaild.imap.session import ImapSession
    from pymaild.mail.selected import Changes

_LONGEST = 8192  # octets of a program, and numbers in its sets
_LOOK_AGAIN = 60.0  # seconds after which a program with OLDER or YOUNGER is asked anew


@dataclass(frozen=True, slots=True)
class Program:
    """A program that was read, and what changes its results without a message coming or going.

    ``criteria`` are those of SORT, none of SEARCH. ``made_for``: the index and the number of
    keywords that it was read for.
    """

    key: Key
    criteria: list[Criterion]
    comparator: Comparator
    of_flags: bool
    of_time: bool
    made_for: tuple[object, int]

    @classmethod
    def read(cls, session: ImapSession, context: Context) -> Self:
        """Read the text of a context once more. Raises BadSyntax and Refused."""
        reader = Reader.of(session, reread(context.origin.text, session))
        reader.facts = Facts(given=iter(context.facts))
        reader.comparator = comparator(context.comparator)
        criteria, key = read_sort(reader) if context.origin.sort else ([], reader.search())
        parts = list(leaves(key))
        index = session.current.selected.mailbox.index
        return cls(
            key,
            criteria,
            reader.comparator,
            any(isinstance(part, HasFlags | ModSeq) for part in parts),
            any(isinstance(part, Older | Younger) for part in parts),
            (index, index.keyword_count),
        )

    def order(self, scope: Scope) -> Order:
        """The order of the results."""
        if not self.criteria:
            return OfMailbox()
        return OfCriteria(Keys(scope, self.comparator), self.criteria)


@dataclass(frozen=True, slots=True)
class Origin:
    """The command that began a context.

    ``text`` is what stands behind its RETURN (...); ``named`` says that the mailbox is named
    in what is told, as ESEARCH's is (RFC 7377 §2.1); ``sort`` that it is SORT. ``fetch``: the
    items that are told of new mail among the results, as they were written (RFC 5465 §7).
    """

    text: bytes
    by_uid: bool
    named: bool = False
    sort: bool = False
    fetch: str = ""


@dataclass(slots=True)
class Context:
    """One search; ``facts`` are those of :class:`Reader`, ``comparator`` was active as it began."""

    tag: bytes
    origin: Origin
    facts: list[Any]
    known: Known
    comparator: str = ""
    program: Program | None = None

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Self:
        """Make a context from what :meth:`state` returned."""
        text = state["text"].encode("latin-1")
        origin = Origin(text, state["uid"], state["named"], state["sort"], state["fetch"])
        known = InMailboxOrder(state["known"])
        return cls(state["tag"].encode(), origin, state["facts"], known, state["comparator"])

    def state(self) -> dict[str, Any]:
        """Return what the record holds of it."""
        return {
            "tag": self.tag.decode(),
            "uid": self.origin.by_uid,
            "named": self.origin.named,
            "sort": self.origin.sort,
            "fetch": self.origin.fetch,
            "text": self.origin.text.decode("latin-1"),
            "facts": self.facts,
            "known": self.known.state(),
            "comparator": self.comparator,
        }


@dataclass
class Contexts:
    """The contexts of the selected mailbox."""

    session: ImapSession
    contexts: list[Context] = field(default_factory=list)
    count: int = 0  # messages that the client has been told of
    looked: float = float("-inf")

    @classmethod
    def restored(cls, session: ImapSession, states: list[dict[str, Any]]) -> Self:
        """Take up the contexts of a record."""
        count = len(session.current.selected.view)
        made = cls(session, [Context.restored(state) for state in states], count)
        for context in list(made.contexts):
            program = made._program(context) if context.origin.sort else None
            if program is not None:
                made._guarded(context, made._put_in_order, program)
        return made

    def state(self) -> list[dict[str, Any]]:
        """Return what the record holds of them."""
        return [context.state() for context in self.contexts]

    def named(self, tag: bytes) -> Context | None:
        """Return the context that a command with this tag began."""
        return next((context for context in self.contexts if context.tag == tag), None)

    def cancel(self, tags: Iterable[bytes]) -> None:
        """Forget contexts (RFC 5267 §4.3.5)."""
        gone = frozenset(tags)
        self.contexts = [context for context in self.contexts if context.tag not in gone]

    @property
    def fetching(self) -> bool:
        """Whether any of them asks for items of new mail."""
        return any(context.origin.fetch for context in self.contexts)

    def items(self, uid: int) -> list[str]:
        """Return what is asked for of a new message, by those that it is a result of."""
        return [context.origin.fetch for context in self.contexts if uid in context.known]

    # -- changes -------------------------------------------------------------------------------

    def before(self, changes: Changes) -> None:
        """Tell of results that are expunged, while their numbers are still valid."""
        pairs = list(zip(changes.vanished, reversed(changes.expunged), strict=True))
        self.count -= len(pairs)
        if pairs:
            for context in self.contexts:
                self._remove(context, [pair for pair in pairs if pair[0] in context.known])

    def behind(self, changes: Changes) -> None:
        """Tell of results that came or changed, behind their EXISTS and FETCH."""
        count = len(self.session.current.selected.view)
        fresh = range(self.count + 1, count + 1)
        self.count = count
        changed = [seq for seq, _ in changes.changed]
        if fresh or changed:
            self._look(fresh, changed)
        if time.monotonic() >= self.looked + _LOOK_AGAIN:
            self._look_at_time()

    def _look(self, fresh: Sequence[int], changed: Sequence[int]) -> None:
        scope = self._scope()
        for context in list(self.contexts):
            program = self._program(context)
            if program is not None:
                old = changed if program.of_flags else ()
                self._guarded(context, self._test, program, scope, (*old, *fresh))

    def _look_at_time(self) -> None:
        """RFC 5032 §2: what grows older without a change is looked at from time to time."""
        self.looked = time.monotonic()
        scope = self._scope()
        for context in list(self.contexts):
            program = self._program(context)
            if program is not None and program.of_time:
                self._guarded(context, self._test_all, program, scope)

    def _guarded(self, context: Context, test: Callable[..., None], *more: Any) -> None:
        """What cannot be tested now would be wrong for ever."""
        try:
            test(context, *more)
        except Refused as refused:
            self._give_up(context, refused.text)

    def _test(self, context: Context, program: Program, scope: Scope, seqs: Iterable[int]) -> None:
        added: list[int] = []
        removed: list[int] = []
        for seq in seqs:
            known = scope.view.uid(seq) in context.known
            if matches([program.key], scope, seq) != known:
                (removed if known else added).append(seq)
            scope.beat()
        self._tell(context, program.order(scope), scope, added, removed)

    def _test_all(self, context: Context, program: Program, scope: Scope) -> None:
        found = set(evaluate(program.key, scope))
        changed = [s for s in scope.all() if (scope.view.uid(s) in context.known) != (s in found)]
        added = [seq for seq in changed if seq in found]
        removed = [seq for seq in changed if seq not in found]
        self._tell(context, program.order(scope), scope, added, removed)

    def _put_in_order(self, context: Context, program: Program) -> None:
        """Sort results that a record told of, while the view still has them all."""
        scope = self._scope()
        seqs = scope.view.resolve(list(InMailboxOrder(context.known.state())), True)
        found = program.order(scope).sorted(seqs)
        context.known = InSortOrder(scope.view.uids(found))

    def _scope(self) -> Scope:
        return Scope(self.session.current, self.session.progress.beat)

    # -- telling -------------------------------------------------------------------------------

    def _tell(
        self,
        context: Context,
        order: Order,
        scope: Scope,
        added: Sequence[int],
        removed: Sequence[int],
    ) -> None:
        self._remove(context, _pairs(scope, removed))
        if added:
            pairs = _told(context, _pairs(scope, order.sorted(sorted(set(added)))))
            self._write(context, b"ADDTO", context.known.add(pairs, order.precedes))

    def _remove(self, context: Context, pairs: Pairs) -> None:
        if pairs:
            self._write(context, b"REMOVEFROM", context.known.remove(_told(context, pairs)))

    def _write(self, context: Context, item: bytes, payload: bytes) -> None:
        origin = context.origin
        named = correlator(self.session, self.session.current, context.tag, origin.named)
        uid = b" UID" if origin.by_uid else b""
        self.session.write(b"* ESEARCH %b%b %b (%b)\r\n" % (named, uid, item, payload))

    # -- programs ------------------------------------------------------------------------------

    def _program(self, context: Context) -> Program | None:
        """Return the program of a context; its keywords may have got their bits meanwhile."""
        index = self.session.current.selected.mailbox.index
        if context.program is None or context.program.made_for != (index, index.keyword_count):
            try:
                context.program = Program.read(self.session, context)
            except (BadSyntax, Refused):  # the limits are others in this process
                self._give_up(context, "This search is no longer possible")
                return None
        return context.program

    def _give_up(self, context: Context, why: str) -> None:
        refuse(self.session, context.tag, why)
        self.cancel([context.tag])


def _pairs(scope: Scope, seqs: Iterable[int]) -> Pairs:
    return [(scope.view.uid(seq), seq) for seq in seqs]


def _told(context: Context, pairs: Pairs) -> Pairs:
    return [(uid, uid) for uid, _ in pairs] if context.origin.by_uid else pairs


# -- beginning ---------------------------------------------------------------------------------


def check_tag(session: ImapSession, returns: results.Returns | None) -> None:
    """RFC 5267 §4.3: no two searches with UPDATE have the same tag. Raises BadSyntax."""
    contexts = session.current.contexts
    if returns is not None and returns.update and contexts and contexts.named(session.tag):
        raise BadSyntax("A search with this tag is being updated")


def correlator(session: ImapSession, selection: Selection, tag: bytes, named: bool = True) -> bytes:
    """search-correlator of a search in a mailbox, which is named or not."""
    if not named:
        return results.correlator(tag)
    mailbox = selection.mailbox
    return results.correlator(tag, session.mailbox_name(mailbox.name), mailbox.uidvalidity)


def begin(session: ImapSession, origin: Origin, facts: Facts, found: Sequence[int]) -> None:
    """Tell of changes to a search from now on, or say that this is too much."""
    selection = session.current
    if selection.contexts is None:
        selection.contexts = Contexts.restored(session, [])
    running = selection.contexts.contexts
    if len(running) >= session.settings.contexts:
        refuse(session, session.tag, "Too many searches are updated")
    elif len(origin.text) + len(origin.fetch) + sum(map(len, facts.noted)) > _LONGEST:
        refuse(session, session.tag, "This search is too long to be updated")
    else:
        view = selection.selected.view
        known: Known = (
            InSortOrder(view.uids(found))
            if origin.sort
            else InMailboxOrder.of(uid_ranges(view, found))
        )
        active = session.record.comparator
        running.append(Context(session.tag, origin, facts.noted, known, active))


def refuse(session: ImapSession, tag: bytes, why: str) -> None:
    """Say that there are no updates of a search (RFC 5267 §4.3.1)."""
    session.write(b'* NO [NOUPDATE "%b"] %b\r\n' % (tag, why.encode()))
