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
from contextlib import suppress

from pymaild.server import errands, moving
from pymaild.server.board import set_title
from pymaild.server.channel import Message, close_all
from pymaild.server.errands import Parcel
from pymaild.server.kept import Kept, Link
from pymaild.server.moving import GONE, Moving
from pymaild.server.parked import FULL, UNSAFE, RowState
from pymaild.server.place import Place
from pymaild.server.safe import Entries, Safe
from pymaild.server.scoreboard import State
from pymaild.server.succession import Succession
from pymaild.server.waiting import WaitingRoom

log = logging.getLogger("pymaild.keeper")

SLICE = 1.0  # seconds between two signs of life, and of the clock that sessions wait by
AT_ONCE = 256  # events of one round
OWN_FILES = 256  # descriptors that are not sessions'
PATIENCE = 5.0  # seconds in which a new keeper meets the vault


def run(place: Place) -> int:
    """Be the keeper."""
    place.settle()
    keeper = Keeper(place)
    place.supervisor.ready()
    keeper.loop()
    return 0


class Keeper:
    """All sessions. What a descriptor is about, a Kept or what to call, stands in ``_at``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._supervisor = place.supervisor
        self._listener = place.shared.keeper
        self._table = place.shared.table
        self._most = place.config.server.sessions_max
        self._last_fd = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_FILES
        self._epoll = select.epoll()
        self._at: list[Kept | Callable[[], None] | None] = []
        self.kept: dict[bytes, Kept] = {}
        self._links: set[Link] = set()
        self.safe = Safe(self._stored, self._learned)
        shared = place.shared
        since = 0.0 if shared.held else time.monotonic()
        self.room = WaitingRoom(
            self._table, shared.watches, shared.work, self._epoll, self.drop, since
        )
        self._moving: Moving | None = None
        self._succession = Succession(place, self)
        self._unheld: dict[bytes, Link] = {}  # parked, but not yet in the vault: whom to tell
        self._condemned: dict[bytes, str] = {}  # with what they are told once they are parked
        self._farewell = ""  # for every session, while the server wants none
        self._open = False
        self._began = time.monotonic()
        self._shown = -1
        self._deeds: dict[bytes, Callable[[Link, bytes, list[int]], None]] = {
            errands.HELLO: self._hello,
            errands.HOLD: self._hold,
            errands.OVER: self._over,
            errands.PARK: self._park,
            errands.NEXT: self._next,
            errands.MOVE: self._arrive,
        }
        self._supervisor.orders |= {
            "vault": self._vault,
            "end": self._end,
            "leave": self._leave,
            "open": self._be_opened,
            "move": self._move,
            "receive": self._receive,
        }
        self._watch(self._supervisor.fileno(), self._supervisor.attend)

    # -- the loop --------------------------------------------------------------------------

    def loop(self) -> None:
        """Keep sessions until told to leave; those that wait then are for the next keeper.

        One whose master has an heir has moved them before.
        """
        tick = 0.0
        while not self._supervisor.retiring or (self._moves and not self._supervisor.leaving):
            for fd, _ in self._epoll.poll(SLICE, AT_ONCE):
                self._event(fd)
            self.safe.flush()
            self._table.numbers[UNSAFE] = self.safe.lacks if self.safe.sock else len(self.kept)
            now = time.monotonic()
            if now - tick >= SLICE:
                tick = now
                self._each_second(now)
        if self._supervisor.leaving:
            self._leave({"text": self._supervisor.leaving}, [])

    @property
    def _moves(self) -> bool:
        return self._moving is not None and self._moving.busy

    def _event(self, fd: int) -> None:
        about = self._at[fd]
        if type(about) is Kept:
            self.room.client(about)
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
        self.room.tick(now)
        if not self._open and now - self._began > PATIENCE:
            self._begin()
        self._succession.tick(now)
        if self._shown != len(self.kept):
            self._shown = len(self.kept)
            set_title(f"keeper {self._shown} sessions")

    # -- sessions --------------------------------------------------------------------------

    def new(self, key: bytes, fd: int) -> Kept:
        """Keep a session."""
        kept = self.kept[key] = Kept(key, fd)
        self._note(fd, kept)
        self._table.numbers[FULL] = len(self.kept) >= self._most or fd >= self._last_fd
        return kept

    def drop(self, kept: Kept) -> None:
        """Forget a session and close what there is of it."""
        self.room.forget(kept)
        self._close(kept)
        if kept.holder is not None:
            kept.holder.kept = None
        del self.kept[kept.key]
        self._stored(kept.key)  # as far as there was anything to be stored
        self._condemned.pop(kept.key, None)
        self._table.numbers[FULL] = len(self.kept) >= self._most

    def _close(self, kept: Kept) -> None:
        self.safe.drop(kept.key + errands.CLIENT)
        self._forget_fd(kept.fd, kept.armed)
        os.close(kept.fd)
        kept.armed = False
        self._close_files(kept)

    def _close_files(self, kept: Kept) -> None:
        for kind, fd in kept.files():
            self.safe.drop(kept.key + kind)
            os.close(fd)
        kept.file = kept.lock = -1

    # -- workers ---------------------------------------------------------------------------

    def _accept(self) -> None:
        with suppress(OSError):
            self._meet(self._listener.accept()[0])

    def _meet(self, sock: socket.socket) -> None:
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
        link.slot = int(body["slot"])
        for other in [other for other in self._links if other.slot == link.slot]:
            if other is not link:
                self._bury(other)
        if body["fresh"]:
            self._succession.of_worker(link.slot, None)
        else:
            self._succession.of_live_worker(link.slot, body["session"])
        kept = self.kept.get(errands.key_of(body["session"])) if body["session"] else None
        if kept is not None and kept.holder is None:
            kept.holder, link.kept = link, kept
            if kept.row >= 0 and self._table.states[kept.row] != RowState.GIVEN:
                self.room.forget(kept)
        link.greeted = self._say(link, errands.WELCOME)

    def _bury(self, link: Link) -> None:
        """A worker is gone. Others go on with what it had, and may be woken in its place."""
        self._links.discard(link)
        self._forget_fd(link.sock.fileno())
        link.sock.close()
        self._succession.of_worker(link.slot, link.kept)
        self.room.line.again()

    def _hold(self, link: Link, data: bytes, fds: list[int]) -> None:
        key = data[1 : 1 + errands.KEY]
        if not fds:
            return  # there was no room for it
        kept = self.kept.get(key)
        if kept is None:
            kept = self.new(key, fds.pop(0))
        else:  # it has another connection now
            self._close(kept)
            kept.fd = fds.pop(0)
            self._note(kept.fd, kept)
            if kept.holder is not None:
                kept.holder.kept = None
        kept.holder, link.kept = link, kept
        self.safe.add(key + errands.CLIENT, kept.fd)

    def _over(self, link: Link, data: bytes, fds: list[int]) -> None:
        kept = self.kept.get(data[1 : 1 + errands.KEY])
        if kept is not None and (kept.holder is link or self._is_lost(kept)):
            self.drop(kept)

    def _is_lost(self, kept: Kept) -> bool:
        """Whether a session went on in a worker that an earlier keeper knew."""
        given = kept.row < 0 or self._table.states[kept.row] == RowState.GIVEN
        return kept.holder is None and given

    def _park(self, link: Link, data: bytes, fds: list[int]) -> None:
        parcel = Parcel.read(data)
        kept = self.kept.get(parcel.key)
        if kept is not None and kept.row >= 0 and kept.holder is None and not self._is_lost(kept):
            self.room.depart(kept)  # it was parked with an earlier keeper, who did not say so
        if kept is None or kept.holder not in (link, None) or not self.take_in(kept, parcel, fds):
            self._say(link, errands.RETURNED + parcel.key)
            return
        if kept.holder is not None:
            kept.holder.kept = None
        kept.holder = None
        if self.safe.has(kept.key):
            self._say(link, errands.HELD + kept.key)
        else:
            self._unheld[kept.key] = link
        text = self._farewell or self._condemned.get(kept.key)
        if text:
            self.room.end(kept, text)
        elif self._moving is not None:
            self._moving.add(kept)
            self._moving.flush()

    def take_in(self, kept: Kept, parcel: Parcel, fds: list[int]) -> bool:
        """Let a session wait; false where there is no room."""
        self._close_files(kept)
        if not kept.take(parcel.flags, fds):
            return False
        for kind, fd in kept.files():
            self.safe.add(kept.key + kind, fd)
        return self.room.admit(kept, parcel)

    def _stored(self, key: bytes) -> None:
        link = self._unheld.pop(key, None)
        if link is not None:
            self._say(link, errands.HELD + key)

    def _next(self, link: Link, data: bytes, fds: list[int]) -> None:
        found = self.room.next()
        if found is None:
            self._say(link, errands.NOTHING)
            return
        kept, parcel = found
        self._stored(kept.key)  # before another process goes on with it
        self.room.given(kept, link.slot)  # a keeper that dies here leaves it to the next
        fds_of = [kept.fd, *(fd for _, fd in kept.files())]
        if self._say(link, parcel.message(errands.SESSION), fds_of):
            kept.holder, link.kept = link, kept
        else:
            self.room.again(kept)

    # -- the vault, and what an earlier keeper left --------------------------------------------

    def _vault(self, message: Message, fds: list[int]) -> None:
        if self.safe.sock is not None:
            self._forget_fd(self.safe.sock.fileno())
        self.safe.connect(fds.pop(0))
        assert self.safe.sock is not None
        self._watch(self.safe.sock.fileno(), self._hear_vault)
        close_all(fds)

    def _hear_vault(self) -> None:
        sock = self.safe.sock
        assert sock is not None
        fd = sock.fileno()
        self.safe.hear()
        if self.safe.sock is None:
            self._at[fd] = None  # closed, and so out of the epoll

    def _learned(self, found: Entries) -> None:
        """The vault has said what it holds: it is all there is, or what we have given it."""
        if not self._open:
            self._succession.take_over(found)
            self._begin()
            return
        close_all(list(found.values()))
        for kept in self.kept.values():
            self.safe.add(kept.key + errands.CLIENT, kept.fd)
            for kind, fd in kept.files():
                self.safe.add(kept.key + kind, fd)

    def _begin(self) -> None:
        """Hear workers, and of changes of mailboxes, from now on: all that wait are there."""
        self._open = True
        self._watch(self._listener.fileno(), self._accept)
        if not self._place.shared.held:
            self._be_told_of_changes()
        self._place.shared.scoreboard.set_state(self._place.slot, State.SERVING)

    def _be_told_of_changes(self) -> None:
        watches = self._place.shared.watches
        if watches >= 0:
            self._watch(watches, self.room.stirs)

    # -- another master's keeper ---------------------------------------------------------------

    def _move(self, message: Message, fds: list[int]) -> None:
        """Give all sessions away, and those that workers still have when they come back."""
        if self._place.shared.watches >= 0:
            self._forget_fd(self._place.shared.watches)  # the other one reads it now
        self._moving = Moving(socket.socket(fileno=fds.pop(0)), self.room, self._moved)
        self._watch(self._moving.sock.fileno(), self._moving.hear)
        for kept in self.kept.values():
            self._moving.add(kept)
        self._moving.flush()

    def _moved(self, kept: Kept, taken: bool) -> None:
        self._stored(kept.key)
        if taken:
            self.drop(kept)
        else:
            self.room.end(kept, GONE)

    def _be_opened(self, message: Message, fds: list[int]) -> None:
        """See Shared.held."""
        self._supervisor.be_opened(fds)
        self._place.shared.held = False
        if self._open:
            self._be_told_of_changes()

    def _receive(self, message: Message, fds: list[int]) -> None:
        """Take the sessions of another keeper."""
        self._meet(socket.socket(fileno=fds.pop(0)))

    def _arrive(self, link: Link, data: bytes, fds: list[int]) -> None:
        key = data[1 : 1 + errands.KEY]
        try:
            arrival = moving.read(data, fds[1:])
        except ValueError as error:
            log.warning("session=%s is not taken over: %s", errands.id_of(key), error)
            self._say(link, errands.RETURNED + key)
            return
        self._hold(link, data, fds)
        self._park(link, arrival.parcel.message(errands.PARK), arrival.files)
        close_all(arrival.files)
        kept = self.kept.get(key)
        if kept is not None and kept.row >= 0:
            self.room.arrived(kept, arrival.alarm)
        elif kept is not None:
            self.drop(kept)

    # -- orders of the master ------------------------------------------------------------------

    def _end(self, message: Message, fds: list[int]) -> None:
        """End sessions, or those that a worker has just been given once they come back."""
        text = str(message.get("text"))
        for session in message["sessions"]:
            kept = self.kept.get(errands.key_of(session))
            if kept is None:
                continue
            if kept.holder is None and kept.row >= 0:
                self.room.end(kept, text)
            else:
                self._condemned[kept.key] = text

    def _leave(self, message: Message, fds: list[int]) -> None:
        """End all parked sessions with a text, and those to come; without one, keep them again."""
        self._farewell = str(message.get("text") or "")
        if not self._farewell:
            return
        for kept in list(self.kept.values()):
            if kept.holder is None and kept.row >= 0:
                self.room.end(kept, self._farewell)
