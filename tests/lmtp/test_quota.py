"""Quotas in delivery: each recipient's own reply, before the message is sent where that can be."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace

import pytest

from tests.lmtp.conftest import mailbox, ready, with_recipients
from tests.lmtp.test_mda import Desk
from tests.support.sessions import Bench

MESSAGE = b"Subject: x\r\n\r\n" + b"y" * 2000 + b"\r\n"


@pytest.fixture
def small(lmtp: Bench) -> Bench:
    """Alice may have 4 KiB, bob as much as he likes."""
    with lmtp.auth.users.open("w") as file:
        file.write("alice:{PLAIN}secret::::::quota=4K\nbob:{PLAIN}secret\n")
    return lmtp


def delivered(bench: Bench, *names: str) -> list[bytes]:
    """The replies of each recipient to one message."""
    session = with_recipients(bench, *names)
    assert session.ask(b"DATA").startswith(b"354 ")
    session.send(MESSAGE + b".\r\n")
    return session.lines(len(names))


def test_a_full_recipient_is_told_apart_from_the_others(small: Bench) -> None:
    """The message itself decides: it was not announced how large it is."""
    assert [reply[:3] for reply in delivered(small, "alice", "bob")] == [b"250", b"250"]
    alice, bob = delivered(small, "alice", "bob")
    assert alice.startswith(b"452 4.2.2 ")
    assert bob.startswith(b"250 ")
    assert len(mailbox(small, "alice")) == 1
    assert len(mailbox(small, "bob")) == 2


@pytest.mark.parametrize(("full", "reply"), [("retry", b"452 4.2.2 "), ("bounce", b"552 5.2.2 ")])
def test_what_was_announced_is_refused_before_it_is_sent(
    small: Bench, full: str, reply: bytes
) -> None:
    small.configure(quota_full=full)
    session = ready(small)
    assert session.ask(b"MAIL FROM:<s@example.org> SIZE=5000").startswith(b"250 ")
    assert session.ask(b"RCPT TO:<alice@example.org>").startswith(reply)
    assert session.ask(b"RCPT TO:<bob@example.org>").startswith(b"250 ")
    # The size belonged to that transaction alone.
    assert session.ask(b"RSET").startswith(b"250 ")
    assert session.ask(b"MAIL FROM:<s@example.org>").startswith(b"250 ")
    assert session.ask(b"RCPT TO:<alice@example.org>").startswith(b"250 ")


def test_the_number_of_messages_counts_too(lmtp: Bench) -> None:
    lmtp.mail = replace(lmtp.mail, quota_messages=1)
    assert delivered(lmtp, "alice")[0].startswith(b"250 ")
    session = ready(lmtp)
    assert session.ask(b"MAIL FROM:<s@example.org>").startswith(b"250 ")
    assert session.ask(b"RCPT TO:<alice@example.org>").startswith(b"452 4.2.2 ")


def test_the_command_line_obeys_too(small: Bench) -> None:
    """sysexits(3): try again later, or give up where the settings say so."""
    with closing(Desk(small)) as desk:
        assert desk(MESSAGE * 3, user="alice") == os.EX_TEMPFAIL
        desk.settings = replace(desk.settings, quota_full="bounce")
        assert desk(MESSAGE * 3, user="alice") == os.EX_CANTCREAT
        assert desk(MESSAGE, user="alice") == os.EX_OK
    assert mailbox(small, "alice")[0].endswith(MESSAGE)
