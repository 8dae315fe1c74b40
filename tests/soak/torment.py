"""What is done to a server while clients are at work, and whom it hit when."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

#: How a process dies, and how often. Of a stop the server must find out by itself.
WAYS = {signal.SIGKILL: 6, signal.SIGSEGV: 2, signal.SIGSTOP: 2}
_USER = re.compile(r"Login: user=<(\w+)>.* mpid=(\d+)")


@dataclass
class Blow:
    """One act: when, what, and whose session it hit, if any."""

    moment: float
    what: str
    user: str = ""


@dataclass
class Pymaild:
    """The server under test, and its processes. ``stops``: some are stopped, too."""

    server: Any
    stops: bool = True

    def victims(self, role: str) -> list[tuple[int, str]]:
        """Processes of a role, and the user whose session each runs."""
        busy = {row["pid"]: row["user"] for row in self.server.control("who")}
        return [(pid, str(busy.get(pid, ""))) for pid in self.server.workers(role)]

    def restart(self) -> bool:
        """Kill the master, and start another on the same ports when all others have left."""
        server = self.server
        for name, listener in server.listeners.items():
            address = server.addresses[name]
            if isinstance(address, tuple):
                listener["address"] = f"{address[0]}:{address[1]}"
        master = psutil.Process(server.control("status")["pid"])
        family = master.children(recursive=True)
        master.kill()
        server.process.poll()
        psutil.wait_procs([master, *family], 20)
        server.start()
        return True

    def reload(self) -> bool:
        """Have it read its configuration anew."""
        self.server.control("reload")
        return True

    def upgrade(self) -> bool:
        """Have the program replaced; false while the upgrade before is not over."""
        reply = self.server.control.raw({"command": "upgrade"})
        assert reply["ok"] or "not over" in reply["error"], reply
        return bool(reply["ok"])


@dataclass
class Dovecot:
    """The peer, and its processes: Dovecot has one for each session."""

    server: Any
    stops: bool = True

    def victims(self, role: str) -> list[tuple[int, str]]:
        """Its imap processes, whatever role is asked for, and the user of each."""
        users = {int(pid): user for user, pid in _USER.findall(self.server.log())}
        master = psutil.Process(self.server.process.pid)
        pids = [process.pid for process in master.children() if process.name() == "imap"]
        return [(pid, users.get(pid, "")) for pid in pids]


@dataclass
class Torment:
    """Does one thing again and again, ``rate`` times a second, in a thread of its own."""

    target: Any
    what: str  # a role whose processes are killed, or what the target is asked to do
    rate: float
    blows: list[Blow] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.what)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, where there is anything to do."""
        if self.rate:
            self._thread.start()

    def stop(self) -> None:
        """Let it end."""
        self._over.set()
        if self.rate:
            self._thread.join(60)

    def _run(self) -> None:
        act: Callable[[], bool] = getattr(self.target, self.what, self._kill)
        while not self._over.wait(self._random.uniform(0.5, 1.5) / self.rate):
            try:
                if act() and act != self._kill:
                    self.blows.append(Blow(time.monotonic(), self.what))
            except Exception as error:
                self.failures.append(repr(error))

    def _kill(self) -> bool:
        victims = self.target.victims(self.what)
        busy = [victim for victim in victims if victim[1]]
        if not victims:
            return False
        pid, user = self._random.choice(busy if busy and self._random.random() < 0.8 else victims)
        how = self._random.choices(list(WAYS), list(WAYS.values()))[0]
        if how is signal.SIGSTOP and not self.target.stops:
            how = signal.SIGKILL
        with suppress(ProcessLookupError):
            os.kill(pid, how)
            self.blows.append(Blow(time.monotonic(), how.name, user))
        return True
