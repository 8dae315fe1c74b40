"""What the control socket can ask for: a table of commands over the master."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pymaild import __version__
from pymaild.core.errors import ConfigError
from pymaild.server.census import Census
from pymaild.server.control import Answer, Gradual, Later, Mistake
from pymaild.server.failures import CannotStart
from pymaild.server.family import Child
from pymaild.server.roles import WORKER
from pymaild.server.scoreboard import State

if TYPE_CHECKING:
    from pymaild.server.master import Master

Arguments = dict[str, Any]

BYE = "Disconnected by the administrator"


class Commands:
    """One method per command; the result is what JSON can say."""

    def __init__(self, master: Master) -> None:
        self._master = master

    @property
    def _census(self) -> Census:
        return Census(self._master.crew.family, self._master.shared.table)

    def table(self) -> dict[str, Answer]:
        """Return the commands by name."""
        return {
            "status": self.status,
            "who": self.who,
            "kick": self.kick,
            "reload": self.reload,
            "upgrade": self.upgrade,
            "drain": self.drain,
            "resume": self.resume,
            "stop": self.stop,
            "log-level": self.log_level,
        }

    def status(self, arguments: Arguments) -> Arguments:
        """Processes, listeners, sessions and counters."""
        master = self._master
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started": master.started,
            "state": str(master.phase),
            "workers": self._workers(),
            "roles": [self._process(child) for child in master.crew.family.children.values()],
            "listeners": self._listeners(),
            "sessions": self._census.counts(),
            "parked": self._census.waiting(),
            "totals": self._census.totals(),
        }

    def _workers(self) -> Arguments:
        family, population = self._master.crew.family, self._master.crew.population
        states = Counter(family.state(child) for child in family.of(WORKER))
        busy = sum(1 for child in family.of(WORKER) if family.scoreboard.text(child.slot))
        return {
            "idle": states[State.IDLE],
            "busy": busy,
            "min": population.least,
            "max": population.most,
        }

    def _process(self, child: Child) -> Arguments:
        family = self._master.crew.family
        return {
            "role": child.role.name,
            "pid": child.pid,
            "state": family.state(child).name.lower(),
            "since": family.scoreboard.since[child.slot],
        }

    def _listeners(self) -> list[Arguments]:
        return [
            {
                "name": listener.settings.title,
                "protocol": listener.settings.protocol,
                "address": listener.address,
                "tls": listener.settings.tls,
            }
            for listener in self._master.shared.listening()
        ]

    def who(self, arguments: Arguments) -> Gradual:
        """Every session."""
        return Gradual(_listed(self._census.who()))

    def kick(self, arguments: Arguments) -> Gradual:
        """End sessions by ``id``, ``user`` or ``address``."""
        keys = {"id": "id", "user": "user", "address": "peer"}
        wanted = {keys[name]: value for name, value in arguments.items() if name in keys and value}
        if not wanted:
            raise Mistake("kick whom? Give id, user or address")
        return Gradual(_counted(self._census.kick(wanted, BYE)))

    def reload(self, arguments: Arguments) -> Arguments:
        """Read the configuration again."""
        return self._change(self._master.reload)

    def upgrade(self, arguments: Arguments) -> Later:
        """Start the program anew, and answer when it has taken over: its process number."""
        later = Later()
        try:
            self._master.begin_upgrade().asked.append(later)
        except CannotStart as error:
            raise Mistake(str(error)) from error
        return later

    def drain(self, arguments: Arguments) -> Arguments:
        """Take no more connections, let sessions end, and stay."""
        return self._change(self._master.drain)

    def resume(self, arguments: Arguments) -> Arguments:
        """Take connections again."""
        return self._change(self._master.resume)

    def _change(self, action: Any) -> Arguments:
        try:
            action()
        except (ConfigError, CannotStart) as error:
            raise Mistake(str(error)) from error
        return {"state": str(self._master.phase)}

    def stop(self, arguments: Arguments) -> Arguments:
        """Drain and end the server, like TERM; with ``now``, like INT."""
        if arguments.get("now"):
            self._master.on_int()
        else:
            self._master.on_term()
        return {"state": str(self._master.phase)}

    def log_level(self, arguments: Arguments) -> Arguments:
        """Change the log level until the next start or reload."""
        level = str(arguments.get("level"))
        try:
            self._master.set_log_level(level)
        except ValueError as error:
            raise Mistake(str(error)) from error
        return {"level": level}


def _listed(groups: Iterator[list[Arguments]]) -> Iterator[str]:
    """Write a list, some of it at a time."""
    start = "["
    for group in groups:
        if group:
            yield start + json.dumps(group)[1:-1]
            start = ", "
        else:
            yield ""
    yield "[]" if start == "[" else "]"


def _counted(numbers: Iterator[int]) -> Iterator[str]:
    """Write the sum of some numbers."""
    total = 0
    for number in numbers:
        total += number
        yield ""
    yield json.dumps({"kicked": total})
