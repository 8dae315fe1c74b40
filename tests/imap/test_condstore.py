"""CONDSTORE (RFC 7162 §3.1): mod-sequences, and flags changed under a condition."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.imap.conftest import Answer, Client, ImapBench
from tests.support.rfc import rfc

AWARE = (
    "ENABLE CONDSTORE",
    "FETCH 1 (MODSEQ)",
    "UID FETCH 1 (MODSEQ)",
    "FETCH 1 FLAGS (CHANGEDSINCE 100000)",
    "SEARCH MODSEQ 100000",
    "THREAD REFERENCES UTF-8 MODSEQ 100000",
    "STORE 1 (UNCHANGEDSINCE 100000) FLAGS.SILENT ()",
    "STATUS INBOX (HIGHESTMODSEQ)",
)


def modseqs(client: Client, mailbox: str = "1:*") -> dict[int, int]:
    """UID to mod-sequence."""
    return of(client.ok(f"UID FETCH {mailbox} (MODSEQ)"))


def of(answer: Answer) -> dict[int, int]:
    """UID to mod-sequence of what an answer fetched."""
    return {
        int(items["UID"]): int(items["MODSEQ"][0])
        for items in answer.fetched().values()
        if "MODSEQ" in items
    }


def highest(client: Client, mailbox: str = "INBOX") -> int:
    status = client.ok(f"STATUS {mailbox} (HIGHESTMODSEQ)").one("STATUS")
    return int(status.values[2][1])


def codes(answer: Answer) -> list[str]:
    return [str(reply.code[0]) for reply in answer.untagged if reply.code]


# -- being aware -------------------------------------------------------------------------------


@rfc("7162", "3.1", 1)
@rfc("7162", "3.2.2", 1)
def test_every_message_has_a_modseq(mail: ImapBench) -> None:
    client = mail.login()
    told = client.ok("CAPABILITY").one("CAPABILITY").values
    assert {"CONDSTORE", "QRESYNC", "ENABLE"} <= set(told)
    client.ok("SELECT INBOX")
    found = modseqs(client)
    assert set(found) == {1, 2, 3}
    assert all(0 < value < 2**53 for value in found.values())
    assert highest(client) >= max(found.values())


@rfc("7162", "3.1.2", 1, 2)
@rfc("7162", "3.1.2.1", 1)
def test_select_tells_the_highest(mail: ImapBench) -> None:
    client = mail.login()
    for command in ("SELECT INBOX", "EXAMINE INBOX", "SELECT INBOX (CONDSTORE)", "SELECT Archive"):
        told = client.ok(command).codes()["HIGHESTMODSEQ"]
        assert int(told[0]) >= 1


def test_an_empty_mailbox_has_one(imap: ImapBench) -> None:
    """RFC 7162 §7: mod-sequence-value is positive; a new mailbox is no exception."""
    client = imap.login()
    client.ok("CREATE Fresh")
    assert highest(client, "Fresh") >= 1
    assert int(client.ok("SELECT Fresh").codes()["HIGHESTMODSEQ"][0]) >= 1


@pytest.mark.parametrize("command", AWARE)
@rfc("7162", "3.1", 6, 7)
@rfc("7162", "3.1.3", 14)
def test_commands_that_make_a_client_aware(mail: ImapBench, command: str) -> None:
    client, other = mail.select(), mail.select()
    assert codes(client.ok(command)).count("HIGHESTMODSEQ") == 1
    assert "HIGHESTMODSEQ" not in codes(client.ok(command))
    other.ok("STORE 2 +FLAGS (\\Flagged)")
    told = client.ok("NOOP").fetched()[2]
    assert told["UID"] == "2"
    assert int(told["MODSEQ"][0]) == highest(client)


@rfc("7162", "3.1.8", 1)
@rfc("7162", "3.2.4", 1)
@rfc("7162", "3.1.4.2", 1)
def test_who_is_aware_is_told_uid_and_modseq(mail: ImapBench) -> None:
    client, other = mail.login(), mail.select()
    client.ok("SELECT INBOX (CONDSTORE)")
    assert client.ok("STORE 1 +FLAGS (\\Flagged)").fetched()[1].keys() == {"UID", "FLAGS", "MODSEQ"}
    assert client.ok("STORE 1 -FLAGS.SILENT (\\Flagged)").fetched()[1].keys() == {"UID", "MODSEQ"}
    told = client.ok("STORE 2 (UNCHANGEDSINCE 100000) FLAGS (\\Draft)").fetched()[2]
    assert told.keys() == {"UID", "FLAGS", "MODSEQ"}
    seen = client.ok("FETCH 3 BODY[TEXT]").fetched()[3]
    assert seen.keys() == {"UID", "FLAGS", "MODSEQ", "BODY[TEXT]"}
    assert client.ok("FETCH 3 BODY[TEXT]").fetched()[3].keys() == {"BODY[TEXT]"}
    assert client.ok("FETCH 3 FLAGS").fetched()[3].keys() == {"FLAGS"}
    other.ok("STORE 1 FLAGS.SILENT (\\Seen)")
    assert client.ok("NOOP").fetched()[1].keys() == {"UID", "FLAGS", "MODSEQ"}


@rfc("3501", "7.2.1", 4)
def test_others_are_told_nothing_new(mail: ImapBench) -> None:
    client = mail.select()
    assert client.ok("STORE 1 +FLAGS (\\Flagged)").fetched() == {1: {"FLAGS": ["\\Flagged", *REC]}}
    assert not client.ok("STORE 1 +FLAGS.SILENT (\\Draft)").untagged
    assert client.ok("FETCH 1 (FLAGS UID)").fetched()[1].keys() == {"FLAGS", "UID"}


REC = ["\\Recent"]


def test_awareness_stays_with_the_session(mail: ImapBench) -> None:
    client = mail.login()
    client.ok("SELECT INBOX (CONDSTORE)")
    client.leave("moved")
    client.wait()
    again, other = mail.connect(client.record), mail.select()
    other.ok("STORE 1 FLAGS (\\Flagged)")
    assert "MODSEQ" in again.ok("NOOP").fetched()[1]


# -- how they grow -----------------------------------------------------------------------------


@rfc("7162", "3.1", 2, 3, 4)
@rfc("7162", "3.1.3", 1, 13)
def test_each_change_has_a_higher_one(mail: ImapBench) -> None:
    clients = [mail.select(), mail.select()]
    clients[0].ok("ENABLE CONDSTORE")
    last = highest(clients[0])
    for turn, flag in enumerate(("+FLAGS (\\Seen)", "-FLAGS (\\Seen)", "FLAGS (word)", "FLAGS ()")):
        clients[turn % 2].ok(f"STORE 2 {flag}")
        now = modseqs(clients[0])[2]
        assert now > last
        last = now


@rfc("7162", "3.1", 5)
@rfc("7162", "3.1.11", 1)
def test_what_changes_nothing_changes_no_modseq(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("STORE 1 FLAGS (\\Seen word)")
    before = modseqs(client)
    client.ok("STORE 1 +FLAGS (\\Seen)")
    client.ok("STORE 1 -FLAGS (\\Flagged)")
    client.ok("STORE 1 FLAGS (word \\Seen)")
    client.ok("FETCH 1 BODY[]")
    assert modseqs(client) == before


def test_new_messages_have_the_highest(mail: ImapBench) -> None:
    """RFC 7162 §3.1: appended, copied or delivered."""
    client = mail.select()
    client.ok("CREATE Box")
    for bring in (
        lambda: client.appended("INBOX", b"Subject: new\r\n\r\nbody\r\n"),
        lambda: client.ok("COPY 1 INBOX"),
        lambda: mail.put("alice", b"Subject: delivered\r\n\r\nbody\r\n"),
    ):
        before = modseqs(client)
        bring()
        client.ok("NOOP")
        after = modseqs(client)
        (new,) = after.keys() - before.keys()
        assert after[new] > max(before.values())


@rfc("9051", "9", 14)
@rfc("3501", "9", 13)
@rfc("7162", "7", 3)
def test_no_flags_are_invented(mail: ImapBench) -> None:
    """A flag behind a backslash that no RFC knows is neither kept nor told."""
    client = mail.select()
    client.ok("STORE 1 FLAGS.SILENT (\\Invented \\Seen)")
    assert client.ok("FETCH 1 FLAGS").fetched()[1]["FLAGS"] == ["\\Seen", *REC]
    told = client.ok("EXAMINE INBOX").one("FLAGS").values[1]
    known = {"\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"}
    assert {flag for flag in told if flag.startswith("\\")} == known


def test_values_stay_through_a_resumed_session_and_a_rebuilt_index(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("STORE 2 FLAGS (\\Seen)")
    before, top = modseqs(client), highest(client)
    with mail.account("alice").open("INBOX") as box:
        box.rebuild()
    assert highest(client) >= top
    assert all(value >= before[uid] for uid, value in modseqs(client).items())


@rfc("7162", "3.2", 2)
def test_annotations_count_too(mail: ImapBench) -> None:
    """The mod-sequence of the mailbox grows, those of the messages do not."""
    client = mail.select()
    client.ok("ENABLE CONDSTORE")
    before, messages = highest(client), modseqs(client)
    client.ok('SETMETADATA INBOX (/private/comment "mine")')
    assert highest(client) > before
    assert modseqs(client) == messages
    assert not client.ok("NOOP").untagged


# -- FETCH and SEARCH --------------------------------------------------------------------------


def test_changedsince_tells_what_changed(mail: ImapBench) -> None:
    """RFC 7162 §3.1.4.1; 0 is no error, and MODSEQ is implied."""
    client = mail.select()
    client.ok("ENABLE CONDSTORE")
    before = highest(client)
    client.ok("STORE 2 FLAGS (\\Seen)")
    client.ok("STORE 3 FLAGS (\\Draft)")
    assert client.ok(f"FETCH 1:* FLAGS (CHANGEDSINCE {before})").fetched().keys() == {2, 3}
    told = client.ok(f"UID FETCH 1:2 (FLAGS) (CHANGEDSINCE {before})").fetched()
    assert told.keys() == {2}
    assert told[2].keys() == {"UID", "FLAGS", "MODSEQ"}
    assert of(client.ok(f"UID FETCH * FLAGS (CHANGEDSINCE {before})")).keys() == {3}
    assert client.ok("FETCH 1:* FLAGS (CHANGEDSINCE 0)").fetched().keys() == {1, 2, 3}
    for beyond in (highest(client), 2**63 - 1):
        assert not client.ok(f"FETCH 1:* FLAGS (CHANGEDSINCE {beyond})").fetched()


def test_changedsince_of_a_set_that_is_saved(mail: ImapBench) -> None:
    """RFC 5182 §2.1 with RFC 7162 §3.1.4.1."""
    client = mail.select()
    before = highest(client)
    client.ok("SEARCH RETURN (SAVE) 1:2")
    client.ok("STORE 2:3 FLAGS.SILENT (\\Seen)")
    assert client.ok(f"FETCH $ FLAGS (CHANGEDSINCE {before})").fetched().keys() == {2}


@pytest.mark.parametrize(
    "tail",
    [
        "(CHANGEDSINCE)",
        "(CHANGEDSINCE x)",
        "(CHANGEDSINCE 9223372036854775808)",
        "(CHANGEDSINCE 1 CHANGEDSINCE 2)",
        "(UNCHANGEDSINCE 1)",
        "()",
        "CHANGEDSINCE 1",
        "(CHANGEDSINCE 1",
    ],
)
def test_malformed_modifiers(mail: ImapBench, tail: str) -> None:
    client = mail.select()
    client.bad(f"FETCH 1 FLAGS {tail}")
    client.bad(f"STORE 1 {tail.replace('CHANGED', 'UNCHANGED')} FLAGS ()")
    client.ok("NOOP")


@rfc("7162", "3.1.5", 1, 2, 3)
@rfc("7162", "3.1.6", 1)
@rfc("7162", "7", 1)
def test_search_by_modseq(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("STORE 1 FLAGS.SILENT (\\Seen)")
    client.ok("STORE 3 FLAGS.SILENT (\\Seen)")
    values = modseqs(client)
    for entry in ("", '"/flags/\\\\seen" all ', '"/flags/$word" priv ', '"/flags/x" Shared '):
        told = client.told(client.ok(f"SEARCH modseq {entry}{values[1]}"))
        assert told == [f"SEARCH 1 3 (MODSEQ {values[3]})"]
    assert client.told(client.ok(f"SEARCH NOT MODSEQ {values[1]}")) == [
        f"SEARCH 2 (MODSEQ {values[2]})"
    ]
    assert client.told(client.ok(f"SEARCH MODSEQ {values[3] + 1}")) == ["SEARCH"]
    assert client.told(client.ok("SEARCH MODSEQ 0"))[0].startswith("SEARCH 1 2 3 (MODSEQ")
    assert client.told(client.ok("SEARCH SEEN")) == ["SEARCH 1 3"]
    client.bad('SEARCH MODSEQ "/flags/x" 5')
    client.bad('SEARCH MODSEQ "/flags/x" none 5')


@rfc("7162", "3.1.10", 1)
def test_extended_search_by_modseq(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("STORE 2 FLAGS.SILENT (\\Seen)")
    values = modseqs(client)
    (line,) = client.told(client.ok("UID SEARCH RETURN (ALL) MODSEQ 1"))
    assert line.endswith(f"UID ALL 1:3 MODSEQ {max(values.values())}")
    (line,) = client.told(client.ok("SEARCH RETURN (MIN) MODSEQ 1"))
    assert line.endswith(f"MIN 1 MODSEQ {values[1]}")


# -- conditional STORE -------------------------------------------------------------------------


@rfc("7162", "3.1.3", 2, 3, 4, 5, 10)
def test_store_unchangedsince(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    client.ok("ENABLE CONDSTORE")
    known = highest(client)
    other.ok("STORE 2 FLAGS.SILENT (\\Answered)")
    answer = client.ok(f"STORE 1:3 (UNCHANGEDSINCE {known}) FLAGS.SILENT (\\Deleted)")
    assert answer.tagged.code == ["MODIFIED", "2"]
    told = answer.fetched()
    assert told[1].keys() == told[3].keys() == {"UID", "MODSEQ"}
    assert told[2]["FLAGS"] == ["\\Answered", *REC]  # what stood in the way
    assert int(told[1]["MODSEQ"][0]) == int(told[3]["MODSEQ"][0]) == highest(client)
    flags = {seq: items["FLAGS"] for seq, items in client.ok("FETCH 1:3 FLAGS").fetched().items()}
    assert ["\\Deleted" in flags[seq] for seq in (1, 2, 3)] == [True, False, True]


def test_uid_store_unchangedsince_names_uids(mail: ImapBench) -> None:
    client, other = mail.select(), mail.select()
    known = highest(client)
    other.ok("STORE 1 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    other.ok("STORE 2 FLAGS (\\Seen)")
    client.ok("NOOP")
    answer = client.ok(f"UID STORE 2:3 (UNCHANGEDSINCE {known}) FLAGS (\\Flagged)")
    assert answer.tagged.code == ["MODIFIED", "3"]
    told = answer.fetched()
    assert told[1]["UID"] == "2"
    assert "\\Flagged" in told[1]["FLAGS"]


@rfc("7162", "3.1.3", 6)
def test_unchangedsince_zero(mail: ImapBench) -> None:
    """It fails where the flag exists: system flags always, a keyword where it is set."""
    client = mail.select()
    client.ok("STORE 1 FLAGS.SILENT ($MDNSent)")
    cases = {
        "STORE 1 (UNCHANGEDSINCE 0) +FLAGS.SILENT ($MDNSent)": True,
        "STORE 2 (UNCHANGEDSINCE 0) +FLAGS.SILENT ($MDNSent)": False,
        "STORE 2 (UNCHANGEDSINCE 0) +FLAGS.SILENT ($MDNSent other)": True,
        "STORE 3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Seen)": True,
        "STORE 3 (UNCHANGEDSINCE 0) -FLAGS.SILENT (\\Seen)": True,
        "STORE 3 (UNCHANGEDSINCE 0) FLAGS.SILENT (word)": True,
        "STORE 3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (word)": False,
    }
    for command, fails in cases.items():
        assert (client.ok(command).code == "MODIFIED") is fails, command


@rfc("7162", "3.1.3", 8)
def test_other_flags_do_not_stand_in_the_way(mail: ImapBench) -> None:
    """RFC 7162 §3.1.12, examples 9 and 10: only the flag in question counts."""
    client, other = mail.select(), mail.select()
    known = highest(client)
    other.ok("STORE 1:3 +FLAGS.SILENT (\\Answered)")
    other.ok("STORE 2 +FLAGS.SILENT ($Processed)")
    other.ok("STORE 3 +FLAGS.SILENT ($Processed)")
    other.ok("STORE 3 -FLAGS.SILENT ($Processed)")
    answer = client.ok(f"STORE 1:3 (UNCHANGEDSINCE {known}) +FLAGS.SILENT ($Processed)")
    assert answer.tagged.code == ["MODIFIED", "2:3"]
    assert client.ok(f"STORE 1 (UNCHANGEDSINCE {known}) FLAGS ()").code == "MODIFIED"
    assert client.ok(f"STORE 1 (UNCHANGEDSINCE {known}) -FLAGS (\\Draft)").code == ""


def test_an_index_made_anew_errs_on_the_safe_side(mail: ImapBench) -> None:
    """It knows which message has changed, but not which flag of it."""
    client, other = mail.select(), mail.select()
    known = highest(client)
    other.ok("STORE 1 +FLAGS.SILENT (\\Answered)")
    with mail.account("alice").open("INBOX") as box:
        box.rebuild()
    answer = client.ok(f"STORE 1:2 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (word)")
    assert answer.tagged.code == ["MODIFIED", "1"]


@rfc("7162", "3.1.3", 12)
def test_a_message_named_twice_is_stored_once(mail: ImapBench) -> None:
    client = mail.select()
    answer = client.ok(f"STORE 3,1:3 (UNCHANGEDSINCE {highest(client)}) +FLAGS (\\Flagged)")
    assert answer.code == ""
    assert answer.fetched().keys() == {1, 2, 3}


def test_expunged_messages_and_a_condition(mail: ImapBench) -> None:
    """RFC 7162 §3.1.3, example 11: MODIFIED comes with the NO."""
    client, other = mail.select(), mail.select()
    known = highest(client)
    other.ok("STORE 2 FLAGS.SILENT (\\Answered)")
    other.ok("STORE 3 FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    answer = client.no(f"STORE 1:3 (UNCHANGEDSINCE {known}) FLAGS (\\Seen)")
    assert answer.tagged.code == ["MODIFIED", "2"]
    assert answer.fetched()[1]["FLAGS"][0] == "\\Seen"
    assert client.no(f"STORE 3 (UNCHANGEDSINCE {known}) FLAGS ()").code == "EXPUNGEISSUED"


def test_only_one_of_two_clients_wins(mail: ImapBench) -> None:
    """RFC 7162 §1: a mailbox can serve as a queue, each message taken once."""
    clients = [mail.select(), mail.select()]
    since = highest(clients[0])
    won = [
        client.ok(f"UID STORE 2 (UNCHANGEDSINCE {since}) +FLAGS.SILENT ($Taken)").code == ""
        for client in clients
    ]
    assert won == [True, False]
    taken = [client.ok("UID FETCH 2 FLAGS").fetched()[2]["FLAGS"] for client in clients]
    assert all("$Taken" in flags for flags in taken)


def test_modseqs_of_one_session_ascend(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("ENABLE CONDSTORE")
    told = [
        int(client.ok(f"STORE {seq} {sign}FLAGS.SILENT (a)").fetched()[seq]["MODSEQ"][0])
        for sign in "+-"
        for seq in (1, 2, 3)
    ]
    assert all(first < second for first, second in pairwise(told))
