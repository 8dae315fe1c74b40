"""Parked sessions: what they wait for, what their clients are told meanwhile, when they go on."""

from __future__ import annotations

import os
import select
import time
from array import array
from collections.abc import Callable

from pymaild.core.session import Cause
from pymaild.core.texts import fill
from pymaild.server import clients, errands, idling
from pymaild.server.errands import CAUSES, Packed, Parcel
from pymaild.server.idling import Idling
from pymaild.server.kept import Kept, Line, Watches, Wheel
from pymaild.server.parked import (
    ANOTHER_KEEPER,
    CLOSED,
    PARKED,
    READING,
    WOKEN,
    Flag,
    RowState,
    Table,
)
from pymaild.server.sending import Sending

_ONCE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT

GROWTH = 1.5  # of the time between two keep-alives


class WaitingRoom:
    """The sessions of a table that no worker runs.

    ``drop`` forgets one whose connection ends, ``sent`` the backlog of one; ``since`` is when
    changes of mailboxes began to be reported without a gap. A client that takes nothing of its
    backlog for ``write_timeout`` seconds is gone.
    """

    def __init__(
        self,
        table: Table,
        watches: int,
        work: int,
        epoll: select.epoll,
        drop: Callable[[Kept], None],
        since: float,
        sent: Callable[[Kept], None],
        write_timeout: float,
    ) -> None:
        now = time.monotonic()
        self.table = table
        self.line = Line(work)
        self._watches = Watches(watches, since)
        self._wheel = Wheel(now)
        self._epoll = epoll
        self._drop = drop
        self._idling = Idling(table, self._change)
        self._tidied = now
        self._sent = sent
        arm, sent_all, broken = self._arm, self._has_all, self._is_broken
        self._sending = Sending(table, self._wheel, arm, sent_all, broken, write_timeout)

    # -- coming and going ------------------------------------------------------------------

    def admit(self, kept: Kept, parcel: Parcel, slot: int) -> bool:
        """Let a session wait as its parcel says; false where there is no room.

        Until :meth:`secure`, the process in ``slot`` has it as well.
        """
        table = self.table
        row = kept.row if kept.row >= 0 else table.take()
        if row is None:
            return False
        now = time.monotonic()
        if kept.row >= 0:
            table.states[row] = RowState.BEGUN
        kept.row = row
        table.write(row, parcel.key, parcel.flags, parcel.wait, parcel.text, now)
        table.protocols[row] = parcel.protocol
        table.users[row] = parcel.user
        table.addresses[row] = parcel.address
        table.slots[row] = slot if slot >= 0 else ANOTHER_KEEPER
        table.causes[row] = 0
        table.states[row] = RowState.PARKED
        table.numbers[PARKED] += 1
        packed = self._packed(kept)
        if packed.numbers[errands.EVERY]:
            table.set_alarm(row, now + packed.numbers[errands.EVERY])
        if parcel.cause:
            self._wake(kept, CAUSES[parcel.cause], array("I"))
        elif self._watches.missed(packed.watches, packed.numbers[errands.LOOKED]):
            self._wake(kept, Cause.NEWS, array("I"))
        else:
            self._settle(kept, packed)
        if kept.backlog >= 0:
            self._sending.begin(kept)
        return True

    def _settle(self, kept: Kept, packed: Packed) -> None:
        self._watches.add(kept, packed.watches)
        if kept.backlog < 0:
            self._schedule(kept, packed)
            self._arm(kept)

    def restore(self, kept: Kept) -> None:
        """Take up a session that waited when the last keeper died."""
        state = self.table.states[kept.row]
        if state == RowState.QUEUED:
            self.line.add(kept, CAUSES[self.table.causes[kept.row]])
        elif state == RowState.MOVED:
            self.again(kept)
        elif state == RowState.PARKED:
            self._idling.finish(kept, self._packed(kept))
            packed = self._packed(kept)
            self._settle(kept, packed)
            if kept.backlog >= 0:
                self._sending.begin(kept)
            if self.table.numbers[READING] and packed.numbers[errands.WATCHES]:
                self._stir(kept)

    def next(self) -> tuple[Kept, Parcel] | None:
        """Take the first session that has something to do, as it is to be given to a worker."""
        kept = self.line.next()
        return None if kept is None else (kept, self._parcel(kept))

    def _parcel(self, kept: Kept) -> Parcel:
        table, row = self.table, kept.row
        head, packed = table.head(row), self._packed(kept)
        seconds = packed.numbers[errands.SECONDS]
        left = max(seconds - time.monotonic() + head.since, 0.001) if seconds else 0.0
        text = packed.going_on(table.causes[row], left)
        record = b"" if head.flags & Flag.FILE else table.text(row, head.wait, head.size)
        flags = head.flags & ~(Flag.STIRRED | Flag.SAFE)
        return Parcel(kept.key, row, 0, table.protocols[row], flags, 0, len(text), text + record)

    def again(self, kept: Kept) -> None:
        """Let a session that was given, and not begun, wait to be given once more."""
        self.table.states[kept.row] = RowState.QUEUED
        self.line.put_back(kept)

    def given(self, kept: Kept, slot: int) -> None:
        """Note that a worker has a session; from now on it is counted there."""
        row = kept.row
        self.table.users[row] = self.table.addresses[row] = 0
        self.table.slots[row] = slot
        self.table.states[row] = RowState.GIVEN

    def secure(self, kept: Kept) -> None:
        """From now on the process that parked a session may not give it once more."""
        flags = self.table.head(kept.row).flags
        self.table.set_flags(kept.row, flags | Flag.SAFE)

    def taken(self, kept: Kept, slot: int) -> None:
        """A session has gone on in a process without our doing."""
        if kept.row >= 0:
            self.depart(kept)
            self.table.users[kept.row] = self.table.addresses[kept.row] = 0
            self.table.slots[kept.row] = slot

    def forget(self, kept: Kept) -> None:
        """Forget a session that ends."""
        if kept.row < 0:
            return
        self._let_go(kept)
        self.table.free(kept.row)
        kept.row = -1

    def _let_go(self, kept: Kept) -> None:
        state = self.table.states[kept.row]
        if state == RowState.PARKED:
            self._watches.discard(kept, self._packed(kept).watches, time.monotonic())
        elif state == RowState.QUEUED:
            self.line.discard(kept)

    def depart(self, kept: Kept) -> None:
        """A session goes to another keeper, or is parked anew: what it waited for is past."""
        self._let_go(kept)
        if kept.armed:
            self._epoll.unregister(kept.fd)
            kept.armed = False
        self.table.states[kept.row] = RowState.BEGUN

    def arrived(self, kept: Kept, alarm: float) -> None:
        """A session has come from another keeper; ``alarm`` is when its keep-alive is due."""
        if alarm and self._waits(kept):
            self.table.set_alarm(kept.row, alarm)
            self._schedule(kept, self._packed(kept))

    def text(self, kept: Kept) -> tuple[Packed, bytes]:
        """Return a session's wait and its packed record."""
        head, packed = self.table.head(kept.row), self._packed(kept)
        if head.flags & Flag.FILE:
            return packed, errands.read_file(kept.file)[head.wait :]
        return packed, self.table.text(kept.row, head.wait, head.size)

    def _packed(self, kept: Kept) -> Packed:
        head = self.table.head(kept.row)
        if head.flags & Flag.FILE:
            return Packed(os.pread(kept.file, head.wait, 0))
        return Packed(self.table.text(kept.row, 0, head.wait))

    # -- what happens meanwhile ------------------------------------------------------------

    def wake(self, kept: Kept, cause: str) -> None:
        """Let a session go on."""
        self._wake(kept, cause, self._packed(kept).watches)

    def _wake(self, kept: Kept, cause: str, watches: array[int]) -> None:
        """Nothing overtakes a backlog: with one, it goes on once that is sent."""
        if kept.backlog >= 0:
            self.table.causes[kept.row] = CAUSES.index(cause)
            return
        self._watches.discard(kept, watches, time.monotonic())
        self.table.causes[kept.row] = CAUSES.index(cause)
        self.table.states[kept.row] = RowState.QUEUED
        self.table.numbers[WOKEN] += 1
        self.line.add(kept, cause)

    def has(self, kept: Kept) -> bool:
        """Whether a session is here, where no process has begun to go on with it."""
        waiting = (RowState.PARKED, RowState.QUEUED, RowState.MOVED)
        return kept.row >= 0 and self.table.states[kept.row] in waiting

    def _waits(self, kept: Kept) -> bool:
        return kept.row >= 0 and self.table.states[kept.row] == RowState.PARKED

    def client(self, kept: Kept) -> None:
        """Something came from a client."""
        if not self._waits(kept):
            return
        if kept.backlog >= 0:
            self._sending.go_on(kept)
            return
        packed, sent = self._packed(kept), clients.peek(kept.fd, idling.LONGEST_LINES)
        if sent is None:  # an event of another connection that had this descriptor
            self._arm(kept)
        elif not sent and packed.numbers[errands.ENDS]:
            self.table.numbers[CLOSED] += 1
            self._drop(kept)
        elif not (packed.idles and self._answer(kept, packed, sent)):
            self._wake(kept, Cause.CLIENT, packed.watches)

    def _has_all(self, kept: Kept) -> None:
        """There is no backlog any more: the session goes on, or begins to wait."""
        table, row, packed = self.table, kept.row, self._packed(kept)
        self._forget_backlog(kept)
        cause, now = CAUSES[table.causes[row]], time.monotonic()
        if cause:
            self._wake(kept, cause, packed.watches)
            return
        table.set_since(row, now)
        if packed.numbers[errands.EVERY]:
            table.set_alarm(row, now + packed.numbers[errands.EVERY])
        self._schedule(kept, packed)
        self._arm(kept)

    def _is_broken(self, kept: Kept) -> None:
        """A client is gone, or takes nothing."""
        clients.shut(kept.fd)
        packed = self._packed(kept)
        if packed.numbers[errands.ENDS]:
            self.table.numbers[CLOSED] += 1
            self._drop(kept)
        else:
            self._forget_backlog(kept)
            self._wake(kept, Cause.CLIENT, packed.watches)

    def _forget_backlog(self, kept: Kept) -> None:
        flags = self.table.head(kept.row).flags
        self.table.set_flags(kept.row, flags & ~Flag.BACKLOG)  # before the vault lacks it
        self._sent(kept)

    def stirs(self) -> None:
        """The kernel reports changes of mailboxes."""
        self.table.numbers[READING] = 1
        for kept in self._watches.take(time.monotonic()):
            self._stir(kept)
        self.table.numbers[READING] = 0

    def _stir(self, kept: Kept) -> None:
        """Wake a session for news; one between two IDLE commands is told with the next."""
        packed = self._packed(kept)
        if packed.idles and not packed.tag:
            self.table.set_flags(kept.row, self.table.head(kept.row).flags | Flag.STIRRED)
        else:
            self._wake(kept, Cause.NEWS, packed.watches)

    def tick(self, now: float) -> None:
        """Look at those whose time has come."""
        for kept in self._wheel.due(now):
            if self._waits(kept):
                self._look_at(kept, now)
        if now - self._tidied > 1.0:
            self._tidied = now
            self._watches.tidy(now)

    def _look_at(self, kept: Kept, now: float) -> None:
        if kept.backlog >= 0:
            self._sending.look_at(kept, now)
            return
        packed, head = self._packed(kept), self.table.head(kept.row)
        seconds, poll = packed.numbers[errands.SECONDS], packed.numbers[errands.POLL]
        if seconds and now >= head.since + seconds:
            self._time_is_over(kept, packed)
        elif poll and now >= head.since + poll:
            self._wake(kept, Cause.LOOK, packed.watches)
        elif head.alarm and now >= head.alarm:
            self._alarm(kept, packed, now)
        else:
            self._schedule(kept, packed)

    def _time_is_over(self, kept: Kept, packed: Packed) -> None:
        farewell = packed.text(errands.FAREWELL)
        if farewell:
            self._say_and_close(kept, farewell)
        else:
            self._wake(kept, Cause.TIME, packed.watches)

    def _alarm(self, kept: Kept, packed: Packed, now: float) -> None:
        """Send a keep-alive; one that finds no room is not missed."""
        if packed.idles and not packed.tag:
            self._wake(kept, Cause.TIME, packed.watches)
            return
        clients.say(kept.fd, packed.text(errands.ALIVE))
        longest = packed.numbers[errands.LONGEST] or packed.numbers[errands.EVERY]
        every = min(packed.numbers[errands.EVERY] * GROWTH, longest)
        self._change(kept, packed.having(errands.EVERY, every), now + every)

    def _change(self, kept: Kept, packed: Packed, alarm: float) -> None:
        if self.table.head(kept.row).flags & Flag.FILE:
            os.pwrite(kept.file, packed.data, 0)
        else:
            self.table.patch(kept.row, packed.data)
        self.table.set_alarm(kept.row, alarm)
        self._schedule(kept, packed)

    def _schedule(self, kept: Kept, packed: Packed) -> None:
        head = self.table.head(kept.row)
        times = [
            head.since + after
            for after in (packed.numbers[errands.SECONDS], packed.numbers[errands.POLL])
            if after
        ]
        if head.alarm:
            times.append(head.alarm)
        if times:
            self._wheel.set(kept, min(times))

    def _arm(self, kept: Kept, events: int = _ONCE) -> None:
        """Hear of the client once."""
        if kept.armed:
            self._epoll.modify(kept.fd, events)
        else:
            self._epoll.register(kept.fd, events)
            kept.armed = True

    # -- IDLE ------------------------------------------------------------------------------

    def _answer(self, kept: Kept, packed: Packed, lines: bytes) -> bool:
        """End an IDLE in which there was no news, begin the next; false: that is for a worker."""
        if self.table.head(kept.row).flags & Flag.STIRRED or not idling.is_for(packed, lines):
            return False
        if self._idling.answer(kept, packed, lines):
            self._arm(kept)
        else:
            self._drop(kept)  # it has taken none of what it was sent for so long
        return True

    # -- the end ---------------------------------------------------------------------------

    def end(self, kept: Kept, text: str) -> None:
        """Tell a client why its session ends, and end it."""
        leave = self._packed(kept).text(errands.LEAVE)
        self._say_and_close(kept, fill(leave, text))

    def _say_and_close(self, kept: Kept, text: bytes) -> None:
        if kept.backlog < 0:  # it would be taken for a part of that
            clients.say(kept.fd, text)
        clients.shut(kept.fd)
        self._drop(kept)
