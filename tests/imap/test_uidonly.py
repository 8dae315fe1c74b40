"""UIDONLY (RFC 9586): no sequence number in either direction."""

from __future__ import annotations

import pytest

from pymaild.imap.commands import COMMANDS, NUMBERED
from tests.imap.conftest import Answer, Client, ImapBench
from tests.support.replies import pairs

BODY = b"Subject: filler\r\n\r\nbody\r\n"


@pytest.fixture
def box(imap: ImapBench) -> ImapBench:
    """Alice has five messages, UIDs 3 to 7."""
    imap.put("alice", *[BODY] * 7)
    with imap.account("alice").open("INBOX") as mailbox:
        mailbox.expunge([1, 2])
    return imap


def login(bench: ImapBench, *more: str) -> Client:
    client = bench.login()
    client.ok(" ".join(["ENABLE UIDONLY", *more]))
    client.ok("SELECT INBOX")
    return client


def fetched(answer: Answer) -> dict[int, dict[str, object]]:
    """UIDFETCH data by UID."""
    assert not answer.named("FETCH")
    return {reply.number: pairs(reply.values[2]) for reply in answer.named("UIDFETCH")}


def test_it_is_announced_and_enabled(box: ImapBench) -> None:
    client = box.login()
    assert "UIDONLY" in client.ok("CAPABILITY").one("CAPABILITY").values
    assert client.ok("ENABLE UIDONLY").one("ENABLED").values[1:] == ["UIDONLY"]


NUMBERS = (
    "FETCH 1 FLAGS",
    "FETCH * FLAGS",
    "STORE 1 FLAGS ()",
    "SEARCH ALL",
    "SEARCH UID 3",
    "COPY 1 Archive",
    "MOVE 1 Archive",
    "UID SEARCH 1",
    "UID SEARCH NOT (SEEN 1:*)",
    "UID SEARCH *",
    "SELECT INBOX (QRESYNC (1 1 1:5 (1 3)))",
)


@pytest.mark.parametrize("command", NUMBERS)
def test_sequence_numbers_are_refused(box: ImapBench, command: str) -> None:
    client = login(box, "QRESYNC")
    assert client.bad(command).code == "UIDREQUIRED"
    assert fetched(client.ok("UID FETCH 3 FLAGS"))


def test_every_command_with_a_uid_form_is_meant() -> None:
    """The set is made from the table: a new command cannot be forgotten."""
    assert {"FETCH", "STORE", "SEARCH", "COPY", "MOVE"} <= NUMBERED
    assert "EXPUNGE" not in NUMBERED
    assert all(f"UID {name}".encode() in COMMANDS for name in NUMBERED)


def test_fetch_answers_by_uid(box: ImapBench) -> None:
    client = login(box)
    told = fetched(client.ok("UID FETCH 4:5 (FLAGS RFC822.SIZE)"))
    assert told.keys() == {4, 5}
    assert told[4].keys() == {"FLAGS", "RFC822.SIZE"}
    assert fetched(client.ok("UID FETCH 4 UID"))[4] == {"UID": "4"}
    assert fetched(client.ok("UID FETCH * BODY[TEXT]"))[7].keys() == {"BODY[TEXT]", "FLAGS"}
    assert fetched(client.ok("UID FETCH 1:* (BODY.PEEK[HEADER])")).keys() == {3, 4, 5, 6, 7}


def test_store_answers_by_uid(box: ImapBench) -> None:
    client = login(box)
    told = fetched(client.ok("UID STORE 4:5 +FLAGS (\\Seen)"))
    assert told.keys() == {4, 5}
    assert told[4].keys() == {"FLAGS"}


def test_what_others_do_is_told_by_uid(box: ImapBench) -> None:
    client, other = login(box), box.select()
    other.ok("UID STORE 6 +FLAGS (\\Flagged)")
    other.ok("UID STORE 3:4 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    answer = client.ok("NOOP")
    assert [reply.values for reply in answer.named("VANISHED")] == [["VANISHED", "3:4"]]
    assert not answer.named("EXPUNGE")
    assert fetched(answer).keys() == {6}
    assert box.put("alice", BODY) == [8]
    assert client.ok("NOOP").one("EXISTS").number == 4


def test_expunge_is_told_by_uid(box: ImapBench) -> None:
    client = login(box)
    client.ok("UID STORE 5,7 +FLAGS.SILENT (\\Deleted)")
    assert client.ok("EXPUNGE").one("VANISHED").values[1] == "5,7"
    assert client.ok("UID MOVE 4 Archive").one("VANISHED").values[1] == "4"


def test_modseqs_stand_beside(box: ImapBench) -> None:
    client, other = login(box, "CONDSTORE"), box.select()
    assert fetched(client.ok("UID FETCH 3 MODSEQ"))[3].keys() == {"MODSEQ"}
    assert fetched(client.ok("UID FETCH 1:* FLAGS (CHANGEDSINCE 1)"))[3].keys() == {
        "FLAGS",
        "MODSEQ",
    }
    other.ok("UID STORE 6 +FLAGS (\\Flagged)")
    assert fetched(client.ok("NOOP"))[6].keys() == {"FLAGS", "MODSEQ"}


def test_qresync_answers_by_uid(box: ImapBench) -> None:
    client, other = login(box, "QRESYNC"), box.select()
    told = client.ok("SELECT INBOX").codes()
    other.ok("UID STORE 6 +FLAGS (\\Flagged)")
    known = f"{told['UIDVALIDITY'][0]} {told['HIGHESTMODSEQ'][0]}"
    answer = client.ok(f"SELECT INBOX (QRESYNC ({known}))")
    assert fetched(answer)[6].keys() == {"FLAGS", "MODSEQ"}


def test_select_tells_no_number(box: ImapBench) -> None:
    """UNSEEN carries one."""
    client = login(box)
    answer = client.ok("SELECT INBOX")
    assert "UNSEEN" not in answer.codes()
    assert answer.one("EXISTS").number == 5


def test_searches_by_uid_go_on(box: ImapBench) -> None:
    client = login(box)
    assert client.told(client.ok("UID SEARCH UID 4:5")) == ["SEARCH 4 5"]
    assert client.told(client.ok("UID SEARCH ALL"))[0] == "SEARCH 3 4 5 6 7"
    client.ok("UID SEARCH RETURN (SAVE) UID 4:5")
    assert fetched(client.ok("UID FETCH $ FLAGS")).keys() == {4, 5}
    assert client.told(client.ok("UID SEARCH $")) == ["SEARCH 4 5"]


def test_it_survives_a_resumed_session(box: ImapBench) -> None:
    client = login(box)
    client.leave("moved")
    client.wait()
    again = box.connect(client.record)
    assert again.bad("FETCH 1 FLAGS").code == "UIDREQUIRED"
    assert fetched(again.ok("UID FETCH 3 FLAGS"))[3].keys() == {"FLAGS"}
