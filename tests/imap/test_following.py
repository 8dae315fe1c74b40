"""STORE on many messages, as a program sees it that reads the Maildir itself."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from pymaild.mail.stores.maildir import MANY
from pymaild.storage._watch import Watch
from tests.imap.conftest import ImapBench

COUNT = MANY + 3


@pytest.fixture
def cur(imap: ImapBench) -> Path:
    """The directory of some messages without flags."""
    account = imap.account("alice")
    account.prepare()
    path = Path(account.root) / "cur"
    for number in range(COUNT):
        (path / f"{number}.M1.host:2,").write_bytes(b"Subject: %d\n\n" % number)
    return path


def follows(cur: Path) -> None:
    """Wait until all names say that their message is flagged."""
    watch = Watch(str(cur))
    while not all(name.endswith(":2,F") for name in os.listdir(cur)):
        assert select.select([watch], [], [], 30)[0], "no name has changed"
        watch.drain()
    watch.close()


def names(cur: Path) -> set[str]:
    """What the names say."""
    return {name.rpartition(":2,")[2] for name in os.listdir(cur)}


def test_names_follow_while_the_client_is_silent(imap: ImapBench, cur: Path) -> None:
    client = imap.login()
    client.ok("SELECT INBOX")
    client.ok("STORE 1:* +FLAGS.SILENT (\\Flagged)")
    follows(cur)
    client.ok("NOOP")


def test_names_follow_before_a_client_idles(imap: ImapBench, cur: Path) -> None:
    client = imap.login()
    client.ok("SELECT INBOX")
    client.ok("STORE 1:* +FLAGS.SILENT (\\Flagged)")
    tag = client.idle()
    follows(cur)
    client.done(tag)


def test_names_follow_before_another_mailbox_is_selected(imap: ImapBench, cur: Path) -> None:
    client = imap.login()
    client.ok("SELECT INBOX")
    client.ok("STORE 1:* +FLAGS.SILENT (\\Flagged)")
    client.ok("SELECT Archive")
    assert names(cur) == {"F"}


def test_others_are_told_before_names_follow(imap: ImapBench, cur: Path) -> None:
    client, other = imap.login(), imap.login()
    client.ok("SELECT INBOX")
    other.ok("SELECT INBOX")
    client.ok("STORE 1:* +FLAGS.SILENT (\\Flagged)")
    told = [reply for reply in other.ok("NOOP").untagged if reply.name == "FETCH"]
    assert len(told) == COUNT
    assert b"\\Flagged" in told[0].raw
    assert b"Subject: 0" in other.ok("FETCH 1 BODY.PEEK[HEADER]").untagged[0].raw
