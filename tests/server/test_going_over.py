"""HUP and USR2: sessions go over to new processes, and their clients notice nothing."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.support import certs
from tests.support.deflated import compress
from tests.support.imap import Imap
from tests.support.lmtp import Lmtp
from tests.support.place import write

from .conftest import eventually, gone
from .upgradable import Upgradable, ended, upgradable

MAIL = b"Subject: news\r\n\r\nbody\r\n"


@pytest.fixture
def mail() -> Iterator[Upgradable]:
    with upgradable() as made:
        yield made


def reload(mail: Upgradable) -> None:
    """HUP, and wait until all old workers have left."""
    old = set(mail.workers())
    mail.master.send_signal(signal.SIGHUP)
    eventually(lambda: old.isdisjoint(mail.workers()), "the end of the old workers")


Change = Callable[[Upgradable], None]
both = pytest.mark.parametrize("change", [reload, Upgradable.upgrade], ids=["HUP", "USR2"])


def connect(mail: Upgradable, kind: str = "plain") -> Imap:
    """A client in its INBOX."""
    context = certs.context(mail.certificate)
    imap = Imap(mail.addresses["imaps"], tls=context) if kind == "tls" else Imap(mail.imap)
    if kind == "starttls":
        imap.starttls(context)
    imap.login("alice", "secret")
    if kind == "deflate":
        compress(imap)
    imap.ok("SELECT INBOX")
    return imap


def deliver(mail: Upgradable, count: int = 1) -> None:
    """New mail, each from another session."""
    for _ in range(count):
        with Imap(mail.imap).login("alice", "secret") as imap:
            imap.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL))


def exists(imap: Imap) -> int:
    """The number of messages that the next EXISTS tells."""
    return int(imap.until("EXISTS")[-1].number or 0)


def uids(imap: Imap) -> list[int]:
    """All messages."""
    return [int(str(value)) for value in imap.ok("UID SEARCH ALL").one("SEARCH").values[1:]]


@both
@pytest.mark.parametrize("kind", ["plain", "tls", "starttls", "deflate"])
def test_between_two_commands(mail: Upgradable, change: Change, kind: str) -> None:
    """Right replies afterwards: the mailbox, the numbers in it, the state of the session."""
    deliver(mail)
    with connect(mail, kind) as imap:
        (before,) = mail.control("who")
        for _ in range(2):
            change(mail)
            deliver(mail)
            assert imap.ok("NOOP").one("EXISTS").number
        assert uids(imap) == [1, 2, 3]
        (after,) = mail.control("who")
        same = ("id", "user", "mailbox", "state", "tls", "since")
        assert [after[key] for key in same] == [before[key] for key in same]
        imap.ok("LOGOUT")


@both
@pytest.mark.parametrize("kind", ["plain", "tls", "starttls", "deflate"])
def test_in_idle(mail: Upgradable, change: Change, kind: str) -> None:
    """News are told, each once: before, while and after the processes change."""
    with connect(mail, kind) as imap:
        tag = imap.idle()
        deliver(mail)
        assert exists(imap) == 1
        courier = threading.Thread(target=deliver, args=(mail, 20))
        courier.start()
        change(mail)
        courier.join()
        told: list[int] = []
        while not told or told[-1] < 21:
            told.append(exists(imap))
        assert told == sorted(set(told))
        change(mail)
        deliver(mail)
        assert exists(imap) == 22
        assert not [reply for reply in imap.done(tag).untagged if reply.name == "EXISTS"]


@both
def test_idle_that_is_ended_and_begun_again(mail: Upgradable, change: Change) -> None:
    with connect(mail) as imap:
        tag = imap.idle()
        change(mail)
        imap.done(tag)
        tag = imap.idle()
        change(mail)
        imap.done(tag)
        imap.ok("NOOP")


@both
def test_in_the_middle_of_a_line(mail: Upgradable, change: Change) -> None:
    with connect(mail) as imap:
        imap.send(b"x1 NO")
        change(mail)
        imap.send(b"OP\r\nx2 NOOP\r\n")
        assert imap.read().raw.startswith(b"x1 OK")
        assert imap.read().raw.startswith(b"x2 OK")


@both
def test_before_login(mail: Upgradable, change: Change) -> None:
    with Imap(mail.imap) as imap:
        change(mail)
        imap.login("alice", "secret")
        imap.ok("SELECT INBOX")


@both
def test_inside_a_command(mail: Upgradable, change: Change) -> None:
    """A literal that is under way is taken to its end; what waits for it is the old worker."""
    with connect(mail) as imap, connect(mail) as other:
        imap.send(b"x1 APPEND INBOX {%d}\r\n" % len(MAIL))
        assert imap.read().raw.startswith(b"+")
        imap.send(MAIL[:5])
        old = mail.usr2() if change is Upgradable.upgrade else mail.master
        if change is reload:
            old.send_signal(signal.SIGHUP)
            mail.logged("configuration reloaded")
        other.ok("NOOP")
        imap.send(MAIL[5:] + b"\r\n")
        while not (reply := imap.read()).raw.startswith(b"x1 "):
            pass
        assert reply.raw.startswith(b"x1 OK [APPENDUID ")
        imap.ok("NOOP")
        eventually(lambda: mail.control("status")["state"] == "running")


class Pop3:
    """A client that is logged in."""

    def __init__(self, mail: Upgradable) -> None:
        assert isinstance(mail.pop3, tuple)
        self.sock = socket.create_connection(mail.pop3, 20)
        self.file = self.sock.makefile("rb")
        self.file.readline()
        try:
            self.ok("USER alice")
            self.ok("PASS secret")
        except BaseException:
            self.__exit__()
            raise

    def ok(self, line: str) -> str:
        self.sock.sendall(line.encode() + b"\r\n")
        reply = self.file.readline().decode()
        assert reply.startswith("+OK"), reply
        return reply.rstrip()

    def __enter__(self) -> Pop3:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()


def in_use(mail: Upgradable) -> None:
    """The maildrop is locked (RFC 1939 §4)."""
    with pytest.raises(AssertionError, match="IN-USE"), Pop3(mail):
        pass


@both
def test_pop3_transaction(mail: Upgradable, change: Change) -> None:
    """What is marked as deleted stays so, and is deleted at the end."""
    for _ in range(3):
        deliver(mail)
    size = len(MAIL)
    with Pop3(mail) as pop3:
        pop3.ok("DELE 1")
        change(mail)
        in_use(mail)
        assert pop3.ok("STAT").startswith(f"+OK 2 {2 * size}")
        change(mail)
        pop3.ok("DELE 3")
        in_use(mail)
        pop3.ok("QUIT")
    with Imap(mail.imap).login("alice", "secret") as imap:
        imap.ok("SELECT INBOX")
        assert uids(imap) == [2]


@both
def test_lmtp_transaction(mail: Upgradable, change: Change) -> None:
    with Lmtp(mail.lmtp) as lmtp:
        change(mail)
        assert lmtp.deliver(["alice"], MAIL) == {"alice": 250}
        assert lmtp.mail("s@example.org")[0] == 250
        assert lmtp.rcpt("bob")[0] == 250
        change(mail)
        assert lmtp.rcpt("alice")[0] == 250
        assert lmtp.rset()[0] == 250
        assert lmtp.deliver(["alice"], MAIL) == {"alice": 250}


class Worker(threading.Thread):
    """A client that is never silent for long."""

    def __init__(self, mail: Upgradable, kind: str) -> None:
        super().__init__()
        self.mail, self.kind = mail, kind
        self.stop = threading.Event()
        self.rounds = 0
        self.failure = ""

    def run(self) -> None:
        try:
            with connect(self.mail, self.kind) as imap:
                while not self.stop.is_set():
                    uid = imap.appended("INBOX", MAIL)
                    imap.ok("NOOP")
                    answer = imap.ok(f"UID FETCH {uid} (UID BODY.PEEK[])")
                    assert MAIL in answer.untagged[0].raw
                    imap.ok(f"UID STORE {uid} FLAGS.SILENT (\\Deleted)")
                    imap.ok(f"UID EXPUNGE {uid}")
                    self.rounds += 1
                imap.ok("LOGOUT")
        except Exception as error:
            self.failure = repr(error)


@both
def test_clients_at_work(mail: Upgradable, change: Change) -> None:
    clients = [Worker(mail, kind) for kind in ("plain", "tls", "deflate")]
    for client in clients:
        client.start()

    def work() -> None:
        """Wait until there has been some."""
        before = sum(client.rounds for client in clients)
        eventually(lambda: sum(client.rounds for client in clients) > before + 6)

    for _ in range(2):
        work()
        change(mail)
    work()
    for client in clients:
        client.stop.set()
        client.join()
    assert [client.failure for client in clients] == ["", "", ""]


def test_tls_outlives_its_master(mail: Upgradable) -> None:
    """The process that does a client's TLS stays for it alone, and no longer."""
    (tls,) = mail.workers("tls")
    (deflate,) = mail.workers("deflate")
    with connect(mail, "tls") as imap:
        compress(imap)
        mail.upgrade()
        assert tls not in mail.workers("tls")
        imap.ok("NOOP")
        mail.upgrade()
        imap.ok("NOOP")
        imap.ok("LOGOUT")
        assert imap.ended()
    eventually(lambda: gone(tls) and gone(deflate), "the end of what nobody needs")


