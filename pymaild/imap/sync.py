"""What a client has missed while it was away: CONDSTORE and QRESYNC of SELECT (RFC 7162)."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymaild._parser import LIST_BEGIN, BadSyntax
from pymaild.imap import items
from pymaild.imap._arguments import Arguments
from pymaild.imap.fetch import Fetch
from pymaild.imap.modifiers import modseq
from pymaild.imap.responses import vanished
from pymaild.imap.sets import Ranges
from pymaild.index import History, View

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_ALL: Ranges = [(1, 0)]
_PLAN = items.made(b"UID", b"FLAGS", b"MODSEQ")

_UIDONLY_PLAN = items.made(b"FLAGS", b"MODSEQ")


@dataclass(slots=True)
class Known:
    """What a client knows of a mailbox (RFC 7162 §3.2.5).

    ``uids``: of the messages it wants to hear of; ``numbers`` and ``samples``: sequence numbers
    and the UIDs that the messages with these had.
    """

    uidvalidity: int
    modseq: int
    uids: Ranges = field(default_factory=lambda: _ALL)
    numbers: Ranges = field(default_factory=list)
    samples: Ranges = field(default_factory=list)

    @classmethod
    def read(cls, args: Arguments) -> Known:
        """Read the parameters of QRESYNC, in parentheses."""
        args.open()
        known = cls(_uidvalidity(args), modseq(args))
        if args.item():
            if args.peek() != LIST_BEGIN:
                known.uids = args.sequence_set()
                if not args.item():
                    return known
            known._read_samples(args)
            if args.item():
                raise BadSyntax("Expected the end of what is known")
        return known

    def _read_samples(self, args: Arguments) -> None:
        """seq-match-data (RFC 7162 §7): two sets of the same size, without "*"."""
        args.open()
        args.item()
        self.numbers = args.sequence_set()
        args.sp()
        self.samples = args.sequence_set()
        if args.item() or _size(self.numbers) != _size(self.samples):
            raise BadSyntax("Expected sequence numbers and as many UIDs")

    def matched(self, view: View) -> int:
        """Return the highest UID up to which the client knows of every expunge, 0 for none.

        A message that has kept number and UID has lost nobody before it (RFC 7162 §3.2.5.2).
        """
        found = (_last_match(view, *run) for run in _parallel(self.numbers, self.samples))
        return max(found, default=0)


def _uidvalidity(args: Arguments) -> int:
    args.item()
    return args.number()


def _size(ranges: Ranges) -> int:
    if any(not low or not high for low, high in ranges):
        raise BadSyntax('"*" cannot stand here')
    return sum(high - low + 1 for low, high in ranges)


def _parallel(numbers: Ranges, uids: Ranges) -> Iterator[tuple[int, int, int]]:
    """Yield (first number, first UID, how many) of runs in which both go up by one."""
    left, right = deque(numbers), deque(uids)
    while left:
        (number, last_number), (uid, last_uid) = left.popleft(), right.popleft()
        count = min(last_number - number, last_uid - uid) + 1
        yield number, uid, count
        if number + count <= last_number:
            left.appendleft((number + count, last_number))
        if uid + count <= last_uid:
            right.appendleft((uid + count, last_uid))


def _last_match(view: View, number: int, uid: int, count: int) -> int:
    """The highest UID of a run of samples that the view has under the same number, 0 for none.

    UIDs go up by one or more from one message to the next, so that the distance between UID and
    number never shrinks: a search by halves finds where it is the sample's.
    """
    seqs = range(number, min(number + count - 1, len(view)) + 1)
    place = bisect_right(seqs, uid - number, key=lambda seq: view.uid(seq) - seq)
    if not place:
        return 0
    found = view.uid(seqs[place - 1])
    return found if found - seqs[place - 1] == uid - number else 0


def tell_vanished(session: ImapSession, since: int, ranges: Ranges, floor: int = 0) -> None:
    """Tell of messages that went after ``since`` (RFC 7162 §3.2.10.1)."""
    gone = iter(History(session.current.selected.view).vanished(since, ranges, floor))
    for response in vanished(zip(gone, gone, strict=True), earlier=True):
        session.write(response)


def resynchronize(session: ImapSession, known: Known) -> None:
    """Tell what changed and what went since the client was here (RFC 7162 §3.2.5.1).

    A client that knows another mailbox under this name is told nothing.
    """
    selected = session.current.selected
    if known.uidvalidity != selected.mailbox.uidvalidity:
        return
    view = selected.view
    tell_vanished(session, known.modseq, known.uids, known.matched(view))
    changed = view.among(History(view).changed(known.modseq), known.uids, True)
    plan = _UIDONLY_PLAN if session.modes.uidonly else _PLAN
    failure = Fetch(session, plan).run(changed)
    if failure is not None:
        raise failure
