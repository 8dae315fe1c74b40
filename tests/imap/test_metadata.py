"""Annotations of mailboxes and of the server (RFC 5464)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pymaild.core.session import Ending
from pymaild.core.settings import Size
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

Values = dict[str, bytes | None]


def got(client: Client, arguments: str) -> Values:
    """Entries and values that GETMETADATA tells."""
    found: Values = {}
    for reply in client.ok(f"GETMETADATA {arguments}").named("METADATA"):
        pairs: list[Any] = reply.values[2]
        found |= {str(pairs[i]): pairs[i + 1] for i in range(0, len(pairs), 2)}
    return found


@pytest.fixture
def alice(imap: ImapBench) -> Client:
    client = imap.login()
    client.ok("CREATE a")
    return client


@rfc("5464", "3.3", 3)
@rfc("5464", "4.3", 1)
@rfc("5464", "5", 1)
def test_set_and_get(alice: Client) -> None:
    """RFC 5464 §4.2, §4.3: nothing is told by SETMETADATA, NIL takes an entry away."""
    answer = alice.ok('SETMETADATA a (/shared/comment "one" /Private/Comment {5+}\r\ntwo\r\n)')
    assert not answer.untagged
    assert got(alice, "a (/shared/comment /private/comment)") == {
        "/shared/comment": b"one", "/private/comment": b"two\r\n"}  # fmt: skip
    assert got(alice, 'a "/SHARED/comment"') == {"/SHARED/comment": b"one"}
    assert got(alice, "INBOX /shared/comment") == {"/shared/comment": None}
    alice.ok("setmetadata a (/shared/COMMENT nil /private/comment {0+}\r\n)")
    assert got(alice, "a (/shared/comment /private/comment)") == {
        "/shared/comment": None, "/private/comment": b""}  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [b"", b'say "hi" \\ there', b"two\r\nlines", "ä".encode(), bytes(range(1, 256)), b"\0\0"],
)
def test_any_octets_come_back(imap: ImapBench, value: bytes) -> None:
    """RFC 5464 §3.2, §5: a literal8 where there is NUL."""
    client = imap.login()
    literal = b"~{%d+}\r\n%b" % (len(value), value)
    client.ok(b"SETMETADATA INBOX (/private/comment %b)" % literal)
    answer = imap.login().ok("GETMETADATA INBOX /private/comment")
    assert answer.one("METADATA").values[2][1] == value
    assert (b"~{" in answer.untagged[0].raw) == (b"\0" in value)


@pytest.mark.parametrize(
    "name",
    ["comment", "/comment", "/other/comment", "/sharedx/comment", "/shared//comment", "/shared/",
     "/shared/a/", '"/shared/a*"', '"/shared/a%"', '"/shared/\xe4"', '"/shared/a\x07"', '""'],
)  # fmt: skip
@rfc("5464", "3.2", 1, 3)
@rfc("5464", "5", 2)
@rfc("5464", "6", 1)
def test_what_is_no_name_is_bad(alice: Client, name: str) -> None:
    for command in (f"GETMETADATA a {name}", f'SETMETADATA a ({name} "x")',
                    f'LIST "" a RETURN (METADATA ({name}))'):  # fmt: skip
        assert alice.command(command.encode("latin-1")).status == "BAD"


@pytest.mark.parametrize("name", ["/shared", "/private", "/shared/vendor", "/private/vendor/x"])
def test_half_a_name_can_be_asked_for_but_not_set(alice: Client, name: str) -> None:
    """RFC 5464 §3.2: of two components at least, below /vendor of four."""
    alice.bad(f'SETMETADATA a ({name} "x")')
    alice.ok('SETMETADATA a (/private/vendor/x/colour "red" /shared/vendor/y/z "1")')
    assert got(alice, f"a {name}") == {name: None}
    assert got(alice, f"(DEPTH infinity) a {name}")


@pytest.mark.parametrize(
    "arguments",
    ["a", "a ()", "(DEPTH 2) a /shared/x", "(DEPTH) a /shared/x", "(MAXSIZE x) a /shared/x",
     "(MAXSIZE 4294967296) a /shared/x", "(X 1) a /shared/x", "() a /shared/x", "a (DEPTH 1)",
     "(DEPTH 1) a (DEPTH 1) /shared/x", "a /shared/x /private/x"],
)  # fmt: skip
def test_malformed_questions_are_bad(alice: Client, arguments: str) -> None:
    alice.bad(f"GETMETADATA {arguments}")


@pytest.mark.parametrize(
    "arguments", ["a", "a ()", "a (/shared/x)", "a (/shared/x y)", "a /shared/x y", 'a ("x" "y")']
)
def test_malformed_changes_are_bad(alice: Client, arguments: str) -> None:
    alice.bad(f"SETMETADATA {arguments}")


TREE = {
    "/private/filters/values/boss": b"FROM boss",
    "/private/filters/values/boss/late": b"x",
    "/private/filters/values/small": b"SMALLER 5000",
    "/private/filters/valuesx": b"y",
}


@pytest.mark.parametrize("options", ["({options}) a", "a ({options})"])
@pytest.mark.parametrize(
    ("depth", "names"),
    [
        ("DEPTH 0", []),
        ("DEPTH 1", ["boss", "small"]),
        ("depth INFINITY", ["boss", "boss/late", "small"]),
        ("MAXSIZE 1 DEPTH infinity", ["boss/late"]),
    ],
)
def test_depth(alice: Client, options: str, depth: str, names: list[str]) -> None:
    """RFC 5464 §4.2.2; its examples have options behind the mailbox, its grammar before it."""
    for entry, value in TREE.items():
        alice.ok(f'SETMETADATA a ({entry} "{value.decode()}")')
    top = "/private/filters/values"
    found = got(alice, f"{options.format(options=depth)} ({top})")
    nothing: Values = {top: None} if depth == "DEPTH 0" else {}
    assert found == nothing | {f"{top}/{name}": TREE[f"{top}/{name}"] for name in names}


@rfc("5464", "4.2.1", 1)
def test_maxsize(alice: Client) -> None:
    alice.ok('SETMETADATA a (/shared/comment "12345" /private/comment "123" /private/x "1234567")')
    asked = "(/shared/comment /private/comment /private/x /private/none)"
    answer = alice.ok(f"GETMETADATA (MAXSIZE 3) a {asked}")
    assert answer.tagged.code == ["METADATA", "LONGENTRIES", "7"]
    assert alice.told(answer) == ['METADATA "a" (/private/comment "123" /private/none NIL)']
    answer = alice.ok("GETMETADATA (MAXSIZE 4) a /shared/comment")
    assert not answer.untagged
    assert answer.tagged.code == ["METADATA", "LONGENTRIES", "5"]
    assert alice.ok(f"GETMETADATA (MAXSIZE 7) a {asked}").tagged.code == []


# -- limits --------------------------------------------------------------------------------------


@rfc("5464", "4.1", 5)
@rfc("5464", "4.3", 3, 4, 6)
@rfc("5464", "7", 1)
@pytest.mark.parametrize("place", ["a", '""'])
def test_limits(imap: ImapBench, alice: Client, place: str) -> None:
    """What is refused changes nothing, not even the entries that would have fitted."""
    imap.mail = replace(imap.mail, metadata_size=Size(1024), metadata_entries=10)
    client = imap.login()
    for number in range(9):
        client.ok(f'SETMETADATA {place} (/private/vendor/x/{number} "{"v" * 1024}")')
    answer = client.no(f'SETMETADATA {place} (/private/comment "x" /private/y "{"v" * 1025}")')
    assert answer.tagged.code == ["METADATA", "MAXSIZE", "1024"]
    answer = client.no(f'SETMETADATA {place} (/private/vendor/x/0 NIL /private/a "" /private/b ""'
                       ' /private/c "")')  # fmt: skip
    assert answer.tagged.code == ["METADATA", "TOOMANY"]
    found = got(client, f"(DEPTH infinity) {place} /private")
    assert found == {f"/private/vendor/x/{number}": b"v" * 1024 for number in range(9)}
    client.ok(f'SETMETADATA {place} (/private/a "" /private/vendor/x/0 "other")')
    client.no(f'SETMETADATA {place} (/private/b "")')
    assert client.no(f'SETMETADATA {place} (/private/{"n" * 1100} "")').code == "LIMIT"


def test_limits_that_were_higher_before(imap: ImapBench, alice: Client) -> None:
    """Who has more than is allowed now can change and remove what he has."""
    imap.mail = replace(imap.mail, metadata_entries=12)
    client = imap.login()
    for number in range(12):
        client.ok(f'SETMETADATA a (/private/{number} "x")')
    imap.mail = replace(imap.mail, metadata_entries=10)
    client = imap.login()
    client.no('SETMETADATA a (/private/more "x")')
    client.ok('SETMETADATA a (/private/0 "y" /private/1 NIL)')
    client.no('SETMETADATA a (/private/1 "x" /private/more "x")')
    assert len(got(client, "(DEPTH infinity) a /private")) == 11


# -- where they are ------------------------------------------------------------------------------


@rfc("5464", "4.1", 1, 2)
def test_annotations_follow_their_mailbox(alice: Client) -> None:
    alice.ok("CREATE a/b")
    for name in ("a", "a/b", "INBOX"):
        alice.ok(f'SETMETADATA {name} (/shared/comment "of {name}" /private/comment "mine")')
    alice.ok("RENAME a c")
    assert got(alice, "c /shared/comment") == {"/shared/comment": b"of a"}
    assert got(alice, "c/b /private/comment") == {"/private/comment": b"mine"}
    alice.ok("RENAME INBOX old")
    for name in ("INBOX", "old"):
        assert got(alice, f"{name} /shared/comment") == {"/shared/comment": b"of INBOX"}
    alice.ok("DELETE c/b")
    alice.ok("CREATE c/b")
    assert got(alice, "c/b (/shared/comment /private/comment)") == {
        "/shared/comment": None, "/private/comment": None}  # fmt: skip
    assert alice.no("GETMETADATA a /shared/comment").code == "NONEXISTENT"
    assert alice.no('SETMETADATA a (/shared/comment "x")').code == "NONEXISTENT"


def test_other_sessions_see_them(imap: ImapBench, alice: Client) -> None:
    other = imap.login()
    assert got(other, "a /private/comment") == {"/private/comment": None}
    alice.ok('SETMETADATA a (/private/comment "x")')
    assert got(other, "a /private/comment") == {"/private/comment": b"x"}


@rfc("5464", "3.3", 2)
def test_the_server(imap: ImapBench) -> None:
    """RFC 5464 §3.2.1.1: what all share stands in the settings; the rest is the user's own."""
    imap.mail = replace(imap.mail, server_comment="Welcome", server_admin="mailto:p@example.org")
    client, bob = imap.login(), imap.login("bob")
    shared = {"/shared/admin": b"mailto:p@example.org", "/shared/comment": b"Welcome"}
    assert got(client, '(DEPTH 1) "" /shared') == shared
    for entry in ("/shared/admin", "/shared/comment", "/shared/vendor/x/y"):
        answer = client.no(f'SETMETADATA "" (/private/vendor/x/y "1" {entry} "mine")')
        assert answer.code == "NOPERM"
    assert got(client, '"" /private/vendor/x/y') == {"/private/vendor/x/y": None}
    client.ok('SETMETADATA "" (/private/vendor/x/y "1")')
    assert got(client, '"" /private/vendor/x/y') == {"/private/vendor/x/y": b"1"}
    assert got(bob, '"" (/private/vendor/x/y /shared/comment)') == {
        "/private/vendor/x/y": None, "/shared/comment": b"Welcome"}  # fmt: skip
    assert got(client, "INBOX /private/vendor/x/y") == {"/private/vendor/x/y": None}


