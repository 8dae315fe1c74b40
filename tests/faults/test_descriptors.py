"""Processes that run out of descriptors: they wait without spinning, and come back."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from tests.support import corpus
from tests.support.imap import Imap
from tests.support.instance import Instance, instance
from tests.support.lmtp import Lmtp
from tests.support.place import PYTHON, become

USERS = {"alice": "secret", "bob": "hidden"}


@pytest.fixture
def server() -> Iterator[Instance]:
    with instance(USERS) as made:
        made.settings["server"].update(workers_min=2, workers_spare=1, workers_max=2)
        made.start()
        yield made


def as_they(*argv: str) -> str:
    """What a program says that runs as the server's user: root may lack rights over others."""
    done = subprocess.run(argv, capture_output=True, text=True, check=True, **become(PYTHON))
    return done.stdout


def limit(pid: int, most: int) -> None:
    """Allow a process so many descriptors."""
    as_they("/usr/bin/prlimit", f"--pid={pid}", f"--nofile={most}:")


def first_free(pid: int) -> int:
    """The lowest descriptor a process does not use."""
    used = set(map(int, as_they("/bin/ls", f"/proc/{pid}/fd").split()))
    return next(number for number in range(len(used) + 1) if number not in used)


def spent(pids: list[int]) -> float:
    """Processor time in seconds."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(spent.user + spent.system for spent in times)


def test_no_descriptor_to_accept_with(server: Instance) -> None:
    """The connection stays in the queue, the log says why once, and it is served in the end."""
    workers = server.workers()
    for pid in workers:
        limit(pid, first_free(pid))
    before, started = spent(workers), time.monotonic()
    with socket.create_connection(server.imap, 20) as waiting:
        waiting.settimeout(1.5)
        with pytest.raises(TimeoutError):
            waiting.recv(100)
        used = (spent(workers) - before) / (time.monotonic() - started)
        assert used < 0.3, "a process spins"
        assert 1 <= server.log().count("no connection can be accepted") <= len(workers)
        for pid in workers:
            limit(pid, 1024)
        waiting.settimeout(20)
        assert waiting.recv(100).startswith(b"* OK")
    server.client("alice").close()
    assert server.workers() == workers


def test_no_descriptor_for_the_tls_role(server: Instance) -> None:
    """The same for the process that ends TLS; connections it has go on."""
    (tls,) = server.workers("tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with Imap(server.addresses["imaps"], tls=context) as early:
        early.ok("LOGIN alice secret")
        limit(tls, first_free(tls))
        before, started = spent([tls]), time.monotonic()
        with socket.create_connection(server.addresses["imaps"], 20) as waiting:
            early.ok("NOOP")
            time.sleep(1.0)  # what is measured is what happens while nothing should
            assert (spent([tls]) - before) / (time.monotonic() - started) < 0.3
            limit(tls, 1024)
            with context.wrap_socket(waiting) as late:
                assert late.recv(100).startswith(b"* OK")
        early.ok("NOOP")
    assert server.workers("tls") == [tls]


COMMANDS = (
    "FETCH 1 BODY.PEEK[]",
    "FETCH 1 ENVELOPE",
    "STORE 1 +FLAGS (\\Flagged)",
    "COPY 1 Archive",
    "CREATE Made",
    "STATUS Sent (MESSAGES)",
    'LIST "" *',
    "SELECT Archive",
    "SELECT INBOX",
)


def test_no_descriptor_in_the_middle(server: Instance) -> None:
    """Wherever a session finds none it says so, goes on, and nothing is lost."""
    for spare in range(12):
        with server.client(server.add_user(f"spare{spare}")) as client:
            client.appended("INBOX", corpus.simple(1, 300_000))
            client.ok("SELECT INBOX")
            (row,) = server.control("who")
            limit(row["pid"], first_free(row["pid"]) + spare)
            for command in COMMANDS:
                answer = client.command(command)
                assert answer.status == "OK" or answer.code == "UNAVAILABLE", answer.tagged.raw
            accepted = 1 + (client.append("INBOX", corpus.simple(2)).status == "OK")
            limit(row["pid"], 1024)
            client.ok("SELECT INBOX")
            assert len(client.ok("FETCH 1:* BODY.PEEK[]").fetched()) == accepted
            client.ok("LOGOUT")
            assert client.ended()


def test_no_descriptor_for_a_delivery(server: Instance) -> None:
    """LMTP says 451 and delivers later; the message's spool and the mailbox are both tried."""
    server.client("alice").close()
    with Lmtp(server.lmtp) as lmtp:
        lmtp.noop()
        pids = server.workers()
        for spare in range(8):
            for pid in pids:
                with suppress(psutil.NoSuchProcess):
                    limit(pid, first_free(pid) + spare)
            code = lmtp.deliver(["alice"], corpus.simple(spare, 400_000))["alice"]
            assert code in (250, 451)
        for pid in pids:
            limit(pid, 1024)
        assert lmtp.deliver(["alice"], corpus.simple(99)) == {"alice": 250}
