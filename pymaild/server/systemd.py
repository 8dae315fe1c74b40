"""What systemd hands over and wants to know: LISTEN_FDS (sd_listen_fds(3)), sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

from pymaild.server.listeners import Lent

FIRST_FD = 3  # SD_LISTEN_FDS_START


def inherited(environ: MutableMapping[str, str] = os.environ) -> list[Lent]:
    """Return the listening sockets that systemd opened for this very process, with names.

    The variables are removed, so that no process started from here takes them for its own.
    """
    pid = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    found = []
    for number in range(int(count)):
        os.set_inheritable(FIRST_FD + number, False)
        name = names[number] if number < len(names) else ""
        found.append(Lent(socket.socket(fileno=FIRST_FD + number), name))
    return found


def notify(*lines: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Send states like ``READY=1`` to the service manager, when there is one."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto("\n".join(lines).encode(), address)
        except OSError:  # a manager that does not listen is no reason to fail
            return


def reloading() -> None:
    """Say that a reload has begun (Type=notify-reload wants the time as well)."""
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={microseconds}")
