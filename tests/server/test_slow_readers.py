"""Clients that do not read: they cost a file, and no worker; each gets exactly its octets."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from hashlib import sha256

import pytest

from tests.support.imap import Imap
from tests.support.instance import Instance, instance

from .conftest import eventually, gone
from .upgradable import Upgradable, upgradable

SIZE = 12_000_000  # octets; more than two sockets take
PIECE = 1 << 20
MAIL = b"Subject: large\r\n\r\n" + b"".join(b"%09d\r\n" % i for i in range(SIZE // 11))
SMALL = b"Subject: news\r\n\r\nbody\r\n"


@pytest.fixture
def mail() -> Iterator[Instance]:
    """A server of two workers, without patience, and a user with one large message."""
    with instance({"alice": "pw"}) as made:
        made.settings["server"] |= {
            "workers_min": 2,
            "workers_max": 2,
            "workers_spare": 1,
            "park_after": 0.01,
            "user_connections": 100,
        }
        yield made


def begin(mail: Instance, **changes: object) -> None:
    mail.settings["server"] |= changes
    mail.start()
    with mail.client("alice") as client:
        client.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL))


def sending(mail: Instance, count: int) -> None:
    """Wait until so many sessions wait for clients that do not read."""
    eventually(
        lambda: [row["state"] for row in mail.control("who")].count("sending") == count,
        f"{count} clients that do not read",
    )


class Slow:
    """A client that says something, and reads when it is told to."""

    def __init__(self, address: object, greeting: list[bytes]) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.settimeout(30)
        self.socket.connect(address)  # type: ignore[arg-type]
        self.left = b""
        self.until(b"\r\n")
        for line in greeting:
            self.say(line)
            tag = line.split()[0] + b" OK" if line[:1].islower() else b"+OK"
            while not self.until(b"\r\n").startswith(tag):
                pass

    def say(self, *lines: bytes) -> None:
        self.socket.sendall(b"".join(line + b"\r\n" for line in lines))

    def exactly(self, count: int) -> bytes:
        """The next octets; fewer at the end of the connection."""
        pieces = [self.left[:count]]
        self.left = self.left[count:]
        count -= len(pieces[0])
        while count:
            try:
                data = self.socket.recv(min(count, PIECE))
            except ConnectionError:
                break
            if not data:
                break
            pieces.append(data)
            count -= len(data)
        return b"".join(pieces)

    def until(self, end: bytes) -> bytes:
        while end not in self.left:
            data = self.socket.recv(4096)
            assert data, "the connection ended"
            self.left += data
        line, _, self.left = self.left.partition(end)
        return line

    def close(self) -> None:
        self.socket.close()


def imap(mail: Instance) -> Slow:
    return Slow(mail.imap, [b"a LOGIN alice pw", b"b SELECT INBOX"])


FETCH = b"FETCH 1 BODY.PEEK[]"
FETCHED = b"* 1 FETCH (BODY[] {%d}\r\n%b)\r\n" % (len(MAIL), MAIL)


def asks(mail: Instance) -> Slow:
    client = imap(mail)
    client.say(b"c " + FETCH)
    return client


def gets_all(client: Slow) -> None:
    """The reply is right to the last octet, and the session goes on."""
    found = client.exactly(len(FETCHED))
    assert len(found) == len(FETCHED)
    assert sha256(found).digest() == sha256(FETCHED).digest()
    assert client.until(b"\r\n").startswith(b"c OK")
    client.say(b"d NOOP")
    assert client.until(b"\r\n").startswith(b"d OK")


# -- nobody else waits -------------------------------------------------------------------------


def test_imap(mail: Instance) -> None:
    begin(mail)
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(asks(mail))) for _ in range(10)]
        sending(mail, 10)
        with mail.client("alice") as other:
            other.ok("NOOP")
        for client in slow:
            gets_all(client)
        sending(mail, 0)


def test_pop3(mail: Instance) -> None:
    begin(mail)
    expected = MAIL + b".\r\n"
    with closing(Slow(mail.pop3, [b"USER alice", b"PASS pw"])) as client:
        client.say(b"RETR 1")
        sending(mail, 1)
        with closing(Slow(mail.pop3, [b"USER alice"])) as other:
            other.say(b"PASS pw")
            assert other.until(b"\r\n").startswith(b"-ERR [IN-USE]")  # the lock waits as well
        assert client.until(b"\r\n").startswith(b"+OK")
        assert sha256(client.exactly(len(expected))).digest() == sha256(expected).digest()
        client.say(b"NOOP")
        assert client.until(b"\r\n").startswith(b"+OK")


def test_commands_that_have_come_already(mail: Instance) -> None:
    """They wait as well: a client cannot fill a worker, or the disk, with replies."""
    begin(mail)
    with closing(imap(mail)) as client:
        client.say(b"c " + FETCH, b"x NOOP", b"y " + FETCH, b"z LOGOUT")
        sending(mail, 1)
        found = client.exactly(len(FETCHED))
        assert found == FETCHED
        assert client.until(b"\r\n").startswith(b"c OK")
        assert client.until(b"\r\n").startswith(b"x OK")
        sending(mail, 1)
        assert client.exactly(len(FETCHED)) == FETCHED
        assert client.until(b"\r\n").startswith(b"y OK")
        assert client.until(b"\r\n").startswith(b"* BYE")
        assert client.until(b"\r\n").startswith(b"z OK")
        assert client.exactly(1) == b""


def test_news_come_behind(mail: Instance) -> None:
    """IDLE begins, and ends, behind all that was said before."""
    begin(mail)
    with closing(imap(mail)) as client:
        client.say(b"c " + FETCH, b"x IDLE")
        sending(mail, 1)
        with mail.client("alice") as other:
            other.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(SMALL), SMALL))
        assert client.exactly(len(FETCHED)) == FETCHED
        assert client.until(b"\r\n").startswith(b"c OK")
        lines = [client.until(b"\r\n") for _ in range(2)]
        assert lines[0].startswith((b"+", b"* 2 EXISTS"))
        assert b"* 2 EXISTS" in lines or client.until(b"\r\n") == b"* 2 EXISTS"


# -- limits ------------------------------------------------------------------------------------


def test_one_that_never_reads(mail: Instance) -> None:
    begin(mail, write_timeout=1)
    with closing(asks(mail)) as client:
        eventually(lambda: mail.control("who") == [], "the end of the session")
        found = client.exactly(len(FETCHED))
        assert len(found) < len(FETCHED)
        assert FETCHED.startswith(found)


@pytest.mark.parametrize("most", [0, 4096, 3 * PIECE])
def test_what_a_backlog_may_take(mail: Instance, most: int) -> None:
    """Beyond it the worker waits for the client."""
    begin(mail, reply_spool=most)
    with closing(asks(mail)) as client:
        with mail.client("alice") as other:
            other.ok("NOOP")
        gets_all(client)


def test_no_spool_directory(mail: Instance) -> None:
    begin(mail)
    (mail.base / "spool").rename(mail.base / "elsewhere")
    with closing(asks(mail)) as client:
        gets_all(client)


# -- whoever dies ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["worker", "keeper", "vault"])
def test_deaths(mail: Instance, role: str) -> None:
    """What is parked outlives each of them, wherever the client has come to."""
    begin(mail)
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(asks(mail))) for _ in range(3)]
        sending(mail, 3)
        parts = [client.exactly(PIECE) for client in slow]
        for _ in range(3):
            for pid in mail.workers(role):
                os.kill(pid, signal.SIGKILL)
                eventually(lambda pid=pid: gone(pid), "the end of a process")
            parts = [part + c.exactly(PIECE) for part, c in zip(parts, slow, strict=True)]
        for part, client in zip(parts, slow, strict=True):
            client.left = part + client.left
            gets_all(client)


def test_the_keeper_dies_while_it_sends(mail: Instance) -> None:
    """Its successor goes on at the very octet."""
    begin(mail)
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(asks(mail))) for _ in range(3)]
        sending(mail, 3)
        with ThreadPoolExecutor() as threads:
            reading = [threads.submit(gets_all, client) for client in slow]
            for _ in range(4):
                keeper = mail.workers("keeper")[0]
                os.kill(keeper, signal.SIGKILL)
                eventually(lambda old=keeper: mail.workers("keeper") not in ([], [old]), "another")
            for one in reading:
                one.result()


def test_workers_die_while_they_send(mail: Instance) -> None:
    """The client gets all, or what it gets is right as far as it goes."""
    begin(mail)
    for at in range(8):
        with closing(asks(mail)) as client:
            part = client.exactly(at * PIECE)
            for pid in mail.workers():
                os.kill(pid, signal.SIGKILL)
            found = part + client.exactly(len(FETCHED) - len(part))
            assert FETCHED.startswith(found)
    with mail.client("alice") as other:
        other.ok("NOOP")


def test_kick(mail: Instance) -> None:
    """Nothing is said in the middle of a reply."""
    begin(mail)
    with closing(asks(mail)) as client:
        sending(mail, 1)
        mail.control("kick", user="alice")
        found = client.exactly(len(FETCHED) + 100)
        assert FETCHED.startswith(found)


def test_reload(mail: Instance) -> None:
    """All workers are replaced."""
    begin(mail)
    with closing(asks(mail)) as client:
        sending(mail, 1)
        old = mail.workers()
        mail.control("reload")
        eventually(lambda: not set(old) & set(mail.workers()), "new workers")
        gets_all(client)


def test_upgrade() -> None:
    """What a client has yet to take goes to the new server with it."""

    def prepare(made: Upgradable) -> None:
        made.settings["server"] |= {"workers_max": 2, "workers_min": 2, "park_after": 0.01}
        made.users = {"alice": "pw"}

    with upgradable(prepare=prepare) as mail:
        with mail.client("alice") as client:
            client.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL))
        with closing(asks(mail)) as slow:
            sending(mail, 1)
            part = slow.exactly(PIECE)
            mail.upgrade()
            slow.left = part + slow.left
            gets_all(slow)


def test_own_client_of_tests(mail: Instance) -> None:
    """The strict client reads such a reply, too."""
    begin(mail)
    with Imap(mail.imap).login("alice", "pw") as client:
        client.ok("SELECT INBOX")
        client.send(b"x FETCH 1 BODY.PEEK[]\r\n")
        sending(mail, 1)
        assert client.finish("x").tagged.raw.startswith(b"x OK")