@rfc("5464", "3.2.1.1", 1)
@rfc("5464", "6.2.2", 1)
def test_the_address_of_the_administrator_is_a_uri(imap: ImapBench) -> None:
    for setting, told in (("p@example.org", "mailto:p@example.org"), ("tel:+1-2", "tel:+1-2")):
        imap.mail = replace(imap.mail, server_admin=setting)
        assert got(imap.login(), '"" /shared/admin') == {"/shared/admin": told.encode()}


def test_a_server_that_says_nothing_of_itself(alice: Client) -> None:
    assert got(alice, '"" (/shared/admin /shared/comment)') == {
        "/shared/admin": None, "/shared/comment": None}  # fmt: skip


@rfc("5464", "7", 3)
def test_private_and_shared_in_a_mailbox_of_two(imap: ImapBench, alice: Client) -> None:
    alice.ok("SETACL a bob lrw")
    bob = imap.login("bob")
    place = "Users/alice/a"
    alice.ok('SETMETADATA a (/shared/comment "ours" /private/comment "mine")')
    bob.ok(f'SETMETADATA {place} (/private/comment "his")')
    both = "(/shared/comment /private/comment)"
    assert got(alice, f"a {both}") == {"/shared/comment": b"ours", "/private/comment": b"mine"}
    assert got(bob, f"{place} {both}") == {"/shared/comment": b"ours", "/private/comment": b"his"}
    bob.ok(f'SETMETADATA {place} (/shared/comment "changed")')
    assert got(alice, "a /shared/comment") == {"/shared/comment": b"changed"}
    assert bob.no(f'SETMETADATA {place} (/private/specialuse "\\\\Sent")').code == "USEATTR"
    assert got(bob, f"{place} /private/specialuse") == {"/private/specialuse": None}


