"""What a new process is given, and the steps every role begins with."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import logging
import os
import signal
from dataclasses import dataclass

from pymaild.server import identity
from pymaild.server.board import set_title
from pymaild.server.channel import Channel
from pymaild.server.config import Config
from pymaild.server.failures import EXIT_BOOT, EXIT_BUG, CannotStart
from pymaild.server.roles import Role
from pymaild.server.shared import Shared
from pymaild.server.supervisor import Supervisor, ask_for_drain

log = logging.getLogger("pymaild.server")

#: Ctrl-C in a terminal reaches all processes; only the master acts on it.
IGNORED = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGPIPE,
)


@dataclass
class Parcel:
    """A session that a process is made for: the client's descriptor and the encoded record.

    With the ``passport`` it can be parked, and go on in another such process. ``uid`` is its
    user's. An index process gets one that has a ``task``, and no descriptor.
    """

    fd: int
    record: bytes
    passport: str = ""
    uid: int = -1
    task: str = ""


@dataclass
class Place:
    """Where a process of ``role`` finds itself after the fork."""

    role: Role
    config: Config
    shared: Shared
    slot: int
    supervisor: Supervisor
    parcel: Parcel | None = None

    def settle(self) -> None:
        """Give up rights: the role's root directory, then its user. Raises OSError."""
        root = self.role.root(self.config)
        who = self.role.identity(self.config)
        if root:
            identity.confine(root)
        if who is not None:
            identity.become(who)


def enter(place: Place, crash_fd: int) -> int:
    """Be the new process: set it up, run its role and return its exit code."""
    gc.freeze()  # what was inherited is never garbage, and stays shared when it is not visited
    faulthandler.enable(file=crash_fd)
    _reset_signals(place.supervisor.channel)
    os.umask(identity.PRIVATE)
    place.shared.keep(place.role.sockets)
    set_title(place.role.name)
    try:
        return int(importlib.import_module(place.role.module).run(place))
    except (CannotStart, OSError) as error:
        place.supervisor.channel.send({"verb": "failed", "why": f"{place.role.name}: {error}"})
        log.error("%s process cannot work: %s", place.role.name, error)
        return EXIT_BOOT
    except Exception:
        log.exception("%s process ended by a bug", place.role.name)
        return EXIT_BUG


def _reset_signals(channel: Channel) -> None:
    signal.set_wakeup_fd(-1)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: ask_for_drain(channel))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
