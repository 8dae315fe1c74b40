"""A worker's side of the keeper: what it tells of its sessions, parks there, and takes over.

A keeper that dies is replaced, and the connection is made anew when it is next needed: its
socket is the master's, so what is sent to the next keeper waits there for it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from pymaild.core.session import SessionRecord, Wait
from pymaild.server import errands, parcels
from pymaild.server.channel import Message, close_all
from pymaild.server.errands import Parcel
from pymaild.server.parked import FULL, POLLING, Flag
from pymaild.server.place import Place
from pymaild.server.roles import USER
from pymaild.server.scoreboard import State
from pymaild.storage import _watch

log = logging.getLogger("pymaild.server")

TIMEOUT = 5.0  # seconds in which the keeper answers
SLICE = 1.0  # seconds between two signs of life
MEETING = 1.0  # seconds in which a keeper welcomes a new process, if there is one
FEW_WORKERS_IDLE = 0.05  # seconds of silence after which a session leaves its worker then
LOOK_AGAIN = 0.05  # seconds after which it is seen whether many are idle still
NO_ROOM = 1.0  # seconds for which a keeper that has not taken a session is left alone
SHOWN = 80  # characters of a user's and a mailbox's name, where the record is long
POLL = 10.0  # seconds after which a session looks by itself where there are not enough watches
MOST_WATCHES = 1000  # of one session: the kernel's are few, and all users share them


class Session(NamedTuple):
    """A session that goes on here. ``record`` is still to be decoded; ``row`` is its place in the
    table, -1 where the keeper did not take it, and has not got its connection. ``of_user``: what
    the record says comes from a process of a system user."""

    id: str
    sock: socket.socket
    record: bytes
    wait: Wait
    row: int = -1
    of_user: bool = False


class Unheld(NamedTuple):
    """A session that the keeper has been given and has not said that it has."""

    sock: socket.socket
    parcel: Parcel
    files: list[int]


class Keeping:
    """The connection of one process. ``welcome``: a keeper has dealt with whatever process was
    in this slot before; ``_met``: the present one has been heard of. ``only`` is the session of a
    process that is to become a system user: the keeper hears it of no other, and nobody goes on
    with that as another user."""

    def __init__(self, place: Place, only: str = "") -> None:
        settings = place.config.server
        self._only = only
        self.sock: socket.socket | None = None
        self.welcome = False
        self._met = False
        self._of_user = place.role is USER
        self._path = place.shared.keeper_path
        self._off = not settings.keeper
        self._park_after: float = settings.park_after
        self._spare = settings.workers_spare
        self._place = place
        self._supervisor = place.supervisor
        self._scoreboard = place.shared.scoreboard
        self._table = place.shared.table
        self._watches = place.shared.watches
        self._under_way: tuple[str, socket.socket] | None = None  # what the keeper has, too
        self._row = -1  # where it was parked
        self._ended = b""  # the key of a session that has ended, which is still to be told
        self._unheld: dict[bytes, Unheld] = {}
        self._returned: deque[Session] = deque()
        self._found: Session | None = None
        self._asking = False
        self._alone_until = 0.0  # see NO_ROOM
        self._pressure = self._demand()
        self._supervisor.orders["keeper"] = self._be_told

    # -- the session under way -----------------------------------------------------------------

    def hold(self, session: str, sock: socket.socket) -> None:
        """Let the keeper have a session's connection too, unless it has too many."""
        if self._off or (self._under_way is None and self._table.numbers[FULL]):
            return
        self._under_way = session, sock
        ended, self._ended = self._ended, b""
        self._send(errands.HOLD + errands.key_of(session) + ended, [sock.fileno()])

    def begun(self) -> None:
        """The session goes on: what was parked is of the past, whoever dies from now on."""
        if self._row >= 0:
            self._table.begin(self._row, self._place.slot)
        self._row = -1

    def over(self) -> None:
        """The session has ended, or gone elsewhere.

        The keeper is told with the next one, or by :meth:`tell`: nothing hangs on the time.
        """
        self.begun()
        if self._under_way is not None:
            self.tell()
            self._ended, self._under_way = errands.key_of(self._under_way[0]), None

    @property
    def owes(self) -> bool:
        """Whether the keeper is still to be told of an end."""
        return bool(self._ended)

    def tell(self) -> None:
        """Tell the keeper of the session that has ended, if that is still to be done."""
        ended, self._ended = self._ended, b""
        if ended:
            self._send(errands.OVER + ended)

    def patience(self, record: SessionRecord, silence: float) -> float:
        """Return for how many more seconds a silent session stays; see SocketStream.

        In a process of a system user it stays where nothing would let it go on in another.
        """
        if self._under_way is None or (self._of_user and not record.passport):
            return math.inf
        alone = self._alone_until - time.monotonic()
        if alone > 0:
            return alone
        if not self._met:
            self.look()
            return LOOK_AGAIN
        if self._supervisor.retiring:
            return 0.0
        idle = self._scoreboard.count_states(State.IDLE)
        if idle >= self._spare:
            return min(self._park_after - silence, LOOK_AGAIN)
        if not idle and self._pressure.poll(0):
            return 0.0  # clients or sessions wait for a worker right now
        return min(min(self._park_after, FEW_WORKERS_IDLE) - silence, silence)

    def _demand(self) -> select.poll:
        """Return what tells whether somebody waits for a worker."""
        shared, poller = self._place.shared, select.poll()
        if not self._of_user:
            poller.register(shared.work, select.POLLIN)
            for listener in shared.public:
                poller.register(listener.sock, select.POLLIN)
        return poller

    def watch(self, paths: Iterable[str], wait: Wait) -> None:
        """See :meth:`pymaild.mail.services.Parking.watch`."""
        found: list[int] = []
        try:
            for path in islice(paths, MOST_WATCHES + 1):
                watch = _watch.set_watch(self._watches, os.fsencode(path))
                if watch >= 0:
                    found.append(watch)
        except OSError as error:
            wait.poll = POLL
            if not self._table.numbers[POLLING]:
                self._table.numbers[POLLING] = 1
                log.warning("no watch for a parked session: %s; it looks every %g s", error, POLL)
        if len(found) > MOST_WATCHES:
            wait.poll = POLL
        wait.watches = sorted({*wait.watches, *found})[:MOST_WATCHES]
        wait.looked = time.monotonic()

    def park(self, sock: socket.socket, record: SessionRecord) -> None:
        """Give the session under way to the keeper; ``sock`` stays open until that has it."""
        self.tell()
        parcel, files = parcels.wrap(record)
        self._under_way = None
        self._unheld[parcel.key] = Unheld(sock, parcel, files)
        if not self._try(parcel.message(errands.PARK), files) and not self.connect():
            self._take_back(parcel.key)  # connecting would have sent it, once

    # -- sessions that go on -------------------------------------------------------------------

    def next(self) -> Session | None:
        """Ask for a session that has something to do."""
        if self._returned:
            return self._returned.popleft()
        self.tell()
        if not self._send(errands.NEXT):
            return None
        self._asking, self._found = True, None
        deadline = time.monotonic() + TIMEOUT
        while self._asking and (left := deadline - time.monotonic()) > 0:
            self._await(left)
        if self._asking:
            log.error("the keeper does not answer")
            self._lose()
            self._asking = False
        return self._found

    @property
    def returned(self) -> bool:
        """Whether there is a session that the keeper did not take."""
        return bool(self._returned)

    def resumed(self, session: Session) -> None:
        """Note that a session that was parked is under way here."""
        self._row = session.row
        if session.row < 0:
            self.hold(session.id, session.sock)
        else:
            self._under_way = session.id, session.sock

    def meet(self) -> None:
        """Meet the keeper: from then on what happens here is written into the journal."""
        deadline = time.monotonic() + MEETING
        self.connect()
        while not self.welcome and (left := deadline - time.monotonic()) > 0:
            self._await(left)

    def settle(self) -> None:
        """Wait until the keeper has all it was given, before this process ends."""
        self.tell()
        deadline = time.monotonic() + TIMEOUT
        while self._unheld and (left := deadline - time.monotonic()) > 0:
            self._await(left)

    # -- the connection ------------------------------------------------------------------------

    def connect(self) -> bool:
        """Say who this is, and what it has."""
        if self._off:
            return False
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.setblocking(False)
        session = self._under_way[0] if self._under_way else ""
        body = {"slot": self._place.slot, "session": session, "fresh": not self.welcome}
        body |= {"meeting": self._next_meeting(), "only": self._only}
        try:
            sock.connect(self._path)
            errands.send(sock, errands.HELLO + json.dumps(body).encode())
            if self._under_way is not None:
                held = errands.key_of(session), [self._under_way[1].fileno()]
                errands.send(sock, errands.HOLD + held[0], held[1])
            for unheld in self._unheld.values():
                parcel = unheld.parcel._replace(flags=unheld.parcel.flags | Flag.CLIENT)
                fds = [unheld.sock.fileno(), *unheld.files]
                errands.send(sock, parcel.message(errands.PARK), fds)
        except OSError as error:
            log.error("no keeper: %s", error)
            sock.close()
            return False
        self.sock = sock
        self._met = False
        return True

    def _be_told(self, message: Message, fds: list[int]) -> None:
        """There is another keeper: what the last one has not read of, it shall."""
        close_all(fds)
        self.look()

    def look(self) -> None:
        """Take what the keeper says; where it has died, say hello to the next."""
        self.attend()
        if self.sock is None:
            self.connect()

    def _next_meeting(self) -> int:
        """Begin another connection, or give one up: its end does not mean that we are dead."""
        self._scoreboard.meetings[self._place.slot] += 1
        return int(self._scoreboard.meetings[self._place.slot])

    def _lose(self) -> None:
        """Give the connection up. What the keeper has said before counts."""
        self._asking = False
        self._next_meeting()
        sock, self.sock = self.sock, None
        while sock is not None and (got := errands.receive(sock)) is not None and got[0]:
            self._take(*got)
        if sock is not None:
            sock.close()

    def _send(self, message: bytes, fds: list[int] | tuple[int, ...] = ()) -> bool:
        """Tell the keeper something; where it has just died, its successor."""
        return self._try(message, fds) or (self.connect() and self._try(message, fds))

    def _try(self, message: bytes, fds: list[int] | tuple[int, ...]) -> bool:
        for _ in range(2):
            if self.sock is None:
                return False
            try:
                if errands.send(self.sock, message, fds):
                    return True
                _until(self.sock, select.POLLOUT, TIMEOUT)
            except OSError:
                break
        self._lose()
        return False

    def _await(self, seconds: float) -> None:
        if self.sock is None and not self.connect():
            self._asking = False
            return
        assert self.sock is not None
        _until(self.sock, select.POLLIN, min(seconds, SLICE))
        self._supervisor.beat()
        self.attend()

    def attend(self) -> None:
        """Take what the keeper says, as long as it lives."""
        while self.sock is not None and (got := errands.receive(self.sock)) is not None:
            if got[0]:
                self._take(*got)
            else:
                self._lose()

    def _take(self, data: bytes, fds: list[int]) -> None:
        kind, key = data[:1], data[1 : 1 + errands.KEY]
        if kind == errands.WELCOME:
            self.welcome = self._met = True
        elif kind == errands.HELD:
            self._release(key)
        elif kind == errands.RETURNED:
            self._take_back(key)
        elif kind == errands.NOTHING:
            self._asking = False
        elif kind == errands.SESSION:
            self._asking = False
            parcel = Parcel.read(data)
            wait, record = parcels.unwrap(parcel, fds[1:])
            sock = socket.socket(fileno=fds[0])
            of_user = bool(parcel.flags & Flag.USERS)
            self._found = Session(errands.id_of(key), sock, record, wait, parcel.user, of_user)

    def _release(self, key: bytes) -> None:
        unheld = self._unheld.pop(key, None)
        if unheld is not None:
            unheld.sock.close()
            close_all(unheld.files)

    def _take_back(self, key: bytes) -> None:
        """Go on here with what nobody keeps."""
        self._alone_until = time.monotonic() + NO_ROOM
        unheld = self._unheld.pop(key, None)
        if unheld is not None:
            text = b"" if unheld.parcel.flags & Flag.FILE else unheld.parcel.text
            wait, record = parcels.unwrap(unheld.parcel._replace(text=text), unheld.files)
            self._returned.append(Session(errands.id_of(key), unheld.sock, record, wait))


def _until(sock: socket.socket, event: int, seconds: float) -> None:
    poller = select.poll()
    poller.register(sock, event)
    poller.poll(seconds * 1000)
