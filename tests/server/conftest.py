"""A master that is really forked, with the echo protocol in the place of the others."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import ssl
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from pymaild.auth.settings import AuthSettings
from pymaild.core.quirks import Quirks
from pymaild.imap.settings import ImapSettings
from pymaild.lmtp.settings import LmtpSettings
from pymaild.mail.settings import MailSettings
from pymaild.net.protocols import PROTOCOLS
from pymaild.net.settings import CertificateSettings, TlsSettings
from pymaild.pop3.settings import Pop3Settings
from pymaild.server.config import Config
from pymaild.server.master import Master
from pymaild.server.settings import ListenerSettings, LogSettings, ServerSettings
from tests.support import certs
from tests.support.control import Control
from tests.support.place import group_name, place, user_name

from .echo import ECHO

PATIENCE = 20.0


def eventually(condition: Callable[[], Any], what: str = "it") -> Any:
    """Ask until the answer is true; fails when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        select.select([], [], [], 0.01)
    raise AssertionError(f"{what} did not happen in time")


def may_look_into_others() -> bool:
    """Whether processes that gave up root can be looked into: a container's root may not be."""
    status = Path("/proc/self/status").read_text()
    (effective,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return os.getuid() != 0 or bool(int(effective, 16) >> 19 & 1)  # CAP_SYS_PTRACE


needs_a_look_into_others = pytest.mark.skipif(
    not may_look_into_others(), reason="processes of others cannot be looked into"
)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Line:
    """A client of the echo protocol."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.file = sock.makefile("rb")

    def read(self) -> str:
        return self.file.readline().decode().rstrip("\r\n")

    def ask(self, line: str) -> str:
        self.sock.sendall(line.encode() + b"\r\n")
        return self.read()

    def facts(self) -> dict[str, Any]:
        return json.loads(self.ask("FACTS"))  # type: ignore[no-any-return]

    def pid(self) -> int:
        return int(self.ask("PID").split()[0])

    def upgrade(self, context: ssl.SSLContext, name: str = "localhost") -> Line:
        """Go on with TLS."""
        self.file.close()
        return Line(context.wrap_socket(self.sock, server_hostname=name))

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Running:
    """One server below ``base``. Change ``config`` before :meth:`start`."""

    base: Path
    config: Config
    pid: int = 0
    code: int | None = None
    lines: list[Line] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None

    def change(self, section: str, **values: Any) -> None:
        """Change settings of one section."""
        changed = replace(getattr(self.config, section), **values)
        self.config = replace(self.config, **{section: changed})

    def launch(self) -> None:
        """Fork the master."""
        self.code = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                errors = os.open(self.base / "stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(errors, 2)
                sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
                os.environ.update(self.environ)
                self.before()
                code = Master(self.config).run()
                sys.stderr.flush()
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def start(self) -> Running:
        """Fork the master and wait until it runs."""
        self.launch()
        eventually(self.runs, f"the start\n{self.log()}")
        return self

    def runs(self) -> bool:
        assert self.poll() is None, f"the master ended with {self.code}: {self.log()}"
        try:
            return bool(self.control("status")["state"] == "running")
        except (OSError, ValueError):
            return False

    @property
    def control(self) -> Control:
        return Control(Path(self.config.server.control))

    def status(self) -> dict[str, Any]:
        return self.control("status")  # type: ignore[no-any-return]

    def poll(self) -> int | None:
        """The master's exit code, or None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def ended(self) -> int:
        """Wait for the master's end and return its exit code."""
        eventually(lambda: self.poll() is not None, "the end of the master")
        assert self.code is not None
        return self.code

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def pids(self, role: str = "worker") -> list[int]:
        return [row["pid"] for row in self.status()["roles"] if row["role"] == role]

    def address(self, name: str) -> str | tuple[str, int]:
        found = {row["name"]: row["address"] for row in self.status()["listeners"]}[name]
        if found.startswith("unix:"):
            return str(found.removeprefix("unix:"))
        host, _, port = found.rpartition(":")
        return host.strip("[]"), int(port)

    def raw(self, name: str = "plain") -> socket.socket:
        """A connection of which nothing has been read."""
        address = self.address(name)
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        sock = socket.socket(family)
        sock.settimeout(PATIENCE)
        sock.connect(address)
        return sock

    def connect(self, name: str = "plain") -> Line:
        """A client that has been greeted."""
        line = Line(self.raw(name))
        self.lines.append(line)
        assert line.read() == "hello"
        return line

    def connect_tls(self, context: ssl.SSLContext, name: str = "localhost") -> Line:
        line = Line(context.wrap_socket(self.raw("tls"), server_hostname=name))
        self.lines.append(line)
        assert line.read() == "hello"
        return line

    def log(self) -> str:
        parts = [self.base / "stderr", self.base / "log"]
        return "".join(part.read_text() for part in parts if part.exists())

    def logged(self, text: str) -> str:
        """Wait for a line in the log and return it."""

        def look() -> str:
            return next((line for line in self.log().splitlines() if text in line), "")

        return str(eventually(look, f"the log line {text!r}"))

    def end(self) -> None:
        """Close clients, end all processes."""
        for line in self.lines:
            line.close()
        if not self.pid or self.poll() is not None:
            return
        family = psutil.Process(self.pid).children(recursive=True)
        self.signal(signal.SIGKILL)
        self.ended()
        self.leave(family)

    def leave(self, family: list[psutil.Process]) -> None:
        """Wait until these processes have ended, whether or not somebody buries them."""
        try:
            eventually(lambda: all(gone(process.pid) for process in family), "the children's end")
        finally:
            for process in family:
                if not gone(process.pid):
                    process.kill()


@pytest.fixture
def base() -> Iterator[Path]:
    with place("srv") as folder:
        yield folder


def make_config(base: Path) -> Config:
    return Config(
        server=ServerSettings(
            hostname="test.example.org",
            user=user_name(),
            group=group_name(),
            tls_user=user_name(),
            auth_user=user_name(),
            run_directory=str(base / "run"),  # type: ignore[arg-type]
            spool=str(base / "spool"),  # type: ignore[arg-type]
            control=str(base / "run" / "control"),  # type: ignore[arg-type]
            pid_file=str(base / "pid"),  # type: ignore[arg-type]
            workers_min=2,
            workers_spare=1,
            tls_processes=1,
        ),
        listeners=(ListenerSettings("plain", "imap", "127.0.0.1:0"),),
        log=LogSettings("file", str(base / "log"), "mail", "debug"),  # type: ignore[arg-type]
        tls=TlsSettings(),
        auth=AuthSettings(passwd_file=str(base / "passwd")),  # type: ignore[arg-type]
        mail=MailSettings(),
        imap=ImapSettings(),
        pop3=Pop3Settings(),
        quirks=Quirks(),
        lmtp=LmtpSettings(),
    )


@pytest.fixture
def server(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server that the test starts."""
    monkeypatch.setitem(PROTOCOLS, "imap", ECHO)
    (base / "passwd").write_text("")
    (base / "passwd").chmod(0o644)
    running = Running(base, make_config(base))
    try:
        yield running
    finally:
        print(running.log())  # shown by pytest when the test fails
        running.end()


@dataclass
class Tls:
    """Certificates of a server with TLS, by host name."""

    folder: Path
    server: Running

    def make(self, name: str) -> CertificateSettings:
        cert, key = certs.make(self.folder, name)
        return CertificateSettings(str(cert), str(key))  # type: ignore[arg-type]

    def context(self, name: str = "localhost") -> ssl.SSLContext:
        return certs.context(self.folder / f"{name}.pem")


@pytest.fixture
def tls(server: Running) -> Tls:
    """Certificates for localhost, and a listener with TLS."""
    made = Tls(server.base / "certs", server)
    made.folder.mkdir()
    server.change("tls", certificates=(made.make("localhost"),))
    listener = ListenerSettings("tls", "imap", "127.0.0.1:0", tls=True)
    server.config = replace(server.config, listeners=(*server.config.listeners, listener))
    return made
