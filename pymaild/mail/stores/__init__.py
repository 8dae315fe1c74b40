"""Where messages are, in one interface for all formats.

A Store is the mail of one mailbox; index, control file and lock of that mailbox lie in its
``directory``, which need not be where the mail is. A Layout is the tree of an account: which
mailboxes there are, and where. All that changes mail is called with the mailbox locked. The mail
changes first, and what was done is staged in the index: a crash between the two is found by the
next scan.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pymaild.index import Index
from pymaild.storage.takeover import Adopted

if TYPE_CHECKING:
    from pymaild.mail import _octets as octets
    from pymaild.mail.mailbox import Mailbox

Beat = Callable[[int, int], object]

SYSTEM = 0x1F  # the flags of an index row that are flags of IMAP
SETTLED = 50_000_000  # ns after which an mtime tells every change (coarse clocks)
NEVER = (0, 0)  # the stamp in the index when the next look at the mailbox must be a scan
FULL = (errno.ENOSPC, errno.EDQUOT)


class Draft(Protocol):
    """A message on disk, not yet in the mailbox. Sizes in octets, as stored and in CRLF form."""

    path: str
    size: int
    wire_size: int

    @property
    def name(self) -> str:
        """The unique name that it was given."""

    def discard(self) -> None:
        """Remove it; a draft that was committed is no longer there."""


def quiet(done: int, goal: int) -> None:
    """A beat for those who need no signs of life."""


class Arrival(NamedTuple):
    """A draft that is to be a message. ``name`` is unique; ``date`` in seconds since 1970."""

    draft: Draft
    name: str
    uid: int
    flags: int
    keywords: int
    date: float


class Placed(NamedTuple):
    """A message that has its place: its name in the index, whether it is recent, SAVEDATE.

    Sizes in octets, as stored and in CRLF form. ``place``: where it begins in a file of many.
    """

    name: bytes
    new: bool
    saved: int
    size: int
    wire_size: int
    place: int = 0


class Order(NamedTuple):
    """A message that is to be taken over, by its row in the other index: its UID there, and the
    flags that it will have."""

    row: int
    uid: int
    flags: int
    keywords: int


class Taken(NamedTuple):
    """A message that was taken over. Sizes in octets, dates in seconds since 1970.

    ``same``: its octets are those of the message that it was made of.
    """

    order: Order
    uid: int
    name: bytes
    date: int
    saved: int
    size: int
    wire_size: int
    place: int = 0
    same: bool = True


class Leaving(NamedTuple):
    """Messages that go in exchange for those that come, in the same order, by their traces."""

    store: Store
    traces: Sequence[str]


#: A message as stored, and the descriptor of the file that it is mapped from, which the receiver
#: closes; -1 where it is in memory.
Octets = tuple[memoryview, int]


class Store(Protocol):
    """The mail of one mailbox. All methods raise OSError."""

    directory: str
    paths: list[str]  # where what others do shows
    address: list[str]  # a key of KINDS, and what finds the same mail again

    def exists(self) -> bool:
        """Say whether there is such a mailbox."""

    def stamp(self) -> tuple[int, int]:
        """Return two numbers that differ when others have changed the mail.

        Raises FileNotFoundError where it has gone.
        """

    def held(self) -> AbstractContextManager[object]:
        """Keep others from changing the mail, where its format has locks.

        Raises Refused (INUSE).
        """

    def mark(self, since: int) -> tuple[int, int, int]:
        """Return the stamp behind a change of our own, and since when another's may hide there.

        ``since`` is what that was before; 0 is never. The mail is held.
        """

    def adopted(self) -> Adopted | None:
        """Return what another server knew of the mailbox, None where none did."""

    def scan(self, box: Mailbox, index: Index, adopted: Adopted | None) -> None:
        """Make the index say what the mail says. ``adopted``: UIDs known from elsewhere."""

    def sweep(self, now: float) -> None:
        """Remove what deliveries that died have left long ago."""

    def read(self, index: Index, row: int) -> Octets | None:
        """Return a message's octets, None where it has gone."""

    def octets(self) -> octets.Octets:
        """Return what reads many messages, one after the other."""

    def known_as(self, index: Index, row: int) -> str:
        """Return the name by which other servers know a message."""

    def write(self, pieces: Iterable[bytes], name: str = "") -> Draft:
        """Put a message on disk that has no place yet; ``name`` is unique, "" for any."""

    def placing(
        self, arrivals: Sequence[Arrival], mark: str, leaving: Leaving | None = None
    ) -> AbstractContextManager[list[Placed]]:
        """Give drafts their places, all or none; what fails inside takes them back.

        ``mark`` is what their names begin with. With ``leaving``, those go inside, and what is
        done of it decides. They are sure to be on disk behind :meth:`secure`.
        """

    def secure(self, placed: Sequence[Placed] | None = None) -> None:
        """Have on disk what was placed, or all that is there. The lock need not be held: those
        who wait at the same time share the disk's work.
        """

    def receiving(
        self,
        source: Store,
        index: Index,
        orders: Sequence[Order],
        mark: str,
        first: int,
        move: bool,
        beat: Beat,
    ) -> AbstractContextManager[list[Taken]]:
        """Copy or move messages of another store here, with UIDs from ``first`` on.

        ``index`` is that of the source, where it is staged which have moved. Those that have
        gone are left out. Copies are made all or none, and what fails inside takes them back; of
        a move, what is done stays done.
        """

    def set_flags(
        self, index: Index, changes: Mapping[int, tuple[int, int]], beat: Beat
    ) -> set[int]:
        """Give messages, by row, their system flags and keywords; none is recent any more.

        Stages what was done; returns the rows whose message has gone. Where there are many, the
        mail may :meth:`follow`.
        """

    def traces(self, index: Index, rows: Sequence[int]) -> list[str]:
        """Return what tells later whether these messages have gone."""

    def departed(self, traces: Sequence[str]) -> list[bool]:
        """Say which of these messages are no longer here; another mailbox may be locked."""

    def follow(self, index: Index, beat: Beat) -> None:
        """Have the mail say the flags that only the index says yet (Index.behind)."""

    def remove(self, index: Index, rows: Sequence[int], beat: Beat, durable: bool = False) -> None:
        """Remove messages for good, and stage that; those that have gone are no error."""


