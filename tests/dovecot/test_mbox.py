"""One mbox, served by Dovecot and by pymaild in turns: UIDs, flags and keywords are the same."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.flags import FLAGGED, SEEN, Flags
from pymaild.mail.settings import MailSettings
from tests.support.dovecot import Dovecot, dovecot, give, needs_dovecot

pytestmark = needs_dovecot

MAIL = b"Subject: %d\r\n\r\ntext\r\n"
_MORE = """
mail_location = mbox:~/folders:INBOX=~/inbox
mbox_write_locks = fcntl
mbox_lock_timeout = 5 secs
"""


@pytest.fixture
def other() -> Iterator[Dovecot]:
    with dovecot({"alice": "pw"}, more=_MORE) as made:
        made.start()
        yield made


def ours(base: Path) -> list[tuple[int, int, list[str]]]:
    home = base / "mail" / "alice"
    account = Account(
        User(name="alice", mail=f"{home}/folders", inbox=f"{home}/inbox"), MailSettings()
    )
    account.prepare()
    with account.open("INBOX") as box:
        box.refresh()
        view, found = box.view(), []
        for seq in range(1, len(view) + 1):
            words = box.flag_names(Flags(0, view.keywords(seq)))
            found.append((view.uid(seq), view.flags(seq), words))
        box.commit([(box.write([MAIL % (100 + len(view))]), box.flags(["$Ours"]), None)])
    account.close()
    give(base)
    return found


def theirs(server: Dovecot, flags: str) -> list[tuple[int, set[str]]]:
    """UIDs and flags as Dovecot tells them; one more message is appended then."""
    client = imaplib.IMAP4(*server.imap)
    client.login("alice", "pw")
    assert client.select("INBOX")[0] == "OK", (server.base / "dovecot.log").read_text()[-1500:]
    _, rows = client.fetch("1:*", "(UID FLAGS)")
    found = []
    for row in rows:
        if isinstance(row, bytes):
            words = row.decode().replace("(", " ").replace(")", " ").split()
            told = {word for word in words if word[0] in "$\\"} - {"\\Recent"}
            found.append((int(words[words.index("UID") + 1]), told))
    client.append("INBOX", flags, "", MAIL % 7)
    client.logout()
    return found


def test_both_number_alike(other: Dovecot) -> None:
    assert ours(other.base) == []
    assert theirs(other, "(\\Flagged $Theirs)") == [(1, {"$Ours"})]
    told = ours(other.base)
    assert told == [(1, 0, ["$Ours"]), (2, FLAGGED, ["$Theirs"])]
    assert theirs(other, "(\\Seen)") == [
        (1, {"$Ours"}),
        (2, {"\\Flagged", "$Theirs"}),
        (3, {"$Ours"}),
    ]
    assert ours(other.base)[2:] == [(3, 0, ["$Ours"]), (4, SEEN, [])]
