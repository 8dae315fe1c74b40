"""One mbox, served by Dovecot and by pymaild in turns: UIDs, flags and keywords are the same."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.flags import FLAGGED, SEEN, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.settings import MailSettings
from tests.support.dovecot import Dovecot, dovecot, give, needs_dovecot

pytestmark = needs_dovecot

MAIL = b"Subject: %d\r\n\r\ntext\r\n"
_MORE = """
mail_location = mbox:~/folders:INBOX=~/inbox
mbox_write_locks = %s
mbox_lock_timeout = 10 mins
"""


@pytest.fixture(params=["fcntl dotlock", "dotlock fcntl", "fcntl"])
def other(request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    """Dovecot that waits for locks far longer than its clients wait for it."""
    with dovecot({"alice": "pw"}, more=_MORE % request.param) as made:
        made.start()
        yield made


def account(base: Path) -> Account:
    home = base / "mail" / "alice"
    user = User(name="alice", mail=f"{home}/folders", inbox=f"{home}/inbox")
    made = Account(user, MailSettings())
    made.prepare()
    return made


def ours(base: Path) -> list[tuple[int, int, list[str]]]:
    """UIDs, flags and keywords as we tell them; one more message is appended then."""
    mine = account(base)
    with mine.open("INBOX") as box:
        box.refresh()
        found = told(box)
        box.commit([(box.write([MAIL % (100 + len(found))]), box.flags(["$Ours"]), None)])
    mine.close()
    give(base)
    return found


def told(box: Mailbox) -> list[tuple[int, int, list[str]]]:
    view = box.view()
    rows = range(1, len(view) + 1)
    words = [box.flag_names(Flags(0, view.keywords(seq))) for seq in rows]
    return [(view.uid(seq), view.flags(seq), words[seq - 1]) for seq in rows]


def theirs(server: Dovecot, flags: str) -> list[tuple[int, set[str]]]:
    """UIDs and flags as Dovecot tells them; one more message is appended then."""
    client = imaplib.IMAP4(*server.imap, timeout=20)
    client.login("alice", "pw")
    assert not [line for line in client.list()[1] if b"pymaild" in line]
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


def test_it_works_while_a_session_of_ours_is_idle(other: Dovecot) -> None:
    """Flags and mail of Dovecot show in a mailbox that was open all the time."""
    assert ours(other.base) == []
    mine = account(other.base)
    with mine.open("INBOX") as box:
        box.refresh()
        give(other.base)
        assert theirs(other, "(\\Flagged)") == [(1, {"$Ours"})]
        box.refresh()
        assert told(box) == [(1, 0, ["$Ours"]), (2, FLAGGED, [])]
        give(other.base)
        with other.client("alice") as client:
            client.ok("SELECT INBOX")
            client.ok("STORE 1 +FLAGS (\\Seen)")
            client.ok("LOGOUT")
        box.refresh()
        assert told(box) == [(1, SEEN, ["$Ours"]), (2, FLAGGED, [])]
    mine.close()