def test_a_record_of_an_unknown_version_ends_that_session_alone(mail: Upgradable) -> None:
    """The next version does not know the records of POP3 sessions."""
    deliver(mail)
    with connect(mail) as imap, Pop3(mail) as pop3:
        write(
            mail.base / "setproctitle.py",
            "from pymaild.pop3.record import Pop3Record\n"
            "Pop3Record.VERSION = 99\n"
            "def setproctitle(text): pass\n",
        )
        mail.upgrade()
        (mail.base / "setproctitle.py").unlink()
        assert (
            pop3.file.readline()
            == b"-ERR [SYS/TEMP] Server has been upgraded, please connect again\r\n"
        )
        assert pop3.file.readline() == b""
        imap.ok("NOOP")
    mail.logged("is not taken over: session record of an unknown version")


def test_long_records(mail: Upgradable) -> None:
    """A record that has no room in a message goes over as well."""
    for _ in range(3):
        deliver(mail)
    with connect(mail) as imap:
        names = " ".join(f"mailbox-{number:04}-{'x' * 30}" for number in range(400))
        imap.ok(f"NOTIFY SET (MAILBOXES ({names}) (MessageNew MessageExpunge))")
        mail.upgrade()
        imap.ok("NOOP")
        mail.upgrade()
        imap.ok("NOTIFY NONE")


