"""The keeper: has a descriptor of every session, and runs those for which there is nothing to do.

Workers tell it of sessions that begin and end, park the silent ones with it, and ask it for
those that have something to do. It reads no mail, and of clients only what ends an IDLE.
"""

from __future__ import annotations

import logging
import os
import resource
import select
import socket
import time
from collections.abc import Callable

from pymaild.server import errands
from pymaild.server.board import set_title
from pymaild.server.channel import Message, close_all
from pymaild.server.errands import Parcel
from pymaild.server.kept import Kept
from pymaild.server.links import Links
from pymaild.server.moving import GONE, Moving
from pymaild.server.parked import FULL, UNSAFE, Flag
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
        self._table = place.shared.table
        self._most = place.config.server.sessions_max
        self._last_fd = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_FILES
        self._epoll = select.epoll()
        self._at: list[Kept | Callable[[], None] | None] = []
        self.kept: dict[bytes, Kept] = {}
        self.safe = Safe(self._stored, self._learned)
        shared = place.shared
        since = 0.0 if shared.held else time.monotonic()
        self.room = WaitingRoom(
            self._table,
            shared.watches,
            shared.work,
            self._epoll,
            self.drop,
            since,
            self.sent,
            place.config.server.write_timeout,
        )
        self._moving: Moving | None = None
        self.succession = Succession(place, self)
        self.links = Links(self, place)
        self._condemned: dict[bytes, str] = {}  # with what they are told once they are parked
        self._farewell = ""  # for every session, while the server wants none
        self._open = False
        self._began = time.monotonic()
        self._shown = -1
        self._supervisor.orders |= {
            "vault": self._vault,
            "end": self._end,
            "leave": self._leave,
            "open": self._be_opened,
            "move": self._move,
        }
        self.watch(self._supervisor.fileno(), self._supervisor.attend)

    # -- the loop --------------------------------------------------------------------------

    def loop(self) -> None:
        """Keep sessions until told to leave; those that wait then are for the next keeper.

        One whose master has an heir has moved them before.
        """
        tick = 0.0
        while not self._supervisor.retiring or (self._moves and not self._supervisor.leaving):
            for fd, _ in self._epoll.poll(min(SLICE, self.safe.left), AT_ONCE):
                self._event(fd)
            if self.safe.left <= 0:
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
        """Whether there are sessions that go to another keeper, also of workers that died."""
        if self._moving is None or not self._open:
            return self._moving is not None
        self._move_all(self._moving)
        return self._moving.busy

    def _event(self, fd: int) -> None:
        about = self._at[fd]
        if type(about) is Kept:
            self.room.client(about)
        elif about is not None:
            about()  # type: ignore[operator]

    def watch(self, fd: int, about: Kept | Callable[[], None]) -> None:
        """Hear of a descriptor."""
        self._note(fd, about)
        self._epoll.register(fd, select.EPOLLIN)

    def _note(self, fd: int, about: Kept | Callable[[], None] | None) -> None:
        if fd >= len(self._at):
            self._at.extend([None] * (fd + 1 - len(self._at)))
        self._at[fd] = about

    def forget_fd(self, fd: int, armed: bool = True) -> None:
        """Hear of it no more; it is closed behind this call."""
        self._at[fd] = None
        if armed:
            self._epoll.unregister(fd)

    def _each_second(self, now: float) -> None:
        self._supervisor.beat()
        self.room.tick(now)
        self.links.tick()
        if not self._open and now - self._began > PATIENCE:
            self._begin()
        self.succession.tick(now)
        if self._moving is not None and self._moving.sock is None:
            self._supervisor.channel.send({"verb": "move"})
        elif self._moving is not None and self._open:
            self._move_all(self._moving)
        if self._shown != len(self.kept):
            self._shown = len(self.kept)
            set_title(f"keeper {self._shown} sessions")

    # -- sessions --------------------------------------------------------------------------

    def new(self, key: bytes, fd: int, kind: bytes) -> Kept:
        """Keep a session."""
        kept = self.kept[key] = Kept(key, fd, kind)
        self._note(fd, kept)
        self._table.numbers[FULL] = len(self.kept) >= self._most or fd >= self._last_fd
        return kept

    def drop(self, kept: Kept) -> None:
        """Forget a session and close what there is of it."""
        self.room.forget(kept)
        self._close(kept)
        if kept.holder is not None and kept.holder.kept is kept:
            kept.holder.kept = None
        del self.kept[kept.key]
        self.links.stored(kept.key)  # as far as there was anything to be stored
        self._condemned.pop(kept.key, None)
        self._table.numbers[FULL] = len(self.kept) >= self._most

    def replace(self, kept: Kept, fd: int) -> None:
        """Go on with another connection of a session (COMPRESS)."""
        if self.room.has(kept):
            self.room.depart(kept)
        self._close(kept)
        kept.fd = fd
        self._note(fd, kept)

    def _close(self, kept: Kept) -> None:
        self.safe.drop(kept.key + kept.kind)
        self.forget_fd(kept.fd, kept.armed)
        os.close(kept.fd)
        kept.armed = False
        self._close_files(kept)

    def _close_files(self, kept: Kept) -> None:
        for kind, fd in kept.files():
            self.safe.drop(kept.key + kind)
            os.close(fd)
        kept.file = kept.lock = kept.backlog = -1

    def sent(self, kept: Kept) -> None:
        """Forget what a client has yet to take: it has it, or is gone."""
        self.safe.drop(kept.key + errands.BACKLOG)
        os.close(kept.backlog)
        kept.backlog = -1

    def _stored(self, key: bytes) -> None:
        self.links.stored(key)

    def parked(self, kept: Kept) -> None:
        """A session has come to wait: it may be unwanted by now, or on its way elsewhere."""
        text = self._farewell or self._condemned.get(kept.key)
        if text:
            self.room.end(kept, text)
        elif self._moving is not None:
            self._moving.add(kept)
            self._moving.flush()

    def take_in(self, kept: Kept, parcel: Parcel, fds: list[int], slot: int) -> bool:
        """Let a session wait that the process in a slot parks; false where there is no room."""
        if self.room.has(kept):
            self.room.depart(kept)
        self._close_files(kept)
        if not kept.take(parcel.flags, fds):
            return False
        for kind, fd in kept.files():
            self.safe.add(kept.key + kind, fd)
        users = Flag.USERS if kept.kind == errands.USERS else 0
        parcel = parcel._replace(flags=parcel.flags & ~Flag.USERS | users)
        return self.room.admit(kept, parcel, slot)

    # -- the vault, and what an earlier keeper left --------------------------------------------

    def _vault(self, message: Message, fds: list[int]) -> None:
        if self.safe.sock is not None:
            self.forget_fd(self.safe.sock.fileno())
        self.safe.connect(fds.pop(0))
        assert self.safe.sock is not None
        self.watch(self.safe.sock.fileno(), self._hear_vault)
        close_all(fds)

    def _hear_vault(self) -> None:
        sock = self.safe.sock
        if sock is None:  # it was found dead when it was told something
            return
        fd = sock.fileno()
        self.safe.hear()
        if self.safe.sock is None:
            self._at[fd] = None  # closed, and so out of the epoll

    def _learned(self, found: Entries) -> None:
        """The vault has said what it holds: it is all there is, or what we have given it."""
        if not self._open:
            self.succession.take_over(found)
            self._begin()
            return
        close_all(list(found.values()))
        for kept in self.kept.values():
            self.safe.add(kept.key + kept.kind, kept.fd)
            for kind, fd in kept.files():
                self.safe.add(kept.key + kind, fd)

    def _begin(self) -> None:
        """Hear workers, and of changes of mailboxes, from now on: all that wait are there."""
        self._open = True
        self.links.open()
        if self._moving is not None:
            self._move_all(self._moving)
        elif not self._place.shared.held:
            self._be_told_of_changes()
        self._place.shared.scoreboard.set_state(self._place.slot, State.SERVING)

    def _be_told_of_changes(self) -> None:
        watches = self._place.shared.watches
        if watches >= 0:
            self.watch(watches, self.room.stirs)

    # -- another master's keeper ---------------------------------------------------------------

    def _move(self, message: Message, fds: list[int]) -> None:
        """Give all sessions away, and those that workers still have when they come back."""
        if self._moving is None:
            self._moving = Moving(self.room, self._moved)
            if self._place.shared.watches >= 0 and self._open:
                self.forget_fd(self._place.shared.watches)  # the other one reads it now
        sock = socket.socket(fileno=fds.pop(0))
        self._moving.connect(sock)
        self.watch(sock.fileno(), self._hear_heir)
        if self._open:
            self._move_all(self._moving)

    def _move_all(self, moving: Moving) -> None:
        for kept in self.kept.values():
            moving.add(kept)
        moving.flush()

    def _hear_heir(self) -> None:
        assert self._moving is not None
        self._moving.hear()

    def _moved(self, kept: Kept, taken: bool) -> None:
        self.links.stored(kept.key)
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
