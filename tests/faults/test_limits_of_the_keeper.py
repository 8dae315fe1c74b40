"""What the keeper does where the kernel's limits run out: watches, descriptors."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.server.conftest import eventually
from tests.support.imap import Imap
from tests.support.instance import Instance, instance
from tests.support.place import PYTHON, ROOT, become

from .test_descriptors import first_free, limit

USERS = {f"user{number}": "secret" for number in range(8)}
MAIL = b"Subject: news\r\n\r\nbody\r\n"

WATCHES = (str(PYTHON), "-m", "tests.faults.watches")


class FewWatches(Instance):
    """A server for which the kernel has few watches; it keeps its process number."""

    def command(self) -> list[str]:
        return [*WATCHES, "4", *super().command()]


def may_limit_watches() -> bool:
    """Whether this host lets a server have a user namespace."""
    argv = [*WATCHES, "4", "/bin/true"]
    return not subprocess.run(argv, check=False, cwd=ROOT, **become(PYTHON)).returncode


@pytest.fixture
def server() -> Iterator[Instance]:
    """A server whose workers lose their patience at once."""
    with instance(dict(USERS)) as made:
        made.settings["server"] |= {"park_after": 0.01}
        yield made


def parked(server: Instance, count: int) -> None:
    """Wait until so many sessions wait."""
    silent = lambda: server.control("status")["parked"]["silent"]  # noqa: E731
    eventually(lambda: silent() == count, f"{count} parked sessions")


def idlers(server: Instance, stack: ExitStack) -> dict[str, Imap]:
    """A client in IDLE for each user."""
    clients = {}
    for name in USERS:
        clients[name] = stack.enter_context(server.client(name))
        clients[name].ok("SELECT INBOX")
        clients[name].idle()
    parked(server, len(clients))
    return clients


def deliver(server: Instance, name: str) -> None:
    """New mail, by a session of its own."""
    with server.client(name) as other:
        other.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL))


@pytest.mark.skipif(not may_limit_watches(), reason="no user namespace may be made here")
def test_no_watches(server: Instance) -> None:
    """Sessions for which there are none look by themselves; the log says so once."""
    server.__class__ = FewWatches
    server.start()
    with ExitStack() as stack:
        clients = idlers(server, stack)
        for name in USERS:
            deliver(server, name)
        for client in clients.values():
            assert client.until("EXISTS")[-1].number == 1
    assert server.log().count("no watch for a parked session") == 1


def test_no_descriptors(server: Instance) -> None:
    """A keeper without any leaves sessions with their workers, which do not spin; nobody loses
    anything, and what waits goes to the keeper once it has some."""
    server.start()
    (keeper,) = server.workers("keeper")
    with ExitStack() as stack:
        early = stack.enter_context(server.client("user0"))
        parked(server, 1)
        limit(keeper, first_free(keeper))
        clients = {}
        for name in list(USERS)[1:]:
            clients[name] = stack.enter_context(server.client(name))
            clients[name].ok("SELECT INBOX")
            clients[name].idle()
        before, started = spent(server), time.monotonic()
        time.sleep(1.0)  # what is measured is what happens while nothing should
        assert (spent(server) - before) / (time.monotonic() - started) < 0.3, "a process spins"
        for name, client in clients.items():
            deliver(server, name)
            assert client.until("EXISTS")[-1].number == 1
        limit(keeper, 20_000)
        parked(server, len(USERS))
        for name, client in clients.items():
            deliver(server, name)
            assert client.until("EXISTS")[-1].number == 2
        early.ok("NOOP")
    assert server.workers("keeper") == [keeper]


def spent(server: Instance) -> float:
    """Processor time of all processes, in seconds."""
    times = [process.cpu_times() for process in server.pids()]
    return sum(spent.user + spent.system for spent in times)
