"""What APPEND, COPY and MOVE do to mailboxes (RFC 3501 §6.4.7, RFC 4315, RFC 6851)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.rfc import rfc

WORK = "Users/alice/Work"


def status(client: Client, mailbox: str, item: str = "MESSAGES") -> int:
    return int(client.ok(f"STATUS {mailbox} ({item})").one("STATUS").values[2][1])


@rfc("3501", "6.4.7", 2, 3, 4)
@rfc("9051", "6.4.7", 2, 3, 4)
@rfc("9051", "6.4.8", 6, 7, 8)
@pytest.mark.parametrize("verb", ["COPY", "UID COPY", "MOVE", "UID MOVE"])
def test_a_mailbox_that_is_not_there_is_not_made(mail: ImapBench, verb: str) -> None:
    client = mail.select()
    assert client.no(f"{verb} 1 nowhere").code == "TRYCREATE"
    assert client.told(client.ok('LIST "" nowhere')) == []
    assert client.told(client.ok("UID SEARCH ALL")) == ["SEARCH 1 2 3"]


@rfc("4315", "1", 1)
@rfc("4315", "3", 1, 3, 4)
@rfc("9051", "7.1", 4, 5)
def test_one_message_has_one_uid(mail: ImapBench) -> None:
    """Neither a set nor a range stands where one number is enough."""
    client = mail.select()
    assert client.append("Archive", MESSAGES[0]).tagged.code[2] == "1"
    assert client.ok("COPY 2 Archive").tagged.code[2:] == ["2", "2"]
    assert client.ok("UID COPY 3:3 Archive").tagged.code[2:] == ["3", "3"]
    assert client.ok("UID MOVE 1 Archive").codes()["COPYUID"][1:] == ["1", "4"]


@rfc("4315", "3", 5)
@rfc("9051", "7.1", 6)
def test_uids_stick(mail: ImapBench) -> None:
    assert "UIDNOTSTICKY" not in mail.login().ok("SELECT INBOX").codes()


@rfc("4315", "3", 2)
@rfc("4315", "5", 1)
@rfc("9051", "6.3.12", 8)
@rfc("9051", "6.4.7", 6)
@rfc("9051", "11.4", 1)
def test_who_may_not_read_is_told_no_uids(mail: ImapBench) -> None:
    """UIDs would say how much mail has come to a mailbox that is there for posting alone."""
    alice = mail.login("alice")
    alice.ok("CREATE Work")
    alice.ok("SETACL Work bob lis")
    mail.put("bob", *MESSAGES)
    bob = mail.select("bob")
    answers = [
        bob.append(WORK, MESSAGES[0]),
        bob.ok(f"COPY 1 {WORK}"),
        bob.ok(f"UID COPY 1 {WORK}"),
        bob.ok(f"MOVE 1 {WORK}"),
        bob.ok(f"UID MOVE 2 {WORK}"),
        bob.ok(b"REPLACE 1 %b {6+}\r\nx: y\r\n" % WORK.encode()),
    ]
    assert [answer.codes().keys() for answer in answers] == [set()] * len(answers)
    assert status(alice, "Work") == len(answers)
    assert [reply.name for reply in answers[3].untagged] == ["EXPUNGE", "RECENT"]


@rfc("6851", "3.3", 1, 3, 4)
@rfc("9051", "6.4.8", 1, 2, 4, 5)
def test_a_moved_message_is_in_one_place_as_it_was(mail: ImapBench) -> None:
    """Nothing tells of STORE, and \\Deleted is nowhere, neither for those who look on."""
    client, onlooker = mail.select(), mail.select()
    client.ok("STORE 1 FLAGS (\\Flagged $Work)")
    onlooker.ok("NOOP")
    items = "(FLAGS INTERNALDATE BODY.PEEK[])"
    (before,) = client.ok(f"FETCH 1 {items}").fetched().values()
    answer = client.ok("MOVE 1,3 Archive")
    assert [reply.name for reply in answer.untagged] == ["OK", "EXPUNGE", "EXPUNGE", "RECENT"]
    assert {reply.name for reply in onlooker.ok("NOOP").untagged} <= {"EXPUNGE", "RECENT"}
    assert client.told(client.ok("UID SEARCH ALL")) == ["SEARCH 2"]
    client.ok("SELECT Archive")
    assert client.told(client.ok("SEARCH ALL")) == ["SEARCH 1 2"]
    (after,) = client.ok(f"FETCH 1 {items}").fetched().values()
    before["FLAGS"].remove("\\Recent")
    assert after == before


@rfc("6851", "4.4", 1, 2, 3, 4, 5)
def test_moves_have_mod_sequences(mail: ImapBench) -> None:
    """RFC 6851 §4.4: in the source and in the target, and told to who resynchronizes."""
    client = mail.login()
    client.ok("ENABLE QRESYNC")
    before = int(client.ok("SELECT INBOX").codes()["HIGHESTMODSEQ"][0])
    validity = status(client, "INBOX", "UIDVALIDITY")
    target = status(client, "Archive", "HIGHESTMODSEQ")
    answer = client.ok("UID MOVE 1:2 Archive")
    after = int(answer.codes()["HIGHESTMODSEQ"][0])
    assert before < after == status(client, "INBOX", "HIGHESTMODSEQ")
    assert client.told(answer)[1] == "VANISHED 1:2"
    client.ok("UNSELECT")
    again = client.ok(f"SELECT INBOX (QRESYNC ({validity} {before}))")
    assert "VANISHED (EARLIER) 1:2" in client.told(again)
    client.ok("SELECT Archive")
    for values in client.ok("FETCH 1:2 (MODSEQ)").fetched().values():
        assert int(values["MODSEQ"][0]) > target
    client.ok("STORE 1 +FLAGS (\\Deleted)")
    assert "VANISHED 1" in client.told(client.ok("UID EXPUNGE 1"))


@rfc("9051", "6.3.12", 11)
def test_a_message_for_a_mailbox_by_another_name(mail: ImapBench) -> None:
    """RFC 9051 §6.3.9.7: the name is told as it is written here, to who speaks IMAP4rev2."""
    mail.account("alice").create("B\u00fcro")
    client = mail.login()
    assert client.append("Bu\u0308ro", MESSAGES[0]).named("LIST") == []
    client.ok("ENABLE IMAP4rev2")
    assert client.append("B\u00fcro", MESSAGES[0]).named("LIST") == []
    (line,) = client.append("Bu\u0308ro", MESSAGES[0]).named("LIST")
    assert line.raw.decode().endswith('"B\u00fcro" ("OLDNAME" ("Bu\u0308ro"))\r\n')
