"""A really running auth role: a process of its own on a Unix socket."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymaild.auth.client import AuthClient, Facts
from pymaild.auth.schemes import make_hash
from pymaild.auth.server import serve
from pymaild.auth.settings import AuthSettings
from pymaild.server.logs import LineFormatter

KEY = b"k" * 32
FACTS = Facts("imap", "192.0.2.7", True, "5e55")
COSTS = (64 * 1024, 1, 1)  # the cheapest ARGON2ID there is


def users(**stored: str) -> str:
    """Return the lines of a passwd-file."""
    return "".join(f"{name}:{text}\n" for name, text in stored.items())


class Role:
    """An auth process and the ways to end it."""

    def __init__(self, folder: Path, settings: AuthSettings) -> None:
        self.settings = settings
        self.path = str(folder / "auth")
        self.log_path = folder / "log"
        self.clients: list[AuthClient] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.start()

    def start(self) -> None:
        """Fork the process; the listening socket stays open here, as in the master."""
        receive, self.stop = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._live(receive)
        os.close(receive)

    def client(self) -> AuthClient:
        """Return a new client; it is closed with the role."""
        self.clients.append(AuthClient(self.path, self.settings))
        return self.clients[-1]

    def connect(self) -> socket.socket:
        """Return a bare connection."""
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(30)
        connected.connect(self.path)
        return connected

    def drain(self) -> None:
        """Ask it to end when its connections are gone."""
        os.write(self.stop, b"\0")

    def end(self) -> int:
        """Ask it to end now; returns its exit status."""
        os.close(self.stop)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended."""
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def kill(self) -> None:
        """End it as a crash would."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL
        os.close(self.stop)

    def log(self) -> list[str]:
        """Return the lines it has logged."""
        return self.log_path.read_text().splitlines()

    def _live(self, stop: int) -> None:
        status = 1
        gc.freeze()  # what the test left lying about must not close descriptors of ours
        try:
            keep = {0, 1, 2, stop, self.listener.fileno()}
            for fd in set(map(int, os.listdir("/proc/self/fd"))) - keep:
                with contextlib.suppress(OSError):
                    os.close(fd)  # ends of pipes and sockets that are the test's
            handler = logging.FileHandler(self.log_path)
            handler.setFormatter(LineFormatter(stamped=False))
            logger = logging.getLogger("pymaild")
            logger.handlers, logger.propagate = [handler], False  # pytest's are closed by now
            serve(self.listener, self.settings, KEY, stop)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)


Start = Callable[..., Role]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start roles: ``start("lines of the passwd-file", setting=...)``. None may have a bug."""
    roles: list[Role] = []

    def run(text: str = "", **changes: object) -> Role:
        folder = tmp_path / f"role{len(roles)}"
        folder.mkdir()
        (folder / "users").write_bytes(text.encode("utf-8", "surrogateescape"))
        values: dict[str, object] = {
            "passwd_file": str(folder / "users"),
            "mail_path": "/mail/{user}/Maildir",
            "hash_memory": COSTS[0],
            "hash_time": COSTS[1],
            "hash_parallelism": COSTS[2],
            **changes,
        }
        roles.append(Role(folder, AuthSettings(**values)))  # type: ignore[arg-type]
        return roles[-1]

    yield run
    for role in roles:
        status = role.end() if role.pid else 0
        for client in role.clients:
            client.close()
        role.listener.close()
        assert status == 0
        if role.log_path.exists():
            assert "bug " not in role.log_path.read_text()


@pytest.fixture
def role(start: Start) -> Role:
    """A role with users alice (ARGON2ID) and bob (PLAIN), passwords secret and hidden."""
    return start(users(alice=make_hash(b"secret", *COSTS), bob="{PLAIN}hidden"))
