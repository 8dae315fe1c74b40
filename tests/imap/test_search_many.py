"""ESEARCH: one search in many mailboxes (RFC 7377)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.rfc import rfc

TREE = ("Archive", "Lists", "Lists/a", "Lists/a/deep", "Lists/b", "Listsx")


@pytest.fixture
def tree(mail: ImapBench) -> Client:
    """Folders with the second message each, and the three of INBOX."""
    client = mail.login()
    for name in TREE[1:]:
        client.ok(f'CREATE "{name}"')
    for name in TREE:
        mail.put("alice", MESSAGES[1], folder=name)
    return client


def found(client: Client, command: str) -> dict[str, str]:
    """What is told of each mailbox; every response is checked for what it must have."""
    answer = client.ok(f"ESEARCH {command}")
    told = {}
    for reply in answer.named("ESEARCH"):
        correlators, *rest = reply.values[1:]
        tag, mailbox, uidvalidity = correlators[1::2]
        assert correlators[::2] == ["TAG", "MAILBOX", "UIDVALIDITY"]
        assert (tag.decode(), int(uidvalidity) > 0) == (answer.tagged.tag, True)
        assert rest[0] == "UID"
        assert mailbox.decode() not in told
        told[mailbox.decode()] = " ".join(map(str, rest[1:]))
    return told


CHOICES = [
    ("(mailboxes Archive)", ["Archive"]),
    ("(mailboxes (Lists/b inbox))", ["Lists/b", "INBOX"]),
    ("(mailboxes none mailboxes Archive)", ["Archive"]),
    ("(mailboxes (Archive Archive) subtree Archive)", ["Archive"]),
    ("(subtree Lists)", ["Lists", "Lists/a", "Lists/a/deep", "Lists/b"]),
    ("(subtree (Lists/a Archive))", ["Archive", "Lists/a", "Lists/a/deep"]),
    ("(subtree-one Lists)", ["Lists", "Lists/a", "Lists/b"]),
    ("(SUBTREE-ONE (Lists/a))", ["Lists/a", "Lists/a/deep"]),
    ("(subtree none)", []),
    ("(subscribed)", ["Lists/a"]),
    ("(personal)", ["INBOX", *TREE]),
    ("(inboxes)", ["INBOX", *TREE]),
    ("(subscribed mailboxes Archive)", ["Lists/a", "Archive"]),
]


@rfc("7377", "2.1", 1, 2, 3, 4, 5)
@rfc("7377", "2.2", 1, 5)
@rfc("7377", "4", 1)
@pytest.mark.parametrize(("choice", "names"), CHOICES)
def test_choices_of_mailboxes(tree: Client, choice: str, names: list[str]) -> None:
    for name in tree.ok('LIST "" * RETURN (SUBSCRIBED)').named("LIST"):
        tree.ok(f'UNSUBSCRIBE "{name.values[3].decode()}"')
    tree.ok("SUBSCRIBE Lists/a")
    told = found(tree, f"IN {choice} SUBJECT two")
    assert told == {name: "ALL 2" if name == "INBOX" else "ALL 1" for name in names}
    assert sorted(found(tree, f"IN {choice} RETURN (MIN) SUBJECT two")) == sorted(names)
    assert found(tree, f"IN {choice} RETURN (COUNT) SUBJECT none") == {}


@rfc("7377", "2.2", 4, 5, 6)
def test_the_selected_mailbox(tree: Client) -> None:
    """It is the choice where none is given, and needs to be there."""
    tree.bad("ESEARCH ALL")
    tree.bad("ESEARCH IN (selected) ALL")
    tree.bad("ESEARCH IN (selected mailboxes INBOX) ALL")
    tree.ok("SELECT INBOX")
    assert found(tree, "ALL") == {"INBOX": "ALL 1:3"}
    assert found(tree, "IN (selected) RETURN (MAX) ALL") == {"INBOX": "MAX 3"}
    assert found(tree, "IN (mailboxes Archive selected) ALL") == {
        "INBOX": "ALL 1:3",
        "Archive": "ALL 1",
    }
    assert tree.record.mailbox == "INBOX"


def test_the_selected_mailbox_is_searched_as_the_client_knows_it(
    mail: ImapBench, tree: Client
) -> None:
    tree.ok("SELECT INBOX")
    mail.put("alice", MESSAGES[0])
    assert found(tree, "IN (personal) SUBJECT one") == {"INBOX": "ALL 1"}
    assert found(tree, "IN (personal) SUBJECT one") == {"INBOX": "ALL 1,4"}


@rfc("7377", "2", 1, 2)
@pytest.mark.parametrize("absent", [True, False])
def test_numbers_beyond_the_end_are_no_error(mail: ImapBench, tree: Client, absent: bool) -> None:
    mail.switch(absent_numbers=absent)
    client = mail.select()
    assert found(client, "IN (personal) 2:3") == {"INBOX": "ALL 2:3"}
    assert found(client, "3:9") == {"INBOX": "ALL 3"}
    assert found(client, "IN (subtree Lists) 1:100 UID 1:*").keys() == {
        *("Lists", "Lists/a", "Lists/a/deep", "Lists/b")
    }


def test_keywords_are_those_of_each_mailbox(mail: ImapBench, tree: Client) -> None:
    """Two names stand for the same bit in two mailboxes."""
    for name, keyword in (("Lists", "one"), ("Lists/a", "two"), ("Lists/b", "one")):
        tree.ok(f"SELECT {name}")
        tree.ok(f"STORE 1 +FLAGS ({keyword})")
    assert found(tree, "IN (personal) KEYWORD one").keys() == {"Lists", "Lists/b"}
    assert found(tree, "IN (subtree Lists) UNKEYWORD one").keys() == {"Lists/a", "Lists/a/deep"}


@rfc("7377", "2.2", 8)
def test_saved_results(mail: ImapBench, tree: Client) -> None:
    client = mail.select()
    for choice in ("personal", "selected mailboxes INBOX", "mailboxes INBOX"):
        client.bad(f"ESEARCH IN ({choice}) RETURN (SAVE) ALL")
    assert client.ok("ESEARCH RETURN (SAVE) NOT 2").untagged == []
    assert client.ok("UID SEARCH $").one("SEARCH").values[1:] == ["1", "3"]
    assert found(client, "IN (personal) $") == {"INBOX": "ALL 1,3"}
    assert client.no("ESEARCH IN (selected) RETURN (SAVE) CHARSET x ALL").code == "BADCHARSET"
    assert client.ok("UID SEARCH $").one("SEARCH").values[1:] == []


def test_partial_results_are_those_of_each_mailbox(mail: ImapBench, tree: Client) -> None:
    mail.put("alice", *MESSAGES, folder="Archive")
    told = found(tree, "IN (mailboxes (INBOX Archive Lists)) RETURN (PARTIAL -1:-2 CONTEXT) ALL")
    assert told == {
        "INBOX": "PARTIAL ['-1:-2', '2:3']",
        "Archive": "PARTIAL ['-1:-2', '3:4']",
        "Lists": "PARTIAL ['-1:-2', '1']",
    }
    tree.bad("ESEARCH IN (personal) RETURN (PARTIAL 1:2 ALL) ALL")
    tree.bad("ESEARCH IN (personal) RETURN (PARTIAL 1:2 PARTIAL 1:3) ALL")


@rfc("7377", "2.2", 9, 10)
def test_updates_are_those_of_the_selected_mailbox(mail: ImapBench, tree: Client) -> None:
    tree.bad("ESEARCH IN (personal) RETURN (UPDATE) ALL")
    client = mail.select()
    answer = client.ok("ESEARCH IN (personal) RETURN (UPDATE COUNT) SEEN")
    refused = client.ok("ESEARCH IN (subtree Lists) RETURN (UPDATE COUNT) ALL")
    assert refused.codes() == {"NOUPDATE": [refused.tagged.tag.encode()]}
    mail.put("alice", MESSAGES[0], folder="Archive")
    validity = client.ok("STATUS INBOX (UIDVALIDITY)").one("STATUS").values[2][1]
    told = client.told(client.ok("STORE 2 +FLAGS.SILENT (\\Seen)"))
    named = f'(TAG "{answer.tagged.tag}" MAILBOX "INBOX" UIDVALIDITY {validity})'
    assert told == [f"ESEARCH {named} UID ADDTO (0 2)"]
    client = mail.resume(client)
    told = client.told(client.ok("STORE 2 -FLAGS.SILENT (\\Seen)"))
    assert told == [f"ESEARCH {named} UID REMOVEFROM (0 2)"]
    client.send(answer.tagged.tag.encode() + b" ESEARCH RETURN (UPDATE) ALL\r\n")
    assert client.finish(answer.tagged.tag).status == "BAD"


@rfc("7377", "2.2", 11, 12)
@rfc("7377", "5", 1, 2)
def test_mailboxes_that_may_not_be_read_are_passed_over(mail: ImapBench, tree: Client) -> None:
    tree.ok("SETACL Lists/a alice -r")
    tree.ok("SETACL Lists/b alice -lr")
    assert found(tree, "IN (subtree Lists) ALL").keys() == {"Lists", "Lists/a/deep"}
    assert found(tree, "IN (mailboxes (Lists/a Lists/b Lists)) ALL").keys() == {"Lists"}


@rfc("7377", "2.1", 6)
def test_searches_that_follow_at_once(mail: ImapBench, tree: Client) -> None:
    """What one saves, the next one finds."""
    client = mail.select()
    answers = client.pipeline(
        [
            "ESEARCH RETURN (SAVE) 1:2",
            "ESEARCH IN (personal) $",
            "ESEARCH RETURN (SAVE) 3",
            "SEARCH $",
        ]
    )
    assert [answer.status for answer in answers] == ["OK"] * 4
    assert answers[1].one("ESEARCH").values[2:] == ["UID", "ALL", "1:2"]
    assert answers[3].one("SEARCH").values[1:] == ["3"]


@rfc("7377", "2.2", 2, 3)
@rfc("7377", "5", 3)
def test_loops_of_folders_are_harmless(mail: ImapBench, tree: Client) -> None:
    root = mail.folder / "mail" / "alice" / "Maildir"
    (root / ".Lists.loop").symlink_to(".", target_is_directory=True)
    (root / ".Lists.loop.again").symlink_to(".Lists", target_is_directory=True)
    told = found(tree, "IN (subtree Lists) SUBJECT two")
    assert told.keys() >= {"Lists", "Lists/a", "Lists/a/deep", "Lists/b"}
    assert told.keys() <= {*TREE, "Lists/loop", "Lists/loop/again"}


def test_too_many_mailboxes_are_refused(mail: ImapBench, tree: Client) -> None:
    """RFC 7377 §2.4."""
    mail.configure(searched_mailboxes=3)
    client = mail.login()
    assert client.no("ESEARCH IN (personal) ALL").code == "LIMIT"
    assert len(found(client, "IN (subtree-one Lists) ALL")) == 3


def test_recent_messages_stay_recent(mail: ImapBench, tree: Client) -> None:
    """The mailboxes are only looked at, as by EXAMINE."""
    assert found(tree, "IN (mailboxes Archive) RECENT") == {"Archive": "ALL 1"}
    assert found(tree, "IN (mailboxes Archive) RECENT") == {"Archive": "ALL 1"}
    tree.ok("SELECT Archive")
    assert tree.ok("SEARCH RECENT").one("SEARCH").values[1:] == ["1"]


@pytest.mark.parametrize(
    "rest",
    [
        *("", "IN ALL", "IN () ALL", "IN (nowhere) ALL", "IN (mailboxes) ALL", "IN (personal)"),
        *("IN (selected-delayed) ALL", "IN (subtree ()) ALL", "IN (personal (x y)) ALL"),
        *("IN (personal) RETURN ALL", "IN (personal) FROB", "IN (personal) RETURN (FROB) ALL"),
        *("IN (personal) CHARSET UTF-8", "IN (personal)ALL", "IN (subtree-one) ALL", "IN"),
    ],
)
def test_malformed_commands(tree: Client, rest: str) -> None:
    tree.bad(f"ESEARCH {rest}")


def test_refusals_come_even_where_nothing_is_searched(tree: Client) -> None:
    assert tree.no("ESEARCH IN (mailboxes none) CHARSET x ALL").code == "BADCHARSET"
    tree.bad("ESEARCH IN (mailboxes none) LARGER")
    assert found(tree, "IN (mailboxes none) KEYWORD x 5 UID 3 UID $ $ FILTER none") == {}


def test_mailboxes_of_others(mail: ImapBench, tree: Client) -> None:
    """They are not personal; those with rights are searched, all others are as if not there."""
    mail.put("bob", MESSAGES[1])
    for rights, name in (("lr", "Lists"), ("l", "Lists/a"), ("r", "Lists/b")):
        tree.ok(f"SETACL {name} bob {rights}")
    bob = mail.login("bob")
    assert found(bob, "IN (personal) SUBJECT two").keys() == {"INBOX"}
    assert found(bob, "IN (inboxes) SUBJECT two").keys() == {"INBOX"}
    below = found(bob, "IN (subtree Users) SUBJECT two")
    assert below.keys() == {"Users/alice/Lists"}
    named = "Users/alice/Lists Users/alice/Lists/a Users/alice/Lists/b Users/alice/Archive"
    told = found(bob, f"IN (mailboxes ({named} Users/nobody/INBOX)) SUBJECT two")
    assert told.keys() == {"Users/alice/Lists", "Users/alice/Lists/b"}


def test_an_empty_name_is_no_mailbox(mail: ImapBench) -> None:
    """RFC 7377 §2.2: passed over, with a mailbox selected and without."""
    client = mail.login()
    assert client.ok('ESEARCH IN (mailboxes "") ALL').untagged == []
    client.ok("SELECT INBOX")
    assert client.ok('ESEARCH IN (mailboxes "") ALL').untagged == []
