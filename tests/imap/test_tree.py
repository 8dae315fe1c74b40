"""The tree of mailboxes as clients see it (RFC 3501 §5.1, §6.3.3-§6.3.8, §7.2.2)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc


@pytest.fixture
def tree(imap: ImapBench) -> Client:
    client = imap.login()
    for name in ("a", "a/b/c", "a/d", '"~peter/mail/new"', "Entw&APw-rfe/x"):
        client.ok(f"CREATE {name}")
    client.ok("SUBSCRIBE a/b")
    return client


def listing(client: Client, arguments: str = '"" *') -> dict[str, set[str]]:
    """Names and attributes."""
    return {
        reply.values[3].decode(): set(map(str, reply.values[1]))
        for reply in client.ok(f"LIST {arguments}").named("LIST")
    }


@rfc("3501", "6.3.3", 2, 3)
@rfc("9051", "6.3.4", 5, 6)
def test_names_above_are_made(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("CREATE foo/bar/zap")
    assert {"foo", "foo/bar", "foo/bar/zap"} <= set(listing(client))
    client.ok("CREATE foo")
    client.ok("SELECT foo")


@rfc("3501", "6.3.4", 1, 2)
@rfc("9051", "6.3.5", 1, 2)
def test_deleting_a_mailbox_leaves_what_is_below(tree: Client) -> None:
    tree.appended("a/d", b"x: y\r\n\r\n")
    tree.ok("DELETE a")
    assert {"\\Noselect"} < listing(tree)["a"]
    assert {"a/b/c", "a/d"} <= set(listing(tree))
    tree.no("SELECT a")
    assert tree.ok("SELECT a/d").one("EXISTS").number == 1


@rfc("3501", "6.3.8", 1, 2)
@rfc("3501", "7.2.2", 1)
@rfc("9051", "6.3.9", 1)
@rfc("9051", "7.3.1", 3, 4)
def test_list_looks_into_no_mailbox(tree: Client, imap: ImapBench) -> None:
    """Its cost is that of the names: nothing is opened, nobody is told what is "interesting"."""
    imap.put("alice", b"Subject: new\r\n\r\n", folder="a/d")
    folder = imap.folder / "mail" / "alice" / "Maildir"
    for path in folder.rglob("pymaild.index"):
        path.unlink()
    for attributes in listing(tree).values():
        assert not attributes & {"\\Marked", "\\Unmarked"}
    tree.ok('LIST "" % RETURN (CHILDREN SUBSCRIBED SPECIAL-USE)')
    assert list(folder.rglob("pymaild.index")) == []


@rfc("3501", "7.2.2", 2, 3, 4)
@rfc("9051", "7.3.1", 5, 6, 7)
def test_every_name_that_is_told_can_be_used(tree: Client) -> None:
    """As a reference, and in SELECT where it does not say otherwise."""
    replies = tree.ok('LIST "" *').named("LIST")
    assert {reply.values[2] for reply in replies} == {b"/"}
    names = {reply.values[3].decode(): set(map(str, reply.values[1])) for reply in replies}
    for name, attributes in names.items():
        below = {other for other in names if other.startswith(f"{name}/")}
        assert set(listing(tree, f'"{name}/" *')) == below
        assert bool(below) == ("\\HasChildren" in attributes)
        status = tree.command(f'SELECT "{name}"').status
        assert status == ("NO" if "\\Noselect" in attributes else "OK")


@rfc("3501", "6.3.8", 6, 7, 8)
@rfc("9051", "6.3.9", 6, 7, 8)
@pytest.mark.parametrize("reference", ["~peter/mail/", "Entw&APw-rfe/", "a/"])
def test_names_begin_with_the_reference(tree: Client, reference: str) -> None:
    names = listing(tree, f'"{reference}" %')
    assert names
    assert all(name.startswith(reference) for name in names)


@rfc("9051", "6.3.9", 9)
@pytest.mark.parametrize("pattern", ['"a//b"', '"&"', '"/"', '"../a"', '"&APw"'])
def test_patterns_that_no_name_can_match(tree: Client, pattern: str) -> None:
    """They are no error, alone or among others."""
    assert tree.ok(f'LIST "" {pattern}').untagged == []
    names = tree.ok(f'LIST "" (a {pattern} a/d)').named("LIST")
    assert [reply.values[3] for reply in names] == [b"a", b"a/d"]


@rfc("9051", "6.3.9", 15)
@pytest.mark.parametrize(
    ("options", "again"),
    [
        ('(SUBSCRIBED) "" *', '(SUBSCRIBED subscribed) "" *'),
        ('"" * RETURN (CHILDREN)', '"" * RETURN (CHILDREN CHILDREN)'),
        ('"" * RETURN (STATUS (MESSAGES))', '"" * RETURN (STATUS (MESSAGES) STATUS (MESSAGES))'),
    ],
)
def test_an_option_given_twice_counts_once(tree: Client, options: str, again: str) -> None:
    assert tree.told(tree.ok(f"LIST {again}")) == tree.told(tree.ok(f"LIST {options}"))


@rfc("9051", "6.3.9", 10, 12)
@rfc("9051", "6.3.9.2", 1, 2)
@rfc("9051", "6.3.9.5", 1, 2)
def test_return_options_add_attributes_and_no_names(tree: Client) -> None:
    plain = listing(tree)
    more = listing(tree, '"" * RETURN (SUBSCRIBED CHILDREN)')
    assert set(more) == set(plain)
    assert {name for name, told in more.items() if "\\Subscribed" in told} == {
        *("INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash", "a/b")
    }
    below = {name for name in more if any(other.startswith(f"{name}/") for other in more)}
    assert {name for name, told in more.items() if "\\HasChildren" in told} == below
    assert all(("\\HasNoChildren" in told) != ("\\HasChildren" in told) for told in more.values())


@rfc("9051", "6.3.9.1", 1, 2)
def test_subscribed_names_are_told_exactly(tree: Client) -> None:
    tree.ok("SUBSCRIBE a/d")
    tree.ok("CREATE a/gone")
    tree.ok("SUBSCRIBE a/gone")
    tree.ok("DELETE a/gone")
    found = listing(tree, '(SUBSCRIBED) "" a/*')
    assert set(found) == {"a/b", "a/d", "a/gone"}
    assert all("\\Subscribed" in told for told in found.values())
    assert "\\NonExistent" in found["a/gone"]


@rfc("9051", "6.3.9.1", 4, 5)
@pytest.mark.parametrize("options", ["RECURSIVEMATCH", "RECURSIVEMATCH REMOTE"])
def test_recursivematch_needs_something_to_match(tree: Client, options: str) -> None:
    tree.bad(f'LIST ({options}) "" *')


@rfc("9051", "6.3.9.6", 1, 3, 4)
def test_childinfo_comes_only_where_it_says_something_new(tree: Client) -> None:
    tree.ok("UNSUBSCRIBE a/b")
    tree.ok("SUBSCRIBE a/b/c")
    told = tree.told(tree.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" a/%'))
    assert [line for line in told if '("CHILDINFO" ("SUBSCRIBED"))' in line] == told[:1]
    assert '"a/b"' in told[0]
    told = tree.told(tree.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" a*'))
    assert [line.split('"/" ')[1].split()[0] for line in told] == ['"a/b/c"']
    for arguments in ('(SUBSCRIBED) "" a/%', '"" a/% RETURN (SUBSCRIBED CHILDREN)'):
        assert "CHILDINFO" not in "".join(tree.told(tree.ok(f"LIST {arguments}")))


@rfc("9051", "6.3.9.2", 3)
@rfc("9051", "6.3.11", 1, 5)
def test_status_comes_behind_each_mailbox(tree: Client) -> None:
    message = b"Subject: x\r\n\r\nbody\r\n"
    tree.appended("a/d", message)
    answer = tree.ok('LIST "" a* RETURN (STATUS (MESSAGES SIZE))')
    lines = tree.told(answer)
    for place, line in enumerate(lines):
        if line.startswith("LIST") and "\\NonExistent" not in line:
            name = line.split('"/" ')[1]
            assert lines[place + 1].startswith(f"STATUS {name} (")
    assert f'STATUS "a/d" (MESSAGES 1 SIZE {len(message)})' in lines
    assert len([line for line in lines if line.startswith("STATUS")]) == 3
    assert tree.told(tree.ok("STATUS a/d (SIZE)")) == [f'STATUS "a/d" (SIZE {len(message)})']


@rfc("9051", "6.3.9.2", 4)
@rfc("9051", "6.3.9.5", 3, 4)
@rfc("9051", "7.3.1", 1, 2)
def test_what_the_user_may_not_open(imap: ImapBench) -> None:
    """Visible but not readable: no STATUS; children that are hidden: no children."""
    alice = imap.login("alice")
    for name, rights in (("seen", "l"), ("open", "lr"), ("open/hidden", "")):
        alice.ok(f"CREATE {name}")
        alice.ok(f'SETACL {name} bob "{rights}"')
    bob = imap.login("bob")
    lines = bob.told(bob.ok('LIST "" Users/alice/* RETURN (CHILDREN STATUS (MESSAGES))'))
    assert lines == [
        'LIST (\\HasNoChildren) "/" "Users/alice/open"',
        'STATUS "Users/alice/open" (MESSAGES 0)',
        'LIST (\\Noselect \\HasNoChildren) "/" "Users/alice/seen"',
    ]


@rfc("9051", "6.3.4", 1, 2)
@rfc("9051", "6.3.5", 6)
@rfc("9051", "6.3.6", 5)
@rfc("9051", "6.3.9.7", 1)
@rfc("9051", "9", 16)
def test_names_in_another_form_are_told_as_they_are_written_here(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("ENABLE IMAP4rev2")
    one, other = "Bu\u0308ro", "Gro\u0308\u00dfe"
    told = [
        *client.ok(f'CREATE "{one}"').named("LIST"),
        *client.ok(f'RENAME "{one}" "{other}"').named("LIST"),
        *client.ok(f'DELETE "{other}"').named("LIST"),
    ]
    assert [reply.raw.decode().partition(' "/" ')[2].strip() for reply in told] == [
        f'"B\u00fcro" ("OLDNAME" ("{one}"))',
        f'"Gr\u00f6\u00dfe" ("OLDNAME" ("{one}"))',
        f'"Gr\u00f6\u00dfe" ("OLDNAME" ("{other}"))',
    ]
    assert [str(reply.values[1]) for reply in told][2] == "['\\\\NonExistent']"


@rfc("9051", "6.3.3", 1, 2)
def test_examine_tells_what_select_tells(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("ENABLE IMAP4rev2")
    answer = client.ok("EXAMINE INBOX")
    assert {"FLAGS", "EXISTS", "LIST"} <= {reply.name for reply in answer.untagged}
    assert {"PERMANENTFLAGS", "UIDNEXT", "UIDVALIDITY"} <= set(answer.codes())
    assert answer.code == "READ-ONLY"


@rfc("3501", "6.3.10", 1)
def test_status_leaves_new_mail_new(mail: ImapBench) -> None:
    client = mail.login()
    for _ in range(2):
        line = client.told(client.ok("STATUS INBOX (RECENT UNSEEN MESSAGES)"))[0]
        assert line.endswith("(RECENT 3 UNSEEN 3 MESSAGES 3)")
    answer = client.ok("SELECT INBOX")
    assert answer.one("RECENT").number == 3
    assert answer.codes()["UNSEEN"] == ["1"]
