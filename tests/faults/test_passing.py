"""Failures that pass: what is tried again goes well in the end, and nobody is sent away."""

from __future__ import annotations

import errno
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pymaild.core.errors import Code, Refused
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.settings import MailSettings
from pymaild.pop3.record import Pop3Record
from pymaild.pop3.session import Pop3Session
from pymaild.pop3.settings import Pop3Settings
from pymaild.storage import atomic, retry
from pymaild.storage.locks import FileLock
from tests.support.sessions import bench

from .disk import SmallDisk, small_disk

BODY = b"Subject: large\r\n\r\n" + b"A line that fills the message.\r\n" * 2000
LONG = 20.0  # seconds; a test that needs them has failed


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    """A process that tries again, and has not yet done so in vain."""
    retry.be_patient(LONG)
    yield
    retry.be_patient(0.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


@contextmanager
def meanwhile(deed: object) -> Iterator[None]:
    """Do something in another thread while a call waits for it."""
    thread = threading.Thread(target=deed)  # type: ignore[arg-type]
    thread.start()
    try:
        yield
    finally:
        thread.join()


class Tried:
    """Fails ``times`` times."""

    def __init__(self, times: int, number: int = errno.ENFILE) -> None:
        self.left = times
        self.calls = 0
        self._number = number

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise OSError(self._number, os.strerror(self._number))
        return "done"


def test_what_passes_is_tried_again() -> None:
    tried = Tried(3)
    assert retry.patiently(tried) == "done"
    assert tried.calls == 4


def test_what_does_not_pass_is_not_tried_again() -> None:
    tried = Tried(1, errno.EIO)
    with pytest.raises(OSError, match="Input"):
        retry.patiently(tried)
    assert tried.calls == 1


def test_in_vain_is_not_repeated() -> None:
    """Who has waited for nothing refuses the next at once."""
    retry.be_patient(0.05)
    tried = Tried(1000)
    with pytest.raises(OSError, match="open files"):
        retry.patiently(tried)
    before = tried.calls
    assert before > 2
    with pytest.raises(OSError, match="open files"):
        retry.patiently(tried)
    assert tried.calls == before + 1


def test_delays_grow_and_end() -> None:
    waits = list(retry.delays(0.0))
    assert waits == []
    first, second = (wait for wait, _ in zip(retry.delays(LONG), range(2), strict=False))
    assert second == 2 * first


def test_a_disk_that_is_full_for_a_moment(disk: SmallDisk) -> None:
    """The message is written on where it stopped, once others have made room."""
    account = Account(User(name="u", mail=str(disk.path / "mail")), MailSettings())
    account.prepare()
    full = threading.Event()

    def watch(step: str, path: str) -> None:
        if step == "write" and not full.is_set():
            disk.fill(left=8192)
            full.set()

    def free() -> None:
        assert full.wait(LONG)
        disk.free()

    with account.open("INBOX") as box, meanwhile(free):
        atomic.observer = watch
        try:
            draft = box.write([BODY])
        finally:
            atomic.observer = None
            full.set()
    assert draft.wire_size == len(BODY)
    account.close()


def test_a_disk_that_stays_full(disk: SmallDisk) -> None:
    retry.be_patient(0.05)
    account = Account(User(name="u", mail=str(disk.path / "mail")), MailSettings())
    account.prepare()
    with account.open("INBOX") as box:
        disk.fill()
        with pytest.raises(Refused) as refused:
            box.write([BODY])
        assert refused.value.code is Code.OVERQUOTA
        assert not list((disk.path / "mail" / "tmp").iterdir())
    account.close()


def test_no_descriptor_for_a_moment(tmp_path: Path) -> None:
    """Files that another part of the process closes make room for a mailbox."""
    account = Account(User(name="u", mail=str(tmp_path / "mail")), MailSettings(fsync=False))
    account.prepare()
    account.open("INBOX").close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        assert len(taken) < 256

        def give() -> None:
            while taken:
                os.close(taken.pop())

        with meanwhile(give), account.open("INBOX") as box:
            assert box.status().messages == 0
    finally:
        while taken:
            os.close(taken.pop())
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        account.close()


def test_a_lock_that_is_held_for_a_moment(tmp_path: Path) -> None:
    first, second = (FileLock(str(tmp_path / "lock"), LONG) for _ in range(2))
    first.acquire(0)
    with meanwhile(first.release), second:
        assert not first.acquire(0)
    first.close()
    second.close()


def test_a_maildrop_that_is_just_being_left(tmp_path: Path) -> None:
    """POP3: the next login waits a little for the end of the session before."""
    with bench(tmp_path, (Pop3Record, Pop3Session), Pop3Settings()) as made:
        made.add_user("alice")
        with made.account("alice").open("INBOX") as box:
            lock = box.lock_maildrop()
        session = made.start()
        session.line()
        session.ask(b"USER alice")
        session.send(b"PASS secret\r\n")
        wait_for_login(made.board.counts)
        lock.release()
        assert session.line().startswith(b"+OK")


def wait_for_login(counts: dict[str, int]) -> None:
    """Until the password has been found right: the lock is taken next."""
    deadline = time.monotonic() + LONG
    while not counts["logins"]:
        assert time.monotonic() < deadline
        os.sched_yield()
