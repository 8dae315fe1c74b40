"""The keeper: has a descriptor of every session, and runs those for which there is nothing to do.

Workers tell it of sessions that begin and end, park the silent ones with it, and ask it for
those that have something to do. It reads no mail, and of clients only what ends an IDLE.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import socket
import struct
import time
from collections.abc import Callable

from pymaild.server import errands
from pymaild.server.board import set_title
from pymaild.server.channel import Message, close_all
from pymaild.server.errands import Parcel
from pymaild.server.kept import Kept
from pymaild.server.parked import FULL, READING, UNSAFE, Flag, RowState
from pymaild.server.place import Place
from pymaild.server.safe import Entries, Safe
from pymaild.server.scoreboard import State
from pymaild.server.waiting import WaitingRoom

log = logging.getLogger("pymaild.keeper")

SLICE = 1.0  # seconds between two signs of life, and of the clock that sessions wait by
AT_ONCE = 256  # events of one round
OWN_FILES = 256  # descriptors that are not sessions'
PATIENCE = 5.0  # seconds for a vault, and for workers, to come back to a new keeper


def run(place: Place) -> int:
    """Be the keeper."""
    place.settle()
    keeper = Keeper(place)
    place.supervisor.ready()
    keeper.loop()
    return 0


class Link:
    """A process that runs sessions. ``kept`` is the one it has."""

    __slots__ = ("greeted", "kept", "slot", "sock", "user")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.slot = -1
        self.user = False
        self.greeted = False
        self.kept: Kept | None = None


class Keeper:
    """All sessions. What a descriptor is about, a Kept or what to call, stands in ``_at``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._supervisor = place.supervisor
        self._listener = place.shared.keeper
        self._table = place.shared.table
        self._most = min(
            place.config.server.sessions_max,
            resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_FILES,
        )
        self._epoll = select.epoll()
        self._at: list[Kept | Callable[[], None] | None] = []
        self._kept: dict[bytes, Kept] = {}
        self._links: set[Link] = set()
        self._safe = Safe(self._stored, self._learned)
        shared = place.shared
        self._room = WaitingRoom(self._table, shared.watches, shared.work, self._epoll, self._drop)
        self._unheld: dict[bytes, Link] = {}  # parked, but not yet in the vault: whom to tell
        self._condemned: dict[bytes, str] = {}  # with what they are told once they are parked
        self._farewell = ""  # for every session, while the server wants none
        self._orphans_until = 0.0
        self._open = False
        self._began = time.monotonic()
        self._shown = -1
        self._deeds: dict[bytes, Callable[[Link, bytes, list[int]], None]] = {
            errands.HELLO: self._hello,
            errands.HOLD: self._hold,
            errands.OVER: self._over,
            errands.PARK: self._park,
            errands.NEXT: self._next,
        }
        self._supervisor.orders |= {"vault": self._vault, "end": self._end, "leave": self._leave}
        self._watch(self._supervisor.fileno(), self._supervisor.attend)

    # -- the loop --------------------------------------------------------------------------

    def loop(self) -> None:
        """Keep sessions until told to leave; those that wait then are for the next keeper."""
        tick = 0.0
        while not self._supervisor.retiring:
            for fd, _ in self._epoll.poll(SLICE, AT_ONCE):
                self._event(fd)
            self._safe.flush()
            self._table.numbers[UNSAFE] = self._safe.lacks if self._safe.sock else len(self._kept)
            now = time.monotonic()
            if now - tick >= SLICE:
                tick = now
                self._each_second(now)
        if self._supervisor.leaving:
            self._leave({"text": self._supervisor.leaving}, [])

    def _event(self, fd: int) -> None:
        about = self._at[fd]
        if type(about) is Kept:
            self._room.client(about)
        elif about is not None:
            about()  # type: ignore[operator]

    def _watch(self, fd: int, about: Kept | Callable[[], None]) -> None:
        self._note(fd, about)
        self._epoll.register(fd, select.EPOLLIN)

    def _note(self, fd: int, about: Kept | Callable[[], None] | None) -> None:
        if fd >= len(self._at):
            self._at.extend([None] * (fd + 1 - len(self._at)))
        self._at[fd] = about

    def _forget_fd(self, fd: int, armed: bool = True) -> None:
        self._at[fd] = None
        if armed:
            self._epoll.unregister(fd)

    def _each_second(self, now: float) -> None:
        self._supervisor.beat()
        self._room.tick(now)
        if not self._open and now - self._began > PATIENCE:
            self._begin()
        if self._orphans_until and now > self._orphans_until:
            self._orphans_until = 0.0
            self._drop_orphans()
        if self._shown != len(self._kept):
            self._shown = len(self._kept)
            set_title(f"keeper {self._shown} sessions")

    # -- sessions --------------------------------------------------------------------------

    def _new(self, key: bytes, fd: int) -> Kept:
        kept = self._kept[key] = Kept(key, fd)
        self._note(fd, kept)
        self._table.numbers[FULL] = len(self._kept) >= self._most
        return kept

    def _drop(self, kept: Kept) -> None:
        """Forget a session and close what there is of it."""
        self._room.forget(kept)
        self._close(kept)
        if kept.holder is not None:
            kept.holder.kept = None
        del self._kept[kept.key]
        self._unheld.pop(kept.key, None)
        self._condemned.pop(kept.key, None)
        self._table.numbers[FULL] = len(self._kept) >= self._most

    def _close(self, kept: Kept) -> None:
        self._safe.drop(kept.key + errands.CLIENT)
        self._forget_fd(kept.fd, kept.armed)
        os.close(kept.fd)
        kept.armed = False
        self._close_file(kept)

    def _close_file(self, kept: Kept) -> None:
        if kept.file >= 0:
            self._safe.drop(kept.key + errands.FILE)
            os.close(kept.file)
            kept.file = -1

    # -- workers ---------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        link = Link(sock)
        self._links.add(link)
        self._watch(sock.fileno(), lambda: self._hear(link))

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
        link.slot, link.user = int(body["slot"]), body["role"] == "user"
        for other in [other for other in self._links if other.slot == link.slot]:
            if other is not link:
                self._bury(other)
        kept = self._kept.get(errands.key_of(body["session"])) if body["session"] else None
        if kept is not None and kept.holder is None:
            kept.holder, link.kept = link, kept
            if kept.row >= 0 and self._table.states[kept.row] != RowState.GIVEN:
                self._room.forget(kept)
        link.greeted = self._say(link, errands.WELCOME)

    def _bury(self, link: Link) -> None:
        """A worker is gone. What it had ends; others are woken for what it may have been."""
        self._links.discard(link)
        self._forget_fd(link.sock.fileno())
        link.sock.close()
        if link.kept is not None:
            self._drop(link.kept)
        self._room.line.again()

    def _hold(self, link: Link, data: bytes, fds: list[int]) -> None:
        key = data[1 : 1 + errands.KEY]
        if not fds:
            return  # there was no room for it
        kept = self._kept.get(key)
        if kept is None:
            kept = self._new(key, fds.pop(0))
        else:  # it has another connection now
            self._close(kept)
            kept.fd = fds.pop(0)
            self._note(kept.fd, kept)
            if kept.holder is not None:
                kept.holder.kept = None
        kept.holder, link.kept = link, kept
        self._safe.add(key + errands.CLIENT, kept.fd)

    def _over(self, link: Link, data: bytes, fds: list[int]) -> None:
        kept = self._kept.get(data[1 : 1 + errands.KEY])
        if kept is not None and kept.holder is link:
            self._drop(kept)

    def _park(self, link: Link, data: bytes, fds: list[int]) -> None:
        parcel = Parcel.read(data)
        kept = self._kept.get(parcel.key)
        if kept is None or kept.holder not in (link, None) or not self._take_in(kept, parcel, fds):
            self._say(link, errands.RETURNED + parcel.key)
            return
        if kept.holder is not None:
            kept.holder.kept = None
        kept.holder = None
        if self._safe.has(kept.key):
            self._say(link, errands.HELD + kept.key)
        else:
            self._unheld[kept.key] = link
        text = self._farewell or self._condemned.get(kept.key)
        if text:
            self._room.end(kept, text)

    def _take_in(self, kept: Kept, parcel: Parcel, fds: list[int]) -> bool:
        self._close_file(kept)
        if parcel.flags & Flag.FILE:
            if not fds:
                return False
            kept.file = fds.pop(0)
            self._safe.add(kept.key + errands.FILE, kept.file)
        return self._room.admit(kept, parcel)

    def _stored(self, key: bytes) -> None:
        link = self._unheld.pop(key, None)
        if link is not None:
            self._say(link, errands.HELD + key)

    def _next(self, link: Link, data: bytes, fds: list[int]) -> None:
        found = self._room.next()
        if found is None:
            self._say(link, errands.NOTHING)
            return
        kept, parcel = found
        self._stored(kept.key)  # before another process goes on with it
        self._table.slots[kept.row] = link.slot
        fds_of = [kept.fd, kept.file] if kept.file >= 0 else [kept.fd]
        if self._say(link, parcel.message(errands.SESSION), fds_of):
            self._room.given(kept, link.slot)
            kept.holder, link.kept = link, kept
        else:
            self._room.line.put_back(kept)

    # -- the vault, and what an earlier keeper left --------------------------------------------

    def _vault(self, message: Message, fds: list[int]) -> None:
        if self._safe.sock is not None:
            self._forget_fd(self._safe.sock.fileno())
        self._safe.connect(fds.pop(0))
        assert self._safe.sock is not None
        self._watch(self._safe.sock.fileno(), self._hear_vault)
        close_all(fds)

    def _hear_vault(self) -> None:
        sock = self._safe.sock
        assert sock is not None
        fd = sock.fileno()
        self._safe.hear()
        if self._safe.sock is None:
            self._at[fd] = None  # closed, and so out of the epoll

    def _learned(self, found: Entries) -> None:
        """The vault has said what it holds: it is all there is, or what we have given it."""
        if not self._open:
            self._take_over(found)
            self._begin()
            return
        close_all(list(found.values()))
        for kept in self._kept.values():
            self._safe.add(kept.key + errands.CLIENT, kept.fd)
            if kept.file >= 0:
                self._safe.add(kept.key + errands.FILE, kept.file)

    def _take_over(self, found: Entries) -> None:
        for entry, fd in found.items():
            if entry[errands.KEY :] == errands.CLIENT:
                self._new(entry[: errands.KEY], fd)
        for entry, fd in found.items():
            if entry[errands.KEY :] == errands.FILE:
                self._take_over_file(entry, fd)
        for row in range(self._table.top):
            if self._table.states[row] != RowState.FREE:
                self._take_over_row(row)
        self._table.numbers[READING] = 0
        self._orphans_until = time.monotonic() + PATIENCE
        if self._kept:
            log.warning("a new keeper has taken over %d sessions", len(self._kept))

    def _take_over_file(self, entry: bytes, fd: int) -> None:
        kept = self._kept.get(entry[: errands.KEY])
        if kept is None:
            self._safe.drop(entry)
            os.close(fd)
        else:
            kept.file = fd

    def _take_over_row(self, row: int) -> None:
        head = self._table.head(row)
        kept = self._kept.get(head.key)
        if kept is None or (head.flags & Flag.FILE and kept.file < 0):
            self._table.free(row)
            return
        kept.row = row
        self._room.restore(kept)

    def _begin(self) -> None:
        """Hear workers, and of changes of mailboxes, from now on: all that wait are there."""
        self._open = True
        self._watch(self._listener.fileno(), self._accept)
        if self._place.shared.watches >= 0:
            self._watch(self._place.shared.watches, self._room.stirs)
        self._place.shared.scoreboard.set_state(self._place.slot, State.SERVING)

    def _drop_orphans(self) -> None:
        """Close what no worker has come back for, or shows that it runs."""
        board = self._place.shared.scoreboard
        shown = {facts["id"] for slot in range(board.slots) if (facts := board.text(slot))}
        for kept in list(self._kept.values()):
            waits = kept.row >= 0 and self._table.states[kept.row] != RowState.GIVEN
            if kept.holder is None and not waits and errands.id_of(kept.key) not in shown:
                self._drop(kept)

    # -- orders of the master ------------------------------------------------------------------

    def _end(self, message: Message, fds: list[int]) -> None:
        """End sessions, or those that a worker has just been given once they come back."""
        text = str(message.get("text"))
        for session in message["sessions"]:
            kept = self._kept.get(errands.key_of(session))
            if kept is None:
                continue
            if kept.holder is None and kept.row >= 0:
                self._room.end(kept, text)
            else:
                self._condemned[kept.key] = text

    def _leave(self, message: Message, fds: list[int]) -> None:
        """End all parked sessions with a text, and those to come; without one, keep them again."""
        self._farewell = str(message.get("text") or "")
        if not self._farewell:
            return
        for kept in list(self._kept.values()):
            if kept.holder is None and kept.row >= 0:
                self._room.end(kept, self._farewell)