@rfc("5464", "3.3", 1)
def test_rights_that_annotations_ask_for(imap: ImapBench, alice: Client) -> None:
    """ "l", and one of "rswip"; what is shared is changed with "w"."""
    bob, place = imap.login("bob"), "Users/alice/a"
    cases = {"": "NONEXISTENT", "r": "NONEXISTENT", "l": "NOPERM", "lk": "NOPERM", "li": "OK",
             "lp": "OK", "lr": "OK", "lrw": "OK"}  # fmt: skip
    for rights, outcome in cases.items():
        alice.ok(f'SETACL a bob "{rights}"')
        for command in (f"GETMETADATA {place} /shared/comment",
                        f'SETMETADATA {place} (/private/comment "x")'):  # fmt: skip
            answer = bob.command(command)
            assert (answer.code if answer.status == "NO" else "OK") == outcome, (rights, command)
    alice.ok("SETACL a bob lrsip")
    assert bob.no(f'SETMETADATA {place} (/shared/comment "x")').code == "NOPERM"


def test_a_file_that_makes_no_sense_counts_for_nothing(imap: ImapBench, alice: Client) -> None:
    alice.ok('SETMETADATA a (/private/comment "x")')
    path = imap.folder / "mail" / "alice" / "Maildir" / ".a" / "pymaild.metadata"
    for content in ("", "[]", "{", '{"alice": 3}', '{"alice": {"/private/comment": 3}}', "\xff"):
        path.write_text(content, "latin-1")
        assert got(alice, "a /private/comment") == {"/private/comment": None}
    alice.ok('SETMETADATA a (/private/comment "y")')
    assert got(alice, "a /private/comment") == {"/private/comment": b"y"}
    alice.ok("SETMETADATA a (/private/comment NIL)")
    assert not path.exists()


def test_in_another_process(imap: ImapBench, alice: Client) -> None:
    """A session has nothing of them in its record: it goes on wherever it is resumed."""
    alice.ok('SETMETADATA a (/private/comment "x")')
    alice.leave("restart")
    alice.read()
    assert alice.wait() is Ending.CLOSED
    resumed = imap.connect(alice.record)
    assert got(resumed, "a /private/comment") == {"/private/comment": b"x"}
