"""Starting the master in the background, and not returning before it is known to run."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import tempfile
from collections.abc import Callable

from pymaild.admin.exits import Exit, Failure

PATIENCE = 60.0  # seconds


def in_background(serve: Callable[[], int]) -> int:
    """Run ``serve`` in a session of its own; return when it says that it is ready.

    Readiness is what systemd is told as well (sd_notify). What it writes to standard error
    until then is shown. Returns its exit code when it ends before, and raises Failure when it
    does neither in time.
    """
    with (
        tempfile.TemporaryDirectory(prefix="pymaild-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
    ):
        path = os.path.join(folder, "ready")
        ready.bind(path)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _detach(writer, path)
            os._exit(_guarded(serve))
        os.close(writer)
        with open(reader, "rb", buffering=0) as errors:
            return _wait(pid, ready, errors.fileno())


def _detach(errors: int, ready: str) -> None:
    os.environ["NOTIFY_SOCKET"] = ready
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd, source in ((0, null), (1, null), (2, errors)):
        os.dup2(source, fd)
    os.close(null)
    os.close(errors)


def _guarded(serve: Callable[[], int]) -> int:
    try:
        return serve()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return Exit.SOFTWARE
    finally:
        sys.stderr.flush()


def _wait(pid: int, ready: socket.socket, errors: int) -> int:
    with selectors.DefaultSelector() as selector:
        selector.register(ready, selectors.EVENT_READ)
        selector.register(errors, selectors.EVENT_READ)
        while events := selector.select(PATIENCE):
            files = {key.fd for key, _ in events}
            if errors in files and not _relay(errors):
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if ready.fileno() in files and b"READY=1" in ready.recv(4096):
                return Exit.OK
    os.kill(pid, signal.SIGTERM)
    raise Failure(Exit.BOOT, f"the server was not ready within {PATIENCE:.0f} seconds")


def _relay(errors: int) -> bool:
    """Show what the server says; false when it has closed its end."""
    data = os.read(errors, 65536)
    sys.stderr.write(data.decode("utf-8", "replace"))
    sys.stderr.flush()
    return bool(data)
