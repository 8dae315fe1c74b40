"""Names for good: of mailboxes, messages and threads (RFC 8474), and save dates (RFC 8514)."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from pymaild.mail import objectid
from pymaild.mail.settings import MailSettings
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

OBJECTID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,254}")
LARGE = MailSettings(fsync=False)


def status_id(client: Client, mailbox: str) -> str:
    (value,) = client.ok(f"STATUS {mailbox} (MAILBOXID)").one("STATUS").values[2][1]
    assert OBJECTID.fullmatch(value)
    return str(value)


def select_id(client: Client, mailbox: str, verb: str = "SELECT") -> str:
    (value,) = client.ok(f"{verb} {mailbox}").codes()["MAILBOXID"][0]
    client.ok("UNSELECT")
    return str(value)


def maildir(bench: ImapBench) -> Path:
    return bench.folder / "mail" / "alice" / "Maildir"


def forget(bench: ImapBench) -> None:
    """Throw away all that can be made again from the mail."""
    for name in ("pymaild.index", "pymaild.log", "pymaild.cache"):
        for path in maildir(bench).rglob(name):
            path.unlink()


# -- mailboxes -------------------------------------------------------------------------------


@rfc("8474", "3", 1)
@rfc("8474", "4", 1, 2)
@rfc("8474", "4.1", 1)
@rfc("8474", "4.2", 1)
@rfc("8474", "4.3", 1)
def test_mailboxid_is_told_everywhere_and_is_the_same(imap: ImapBench) -> None:
    client = imap.login()
    assert "OBJECTID" in client.told(client.ok("CAPABILITY"))[0].split()
    created = client.ok("CREATE Made").tagged.code
    assert created[0] == "MAILBOXID"
    (name,) = created[1]
    assert name == status_id(client, "Made") == select_id(client, "Made")
    assert name == select_id(imap.login(), "Made", "EXAMINE")
    everyone = [entry.values[-1] for entry in client.ok('LIST "" *').named("LIST")]
    ids = {status_id(client, mailbox.decode()) for mailbox in everyone}
    assert len(ids) == len(everyone)


@rfc("8474", "4", 4)
def test_mailboxid_stays_with_a_renamed_mailbox(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("CREATE Old/Below")
    client.ok("CREATE Old")
    before = [status_id(client, name) for name in ("Old", "Old/Below")]
    client.ok("RENAME Old New")
    assert [status_id(client, name) for name in ("New", "New/Below")] == before
    client.ok("CREATE Old")
    assert status_id(client, "Old") not in before


@rfc("8474", "4", 4)
def test_inbox_keeps_its_own_when_its_mail_is_renamed_away(imap: ImapBench) -> None:
    client = imap.login()
    before = status_id(client, "INBOX")
    client.ok("RENAME INBOX Away")
    assert status_id(client, "INBOX") == before
    assert status_id(client, "Away") != before


@rfc("8474", "4", 3)
def test_mailboxid_is_never_used_again(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("CREATE Made")
    before = status_id(client, "Made")
    client.ok("DELETE Made")
    client.ok("CREATE Made")
    assert status_id(client, "Made") != before


def test_mailboxid_outlives_the_index(imap: ImapBench) -> None:
    client = imap.login()
    before = status_id(client, "Archive")
    forget(imap)
    assert status_id(imap.login(), "Archive") == before


def test_a_control_file_from_before_there_were_any(imap: ImapBench) -> None:
    """One is made and kept."""
    client = imap.login()
    before = status_id(client, "Archive")
    path = maildir(imap) / ".Archive" / "pymaild.control"
    path.write_text(re.sub("mailboxid .*\n", "", path.read_text()))
    made = status_id(imap.login(), "Archive")
    assert made != before
    assert status_id(imap.login(), "Archive") == select_id(imap.login(), "Archive") == made


def test_without_a_place_to_keep_it_the_mailbox_can_be_read(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("SELECT Archive")
    path = maildir(imap) / ".Archive" / "pymaild.control"
    path.write_text(re.sub("mailboxid .*\n", "", path.read_text()))
    blocked = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    blocked.mkdir()
    other = imap.login()
    assert "MAILBOXID" not in other.ok("SELECT Archive").codes()
    other.no("STATUS Archive (MAILBOXID)")
    blocked.rmdir()
    assert select_id(other, "Archive")


@rfc("8474", "7", 1)
def test_names_in_any_case(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("STATUS Archive (mailboxid)")
    assert len(client.ok("FETCH 1 (emailid THREADid)").fetched()[1]) == 2


# -- messages --------------------------------------------------------------------------------

PLAIN = b"Message-ID: <a@x>\r\nSubject: plain\r\n\r\nbody\r\n"


def ids(client: Client, mailbox: str, item: str = "EMAILID") -> list[str]:
    """The identifiers of all messages; those that are not cached are made on demand."""
    client.ok(f"EXAMINE {mailbox}")
    fetched = client.ok(f"FETCH 1:* ({item})").fetched()
    client.ok("UNSELECT")
    found = [str(values[item][0]) for values in fetched.values()]
    assert all(OBJECTID.fullmatch(value) for value in found)
    return found


@rfc("8474", "5.1", 1, 2)
def test_emailid_is_that_of_the_content(imap: ImapBench) -> None:
    client = imap.login()
    client.appended("INBOX", PLAIN)
    client.appended("INBOX", PLAIN + b"more\r\n")
    one, other = ids(client, "INBOX")
    assert one != other
    client.ok("SELECT INBOX")
    client.ok("STORE 1 +FLAGS (\\Seen $Work)")
    client.ok("COPY 1 Archive")
    client.ok("MOVE 2 Sent")
    client.ok("UNSELECT")
    assert ids(client, "INBOX") == ids(client, "Archive") == [one]
    assert ids(client, "Sent") == [other]
    client.ok("RENAME Archive Elsewhere")
    forget(imap)
    assert ids(imap.login(), "Elsewhere") == [one]


def test_emailid_does_not_depend_on_the_line_ends_of_files(imap: ImapBench) -> None:
    """CRLF or LF in the file: what a client is told is the same message."""
    for number, data in enumerate((PLAIN, PLAIN.replace(b"\r\n", b"\n"))):
        (maildir(imap) / "new" / f"{number}.x.host").write_bytes(data)
    one, other = ids(imap.login(), "INBOX")
    assert one == other


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"a\r\nb\n", b"a\nb\n", True),
        (b"a\r\r\nb", b"a\r\nb", False),
        (b"a\rb", b"a\nb", False),
        (b"a\r\n" * 100_000, b"a\n" * 100_000, True),
        (b"x" * 131_071 + b"\r\ny", b"x" * 131_071 + b"\ny", True),
        (b"", b"\n", False),
    ],
)
def test_digests_of_lines(one: bytes, other: bytes, same: bool) -> None:
    assert (objectid.content_digest(one) == objectid.content_digest(other)) is same


def test_a_message_too_large_to_be_cached_has_them_too(imap: ImapBench) -> None:
    many = b"".join(b"X-%d: a\r\n" % n for n in range(10))
    to = b"To: " + b", ".join(b"a%d@example.org" % n for n in range(40_000)) + b"\r\n"
    head = b"References: <root@x> <a@x>\r\n" + b"".join([to, many])
    imap.put("alice", head + b"\r\nbody\r\n", b"Message-ID: <root@x>\r\n\r\nx\r\n")
    client = imap.login()
    client.ok("SELECT INBOX")
    for _ in range(2):
        fetched = client.ok("FETCH 1:2 (EMAILID THREADID PREVIEW)").fetched()
        assert fetched[1]["EMAILID"] != fetched[2]["EMAILID"]
        assert fetched[1]["THREADID"] == fetched[2]["THREADID"]
        assert fetched[1]["PREVIEW"] == b"body"
    lazy = client.ok("FETCH 1:2 (PREVIEW (LAZY))").fetched()
    assert [lazy[seq]["PREVIEW"] for seq in (1, 2)] == [None, b"x"]


# -- threads ---------------------------------------------------------------------------------


@rfc("8474", "5.2", 1, 2, 3, 5)
def test_threads_go_by_their_first_message(imap: ImapBench) -> None:
    root = b"Message-ID: <root@x>\r\nSubject: a\r\n\r\n1\r\n"
    reply = b"Message-ID: <two@x>\r\nIn-Reply-To: <root@x>\r\n\r\n2\r\n"
    deep = b"In-Reply-To: <two@x>\r\nReferences: <root@x>\r\n\t<two@x>\r\n\r\n3\r\n"
    lone = b"Subject: lone\r\n\r\n4\r\n"
    other = b"Message-ID: <5@x>\r\nSubject: a\r\n\r\n5\r\n"
    imap.put("alice", root, reply, deep, lone, lone, other)
    imap.put("alice", deep, folder="Archive")
    client = imap.login()
    threads = ids(client, "INBOX", "THREADID")
    assert len(set(threads[:3])) == 1
    assert len(set(threads)) == 3
    assert threads[3] == threads[4]
    assert ids(client, "Archive", "THREADID") == threads[:1]
    assert not set(threads) & set(ids(client, "INBOX"))
    forget(imap)
    assert ids(imap.login(), "INBOX", "THREADID") == threads


@pytest.mark.parametrize(
    "value", ["", "no id", "<>", "< a@x >", "<" * 9999, "<" + "a" * 5000 + ">"]
)
def test_references_that_are_none(value: str) -> None:
    """Then the next field counts, and at last the content."""
    broken = f"References: {value}\nMessage-ID: <a@x>\n\n".encode()
    plain = b"Message-ID: <a@x>\n\n"
    thread = slice(objectid.LENGTH, None)
    assert objectid.object_ids(b"", broken)[thread] == objectid.object_ids(b"x", plain)[thread]


# -- save dates ------------------------------------------------------------------------------


@rfc("8514", "3", 1, 2)
@rfc("8514", "4.1", 1)
def test_save_date_is_that_of_the_mailbox(imap: ImapBench) -> None:
    """It is set by APPEND, COPY and MOVE, whatever INTERNALDATE is, and then stays."""
    client = imap.select()
    assert "SAVEDATE" in client.told(client.ok("CAPABILITY"))[0].split()
    before = int(time.time())
    client.appended("INBOX", PLAIN, '"17-Jul-1996 02:44:25 -0700"')
    client.appended("INBOX", PLAIN, '"17-Jul-1996 02:44:25 -0700"')
    saved = client.ok("FETCH 1:2 (SAVEDATE INTERNALDATE)").fetched()
    assert saved[1]["INTERNALDATE"] == b"17-Jul-1996 09:44:25 +0000"
    assert before <= seconds(saved[1]["SAVEDATE"]) <= time.time() + 1
    make_old(maildir(imap) / "cur")
    forget(imap)
    client = imap.select()
    old = client.ok("FETCH 1:2 (SAVEDATE)").fetched()
    assert seconds(old[1]["SAVEDATE"]) == 1_000_000_000
    client.ok("STORE 1:2 +FLAGS (\\Seen)")
    forget(imap)
    client = imap.select()
    assert client.ok("FETCH 1:2 (SAVEDATE)").fetched() == old
    client.ok("COPY 1 Archive")
    client.ok("MOVE 2 Archive")
    assert client.ok("FETCH 1 (SAVEDATE)").fetched()[1] == old[1]
    client.ok("SELECT Archive")
    for values in client.ok("FETCH 1:2 (SAVEDATE)").fetched().values():
        assert before <= seconds(values["SAVEDATE"]) <= time.time() + 1


def make_old(directory: Path) -> None:
    """Give files the names that they would have if they had come in 2001."""
    for path in directory.iterdir():
        path.rename(path.with_name("1000000000." + path.name.partition(".")[2]))


def seconds(date: bytes) -> float:
    import calendar

    return calendar.timegm(time.strptime(date.decode().strip(), "%d-%b-%Y %H:%M:%S +0000"))
