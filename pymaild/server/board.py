"""What a session tells its surroundings: the scoreboard, the process title, the counters."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from setproctitle import setproctitle

from pymaild.core.session import SessionRecord
from pymaild.server.incidents import Incidents
from pymaild.server.parked import Table
from pymaild.server.scoreboard import Scoreboard, State, digest

#: What `who` shows of a session.
FACTS = ("id", "protocol", "user", "mailbox", "state", "peer", "tls", "client", "since")


def set_title(text: str) -> None:
    """Show ``text`` in the list of processes."""
    setproctitle(f"pymaild: {text}")


class Title:
    """The title of this process. Writing it takes longer than a small command, so that it is
    written when there is time: when a client is silent, and while a command takes long."""

    def __init__(self) -> None:
        self._text = self._shown = ""

    def be(self, text: str) -> None:
        """Say what it is to show."""
        self._text = text

    @property
    def due(self) -> bool:
        """Whether it shows something else."""
        return self._text != self._shown

    def show(self) -> None:
        """Have it shown."""
        if self._text != self._shown:
            self._shown = self._text
            set_title(self._text)


class SessionBoard:
    """A :class:`pymaild.core.session.Board` over the slot of this process."""

    def __init__(
        self,
        scoreboard: Scoreboard,
        table: Table,
        slot: int,
        per_user: int,
        per_address: int,
        incidents: Incidents,
    ) -> None:
        self._scoreboard = scoreboard
        self._table = table
        self._slot = slot
        self._per_user = per_user
        self._per_address = per_address
        self._incidents = incidents
        self.title = Title()
        self._shown: tuple[object, ...] = ()

    def begin(self, record: SessionRecord, limited: bool) -> bool:
        """Show a session that starts in this process.

        False when its address has too many connections that are not logged in; ``limited``
        says that the protocol knows logins at all. One that was parked has been admitted before.
        """
        self._scoreboard.set_state(self._slot, State.BUSY)
        self.note(record)
        if not limited and record.user is None:
            return True
        return self._admit(record, beyond=record.wait is not None)

    def _admit_stranger(self, record: SessionRecord, beyond: bool) -> bool:
        self._scoreboard.users[self._slot] = 0
        key = address_key(record.peer.address)
        if not key:
            return True
        name = digest(key)
        self._scoreboard.addresses[self._slot] = name
        here = self._scoreboard.addresses.tolist().count(name)
        return beyond or here + self._table.of_address(name) <= self._per_address

    def end(self) -> None:
        """Forget the session."""
        if self._shown:
            self._scoreboard.set_text(self._slot, None)
        self._shown = ()
        self._scoreboard.users[self._slot] = self._scoreboard.addresses[self._slot] = 0

    def note(self, record: SessionRecord, doing: str = "", mailbox: str = "") -> None:
        """See :meth:`Board.note`."""
        user = record.user.name if record.user else ""
        shown = (record.id, user, mailbox, record.state, doing, record.client, record.tls)
        if shown == self._shown:
            return
        self._shown = shown
        state = doing or record.state
        words = (record.protocol, user or record.peer.address, mailbox, state)
        self.title.be(" ".join(word for word in words if word))
        address, version = record.peer.address, record.tls.version if record.tls else ""
        values = record.id, record.protocol, user, mailbox, state, address, version
        facts = dict(zip(FACTS, (*values, record.client, record.started), strict=True))
        self._scoreboard.set_text(self._slot, facts)

    def admit(self, record: SessionRecord) -> bool:
        """See :meth:`Board.admit`."""
        return self._admit(record, beyond=False)

    def _admit(self, record: SessionRecord, beyond: bool) -> bool:
        """Count a session, with ``beyond`` even where there are too many."""
        if record.user is None:
            return self._admit_stranger(record, beyond)
        name = digest(record.user.name)
        self._scoreboard.addresses[self._slot] = 0
        self._scoreboard.users[self._slot] = name
        here = self._scoreboard.users.tolist().count(name)
        if beyond or here + self._table.of_user(name) <= self._per_user:
            return True
        self._scoreboard.users[self._slot] = 0
        return False

    def beat(self) -> None:
        """See :meth:`Board.beat`."""
        self._scoreboard.beat(self._slot)
        self.title.show()

    def incident(self, record: SessionRecord, data: bytes) -> None:
        """See :meth:`Board.incident`."""
        self._incidents.add(record, data)

    def count(self, counter: str, amount: int = 1) -> None:
        """See :meth:`Board.count`."""
        self._scoreboard.count(self._slot, counter, amount)


@lru_cache(maxsize=1024)
def address_key(address: str) -> str:
    """Return what counts as one client: an IPv4 address, an IPv6 /64, "" on Unix sockets."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed.packed, 64), strict=False))