#: How a store is found again by its address, and whether what it writes is to be on disk.
KINDS: dict[str, Callable[[Sequence[str], bool], Store]] = {}


class Layout(Protocol):
    """The tree of mailboxes of one account. All methods raise OSError.

    A ``directory`` is where what belongs to a mailbox lies; all of them are below ``root``.
    """

    root: str

    def prepare(self) -> None:
        """Make what must be there before the first mailbox is."""

    def directory(self, name: str) -> str:
        """Return the directory of a mailbox that is there, or could be.

        Raises NoSuchMailbox and Refused (CANNOT) for what names none.
        """

    def store(self, directory: str) -> Store:
        """Return the mail of a mailbox."""

    def survey(self) -> tuple[list[str], bool]:
        """Return the names of all mailboxes, and whether what is there is sure to be whole."""

    def leaves(self, names: Sequence[str]) -> Container[str]:
        """Return those of all names that can have none below them."""

    def stamp(self) -> int | None:
        """Return a number that differs when mailboxes have come or gone; None: look again."""

    def paths(self) -> list[str]:
        """Return the directories where it shows that mailboxes come and go."""

    def create(self, directory: str) -> None:
        """Make a mailbox; one that cannot be made whole is not there at all."""

    def remove(self, directory: str) -> None:
        """Remove a mailbox with its mail; it has gone at once."""

    def clear(self) -> None:
        """Finish what a process that died had begun to remove."""

    def rename(self, source: str, target: str) -> None:
        """Give a mailbox another place."""

    def sync(self) -> None:
        """Put on disk what was renamed."""