def test_the_end_reaches_both_masters(mail: Upgradable) -> None:
    """A session that is still in the old worker is told, too, when the server is stopped."""
    with connect(mail) as imap:
        imap.send(b"x1 APPEND INBOX {%d}\r\n" % len(MAIL))
        assert imap.read().raw.startswith(b"+")
        family = [mail.usr2(), *mail.family()]
        mail.master.send_signal(signal.SIGTERM)
        mail.logged("draining")
        imap.send(MAIL + b"\r\n")
        while not (reply := imap.read()).raw.startswith(b"x1 "):
            pass
        assert reply.raw.startswith(b"x1 OK")
        assert imap.read().raw.startswith(b"* BYE")
    for process in family:
        ended(process)


@pytest.mark.parametrize("generation", ["old", "new"])
def test_a_keeper_dies_on_the_way(mail: Upgradable, generation: str) -> None:
    """The next one is told, or tells, of the sessions again: none is lost, none is there twice."""
    waiting = [connect(mail) for _ in range(40)]
    tags = [imap.idle() for imap in waiting]
    eventually(lambda: mail.control("status")["parked"]["silent"] == len(waiting))
    (keeper,) = mail.workers("keeper")
    old = mail.usr2()
    if generation == "new":
        (keeper,) = mail.workers("keeper")
    with suppress(ProcessLookupError):  # the old one is quick
        os.kill(keeper, signal.SIGKILL)
    ended(old)
    deliver(mail)
    for imap in waiting:
        assert exists(imap) == 1
    for imap, tag in zip(waiting, tags, strict=True):
        imap.done(tag)
        imap.ok("NOOP")
        imap.close()


def test_a_worker_dies_on_the_way(mail: Upgradable) -> None:
    """Its command is run by the new server, when the old one has no workers any more."""
    with connect(mail) as imap:
        imap.send(b"x1 APPEND INBOX {%d}\r\n" % len(MAIL))
        assert imap.read().raw.startswith(b"+")
        (row,) = mail.control("who")
        old = mail.usr2()
        os.kill(row["pid"], signal.SIGKILL)
        ended(old)
        imap.send(MAIL + b"\r\n")
        while not (reply := imap.read()).raw.startswith(b"x1 "):
            pass
        assert reply.raw.startswith(b"x1 OK [APPENDUID ")
        assert uids(imap) == [1]
