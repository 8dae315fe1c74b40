"""A private instance of the server: its configuration, its master as a subprocess, its end.

Its end is a test of its own: the counter of bugs has not moved, no process is left, and the
master ended with code 0. What the log says is shown when a test fails.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from . import certs
from .control import Control
from .imap import Address, Imap
from .place import ROOT, become, environment, give, place, user_name, write

Settings = dict[str, dict[str, Any]]

_LISTENERS = {
    "imap": "imap",
    "imaps": "imap",
    "pop3": "pop3",
    "pop3s": "pop3",
    "lmtp": "lmtp",
}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _table(head: str, values: dict[str, Any]) -> str:
    return head + "\n" + "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())


@dataclass
class Instance:
    """A server below ``base``. Change ``settings`` (by section) before :meth:`start`."""

    base: Path
    users: dict[str, str]
    settings: Settings = field(default_factory=dict)
    listeners: dict[str, dict[str, Any]] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    bugs_expected: int = 0
    source: Path = ROOT  # another checkout, built, to compare with

    def __post_init__(self) -> None:
        self.addresses: dict[str, Address] = {}
        self.certificate, self.key = certs.make(self.base / "tls")
        self.control = Control(self.base / "run" / "control")
        self.config = self.base / "pymaild.toml"
        for section, values in self._defaults().items():
            self.settings.setdefault(section, {}).update(values)
        for name, protocol in _LISTENERS.items():
            row = {"name": name, "protocol": protocol, "address": "127.0.0.1:0"}
            self.listeners[name] = row | {"tls": name.endswith("s")}
        unix = {"name": "lmtp-unix", "protocol": "lmtp", "address": f"unix:{self.base}/lmtp"}
        self.listeners["lmtp-unix"] = unix

    def _defaults(self) -> Settings:
        run = self.base / "run"
        me = user_name(self.python)
        return {
            "server": {
                "hostname": "test.example.org",
                "user": me,
                "group": "",
                "tls_user": me,
                "auth_user": me,
                "run_directory": run,
                "spool": self.base / "spool",
                **self._of_this_checkout(),
                "control": run / "control",
                "pid_file": self.base / "pid",
                "workers_min": 3,
                "workers_spare": 2,
                "tls_processes": 1,
            },
            "log": {"to": "file", "file": self.base / "log", "level": "info"},
            "auth": {
                "passwd_file": self.base / "passwd",
                "mail_path": f"{self.base}/mail/{{user}}/Maildir",
                "allow_plaintext": True,
                "failure_delay": 0.01,
            },
        }

    def _of_this_checkout(self) -> dict[str, Any]:
        """Settings that an earlier one does not know."""
        return {"crash_directory": self.base / "spool" / "crashes"} if self.source == ROOT else {}

    # --- files --------------------------------------------------------------------------------

    def configure(self) -> None:
        """Write the configuration and the users' file."""
        text = [_table(f"[{name}]", values) for name, values in self.settings.items()]
        text += [_table("[[listener]]", values) for values in self.listeners.values()]
        text.append(_table("[[tls.certificate]]", {"cert": self.certificate, "key": self.key}))
        write(self.config, "\n".join(text), 0o644)
        lines = [f"{user}:{{PLAIN}}{password}\n" for user, password in self.users.items()]
        write(self.base / "passwd", "".join(lines))

    def add_user(self, name: str, password: str = "pw") -> str:
        """A new user; the file is replaced at once, as an administrator's tool does."""
        self.users[name] = password
        lines = [f"{user}:{{PLAIN}}{word}\n" for user, word in self.users.items()]
        write(self.base / "passwd.new", "".join(lines)).rename(self.base / "passwd")
        return name

    def maildir(self, user: str) -> Path:
        """The user's Maildir."""
        return self.base / "mail" / user / "Maildir"

    def log(self) -> str:
        """What the server logged, and what it said on standard error."""
        parts = [self.base / "stderr", self.base / "log"]
        return "".join(p.read_text(errors="replace") for p in parts if p.exists())

    # --- life ---------------------------------------------------------------------------------

    @property
    def python(self) -> Path:
        """The interpreter of the checkout."""
        return self.source / ".venv" / "bin" / "python"

    def _path(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.source), "PYTHONDONTWRITEBYTECODE": "1"}

    def command(self) -> list[str]:
        """The command line of the master."""
        return [
            str(self.python),
            *("-m", "pymaild.admin.daemon"),
            *("serve", "--foreground", "-c", str(self.config)),
        ]

    def start(self) -> None:
        """Start the master and wait until it says that it is ready (sd_notify)."""
        self.configure()
        (self.base / "mail").mkdir(exist_ok=True)
        (self.base / "spool").mkdir(exist_ok=True)
        give(self.base)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(self.base / "ready"))
            give(self.base / "ready")
            with open(self.base / "stderr", "ab") as errors:
                self.process = subprocess.Popen(
                    self.command(),
                    cwd=self.base,
                    env=environment(
                        self.base, NOTIFY_SOCKET=str(self.base / "ready"), **self._path()
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    **become(self.python),
                )
            self._await_ready(ready)
        (self.base / "ready").unlink()
        self.addresses = _addresses(self.control("status"))

    def _await_ready(self, ready: socket.socket) -> None:
        assert self.process
        ending = os.pidfd_open(self.process.pid)
        deadline = time.monotonic() + 30
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(ready, selectors.EVENT_READ)
                selector.register(ending, selectors.EVENT_READ)
                while time.monotonic() < deadline:
                    events = {key.fd for key, _ in selector.select(deadline - time.monotonic())}
                    if ready.fileno() in events and b"READY=1" in ready.recv(4096):
                        return
                    assert ending not in events, f"the master ended:\n{self.log()}"
        finally:
            os.close(ending)
        raise AssertionError(f"not ready in time:\n{self.log()}")

    def pids(self) -> list[psutil.Process]:
        """The master and all processes below it."""
        assert self.process
        master = psutil.Process(self.process.pid)
        return [master, *master.children(recursive=True)]

    def workers(self, role: str = "worker") -> list[int]:
        """The processes of one role."""
        return [row["pid"] for row in self.control("status")["roles"] if row["role"] == role]

    def bugs(self) -> int:
        """The counter of bugs (commands that ended in an unforeseen exception)."""
        return int(self.control("status")["totals"]["bugs"])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it; fails when it met a bug, left a process behind or ended with an error."""
        if self.process is None or self.process.poll() is not None:
            return
        bugs, family = self.bugs(), self.pids()[1:]
        self.process.send_signal(how)
        code = self.process.wait(40)
        _, left = psutil.wait_procs(family, 10)
        for process in left:
            process.kill()
        assert not left, f"processes left behind: {left}"
        assert code == 0, f"the master ended with {code}"
        assert bugs == self.bugs_expected, f"{bugs} bugs met"

    def kill(self) -> None:
        """End all of its processes at once, whatever happens to the mail under way."""
        if self.process is None or self.process.poll() is not None:
            return
        family = self.pids()
        for process in family:
            process.kill()
        self.process.wait(10)
        psutil.wait_procs(family[1:], 10)

    # --- clients ------------------------------------------------------------------------------

    @property
    def imap(self) -> Address:
        return self.addresses["imap"]

    @property
    def pop3(self) -> Address:
        return self.addresses["pop3"]

    @property
    def lmtp(self) -> Address:
        return self.addresses["lmtp"]

    def client(self, user: str, timeout: float = 20.0) -> Imap:
        """A client that is logged in."""
        return Imap(self.imap, timeout).login(user, self.users[user])


def _addresses(status: dict[str, Any]) -> dict[str, Address]:
    found: dict[str, Address] = {}
    for row in status["listeners"]:
        address = row["address"]
        if address.startswith("unix:"):
            found[row["name"]] = address.removeprefix("unix:")
        else:
            host, _, port = address.rpartition(":")
            found[row["name"]] = (host, int(port))
    return found


@contextmanager
def instance(users: dict[str, str], source: Path = ROOT) -> Iterator[Instance]:
    """An instance in a folder of its own; the caller starts it, perhaps more than once."""
    with place("pm") as base:
        made = Instance(base, dict(users), source=source)
        try:
            yield made
            made.stop()
        except BaseException:
            print(f"--- log of the server ---\n{made.log()}", file=sys.stderr)
            raise
        finally:
            made.kill()
