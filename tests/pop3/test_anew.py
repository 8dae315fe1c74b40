"""Maildrops whose index is written anew while their session waits."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from pymaild.mail import sync
from pymaild.mail.mailbox import Mailbox
from tests.support.sessions import Bench, Running

from .conftest import MESSAGES, login
from .test_parking import waits


def compacted(box: Mailbox) -> None:
    with box.changing() as index:
        sync.compact(box, index)


def rebuilt(box: Mailbox) -> None:
    box.rebuild()


def damaged(box: Mailbox) -> None:
    os.unlink(os.path.join(box.directory, "pymaild.log"))


def asked(session: Running, command: bytes) -> list[bytes]:
    assert session.ask(command).startswith(b"+OK")
    return session.listing()


@pytest.mark.parametrize("anew", [compacted, rebuilt, damaged])
def test_numbers_and_sizes_stay(pop3: Bench, anew: Callable[[Mailbox], None]) -> None:
    """Another session of IMAP removes messages and adds others: UPDATE takes what was marked."""
    pop3.put("alice", *[MESSAGES[0]] * 6)
    session = login(pop3)
    assert session.ask(b"DELE 5").startswith(b"+OK")
    known = asked(session, b"UIDL"), asked(session, b"LIST")
    record = waits(pop3, session)
    with pop3.account("alice").open("INBOX") as box:
        box.expunge([2, 3])
        anew(box)
    pop3.put("alice", MESSAGES[0])
    session = pop3.start(record)
    assert (asked(session, b"UIDL"), asked(session, b"LIST")) == known
    assert session.ask(b"RETR 2").startswith(b"-ERR")
    assert len(asked(session, b"RETR 4")) > 1
    assert session.ask(b"QUIT").startswith(b"+OK")
    with pop3.account("alice").open("INBOX") as box:
        view = box.view()
        assert [view.uid(seq) for seq in range(1, len(view))] == [1, 4, 6]
