"""The servers that are compared, each with its own copy of the same mail.

Both run as one unprivileged user, check PLAIN passwords of a passwd-file and have certificates of
the same kind. Neither has a setting that only makes it faster: fsync and caches are as delivered.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.dovecot import PROGRAM, dovecot
from tests.support.instance import instance

from .hosts import dovecot_tls
from .mail import MESSAGES, PASSWORD, Mail, users
from .raw import ImapRaw
from .work import Place

#: Processes that wait for clients, of both servers: pymaild's default.
SPARE = 4
#: A client with TLS keeps a process of imap-login; the default lets in a hundred. The others must
#: have room for these.
_MANY = """
service imap-login {
  process_limit = 1024
}
service auth {
  client_limit = 2000
}
service anvil {
  client_limit = 2000
}
"""
_PRIMED = b"(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
_STEP = 1000


@contextmanager
def _dovecot(sizes: tuple[int, ...]) -> Iterator[Any]:
    with (
        dovecot_tls() as (more, addresses),
        dovecot(users(sizes), spare=SPARE, more=_MANY + more) as server,
    ):
        server.imaps = addresses["imaps"]  # type: ignore[attr-defined]
        yield server


@contextmanager
def _pymaild(sizes: tuple[int, ...], **source: Path) -> Iterator[Any]:
    with instance(users(sizes), **source) as server:
        server.settings["server"].update(workers_min=SPARE, tls_processes=0)
        yield server


@contextmanager
def servers(
    sizes: tuple[int, ...] = (), messages: int = MESSAGES, alone: str = "", against: str = ""
) -> Iterator[dict[str, Place]]:
    """The servers by their names, running; ``sizes`` are those of further mailboxes."""
    kinds: dict[str, Callable[..., Any]] = {"pymaild": _pymaild}
    if against:
        kinds["earlier"] = partial(_pymaild, source=Path(against).resolve())
    else:
        kinds["dovecot"] = _dovecot
    with ExitStack() as stack:
        running = {}
        for name, make in kinds.items():
            if alone in ("", name):
                server = stack.enter_context(make(sizes))
                (server.base / "mail").mkdir(exist_ok=True)
                mail = Mail(server, messages, sizes)
                server.start()
                imaps = server.imaps if name == "dovecot" else server.addresses["imaps"]
                running[name] = Place(server, mail, imaps)
        yield running


def prime(place: Place) -> None:
    """Let the server fill its caches, a part of the mailbox at a time."""
    client = ImapRaw(place.server.imap, place.user, PASSWORD)
    try:
        count = client.status(b"INBOX")
        client.ask(b"SELECT INBOX")
        for first in range(1, count + 1, _STEP):
            last = min(first + _STEP - 1, count)
            client.ask(b"FETCH %d:%d %s" % (first, last, _PRIMED))
    finally:
        client.close()


def _first_line(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def surroundings(running: dict[str, Place]) -> dict[str, str]:
    """What the figures depend on: the machine and the versions."""
    base = next(iter(running.values())).server.base
    info = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition("\n")[0]
    info = info.strip(" :\t")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "processors": f"{os.cpu_count()} x {info or platform.processor()}",
        "memory": f"{memory:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "file system": _first_line("stat", "-f", "-c", "%T", str(base)),
        "Python": _first_line(str(_interpreter(running)), "-VV"),
        "Dovecot": _first_line(PROGRAM, "--version") if PROGRAM else "",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _interpreter(running: dict[str, Place]) -> Path:
    server = running["pymaild"].server if "pymaild" in running else None
    return getattr(server, "python", Path("python3"))


def settings(running: dict[str, Place]) -> dict[str, str]:
    """The configuration of each server, as it was given to it."""
    return {name: place.server.config.read_text() for name, place in running.items()}
