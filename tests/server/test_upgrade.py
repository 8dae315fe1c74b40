"""USR2: a new master boots beside the old one and takes its place; what fails changes nothing."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import certs
from tests.support.imap import Imap
from tests.support.instance import Instance
from tests.support.place import write

from .conftest import eventually, gone
from .upgradable import Upgradable, ended, upgradable


@pytest.fixture
def mail() -> Iterator[Upgradable]:
    with upgradable() as made:
        yield made


class Crowd:
    """Clients that come one after the other, until told to stop."""

    def __init__(self, mail: Instance) -> None:
        self.mail = mail
        self.served = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._come, args=(way,)) for way in (0, 1, 2)]

    def _come(self, way: int) -> None:
        while not self._stop.is_set():
            try:
                self._visit(way)
                self.served += 1
            except (OSError, AssertionError) as error:
                self.failures.append(f"{time.time()} {way}: {error!r}")

    def _visit(self, way: int) -> None:
        context = certs.context(self.mail.certificate)
        if way == 0:
            with Imap(self.mail.imap).login("alice", "secret") as imap:
                imap.ok("SELECT INBOX")
                imap.ok("LOGOUT")
        elif way == 1:
            with Imap(self.mail.addresses["imaps"], tls=context).login("bob", "hidden") as imap:
                imap.ok("LOGOUT")
        else:
            with socket.socket(socket.AF_UNIX) as lmtp:
                lmtp.settimeout(20)
                lmtp.connect(str(self.mail.addresses["lmtp-unix"]))
                assert lmtp.recv(100).startswith(b"220 ")

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def pid_file(mail: Instance) -> int:
    return int((mail.base / "pid").read_text())


def test_no_connection_is_refused_while_it_happens(mail: Upgradable) -> None:
    """Clients come over TCP, TLS and a Unix socket without a pause, through two upgrades."""
    first = mail.master.pid
    addresses = mail.addresses
    with Crowd(mail) as crowd:
        eventually(lambda: crowd.served > 20)
        mail.upgrade()
        second = mail.master.pid
        before = crowd.served
        eventually(lambda: crowd.served > before + 20)
        mail.upgrade()
        before = crowd.served
        eventually(lambda: crowd.served > before + 20)
    assert crowd.failures == []
    assert len({first, second, mail.master.pid}) == 3
    assert pid_file(mail) == mail.master.pid
    status = mail.control("status")
    assert status["state"] == "running"
    assert {row["name"] for row in status["listeners"]} == set(addresses)
    assert status["totals"]["crashes"] == 0


def test_files_are_left_to_the_new_master(mail: Upgradable) -> None:
    """What the new one has taken over the old one does not remove, and at its end it goes."""
    names = sorted(os.listdir(mail.base / "run"))
    mail.upgrade()
    assert sorted(os.listdir(mail.base / "run")) == names
    assert (mail.base / "lmtp").is_socket()
    assert (mail.base / "run" / "tls" / "worker").is_socket()
    family = mail.family()
    family[0].send_signal(signal.SIGINT)
    for process in family:
        ended(process)
    assert sorted(os.listdir(mail.base / "run")) == ["empty", "tls"]
    assert not (mail.base / "lmtp").exists()
    assert not (mail.base / "pid").exists()
    assert mail.process
    mail.process.wait(20)
    mail.start()


def test_the_program_reads_its_configuration_anew(mail: Upgradable) -> None:
    """Also what a reload cannot change; listeners come and go."""
    port = mail.imap
    del mail.listeners["pop3"], mail.listeners["lmtp-unix"]
    mail.listeners["more"] = {
        "name": "more",
        "protocol": "imap",
        "address": f"unix:{mail.base}/more",
    }
    mail.settings["server"]["control"] = mail.base / "run" / "other"
    mail.configure()
    old = mail.master
    before = mail.control
    old.send_signal(signal.SIGUSR2)
    mail.control = type(before)(mail.base / "run" / "other")
    ended(old)
    status = mail.control("status")
    names = {row["name"]: row["address"] for row in status["listeners"]}
    assert names["imap"] == f"{port[0]}:{port[1]}"
    assert names["more"] == f"unix:{mail.base}/more"
    assert not {"pop3", "lmtp-unix"} & set(names)
    assert not (mail.base / "lmtp").exists()
    assert not before.path.exists()
    with Imap(mail.imap).login("alice", "secret") as imap:
        imap.ok("NOOP")


def broken_file(mail: Upgradable) -> str:
    mail.config.write_text("[server]\nworkers_min = 0\n")
    return "server.workers_min: must be at least 1"


def broken_program(mail: Upgradable) -> str:
    """A module that cannot be imported; the next process finds it in its working directory."""
    write(mail.base / "setproctitle.py", "raise ImportError('this version is broken')")
    return "this version is broken"


def taken_address(mail: Upgradable) -> str:
    mail.listeners["more"] = {"name": "more", "protocol": "imap", "address": "192.0.2.1:143"}
    mail.configure()
    return "listener more: Cannot assign requested address"


@pytest.mark.parametrize("harm", [broken_file, broken_program, taken_address])
def test_one_that_does_not_start_changes_nothing(mail: Upgradable, harm: object) -> None:
    old = mail.master
    before = {process.pid for process in mail.family()}
    names = sorted(os.listdir(mail.base / "run"))
    with Imap(mail.imap).login("alice", "secret") as imap:
        why = harm(mail)  # type: ignore[operator]
        with Crowd(mail) as crowd:
            old.send_signal(signal.SIGUSR2)
            mail.logged("does not take over: it has ended with code")
            mail.logged(why)
            eventually(lambda: crowd.served > 10)
        assert crowd.failures == []
        imap.ok("NOOP")
    assert mail.master == old
    assert pid_file(mail) == old.pid
    assert sorted(os.listdir(mail.base / "run")) == names
    assert before <= {process.pid for process in mail.family()}


def test_one_that_takes_too_long_is_ended(mail: Upgradable) -> None:
    """Stopped as it begins, it is ended when its time is over; meanwhile no second one starts."""
    mail.settings["server"]["upgrade_timeout"] = 2
    mail.configure()
    mail.control("reload")
    write(mail.base / "setproctitle.py", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)")
    old = mail.master
    old.send_signal(signal.SIGUSR2)
    line = mail.logged("is to take over")
    reply = mail.control.raw({"command": "upgrade"})
    assert reply == {"ok": False, "error": "an upgrade is under way"}
    assert "an upgrade is under way" in mail.control.raw({"command": "reload"})["error"]
    mail.logged("does not take over: it was not ready in time")
    assert gone(int(line.split("process ")[1].split()[0]))
    (mail.base / "setproctitle.py").unlink()
    assert mail.master == old
    mail.upgrade()
    assert mail.master != old


def test_administrators_are_told_how_it_went(mail: Upgradable) -> None:
    old = mail.master
    write(mail.base / "setproctitle.py", "raise ImportError('this version is broken')")
    reply = mail.control.raw({"command": "upgrade"})
    assert not reply["ok"]
    assert reply["error"].startswith("no upgrade: it has ended with code 70: pymaild: ")
    (mail.base / "setproctitle.py").unlink()
    reply = mail.control.raw({"command": "upgrade"})
    assert reply["ok"]
    assert mail.master.pid == reply["result"]["pid"] != old.pid


def test_the_old_master_may_die_meanwhile(mail: Upgradable) -> None:
    """The new one is the server then."""
    write(
        mail.base / "setproctitle.py",
        "import os\nos.kill(os.getppid(), 9)\ndef setproctitle(text): pass\n",
    )
    old = mail.master
    family = mail.family()
    old.send_signal(signal.SIGUSR2)
    for process in family:
        ended(process)
    eventually(lambda: pid_file(mail) != old.pid)
    (mail.base / "setproctitle.py").unlink()
    with Imap(mail.imap).login("alice", "secret") as imap:
        imap.ok("NOOP")


def test_a_drained_server_is_not_upgraded(mail: Upgradable) -> None:
    mail.control("drain")
    assert mail.control.raw({"command": "upgrade"})["error"] == "the server is drained"
    eventually(lambda: mail.workers() == [])
    mail.control("resume")


def test_nothing_accumulates(mail: Upgradable) -> None:
    """Descriptors and variables of the third master are those of the second."""

    def look() -> tuple[int, set[str]]:
        pid = mail.master.pid
        eventually(lambda: len(mail.workers()) == 3)
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return len(os.listdir(f"/proc/{pid}/fd")), {
            item.partition(b"=")[0].decode() for item in variables
        }

    mail.upgrade()
    before = look()
    mail.upgrade()
    eventually(lambda: look() == before)  # the last of the old processes may still be leaving
