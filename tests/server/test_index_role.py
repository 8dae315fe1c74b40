"""The index role: who it works for, that it comes and goes, and what its death costs."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pymaild.index import Index
from pymaild.mail.helpers import NEWEST
from tests.support import corpus, maildir
from tests.support.imap import Imap
from tests.support.instance import Instance, instance

from .conftest import eventually
from .test_system_users import local_user, rooted  # noqa: F401

MANY = 1200  # more than one process does at a time


@pytest.fixture
def server() -> Iterator[Instance]:
    with instance({"alice": "secret"}) as made:
        foreign(made.maildir("alice"))
        yield made


def foreign(folder: Path) -> None:
    """A folder as another program leaves it."""
    maildir.make(folder)
    mail = [corpus.simple(number) for number in range(100)]
    for number in range(MANY):
        (folder / "cur" / f"1700000000.M{number}P1.other:2,").write_bytes(
            mail[number % len(mail)].replace(b"\r\n", b"\n")
        )


def uncached(folder: Path) -> int:
    return len(Index.open(str(folder)).uncached(NEWEST, MANY))


def indexers(server: Instance) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in server.workers("index")]


def test_a_foreign_folder_is_indexed_behind_the_session(server: Instance) -> None:
    """A client that only selects it finds all in the cache a moment later."""
    server.start()
    assert not indexers(server)
    with Imap(server.imap).login("alice", "secret") as client:
        client.ok("SELECT INBOX")
        folder = server.maildir("alice")
        eventually(lambda: not uncached(folder), "the cache is full")
        assert len(client.ok("FETCH 1:60 (ENVELOPE)").untagged) == 60
        client.ok("LOGOUT")


def test_it_works_at_low_priority_and_leaves(server: Instance) -> None:
    server.start()
    with Imap(server.imap).login("alice", "secret") as client:
        client.ok("SELECT INBOX")
        [first, *_] = eventually(lambda: indexers(server), "an index process")
        assert eventually(lambda: first.nice() == 19, "its priority is low")
        eventually(lambda: not uncached(server.maildir("alice")), "the cache is full")
        client.ok("LOGOUT")
    eventually(lambda: not indexers(server), "they have left")


def test_its_death_costs_nothing(server: Instance) -> None:
    """What was lost is done when somebody comes upon it again; no session notices."""
    server.start()
    folder = server.maildir("alice")
    for _ in range(3):
        with Imap(server.imap).login("alice", "secret") as client:
            client.ok("SELECT INBOX")
            for process in indexers(server):
                process.send_signal(signal.SIGKILL)
            assert len(client.ok("FETCH 1:60 (ENVELOPE)").untagged) == 60
            client.ok("LOGOUT")
    with Imap(server.imap).login("alice", "secret") as client:

        def full() -> bool:
            client.ok("SELECT INBOX")
            return not uncached(folder)

        eventually(full, "the cache is full")
        assert len(client.ok("FETCH 1:60 (ENVELOPE)").untagged) == 60
        client.ok("LOGOUT")


def test_none_where_none_is_wanted(server: Instance) -> None:
    """Then sessions make what they need themselves."""
    server.settings["server"]["index_processes"] = 0
    server.start()
    with Imap(server.imap).login("alice", "secret") as client:
        client.ok("SELECT INBOX")
        assert len(client.ok("FETCH 1:60 (ENVELOPE)").untagged) == 60
        assert uncached(server.maildir("alice")) == MANY - 60
        assert not indexers(server)
        client.ok("LOGOUT")


def test_a_reload_and_a_drain(server: Instance) -> None:
    """Processes of an old configuration leave; those under way do not keep the server."""
    server.start()
    with Imap(server.imap).login("alice", "secret") as client:
        client.ok("SELECT INBOX")
        eventually(lambda: indexers(server), "an index process")
        server.control("reload")
        client.ok("NOOP")
        client.ok("LOGOUT")
    server.control("drain")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_system_user_has_one_of_his_own(
    rooted: Instance,  # noqa: F811
    local_user: pwd.struct_passwd,  # noqa: F811
) -> None:
    """No process of the mail user can read his mail."""
    folder = Path(local_user.pw_dir) / "Maildir"
    foreign(folder)
    subprocess.run(["chown", "-R", f"{local_user.pw_uid}:{local_user.pw_gid}", folder], check=True)
    with Imap(rooted.imap).login(local_user.pw_name, "pw") as client:
        client.ok("SELECT INBOX")
        [process, *_] = eventually(lambda: indexers(rooted), "an index process")
        assert eventually(lambda: process.uids().real == local_user.pw_uid, "his own")
        eventually(lambda: not uncached(folder), "the cache is full")
        client.ok("LOGOUT")
