"""Dovecot and pymaild, running beside each other on copies of one Maildir."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import corpus, maildir
from tests.support.dovecot import Dovecot, dovecot
from tests.support.instance import Instance, instance
from tests.support.place import give

USERS = {"alice": "secret"}


@contextmanager
def ours() -> Iterator[Instance]:
    """Our server, not yet started."""
    with instance(USERS) as server:
        yield server


@contextmanager
def theirs() -> Iterator[Dovecot]:
    """Dovecot, not yet started."""
    with dovecot(USERS) as server:
        yield server


def move(source: Path, target: Path) -> None:
    """Copy a whole Maildir with its times, as an administrator does."""
    shutil.copytree(source, target, symlinks=True)
    give(target.parent)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Instance, Dovecot]]:
    """Both servers with the whole corpus in INBOX; each message's date is its number."""
    with ours() as mine, theirs() as other:
        inbox = maildir.make(other.maildir("alice"))
        messages = (*corpus.mime_mail(), *corpus.list_mail())
        number_files(inbox, messages)
        give(inbox)
        move(inbox, mine.maildir("alice"))
        mine.start()
        other.start()
        yield mine, other


def number_files(inbox: Path, messages: tuple[bytes, ...]) -> None:
    """Write messages whose time of change says which one they are."""
    import os

    for number, name in enumerate(corpus.save(inbox, messages)):
        os.utime(inbox / "cur" / f"{name}:2,", (BASE + number, BASE + number))


BASE = 1_600_000_000
