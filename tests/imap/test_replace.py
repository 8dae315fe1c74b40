"""REPLACE and UID REPLACE: a message comes, another goes (RFC 8508)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.rfc import rfc

NEW = b"Subject: new\r\n\r\nnew body\r\n"
LITERAL = b"{%d+}\r\n%b" % (len(NEW), NEW)


def bodies(client: Client, mailbox: str) -> list[bytes]:
    """All messages of a mailbox, asked for by another session of the same user."""
    client.ok(f"EXAMINE {mailbox}")
    fetched = client.ok("UID FETCH 1:* BODY.PEEK[]").fetched()
    client.ok("UNSELECT")
    return [bytes(fetched[seq]["BODY[]"]) for seq in sorted(fetched)]


def wire(*numbers: int) -> list[bytes]:
    return [MESSAGES[n].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for n in numbers]


@rfc("8508", "1", 1, 2)
@rfc("8508", "3.4", 1)
@rfc("8508", "4.3", 1)
@rfc("8508", "5", 1)
@pytest.mark.parametrize("command", ["REPLACE 2", "UID REPLACE 2", "uid rePlaCe 2"])
def test_in_the_selected_mailbox(mail: ImapBench, command: str) -> None:
    """APPENDUID comes before EXPUNGE (§4.3); nothing is said of \\Deleted; no flag is inherited."""
    client = mail.select()
    client.ok("STORE 2 +FLAGS.SILENT (\\Flagged $Old)")
    answer = client.ok(command.encode() + b" INBOX (\\Draft) " + LITERAL)
    told = client.told(answer)
    assert told[0].startswith("OK [APPENDUID ")
    assert told[0].split()[3] == "4]"
    assert [line for line in told[1:] if "RECENT" not in line] == ["2 EXPUNGE", "3 EXISTS"]
    fetched = client.ok("FETCH 1:* (UID FLAGS BODY.PEEK[])").fetched()
    assert [values["UID"] for values in fetched.values()] == ["1", "3", "4"]
    assert fetched[3]["FLAGS"] == ["\\Draft"]
    assert fetched[3]["BODY[]"] == NEW
    assert bodies(mail.login(), "INBOX") == [*wire(0, 2), NEW]


def test_into_another_mailbox(mail: ImapBench) -> None:
    client = mail.select()
    answer = client.ok(b'REPLACE 1 Sent (\\Seen) "17-Jul-1996 02:44:25 -0700" ' + LITERAL)
    assert [reply.name for reply in answer.untagged][:2] == ["OK", "EXPUNGE"]
    other = mail.login()
    assert bodies(other, "Sent") == [NEW]
    assert bodies(other, "INBOX") == wire(1, 2)
    other.ok("EXAMINE Sent")
    fetched = other.ok("FETCH 1 (FLAGS INTERNALDATE)").fetched()[1]
    assert fetched["FLAGS"] == ["\\Seen"]
    assert fetched["INTERNALDATE"] == b"17-Jul-1996 09:44:25 +0000"


def test_only_that_message_goes(mail: ImapBench) -> None:
    """RFC 8508 §3.4: others that are \\Deleted stay."""
    client = mail.select()
    client.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"REPLACE 2 INBOX " + LITERAL)
    assert list(client.ok("FETCH 1:3 UID").fetched()) == [1, 2, 3]


@rfc("8508", "3.4", 2)
@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (b"2 nowhere " + LITERAL, "NO", "TRYCREATE"),
        (b"2 INBOX {0+}\r\n", "NO", ""),
        (b"2 INBOX {999999999}", "NO", "TOOBIG"),
        (b"2 INBOX " + LITERAL + b" " + LITERAL, "BAD", ""),
        (b"2 INBOX " + LITERAL + b" x", "BAD", ""),
        (b"4 INBOX " + LITERAL, "BAD", ""),
        (b"0 INBOX " + LITERAL, "BAD", ""),
        (b"1:2 INBOX " + LITERAL, "BAD", ""),
        (b"* INBOX " + LITERAL, "BAD", ""),
        (b"2 INBOX", "BAD", ""),
        (b"2 INBOX (\\Seen)", "BAD", ""),
        (b'2 INBOX CATENATE (URL "/INBOX/;UID=9")', "NO", "BADURL"),
    ],
)
def test_what_fails_changes_nothing(
    mail: ImapBench, arguments: bytes, status: str, code: str
) -> None:
    client = mail.select()
    answer = client.command(b"REPLACE " + arguments)
    assert (answer.status, answer.code) == (status, code)
    assert not answer.untagged
    assert bodies(mail.login(), "INBOX") == wire(0, 1, 2)
    client.ok("NOOP")


def test_a_uid_that_is_not_there(mail: ImapBench) -> None:
    client = mail.select()
    answer = client.no(b"UID REPLACE 9 INBOX {%d}" % len(NEW))
    assert answer.code == "NONEXISTENT"


def test_a_message_that_another_session_has_expunged(mail: ImapBench) -> None:
    """Nothing is stored in place of what is gone already."""
    client, other = mail.select(), mail.select()
    client.send(b"a REPLACE 2 INBOX {%d}\r\n" % len(NEW))
    assert client.read().tag == "+"
    other.ok("STORE 2 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    client.send(NEW + b"\r\n")
    answer = client.finish("a")
    assert (answer.status, answer.code) == ("NO", "EXPUNGEISSUED")
    assert client.told(answer)[0] == "2 EXPUNGE"
    assert bodies(other, "INBOX") == wire(0, 2)


def test_numbers_do_not_change_while_the_message_comes(mail: ImapBench) -> None:
    """The number is that of the moment of the command, whatever others expunge meanwhile."""
    client, other = mail.select(), mail.select()
    client.send(b"a REPLACE 2 INBOX {%d}\r\n" % len(NEW))
    assert client.read().tag == "+"
    other.ok("STORE 1 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    client.send(NEW + b"\r\n")
    assert client.finish("a").status == "OK"
    assert bodies(other, "INBOX") == [*wire(2), NEW]


def test_a_mailbox_that_is_read_only(mail: ImapBench) -> None:
    client = mail.login()
    client.ok("EXAMINE INBOX")
    assert client.command(b"REPLACE 1 INBOX {%d}" % len(NEW)).status == "NO"
    assert client.command(b"UID REPLACE 1 Archive {%d}" % len(NEW)).status == "NO"


@rfc("8508", "3.5", 1)
def test_only_in_the_selected_state(mail: ImapBench) -> None:
    client = mail.login()
    client.bad(b"REPLACE 1 INBOX {%d}" % len(NEW))
    client.bad(b"UID REPLACE 1 INBOX {%d}" % len(NEW))


@rfc("8508", "4.2", 1)
def test_with_parts_of_the_message_that_goes(mail: ImapBench) -> None:
    client = mail.select()
    part = b"Subject: changed\r\n\r\n"
    client.ok(
        b"UID REPLACE 2 INBOX (\\Seen) CATENATE (TEXT {%d+}\r\n%b" % (len(part), part)
        + b' URL "/INBOX/;UID=2/;SECTION=1")'
    )
    assert bodies(mail.login(), "INBOX") == [*wire(0, 2), part + b"text part"]


def test_names_as_literals(mail: ImapBench) -> None:
    client = mail.select()
    client.ok(b"REPLACE 1 {5+}\r\nINBOX " + LITERAL)
    client.ok(b"UID REPLACE 4 {4+}\r\nSent CATENATE (URL {13+}\r\n/INBOX/;UID=2)")
    assert bodies(mail.login(), "Sent") == wire(1)


@rfc("8508", "4.6", 1)
def test_identifiers_differ(mail: ImapBench) -> None:
    client = mail.select()
    old = client.ok("FETCH 1 EMAILID").fetched()[1]["EMAILID"]
    client.ok(b"REPLACE 1 INBOX " + LITERAL)
    new = client.ok("FETCH 3 EMAILID").fetched()[3]["EMAILID"]
    assert old != new


def test_other_sessions_see_one_step(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    client.ok(b"REPLACE 2 INBOX " + LITERAL)
    told = [line for line in other.told(other.ok("NOOP")) if "RECENT" not in line]
    assert told == ["2 EXPUNGE", "3 EXISTS"]


@rfc("8508", "4.5", 1)
def test_a_client_that_keeps_in_sync_is_told_as_of_an_expunge(mail: ImapBench) -> None:
    """RFC 7162 §3.2.10: VANISHED instead of EXPUNGE, and a HIGHESTMODSEQ that has grown."""
    client = mail.login()
    client.ok("ENABLE QRESYNC")
    before = int(client.ok("SELECT INBOX").codes()["HIGHESTMODSEQ"][0])
    answer = client.ok(b"REPLACE 2 INBOX " + LITERAL)
    assert "VANISHED 2" in client.told(answer)
    assert not answer.named("EXPUNGE")
    status = client.ok("STATUS INBOX (HIGHESTMODSEQ)").one("STATUS").values[2]
    assert int(status[1]) > before
