"""Where a server is found: its sockets and files, what of them it removes, what it leaves."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from pymaild.server import ports
from pymaild.server.channel import Message
from pymaild.server.config import Config
from pymaild.server.control import Answer, Control
from pymaild.server.estate import Estate, pieces
from pymaild.server.shared import Shared

log = logging.getLogger("pymaild.server")


class Premises:
    """Opened for ``config``, whose settings of this kind no reload changes.

    Raises what :mod:`pymaild.server.ports` raises; :meth:`remove` is right then, too.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._files: list[str] = []  # sockets and files to remove at the end
        self._open = False
        self.shared: Shared
        self.ports: ports.Ports
        self.control: Control

    def open(
        self,
        estate: Estate,
        beside: str,
        commands: dict[str, Answer],
        watch: Callable[[int, int, Callable[[], None]], None],
    ) -> None:
        """Open all sockets. ``beside`` stands behind paths that another server still has."""
        settings = self._config.server
        ports.make_folders(self._config)
        control = estate.take_control(settings.control)
        if control is None:
            control = ports.open_control(self._config)
            self._files.append(settings.control)
        self.control = Control(control, commands, watch)
        self.shared = ports.open_shared(self._config, estate, beside)
        self._open = True
        self._files += [path + beside for path in ports.neighbours(self._config)]
        self.ports = ports.Ports(self.shared, estate)
        self.ports.open(self._config)
        if not beside:
            self._be_known()

    def _be_known(self) -> None:
        """Let administrators find this server."""
        path = self._config.server.pid_file
        if path:
            with open(path + ports.BESIDE, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
            os.rename(path + ports.BESIDE, path)
            self._files.append(path)
        self.control.open()

    def paths(self) -> list[str]:
        """Return all paths that this server needs."""
        settings = self._config.server
        known = [settings.control, settings.pid_file, *ports.neighbours(self._config)]
        return [*known, *self.ports.paths()]

    def estate(self) -> Iterator[tuple[Message, int]]:
        """Return what a new master is given, see estate.py."""
        return pieces(self.shared, self.ports.unused, self.control.listener)

    def take_over(self) -> None:
        """Have for ourselves what was another server's."""
        self.ports.own()
        try:
            ports.move_in(self._config)
        except OSError as error:
            log.error("%s: %s", error.filename, error.strerror)
        self._files = [self._config.server.control, *ports.neighbours(self._config)]
        self._be_known()
        self.shared.held = False

    def give_way(self, claimed: list[str]) -> None:
        """Leave to another server the paths that it needs."""
        self._files = [path for path in self._files if path not in claimed]
        self.control.retire()
        self.shared.give_up(claimed)

    def close(self) -> None:
        """Close in a new child what is the master's alone."""
        self.control.close()

    def remove(self) -> None:
        """Leave nothing behind, however far the start had come."""
        if self._open:
            self.shared.remove_listeners()
        for path in self._files:
            with suppress(OSError):
                os.unlink(path)
