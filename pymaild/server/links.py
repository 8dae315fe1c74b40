"""The keeper's side of the processes that run sessions: what they say, and what they are told."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pymaild.server import errands, moving
from pymaild.server.channel import close_all
from pymaild.server.errands import Parcel
from pymaild.server.kept import Kept, Link
from pymaild.server.parked import RowState, Table

if TYPE_CHECKING:
    from pymaild.server.keeper import Keeper

log = logging.getLogger("pymaild.keeper")


class Links:
    """All of them; ``home`` has the sessions."""

    def __init__(self, home: Keeper, listener: socket.socket, table: Table) -> None:
        self._home = home
        self._listener = listener
        self._table = table
        self._links: set[Link] = set()
        self._unheld: dict[bytes, Link] = {}  # parked, but not yet in the vault: whom to tell
        self._deeds: dict[bytes, Callable[[Link, bytes, list[int]], None]] = {
            errands.HELLO: self._hello,
            errands.HOLD: self._hold,
            errands.OVER: self._over,
            errands.PARK: self._park,
            errands.NEXT: self._next,
            errands.MOVE: self._arrive,
        }

    def open(self) -> None:
        """Hear workers from now on."""
        self._home.watch(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        with suppress(OSError):
            self._meet(self._listener.accept()[0])

    def _meet(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        link = Link(sock)
        self._links.add(link)
        self._home.watch(sock.fileno(), lambda: self._hear(link))

    def _hear(self, link: Link) -> None:
        got = errands.receive(link.sock)
        if got is None:
            return
        data, fds = got
        if not data:
            self._bury(link)
            return
        try:
            self._deeds[data[:1]](link, data, fds)
        except (KeyError, ValueError, TypeError, struct.error):
            log.exception("the process in slot %d sent what is no message", link.slot)
        close_all(fds)

    def _say(self, link: Link, message: bytes, fds: list[int] | tuple[int, ...] = ()) -> bool:
        """Tell a worker something; one that takes nothing is as good as gone."""
        try:
            return errands.send(link.sock, message, fds)
        except OSError:
            return False

    def _hello(self, link: Link, data: bytes, fds: list[int]) -> None:
        body = json.loads(data[1:])
        link.slot = int(body["slot"])
        for other in [other for other in self._links if other.slot == link.slot]:
            if other is not link:
                self._bury(other)
        if body["fresh"]:
            self._home.succession.of_worker(link.slot, None)
        else:
            self._home.succession.of_live_worker(link.slot, body["session"])
        kept = self._home.kept.get(errands.key_of(body["session"])) if body["session"] else None
        if kept is not None and kept.holder is None:
            kept.holder, link.kept = link, kept
            if kept.row >= 0 and self._table.states[kept.row] != RowState.GIVEN:
                self._home.room.forget(kept)
        link.greeted = self._say(link, errands.WELCOME)

    def _bury(self, link: Link) -> None:
        """A worker is gone. Others go on with what it had, and may be woken in its place."""
        self._links.discard(link)
        self._home.forget_fd(link.sock.fileno())
        link.sock.close()
        self._home.succession.of_worker(link.slot, link.kept)
        self._home.room.line.again()

    def _hold(self, link: Link, data: bytes, fds: list[int]) -> None:
        key = data[1 : 1 + errands.KEY]
        if not fds:
            return  # there was no room for it
        kept = self._home.kept.get(key)
        if kept is None:
            kept = self._home.new(key, fds.pop(0))
        else:  # it has another connection now
            self._home.replace(kept, fds.pop(0))
            if kept.holder is not None:
                kept.holder.kept = None
        kept.holder, link.kept = link, kept
        self._home.safe.add(key + errands.CLIENT, kept.fd)

    def _over(self, link: Link, data: bytes, fds: list[int]) -> None:
        kept = self._home.kept.get(data[1 : 1 + errands.KEY])
        if kept is not None and (kept.holder is link or self._is_lost(kept)):
            self._home.drop(kept)

    def _is_lost(self, kept: Kept) -> bool:
        """Whether a session went on in a worker that an earlier keeper knew."""
        given = kept.row < 0 or self._table.states[kept.row] == RowState.GIVEN
        return kept.holder is None and given

    def _park(self, link: Link, data: bytes, fds: list[int]) -> None:
        parcel = Parcel.read(data)
        kept = self._home.kept.get(parcel.key)
        if kept is not None and kept.row >= 0 and kept.holder is None and not self._is_lost(kept):
            self._home.room.depart(kept)  # it was parked with an earlier keeper, who did not say so
        if (
            kept is None
            or kept.holder not in (link, None)
            or not self._home.take_in(kept, parcel, fds)
        ):
            self._say(link, errands.RETURNED + parcel.key)
            return
        if kept.holder is not None:
            kept.holder.kept = None
        kept.holder = None
        if self._home.safe.has(kept.key):
            self._say(link, errands.HELD + kept.key)
        else:
            self._unheld[kept.key] = link
        self._home.parked(kept)

    def stored(self, key: bytes) -> None:
        """The vault has all of a session, too: its worker can let go of it."""
        link = self._unheld.pop(key, None)
        if link is not None:
            self._say(link, errands.HELD + key)

    def _next(self, link: Link, data: bytes, fds: list[int]) -> None:
        found = self._home.room.next()
        if found is None:
            self._say(link, errands.NOTHING)
            return
        kept, parcel = found
        self.stored(kept.key)  # before another process goes on with it
        self._home.room.given(kept, link.slot)  # a keeper that dies here leaves it to the next
        fds_of = [kept.fd, *(fd for _, fd in kept.files())]
        if self._say(link, parcel.message(errands.SESSION), fds_of):
            kept.holder, link.kept = link, kept
        else:
            self._home.room.again(kept)

    def _arrive(self, link: Link, data: bytes, fds: list[int]) -> None:
        key = data[1 : 1 + errands.KEY]
        if key in self._home.kept:  # the one before us took it, and could not say so
            self._say(link, errands.HELD + key)
            return
        try:
            arrival = moving.read(data, fds[1:])
        except ValueError as error:
            log.warning("session=%s is not taken over: %s", errands.id_of(key), error)
            self._say(link, errands.RETURNED + key)
            return
        self._hold(link, data, fds)
        self._park(link, arrival.parcel.message(errands.PARK), arrival.files)
        close_all(arrival.files)
        kept = self._home.kept.get(key)
        if kept is not None and kept.row >= 0:
            self._home.room.arrived(kept, arrival.alarm)
        elif kept is not None:
            self._home.drop(kept)
