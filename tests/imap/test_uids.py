"""Unique identifiers (RFC 3501 §2.3.1.1, RFC 9051 §2.3.1.1), and what never changes of a message.

Clients keep both for years; what they keep has to stay true.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support import maildir
from tests.support.rfc import rfc


def status(client: Client, item: str, mailbox: str = "INBOX") -> int:
    """One number of a mailbox."""
    return int(client.ok(f"STATUS {mailbox} ({item})").one("STATUS").values[2][1])


def uids(client: Client) -> list[int]:
    """The UIDs of the selected mailbox, in the order of the sequence numbers."""
    fetched = client.ok("UID FETCH 1:* (UID)").fetched()
    return [int(fetched[number]["UID"]) for number in sorted(fetched)]


def folder(mail: ImapBench) -> Path:
    return mail.folder / "mail" / "alice" / "Maildir"


def lose_index(mail: ImapBench) -> None:
    """Delete all that can be made again."""
    for name in ("index", "log", "cache"):
        (folder(mail) / f"pymaild.{name}").unlink()


@rfc("3501", "2.3.1.1", 4, 5)
@rfc("9051", "2.3.1.1", 4, 5, 11)
def test_uidnext_moves_with_new_messages_and_with_nothing_else(mail: ImapBench) -> None:
    client = mail.select()
    for command in (
        *("NOOP", "FETCH 1 BODY[]", "STORE 1:2 +FLAGS (\\Seen $Work)", "COPY 1 Archive"),
        *("STORE 3 +FLAGS (\\Deleted)", "EXPUNGE", "SELECT INBOX"),
    ):
        client.ok(command)
        assert status(client, "UIDNEXT") == 4
    assert client.appended("INBOX", MESSAGES[0]) == 4
    client.ok("STORE * +FLAGS (\\Deleted)")
    client.ok("EXPUNGE")
    lose_index(mail)
    assert status(mail.login(), "UIDNEXT") >= 5
    assert mail.login().appended("INBOX", MESSAGES[0]) >= 5


@rfc("3501", "2.3.1.1", 1, 8)
@rfc("9051", "2.3.1.1", 1, 8)
@rfc("3501", "2.3.1.2", 1)
@rfc("9051", "2.3.1.2", 1)
def test_uids_ascend_with_the_sequence_numbers(mail: ImapBench) -> None:
    """Wherever a message comes from: APPEND, COPY, delivery, another program."""
    client = mail.select()
    seen = uids(client)
    for _ in range(2):
        client.appended("INBOX", MESSAGES[0], '"01-Jan-1990 00:00:00 +0000"')
        client.ok("COPY 1 INBOX")
        mail.put("alice", MESSAGES[1])
        maildir.drop(folder(mail), MESSAGES[2])
        client.ok("STORE 2 +FLAGS (\\Deleted)")
        client.ok("EXPUNGE")
        now = uids(client)
        assert now == sorted(set(now))
        assert not [uid for uid in now if uid not in seen and uid < max(seen)]
        seen += now
    assert all(0 < uid < 1 << 32 for uid in seen)


@rfc("3501", "2.3.1.1", 2, 7)
@rfc("9051", "2.3.1.1", 2, 7)
def test_uids_stay(mail: ImapBench) -> None:
    """In a session, in the next one, and when the index is lost in between."""
    client = mail.select()
    validity, known = status(client, "UIDVALIDITY"), uids(client)
    other = mail.select()
    other.ok("STORE 1:3 FLAGS (\\Seen $Work)")
    client.ok("NOOP")
    assert uids(client) == uids(other) == known
    client.ok("LOGOUT")
    other.ok("LOGOUT")
    lose_index(mail)
    again = mail.select()
    assert (status(again, "UIDVALIDITY"), uids(again)) == (validity, known)


@rfc("3501", "2.3.1.1", 1, 3, 6)
@rfc("9051", "2.3.1.1", 1, 3, 6)
def test_uids_that_are_lost_are_noticed(mail: ImapBench) -> None:
    """All records and all names with UIDs in them are gone: UIDVALIDITY is higher then."""
    client = mail.select()
    validity = status(client, "UIDVALIDITY")
    client.ok("LOGOUT")
    lose_index(mail)
    (folder(mail) / "pymaild.control").unlink()
    for number, path in enumerate(maildir.files(folder(mail))):
        path.rename(path.with_name(f"1700000000.{number}.elsewhere:2,"))
    assert status(mail.login(), "UIDVALIDITY") > validity


@rfc("3501", "6.3.3", 4)
@rfc("3501", "6.3.4", 3)
@rfc("3501", "6.3.5", 4)
@rfc("9051", "6.3.4", 7)
@rfc("9051", "6.3.5", 5)
@rfc("9051", "6.3.6", 4)
@pytest.mark.parametrize("goes", ["DELETE box", "RENAME box elsewhere"])
def test_a_name_that_is_used_again_has_other_uids(mail: ImapBench, goes: str) -> None:
    client = mail.login()
    known: list[int] = []
    for _ in range(3):
        client.ok("CREATE box")
        client.appended("box", MESSAGES[0])
        known.append(status(client, "UIDVALIDITY", "box"))
        client.ok(goes)
        if goes.startswith("RENAME"):
            assert status(client, "UIDVALIDITY", "elsewhere") == known[-1]
            client.ok("DELETE elsewhere")
    assert known == sorted(set(known))


ITEMS = (
    "(UID INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[HEADER] "
    "BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
)


@rfc("3501", "6.4.5", 1)
@rfc("3501", "9", 15)
@rfc("9051", "6.4.5", 1)
@rfc("9051", "2.3.1.1", 10)
@rfc("9051", "9", 17)
def test_what_never_changes_of_a_message(mail: ImapBench) -> None:
    """Its flags, its file's name, the index and other messages may."""
    client = mail.select()

    def look() -> list[bytes]:
        answer = mail.select().ok(f"FETCH 1:* {ITEMS}")
        return [reply.raw for reply in answer.named("FETCH")][:2]

    first = look()
    client.ok("STORE 1:3 FLAGS (\\Seen \\Draft $Work)")
    assert look() == first
    for path in maildir.files(folder(mail)):
        maildir.reflag(path, "FS")
    client.appended("INBOX", MESSAGES[0])
    client.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    assert look() == first
    lose_index(mail)
    assert look() == first


@rfc("3501", "2.3.3", 1)
def test_internal_date_of_a_delivery(imap: ImapBench) -> None:
    """RFC 3501 §2.3.3: when the message came, whatever its Date says."""
    before = int(time.time())
    imap.put("alice", MESSAGES[0])
    value = imap.select().ok("FETCH 1 INTERNALDATE").fetched()[1]["INTERNALDATE"].decode()
    date = parsedate_to_datetime(value.replace("-", " ", 2)).timestamp()
    assert before <= date <= time.time()
