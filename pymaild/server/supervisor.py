"""A child's view of the master: takes the orders that come over its channel."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from pymaild.server import logs
from pymaild.server.channel import Channel, ChannelClosed, Message, close_all
from pymaild.server.scoreboard import Scoreboard, State

log = logging.getLogger("pymaild.server")

STOPPING = "Server is shutting down"
ORPHANED = "Server has failed, please connect again"

Order = Callable[[Message, list[int]], None]


class Supervisor:
    """Orders come as messages; ``orders`` maps a verb to its method, roles add theirs.

    ``retiring``: take no more work and leave when the present session has ended by itself.
    ``leaving``: the text for the session that shall end at its next idle moment.
    ``alone``: it goes on without a master until then.
    ``urgent``: it shall end even inside a command; the storage step under way is finished.
    """

    def __init__(self, channel: Channel, scoreboard: Scoreboard, slot: int) -> None:
        self.channel = channel
        self.slot = slot
        self.session = ""  # id of the session this process serves now
        self.leaving = ""
        self.urgent = False
        self.retiring = False
        self.alone = False
        self.on_retire: Callable[[], None] = lambda: None  # stop taking work, at once
        self.at_rest: Callable[[], None] = lambda: None
        self._scoreboard = scoreboard
        self._kicked = False
        self.orders: dict[str, Order] = {
            "retire": self._retire,
            "drain": self._drain,
            "stop": self._stop,
            "kick": self._kick,
            "log": self._log,
            "log-level": self._log_level,
        }

    def fileno(self) -> int:
        """Return the channel's descriptor."""
        return self.channel.fileno()

    def beat(self) -> None:
        """Show a sign of life."""
        self._scoreboard.beat(self.slot)

    def rest(self) -> None:
        """Do what can wait until nobody says anything."""
        self.at_rest()

    def attend(self) -> None:
        """Carry out all orders that have arrived. An order this role does not know is none."""
        try:
            while (received := self._receive()) is not None:
                message, fds = received
                order = self.orders.get(message["verb"])
                if order is None:
                    close_all(fds)
                else:
                    order(message, fds)
        except ChannelClosed:
            if not self.alone:
                self._take_leave(ORPHANED, urgent=True)

    def _receive(self) -> tuple[Message, list[int]] | None:
        while True:
            try:
                return self.channel.receive()
            except ValueError:
                log.error("the master sent what is no message")

    def ready(self) -> None:
        """Tell the master that this process can do its work."""
        self.channel.send({"verb": "ready"})

    def be_opened(self, fds: list[int]) -> None:
        """Serve clients from now on, and complain where the server before did."""
        if fds:
            os.dup2(fds[0], 2)
        close_all(fds)

    def end_session(self) -> None:
        """Forget what was meant for the session that has ended."""
        self.session = ""
        if self._kicked and not self.retiring:
            self.leaving = ""
            self.urgent = False
        self._kicked = False

    def retire(self) -> None:
        """Take no more work from now on."""
        if not self.retiring:
            self.retiring = True
            self._scoreboard.set_state(self.slot, State.LEAVING)
            self.on_retire()

    def _take_leave(self, text: str, urgent: bool) -> None:
        self.leaving = self.leaving or text
        self.urgent = self.urgent or urgent
        self.retire()

    def _retire(self, message: Message, fds: list[int]) -> None:
        self.retire()

    def _drain(self, message: Message, fds: list[int]) -> None:
        self._take_leave(STOPPING, urgent=False)

    def _stop(self, message: Message, fds: list[int]) -> None:
        self._take_leave(STOPPING, urgent=True)

    def _kick(self, message: Message, fds: list[int]) -> None:
        if self.session and message.get("session") == self.session:
            self._kicked = True
            self.leaving = self.leaving or str(message.get("text") or "Disconnected")
            self.urgent = True

    def _log(self, message: Message, fds: list[int]) -> None:
        if fds:
            logs.replace(fds.pop(0))
        close_all(fds)

    def _log_level(self, message: Message, fds: list[int]) -> None:
        logs.set_level(str(message.get("level")))


def ask_for_drain(channel: Channel) -> None:
    """A child that gets SIGTERM asks the master for a drain, so that there is one way to leave."""
    channel.send({"verb": "drain-me", "pid": os.getpid()})
