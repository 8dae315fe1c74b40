"""Upgrades under root, under systemd, with sockets that systemd gave."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import certs
from tests.support import instance as support
from tests.support.deflated import compress
from tests.support.imap import Imap
from tests.support.place import give

from .conftest import eventually
from .test_system_users import local_user
from .upgradable import Upgradable, upgradable

__all__ = ["local_user"]

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")

#: Starts a program with a listening socket where systemd puts it, in the same process.
LIKE_SYSTEMD = """
import os, socket, sys
sock = socket.socket()
sock.bind(("127.0.0.1", 0))
sock.listen()
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="imap")
os.execv(sys.argv[1], sys.argv[1:])
"""


class Given(Upgradable):
    """Its socket for IMAP is systemd's."""

    def command(self) -> list[str]:
        """The command line of the master."""
        return [str(self.python), "-c", LIKE_SYSTEMD, *super().command()]


@pytest.fixture
def rooted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upgradable]:
    """As an administrator runs it: the master is root, nobody else is."""
    monkeypatch.setattr(support, "become", lambda program=None: {})
    monkeypatch.setattr(support, "give", lambda path: None)

    def prepare(made: Upgradable) -> None:
        made.settings["server"] |= {"user": "mail", "tls_user": "nobody", "auth_user": "root"}
        made.settings["auth"] |= {"system_users": True}
        for path in (made.base, *made.base.parents):
            if path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.chmod(0o755)
        for folder in ("mail", "spool"):
            (made.base / folder).mkdir()
            os.chown(made.base / folder, pwd.getpwnam("mail").pw_uid, -1)

    with upgradable(prepare=prepare) as made:
        yield made


@needs_root
def test_under_root(rooted: Upgradable, local_user: pwd.struct_passwd) -> None:
    """Sessions of virtual users, of the host's own, in TLS and compressed, go over twice."""
    context = certs.context(rooted.certificate)
    with (
        Imap(rooted.imap).login("alice", "secret") as alice,
        Imap(rooted.addresses["imaps"], tls=context).login(local_user.pw_name, "pw") as own,
        Imap(rooted.imap).login(local_user.pw_name, "pw") as packed,
    ):
        compress(packed)
        for imap in (alice, own, packed):
            imap.ok("SELECT INBOX")
        for _ in range(2):
            rooted.upgrade()
            for imap in (alice, own, packed):
                imap.ok("NOOP")
                imap.ok("STATUS INBOX (MESSAGES)")
        for imap in (alice, own, packed):
            imap.ok("LOGOUT")
    with Imap(rooted.imap).login(local_user.pw_name, "pw") as imap:
        imap.ok("NOOP")


def test_systemd_is_told_of_the_new_main_process() -> None:
    """By the old one, whom it believes, and before the new one says anything."""
    with upgradable() as mail, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(mail.base / "ready"))
        give(mail.base / "ready")
        manager.settimeout(20)
        mail.upgrade()
        pid = mail.master.pid
        assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        for _ in range(2):
            assert manager.recv(4096).split(b"\n") == [b"READY=1", b"MAINPID=%d" % pid]
        (mail.base / "setproctitle.py").write_text("raise ImportError('broken')")
        assert not mail.control.raw({"command": "upgrade"})["ok"]
        (mail.base / "setproctitle.py").unlink()
        assert manager.recv(4096).startswith(b"RELOADING=1")
        assert manager.recv(4096) == b"READY=1"


def test_sockets_of_systemd_stay_its_own() -> None:
    with upgradable(Given) as mail:
        address = mail.imap
        for _ in range(2):
            mail.upgrade()
            assert support._addresses(mail.control("status"))["imap"] == address
            with Imap(mail.imap).login("alice", "secret") as imap:
                imap.ok("NOOP")
        mail.control("drain")
        eventually(lambda: mail.workers() == [])
        assert isinstance(address, tuple)
        with socket.create_connection(address) as waiting:
            mail.control("resume")
            waiting.settimeout(20)
            assert waiting.recv(100).startswith(b"* OK")
