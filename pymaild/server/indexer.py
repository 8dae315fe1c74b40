"""The index role: does what sessions leave to be done in the background.

Its processes start when there is a task in the queue, and leave when there has been none for a
while. They run at low priority and take no lock of a mailbox that has a sound index.
"""

from __future__ import annotations

import logging
import os
import select
import time
from collections import deque
from contextlib import suppress

from pymaild.core.errors import Refused
from pymaild.mail.helpers import Task
from pymaild.mail.indexing import work
from pymaild.server.board import set_title
from pymaild.server.channel import LARGEST, Message
from pymaild.server.place import Place
from pymaild.server.queues import put
from pymaild.server.scoreboard import State
from pymaild.server.sessions import decode_record
from pymaild.server.user import become

log = logging.getLogger("pymaild.server")

LINGER = 5.0  # seconds without a task after which a process leaves
SLICE = 1.0  # seconds between two signs of life
NICE = 19
MOST = 1000  # tasks that wait in a process of a system user; sessions ask again


def run(place: Place) -> int:
    """Be an index process, of the mail user or of the system user in the parcel."""
    if place.parcel is None:
        place.settle()
    else:
        become(decode_record(place.parcel.record))
    os.nice(NICE)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    indexer = Indexer(place)
    place.supervisor.ready()
    indexer.loop()
    return 0


class Indexer:
    """Takes tasks from the queue, or where it is a system user's, from the master."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._supervisor = place.supervisor
        self._queue = place.shared.index[1] if place.parcel is None else None
        self._back = place.shared.index[0]
        self._own: deque[bytes] = deque(maxlen=MOST)  # tasks that no other process can take
        if place.parcel is not None:
            self._own.append(place.parcel.task.encode())
        self._supervisor.orders["index"] = self._told

    def loop(self) -> None:
        """Work until told to leave, or until there is nothing to do."""
        place, supervisor = self._place, self._supervisor
        poller = select.poll()
        poller.register(supervisor.fileno(), select.POLLIN)
        if self._queue is not None:
            poller.register(self._queue, select.POLLIN)
        place.shared.scoreboard.set_state(place.slot, State.SERVING)
        set_title("index")
        last = time.monotonic()
        while not supervisor.retiring and time.monotonic() < last + LINGER:
            supervisor.beat()
            ready = [fd for fd, _ in poller.poll(0 if self._own else SLICE * 1000)]
            if supervisor.fileno() in ready:
                supervisor.attend()
            task = self._next()
            if task is not None and not supervisor.retiring:
                self._do(task)
                last = time.monotonic()

    def _next(self) -> bytes | None:
        if self._own:
            return self._own.popleft()
        if self._queue is None:
            return None
        try:
            return self._queue.recv(LARGEST)
        except OSError:  # another process was quicker
            return None

    def _told(self, message: Message, fds: list[int]) -> None:
        self._own.append(str(message.get("task", "")).encode())

    def _do(self, octets: bytes) -> None:
        """Do a part of a task. One that fails is dropped: whoever comes upon it asks again."""
        try:
            task = Task.decode(octets)
            set_title(f"index {task.user.name} {task.mailbox}")
            work(task, self._place.config.mail, self._spread, self._beat)
        except Leaving:
            return
        except ValueError as error:
            log.error("a task is not understood: %s", error)
        except Refused as refused:
            log.info("not indexed: %s", refused.detail or refused.text)
        finally:
            set_title("index")

    def _spread(self, task: Task) -> None:
        """Let any process go on with a task; where the queue is full, it is this one."""
        if self._queue is None or not put(self._back, task):
            self._own.append(task.encode())

    def _beat(self) -> None:
        """Between two messages: listen to the master."""
        self._supervisor.beat()
        self._supervisor.attend()
        if self._supervisor.retiring:
            raise Leaving


class Leaving(Exception):
    """The master wants this process to leave; what it had begun can be done by another."""
