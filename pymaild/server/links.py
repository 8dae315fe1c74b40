"""The keeper's side of the processes that run sessions: what they say, and what they are told."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from pymaild.server import errands, moving
from pymaild.server.channel import close_all
from pymaild.server.errands import Parcel
from pymaild.server.kept import Kept, Link
from pymaild.server.listeners import OUT_OF
from pymaild.server.parked import Flag
from pymaild.server.place import Place

if TYPE_CHECKING:
    from pymaild.server.keeper import Keeper

log = logging.getLogger("pymaild.keeper")


class Links:
    """All of them; ``home`` has the sessions."""

    def __init__(self, home: Keeper, place: Place) -> None:
        self._home = home
        self._listener = place.shared.keeper
        self._table = place.shared.table
        self._meetings = place.shared.scoreboard.meetings
        self._links: set[Link] = set()
        self._exhausted = False  # there is no descriptor for a new process
        self._paused = False
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
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in OUT_OF:
                self._pause(error)
            return
        self._exhausted = False
        self._meet(sock)

    def _pause(self, error: OSError) -> None:
        """Leave new processes in the queue until the next second; say so once."""
        if not self._exhausted:
            log.error("no process can be heard: %s", error)
        self._exhausted = self._paused = True
        self._home.forget_fd(self._listener.fileno())

    def tick(self) -> None:
        """Look whether new processes can be heard again."""
        if self._paused:
            self._paused = False
            self.open()

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
            self._end(link)
            return
        if link.only and not _is_about(link.only, data):
            log.error("the process in slot %d speaks of what is not its user's", link.slot)
            close_all(fds)
            self._end(link)
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
        link.slot, link.meeting = int(body["slot"]), int(body["meeting"])
        link.only = errands.key_of(body["only"]) if body["only"] else b""
        if self._is_past(link):
            self._part(link)
            return
        for other in [other for other in self._links if other.slot == link.slot]:
            if other is not link:
                self._part(other)
        key = errands.key_of(body["session"]) if body["session"] else b""
        if body["fresh"]:
            self._home.succession.of_worker(link.slot)
        else:
            self._home.succession.of_live_worker(link.slot, self._home.kept.get(key))
        kept = self._home.kept.get(key)
        if kept is not None and self._is_of(kept, link):
            self._belong(kept, link)
        self._say(link, errands.WELCOME)

    def _is_past(self, link: Link) -> bool:
        """Whether the process has another connection by now, or is another."""
        return link.slot >= 0 and link.meeting != self._meetings[link.slot]

    def _end(self, link: Link) -> None:
        """A connection has ended: where it was the last one of a worker, that is dead."""
        dead = link.slot >= 0 and not self._is_past(link)
        self._part(link)
        if dead:
            self._home.succession.of_worker(link.slot)

    def _part(self, link: Link) -> None:
        """Forget a connection; it is still to be seen what has become of its session."""
        self._links.discard(link)
        self._home.forget_fd(link.sock.fileno())
        link.sock.close()
        if link.kept is not None:
            link.kept.holder = None
            self._home.succession.doubt(link.slot, link.kept)
            link.kept = None
        self._home.room.line.again()  # it may have been woken for one

    def _belong(self, kept: Kept, link: Link) -> None:
        """A worker runs a session."""
        if kept.holder is not None:
            kept.holder.kept = None
        kept.holder, link.kept = link, kept
        self._home.room.taken(kept, link.slot)

    def _is_of(self, kept: Kept, link: Link) -> bool:
        """Whether a session is the worker's, as far as an earlier keeper has left that open.

        Otherwise that had it already, and could not say so.
        """
        if kept.holder is not None or kept.row < 0:
            return kept.holder in (link, None)
        if self._table.slots[kept.row] != link.slot:
            return False
        return not (self._home.room.has(kept) and self._table.is_safe(kept.row))

    def _hold(self, link: Link, data: bytes, fds: list[int]) -> None:
        ended = data[1 + errands.KEY :]
        if ended:
            self._over(link, errands.OVER + ended, [])
        self._take_hold(link, data, fds, bool(link.only))

    def _take_hold(self, link: Link, data: bytes, fds: list[int], of_user: bool) -> None:
        key = data[1 : 1 + errands.KEY]
        if not fds:
            return  # there was no room for it
        kind = errands.USERS if of_user else errands.CLIENT
        kept = self._home.kept.get(key)
        if kept is None:
            kept = self._home.new(key, fds.pop(0), kind)
        else:  # it has another connection now
            self._home.replace(kept, fds.pop(0))
            kept.kind = kind
        self._belong(kept, link)
        self._home.safe.add(key + kept.kind, kept.fd)

    def _over(self, link: Link, data: bytes, fds: list[int]) -> None:
        kept = self._home.kept.get(data[1 : 1 + errands.KEY])
        if kept is not None and self._is_of(kept, link):
            self._home.drop(kept)

    def _park(self, link: Link, data: bytes, fds: list[int]) -> None:
        parcel = Parcel.read(data)
        kept = self._home.kept.get(parcel.key)
        if kept is not None and not self._is_of(kept, link):
            self._say(link, errands.HELD + parcel.key)
            return
        if parcel.flags & Flag.CLIENT and fds:
            self._take_hold(link, data, fds, bool(link.only))
            kept = self._home.kept[parcel.key]
            parcel = parcel._replace(flags=parcel.flags & ~Flag.CLIENT)
        if kept is None or not self._home.take_in(kept, parcel, fds, link.slot):
            self._say(link, errands.RETURNED + parcel.key)
            return
        if kept.holder is not None:
            kept.holder.kept = None
        kept.holder = None
        self._unheld[kept.key] = link
        if self._home.safe.has(kept.key):
            self.stored(kept.key)
        self._home.parked(kept)

    def stored(self, key: bytes) -> None:
        """The vault has all of a session, too: its worker can let go of it."""
        link = self._unheld.pop(key, None)
        if link is None:
            return
        kept = self._home.kept.get(key)
        if kept is not None and self._home.room.has(kept):
            self._home.room.secure(kept)
        self._say(link, errands.HELD + key)

    def _next(self, link: Link, data: bytes, fds: list[int]) -> None:
        found = self._home.room.next()
        if found is None:
            self._say(link, errands.NOTHING)
            return
        kept, parcel = found
        self._home.safe.flush()  # what the vault has been sent outlives us
        self.stored(kept.key)  # before another process goes on with it
        self._home.room.given(kept, link.slot)  # a keeper that dies here leaves it to the next
        fds_of = [kept.fd, *(fd for _, fd in kept.files())]
        if self._say(link, parcel.message(errands.SESSION), fds_of):
            kept.holder, link.kept = link, kept  # and has not begun, for all we know
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
        self._take_hold(link, data, fds, bool(arrival.parcel.flags & Flag.USERS))
        self._park(link, arrival.parcel.message(errands.PARK), arrival.files)
        close_all(arrival.files)
        kept = self._home.kept.get(key)
        if kept is not None and kept.row >= 0:
            self._home.room.arrived(kept, arrival.alarm)
        elif kept is not None:
            self._home.drop(kept)


def _is_about(key: bytes, data: bytes) -> bool:
    """Whether a message is about this session alone."""
    body = data[1:] if data[:1] in (errands.HOLD, errands.OVER) else data[1 : 1 + errands.KEY]
    return data[:1] in (errands.HOLD, errands.OVER, errands.PARK) and body == key
