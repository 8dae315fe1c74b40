"""MESSAGELIMIT and SAVELIMIT (RFC 9738): how many messages one command is about."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from pymaild.core.errors import Refused
from pymaild.imap import search
from pymaild.imap.limits import Limit
from tests.imap.conftest import Answer, Client, ImapBench

BODY = b"Subject: filler\r\n\r\nbody\r\n"


@pytest.fixture
def box(imap: ImapBench) -> ImapBench:
    """Alice has five messages; four may be gone through at a time."""
    imap.put("alice", *[BODY] * 5)
    imap.configure(message_limit=4)
    return imap


def announced(client: Client) -> set[str]:
    told = client.ok("CAPABILITY").one("CAPABILITY").values
    return {str(name) for name in told if "LIMIT=" in name and "APPEND" not in name}


def test_it_is_announced(imap: ImapBench) -> None:
    """RFC 9738 §3: SAVELIMIT only where nothing else is limited."""
    assert not announced(imap.login())
    imap.configure(save_limit=2000)
    assert announced(imap.login()) == {"SAVELIMIT=2000"}
    imap.configure(message_limit=3000)
    assert announced(imap.login()) == {"MESSAGELIMIT=3000"}


def limited(answer: Answer) -> list[str]:
    return [str(value) for value in answer.tagged.code]


REACHED = ["MESSAGELIMIT", "4", "2"]


@pytest.mark.parametrize("command", ["FETCH 1:* FLAGS", "UID FETCH 1:* (BODY[])"])
def test_fetch_goes_through_the_last_messages(box: ImapBench, command: str) -> None:
    """RFC 9738 §3.1: from the highest UID downwards."""
    client = box.select()
    answer = client.ok(command)
    assert limited(answer) == REACHED
    assert [reply.number for reply in answer.named("FETCH")] == [5, 4, 3, 2]
    rest = client.ok(command.replace("1:*", "1:1"))
    assert list(rest.fetched()) == [1]
    assert not rest.tagged.code


def test_as_many_as_the_limit_are_no_excess(box: ImapBench) -> None:
    client = box.select()
    assert not client.ok("FETCH 2:5 FLAGS").tagged.code
    assert not client.ok("FETCH 1:* FLAGS (CHANGEDSINCE 100000)").tagged.code


def test_store_changes_the_last_messages(box: ImapBench) -> None:
    client = box.select()
    answer = client.ok("STORE 1:5 +FLAGS (\\Flagged)")
    assert limited(answer) == REACHED
    assert [reply.number for reply in answer.named("FETCH")] == [5, 4, 3, 2]
    assert client.told(client.ok("SEARCH UID 1:3 FLAGGED")) == ["SEARCH 2 3"]


def test_another_code_takes_the_tagged_place(box: ImapBench) -> None:
    """RFC 9738 §3.1: then an untagged NO says it."""
    client = box.select()
    since = client.ok("STATUS INBOX (HIGHESTMODSEQ)").one("STATUS").values[2][1]
    client.ok("STORE 5 FLAGS.SILENT (\\Seen)")
    answer = client.ok(f"STORE 1:5 (UNCHANGEDSINCE {since}) FLAGS.SILENT (\\Draft)")
    assert limited(answer) == ["MODIFIED", "5"]
    assert [reply.code for reply in answer.named("NO")] == [REACHED]


def test_a_refusal_says_it_as_well(box: ImapBench) -> None:
    client, other = box.select(), box.select()
    other.ok("UID STORE 5 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    answer = client.no("STORE 1:5 FLAGS (\\Seen)")
    assert answer.code == "EXPUNGEISSUED"
    assert [reply.code for reply in answer.named("NO")] == [REACHED]


def test_copy_is_all_or_nothing(box: ImapBench) -> None:
    client = box.select()
    assert limited(client.no("COPY 1:* Archive")) == ["MESSAGELIMIT", "4"]
    assert limited(client.no("UID COPY 1:* Archive")) == ["MESSAGELIMIT", "4"]
    client.ok("COPY 1:4 Archive")
    assert client.ok("SELECT Archive").one("EXISTS").number == 4


def test_move_takes_the_last_messages_in_their_order(box: ImapBench) -> None:
    client = box.select()
    answer = client.ok("MOVE 1:5 Archive")
    assert limited(answer) == REACHED
    assert answer.untagged[0].code[2:] == ["2:5", "1:4"]
    assert client.ok("NOOP").untagged == []
    assert client.ok("SELECT INBOX").one("EXISTS").number == 1


def test_uid_expunge_removes_the_last_messages(box: ImapBench) -> None:
    client = box.select()
    client.ok("STORE 3:5 FLAGS.SILENT (\\Deleted)")
    client.ok("STORE 1:2 FLAGS.SILENT (\\Deleted)")
    answer = client.ok("UID EXPUNGE 1:*")
    assert limited(answer) == REACHED
    assert len(answer.named("EXPUNGE")) == 4


@pytest.mark.parametrize("command", ["EXPUNGE", "CLOSE"])
def test_expunge_has_no_limit(box: ImapBench, command: str) -> None:
    """RFC 9738 §3.1."""
    client = box.select()
    client.ok("STORE 3:5 FLAGS.SILENT (\\Deleted)")
    client.ok("STORE 1:2 FLAGS.SILENT (\\Deleted)")
    assert not client.ok(command).tagged.code
    assert client.ok("STATUS INBOX (MESSAGES)").one("STATUS").values[2] == ["MESSAGES", "0"]


def test_search_looks_at_the_last_messages(box: ImapBench) -> None:
    """What counts is what is searched: sets that all results must be in narrow that down."""
    client = box.select()
    answer = client.ok("SEARCH UNSEEN")
    assert limited(answer) == REACHED
    assert client.told(answer) == ["SEARCH 2 3 4 5"]
    for command in ("SEARCH UNSEEN 1:4", "UID SEARCH UID 1:4 ALL", "SEARCH (1:2 SUBJECT filler)"):
        assert not client.ok(command).tagged.code
    assert limited(client.ok("SEARCH NOT 1:2")) == REACHED
    assert limited(client.ok("SEARCH 1:5 SUBJECT filler")) == REACHED


def test_saved_results_are_those_found(box: ImapBench) -> None:
    """RFC 9738 §3.4."""
    client = box.select()
    assert limited(client.ok("SEARCH RETURN (SAVE) ALL")) == REACHED
    assert list(client.ok("FETCH $ UID").fetched()) == [2, 3, 4, 5]


def test_partial_is_refused_beyond_the_limit(box: ImapBench) -> None:
    """RFC 9738 §3.1 with RFC 9394 §3.3."""
    client = box.select()
    assert limited(client.no("UID FETCH 1:* FLAGS (PARTIAL 1:5)")) == ["MESSAGELIMIT", "4"]
    assert len(client.ok("UID FETCH 1:* FLAGS (PARTIAL -1:-4)").fetched()) == 4


def test_append_of_many_is_refused(imap: ImapBench) -> None:
    """RFC 9738 §3.1, RFC 3502: before the client sends the message that is one too many."""
    imap.configure(save_limit=2)
    client = imap.login()
    literal = b"{%d+}\r\n%b" % (len(BODY), BODY)
    two = b"APPEND INBOX " + literal + b" " + literal
    assert client.ok(two).code == "APPENDUID"
    assert limited(client.no(two + b" " + literal)) == ["MESSAGELIMIT", "2"]
    client.send(b"x " + two + b" {%d}\r\n" % len(BODY))
    assert client.read().code == ["MESSAGELIMIT", "2"]
    assert client.ok("STATUS INBOX (MESSAGES)").one("STATUS").values[2] == ["MESSAGES", "2"]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("UIDAFTER 3", "SEARCH 4 5"),
        ("UIDBEFORE 3", "SEARCH 1 2"),
        ("UIDAFTER 1 UIDBEFORE 4", "SEARCH 2 3"),
        ("UIDBEFORE 1", "SEARCH"),
        ("UIDAFTER 5", "SEARCH"),
        ("UIDAFTER 4294967295", "SEARCH"),
    ],
)
def test_uidafter_and_uidbefore(box: ImapBench, keys: str, found: str) -> None:
    """RFC 9738 §3.2: where the client was told to go on."""
    client = box.select()
    answer = client.ok(f"UID SEARCH {keys}")
    assert client.told(answer) == [found]
    assert not answer.tagged.code


def test_they_name_one_uid(box: ImapBench) -> None:
    client = box.select()
    for argument in ("0", "*", "1:2", "x", "4294967296"):
        client.bad(f"UID SEARCH UIDAFTER {argument}")
        client.bad(f"UID SEARCH UIDBEFORE {argument}")


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        (search.All(), False),
        (search.Numbers([(1, 4)], by_uid=False), True),
        (search.Numbers([(1, 5)], by_uid=True), False),
    ],
)
def test_what_is_sorted_is_sorted_as_a_whole(
    box: ImapBench, key: search.Key, allowed: bool
) -> None:
    """RFC 9738 §3.3: a part that is sorted would be no part of the whole that is sorted."""
    session = box.select().running.session
    scope = search.Scope(session.current, session.progress.beat)
    with nullcontext() if allowed else pytest.raises(Refused, match="At most 4"):
        Limit(session).whole(key, scope)
