"""What a master passes on to the one that takes its place."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from pymaild.server.channel import Message
from pymaild.server.conflicts import key_of
from pymaild.server.listeners import Lent
from pymaild.server.shared import Shared


@dataclass
class Estate:
    """``sockets`` are those that clients connect to, ``control`` is that of administrators.

    ``watches`` is the inotify instance, so that what sessions watch there stays watched. ``key``
    is that of tickets, which sessions of system users carry. A server that starts by itself has
    an empty one.
    """

    sockets: list[Lent] = field(default_factory=list)
    control: socket.socket | None = None
    watches: int = -1
    key: bytes = b""

    def add(self, message: Message, fds: list[int]) -> None:
        """Take a message of :func:`pieces`."""
        for fd in fds:
            os.set_inheritable(fd, False)
        what = message["verb"]
        if what == "watches":
            self.watches = fds[0]
        elif what == "control":
            self.control = socket.socket(fileno=fds[0])
        elif what == "listener":
            sock = socket.socket(fileno=fds[0])
            self.sockets.append(Lent(sock, message["name"], message["key"], message["given"]))

    def take_control(self, path: str) -> socket.socket | None:
        """Return the control socket, if it is at ``path``."""
        if self.control is None or self.control.getsockname() != path:
            return None
        return self.control


def pieces(
    shared: Shared, unused: list[Lent], control: socket.socket
) -> Iterator[tuple[Message, int]]:
    """Return messages with a descriptor each; ``unused`` are sockets nobody has asked for yet."""
    listeners = shared.listening()
    if shared.private is not None:
        listeners.append(shared.private)
    lent = [
        Lent(each.sock, each.settings.name if each.given else "", key_of(each.settings), each.given)
        for each in listeners
    ]
    for sock, name, key, given in [*lent, *unused]:
        yield {"verb": "listener", "name": name, "key": key, "given": given}, sock.fileno()
    yield {"verb": "control"}, control.fileno()
    if shared.watches >= 0:
        yield {"verb": "watches"}, shared.watches
