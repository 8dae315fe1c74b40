"""A writer that is kept from its processor, or dead, in the middle of a change of the index."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pymaild.core.session import User
from pymaild.index import Index, View
from pymaild.mail.account import Account
from pymaild.mail.flags import SEEN
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.settings import MailSettings
from pymaild.storage.locks import FileLock

SEQUENCE = 40  # of the header: odd while a writer is at work
FLAGS = 8192 + 4  # of the first row, which do not fit its check any more: who reads it waits


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Mailbox]:
    account = Account(User(name="u", mail=str(tmp_path / "Maildir")), MailSettings(fsync=False))
    account.prepare()
    with account.open("INBOX") as box:
        box.commit([(box.write([b"Subject: one\r\n\r\n"]), box.flags(["\\Seen"]), None)])
        yield box


def _turn(fd: int, offset: int) -> None:
    """Turn a bit of a file over."""
    os.pwrite(fd, bytes([os.pread(fd, 1, offset)[0] ^ 1]), offset)


@contextmanager
def in_the_middle(box: Mailbox, dies: bool) -> Iterator[int]:
    """Another process changes the index, and ends or dies once an octet is written to what this
    yields."""
    await_reader, reader = os.pipe()
    begun, begins = os.pipe()
    child = os.fork()
    if child == 0:
        fd = os.open(os.path.join(box.directory, "pymaild.index"), os.O_RDWR)
        with FileLock(box.lock.path, 0.0):
            places = [SEQUENCE] if dies else [SEQUENCE, FLAGS]
            for place in places:
                _turn(fd, place)
            os.write(begins, b".")
            os.read(await_reader, 1)
            if dies:
                os._exit(0)
            for place in reversed(places):
                _turn(fd, place)
        os._exit(0)
    os.read(begun, 1)
    yield reader
    os.waitpid(child, 0)
    for fd in (await_reader, reader, begun, begins):
        os.close(fd)


READERS: dict[str, Callable[[Index, View], object]] = {
    "row": lambda index, view: view.flags(1) & SEEN,
    "counts": lambda index, view: index.counts()[0],
    "usage": lambda index, view: index.usage()[0],
    "view": lambda index, view: len(View.of(index)),
}


@pytest.mark.parametrize(
    ("reader", "dies"),
    [(reader, False) for reader in READERS] + [(reader, True) for reader in READERS][1:],
)
def test_a_reader_waits_for_the_writer(box: Mailbox, reader: str, dies: bool) -> None:
    view = box.view()
    settle = box.index.await_writer
    assert settle is not None
    waits: list[Index] = []
    with in_the_middle(box, dies) as writer:

        def go_on(index: Index) -> None:
            waits.append(index)
            os.write(writer, b".")
            settle(index)

        box.index.await_writer = go_on
        assert READERS[reader](box.index, view) == 1
    assert waits == [box.index]
    assert not box.index.interrupted
    assert box.index.current()
    assert box.index.verify() == []
