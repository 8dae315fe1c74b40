"""Where messages are, in one interface for all formats.

A Store is the mail of one mailbox; index, control file and lock of that mailbox lie in its
``directory``, which need not be where the mail is. A Layout is the tree of an account: which
mailboxes there are, and where. All that changes mail is called with the mailbox locked. The mail
changes first, and what was done is staged in the index: a crash between the two is found by the
next scan.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pymaild.index import Index
from pymaild.storage.maildir import Draft
from pymaild.storage.takeover import Adopted

if TYPE_CHECKING:
    from pymaild.mail import _octets as octets
    from pymaild.mail.mailbox import Mailbox

Beat = Callable[[int, int], object]

SYSTEM = 0x1F  # the flags of an index row that are flags of IMAP
SETTLED = 50_000_000  # ns after which an mtime tells every change (coarse clocks)
NEVER = (0, 0)  # the stamp in the index when the next look at the mailbox must be a scan
FULL = (errno.ENOSPC, errno.EDQUOT)


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
    """A message that has its place: its name in the index, whether it is recent, SAVEDATE."""

    name: bytes
    new: bool
    saved: int


class Order(NamedTuple):
    """A message that is to be taken over, by its row in the other index: its UID there, and the
    flags that it will have."""

    row: int
    uid: int
    flags: int
    keywords: int


class Taken(NamedTuple):
    """A message that was taken over. Size in octets as stored, dates in seconds since 1970."""

    order: Order
    uid: int
    name: bytes
    date: int
    saved: int
    size: int


class Leaving(NamedTuple):
    """Messages that go in exchange for those that come, by their names, in the same order."""

    store: Store
    names: Sequence[bytes]


#: A message as stored, and the descriptor of the file that it is mapped from, which the receiver
#: closes; -1 where it is in memory.
Octets = tuple[memoryview, int]


class Store(Protocol):
    """The mail of one mailbox. All methods raise OSError."""

    directory: str
    paths: list[str]  # where what others do shows

    def exists(self) -> bool:
        """Say whether there is such a mailbox."""

    def stamp(self) -> tuple[int, int]:
        """Return two numbers that differ when others have changed the mail.

        Raises FileNotFoundError where it has gone.
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

    def follow(self, index: Index, beat: Beat) -> None:
        """Have the mail say the flags that only the index says yet (Index.behind)."""

    def remove(self, index: Index, rows: Sequence[int], beat: Beat, durable: bool = False) -> None:
        """Remove messages for good, and stage that; those that have gone are no error."""


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
