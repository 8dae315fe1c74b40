"""The extended LIST (RFC 5258, RFC 9051 §6.3.9), with STATUS and METADATA behind it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pymaild.mail.settings import MailSettings
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

BARE = {"drafts": "", "sent": "", "junk": "", "trash": "", "archive": ""}


def bare(imap: ImapBench, *names: str, subscribed: tuple[str, ...] = ()) -> Client:
    """A session of a user who has these mailboxes and INBOX, and has subscribed to these names."""
    imap.mail = MailSettings(fsync=False, **BARE)  # type: ignore[arg-type]
    imap.add_user("carol")
    client = imap.login("carol")
    client.ok("UNSUBSCRIBE INBOX")
    for name in (*names, *(name for name in subscribed if name not in names)):
        client.ok(f"CREATE {name}")
    for name in subscribed:
        client.ok(f"SUBSCRIBE {name}")
    for name in subscribed:
        if name not in names:
            client.ok(f"DELETE {name}")
    return client


def told(client: Client, arguments: str) -> dict[str, str]:
    """What LIST tells of each name: attributes, and extended data behind a space."""
    found: dict[str, str] = {}
    for reply in client.ok(f"LIST {arguments}").named("LIST"):
        attributes, separator, name, *more = reply.values[1:]
        assert separator == b"/"
        assert name.decode() not in found
        text = " ".join(str(attribute).removeprefix("\\") for attribute in attributes)
        if more:
            tag, *criteria = _flat(more)
            assert tag == "CHILDINFO"
            text += " +" + ",".join(criteria)
        found[name.decode()] = text
    return found


def _flat(values: list[object]) -> list[str]:
    words: list[str] = []
    for value in values:
        if isinstance(value, list):
            words += _flat(value)
        else:
            words.append(value.decode() if isinstance(value, bytes) else str(value))
    return words


FRUIT = ("Fruit", "Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable", "Vegetable/Broccoli")
LIKED = ("Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli")
LEAF, INNER = "HasNoChildren", "HasChildren"

FRUITS = [
    ('(SUBSCRIBED) "" *', {
        "Fruit/Banana": f"{LEAF} Subscribed", "Fruit/Peach": f"NonExistent {LEAF} Subscribed",
        "Vegetable": f"{INNER} Subscribed", "Vegetable/Broccoli": f"{LEAF} Subscribed"}),
    ('() "" % RETURN (CHILDREN)', {
        "INBOX": LEAF, "Fruit": INNER, "Tofu": LEAF, "Vegetable": INNER}),
    ('(REMOTE) "" % RETURN (CHILDREN)', {
        "INBOX": LEAF, "Fruit": INNER, "Tofu": LEAF, "Vegetable": INNER}),
    ('(REMOTE SUBSCRIBED) "" F*', {
        "Fruit/Banana": f"{LEAF} Subscribed", "Fruit/Peach": f"NonExistent {LEAF} Subscribed"}),
    ('"" F* RETURN (SUBSCRIBED)', {
        "Fruit": INNER, "Fruit/Apple": LEAF, "Fruit/Banana": f"{LEAF} Subscribed"}),
    ('"" ("INBOX" "Tofu" "Veg%/%")', {"INBOX": LEAF, "Tofu": LEAF, "Vegetable/Broccoli": LEAF}),
    ('(SUBSCRIBED RECURSIVEMATCH) "" %', {
        "Fruit": f"{INNER} +SUBSCRIBED", "Vegetable": f"{INNER} Subscribed +SUBSCRIBED"}),
    ('(SUBSCRIBED SPECIAL-USE) "" *', {}),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "names"), FRUITS)
@rfc("5258", "3", 5, 6, 14)
@rfc("5258", "3.1", 1, 3, 4)
@rfc("5258", "3.2", 1, 2, 3)
@rfc("5258", "4", 1, 2)
def test_what_is_selected_and_what_is_told(
    imap: ImapBench, arguments: str, names: dict[str, str]
) -> None:
    """RFC 5258 §5, examples 1 to 8."""
    assert told(bare(imap, *FRUIT, subscribed=LIKED), arguments) == names


def test_no_mailbox_is_listed_for_a_return_option(imap: ImapBench) -> None:
    """RFC 5258 §5, example 6: a name that is only subscribed is not there."""
    client = bare(imap, *FRUIT, subscribed=LIKED)
    returned = told(client, '(REMOTE) "" * RETURN (SUBSCRIBED)')
    assert returned.keys() == {"INBOX", *FRUIT}
    assert {name for name, text in returned.items() if "Subscribed" in text} == {
        "Fruit/Banana", "Vegetable", "Vegetable/Broccoli"}  # fmt: skip


FOO2 = ("foo2", "foo2/bar1", "foo2/bar2", "baz2", "baz2/bar2", "baz2/bar22", "eps2", "eps2/mamba",
        "qux2/bar2")  # fmt: skip
LIKED2 = ("foo2/bar1", "foo2/bar2", "baz2/bar2", "baz2/bar22", "eps2", "eps2/mamba", "qux2/bar2")


@rfc("5258", "3", 12)
@rfc("5258", "3.5", 1, 4, 5)
def test_a_name_is_told_for_those_below_that_no_pattern_matches(imap: ImapBench) -> None:
    """RFC 5258 §5, example 9: neither baz2 nor qux2, below which all are told anyway."""
    client = bare(imap, *FOO2, subscribed=LIKED2)
    assert told(client, '(RECURSIVEMATCH SUBSCRIBED) "" "*2"') == {
        "foo2": f"{INNER} +SUBSCRIBED",
        "foo2/bar2": f"{LEAF} Subscribed",
        "baz2/bar2": f"{LEAF} Subscribed",
        "baz2/bar22": f"{LEAF} Subscribed",
        "eps2": f"{INNER} Subscribed +SUBSCRIBED",
        "qux2/bar2": f"{LEAF} Subscribed",
    }
    for plain in ('(SUBSCRIBED) "" *', '"" * RETURN (SUBSCRIBED)', '"" %'):
        assert not any("+" in text for text in told(client, plain).values())


@rfc("5258", "3.5", 2, 3)
def test_levels_without_a_mailbox(imap: ImapBench) -> None:
    """RFC 5258 §5, examples 8 A2, 10 and 11; RFC 3501 §6.3.8 for the plain syntax."""
    client = bare(imap, "music/rock", "foo", subscribed=("Foo/Baz", "foo/bar"))
    assert told(client, '(SUBSCRIBED RECURSIVEMATCH) "" %') == {
        "Foo": f"NonExistent {LEAF} +SUBSCRIBED",
        "foo": f"{LEAF} +SUBSCRIBED",
    }
    assert told(client, '(SUBSCRIBED) "" "foo/*"') == {"foo/bar": f"NonExistent {LEAF} Subscribed"}
    assert told(client, '() "" m%') == {"music": f"NonExistent {INNER}"}
    assert told(client, '"" m%') == {"music": f"Noselect {INNER}"}
    client.ok("CREATE music")
    client.ok("SUBSCRIBE music")
    client.ok("DELETE music")
    assert told(client, '(SUBSCRIBED) "" m%') == {"music": f"NonExistent {INNER} Subscribed"}


def test_several_levels_above_one_name(imap: ImapBench) -> None:
    client = bare(imap, "a/b/c/d", subscribed=("a/b/c/d",))
    assert told(client, '(SUBSCRIBED RECURSIVEMATCH) "" (% %/%)') == {
        "a": f"NonExistent {INNER} +SUBSCRIBED",
        "a/b": f"NonExistent {INNER} +SUBSCRIBED",
    }


@rfc("5258", "3", 1)
def test_a_name_that_matches_twice_is_told_once(imap: ImapBench) -> None:
    client = bare(imap, "a", "a/b")
    assert list(told(client, '"" (* a* a/b %)')) == ["INBOX", "a", "a/b"]


@pytest.mark.parametrize("arguments", ['() "" ""', '"" ("")', '"" "" RETURN ()', '() a ""'])
@rfc("5258", "3", 2, 3)
def test_an_empty_name_asks_for_nothing_in_the_extended_syntax(
    imap: ImapBench, arguments: str
) -> None:
    client = bare(imap, "a")
    assert told(client, arguments) == {}
    assert told(client, '"" ("" a)') == {"a": LEAF}


@pytest.mark.parametrize("pattern", ["#news.*", "/", "//", "a//b", '"x\x01y"', "%" * 500])
@rfc("5258", "3", 4)
def test_patterns_that_nothing_can_match(imap: ImapBench, pattern: str) -> None:
    client = bare(imap)
    found = told(client, f'"" ({pattern} nowhere)')
    assert found == ({"INBOX": LEAF} if "%" in pattern else {})


@pytest.mark.parametrize(
    "arguments",
    [
        '(RECURSIVEMATCH) "" *',
        '(RECURSIVEMATCH REMOTE) "" *',
        '(RECURSIVEMATCH RECURSIVEMATCH) "" *',
        '(X-OTHER) "" *',
        '(SUBSCRIBED (x)) "" *',
        '"" * RETURN (X-OTHER)',
        '"" * RETURN (STATUS)',
        '"" * RETURN (STATUS ())',
        '"" * RETURN (STATUS (FROB))',
        '"" * RETURN (METADATA)',
        '"" * RETURN (METADATA ())',
        '"" * RETURN (METADATA (comment))',
        '"" * RETURN SUBSCRIBED',
        '"" * RETURN (CHILDREN) x',
    ],
)
@rfc("5258", "3", 8)
@rfc("5258", "3.1", 5, 6)
def test_what_is_no_option_is_bad(imap: ImapBench, arguments: str) -> None:
    client = bare(imap)
    client.bad(f"LIST {arguments}")
    client.ok("NOOP")


@rfc("5258", "3", 9)
def test_an_option_named_twice_counts_once(imap: ImapBench) -> None:
    client = bare(imap, "a", subscribed=("a",))
    assert told(client, '(SUBSCRIBED SUBSCRIBED) "" * RETURN (CHILDREN children)') == {
        "a": f"{LEAF} Subscribed"
    }
    answer = client.ok('LIST "" a RETURN (STATUS (MESSAGES) STATUS (UNSEEN UNSEEN))')
    assert client.told(answer) == ['LIST (\\HasNoChildren) "/" "a"', 'STATUS "a" (UNSEEN 0)']


def test_a_reply_that_is_kept_tells_what_has_changed(imap: ImapBench) -> None:
    """The same command, asked again after each change by the session itself or another."""
    client, other = bare(imap, "a"), imap.login("carol")
    command = '"" * RETURN (SUBSCRIBED SPECIAL-USE)'
    assert told(client, command) == {"INBOX": LEAF, "a": LEAF}
    changes = [
        ("CREATE b", {"INBOX": LEAF, "a": LEAF, "b": LEAF}),
        ("SUBSCRIBE b", {"INBOX": LEAF, "a": LEAF, "b": f"{LEAF} Subscribed"}),
        ("RENAME a c", {"INBOX": LEAF, "b": f"{LEAF} Subscribed", "c": LEAF}),
        ('SETMETADATA c (/private/specialuse "\\\\Sent")',
         {"INBOX": LEAF, "b": f"{LEAF} Subscribed", "c": f"{LEAF} Sent"}),
        ("DELETE c", {"INBOX": LEAF, "b": f"{LEAF} Subscribed"}),
    ]  # fmt: skip
    for number, (change, names) in enumerate(changes):
        (client, other)[number % 2].ok(change)
        for session in (client, client, other):
            assert told(session, command) == names


def test_replies_are_kept_apart_by_what_was_enabled(imap: ImapBench) -> None:
    client = bare(imap)
    client.ok('CREATE "x&AOQ-"')
    for _ in range(2):
        assert client.told(client.ok('LIST "" x*')) == ['LIST (\\HasNoChildren) "/" "x&AOQ-"']
    client.ok("ENABLE UTF8=ACCEPT")
    for _ in range(2):
        assert client.told(client.ok('LIST "" x*')) == ['LIST (\\HasNoChildren) "/" "xä"']


def test_more_replies_than_are_kept(imap: ImapBench) -> None:
    client = bare(imap, *(f"m{number}" for number in range(12)))
    for _ in range(2):
        for number in range(12):
            assert told(client, f'"" m{number}') == {f"m{number}": LEAF}


@rfc("5258", "4", 3, 4)
@rfc("5258", "8", 1)
@rfc("3348", "3", 1, 2, 6, 7)
def test_children_that_are_hidden_are_not_hinted_at(imap: ImapBench) -> None:
    alice, bob = imap.login(), imap.login("bob")
    alice.ok("CREATE a/b")
    alice.ok("CREATE a")
    alice.ok("SETACL a bob lr")
    assert told(bob, '"" Users/alice/%') == {"Users/alice/a": LEAF}
    alice.ok("SETACL a/b bob l")
    assert told(bob, '"" Users/alice/a') == {"Users/alice/a": INNER}


# -- STATUS, METADATA (RFC 5819, RFC 9590) -------------------------------------------------------


@rfc("5819", "2", 1)
def test_status_stands_behind_each_mailbox(mail: ImapBench) -> None:
    client = mail.login()
    client.ok("CREATE a/b")
    answer = client.ok('LIST "" (INBOX a a/b) RETURN (STATUS (MESSAGES UNSEEN))')
    assert client.told(answer) == [
        'LIST (\\HasNoChildren) "/" "INBOX"',
        'STATUS "INBOX" (MESSAGES 3 UNSEEN 3)',
        'LIST (\\NonExistent \\HasChildren) "/" "a"',
        'LIST (\\HasNoChildren) "/" "a/b"',
        'STATUS "a/b" (MESSAGES 0 UNSEEN 0)',
    ]


def test_no_status_of_a_name_told_for_those_below(imap: ImapBench) -> None:
    """RFC 5819 §3, second example."""
    client = bare(imap, "foo", "foo/bar", subscribed=("foo/bar",))
    answer = client.ok(
        'LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN (STATUS (MESSAGES) METADATA /private/comment)'
    )
    assert client.told(answer) == [
        'LIST (\\HasChildren) "/" "foo" ("CHILDINFO" ("SUBSCRIBED"))',
    ]


def folder(imap: ImapBench, name: str) -> Path:
    """Carol's Maildir folder, its tree long unchanged, so that a session knows it by heart."""
    root = imap.folder / "mail" / "carol" / "Maildir"
    os.utime(root, (1_000_000_000, 1_000_000_000))
    return root / name


@rfc("5819", "2", 2)
def test_status_of_a_mailbox_that_is_no_longer_one(imap: ImapBench) -> None:
    """What the session has listed before tells of it still."""
    client = bare(imap, "a", "b")
    gone = folder(imap, ".a") / "cur"
    assert told(client, '"" (a b)') == {"a": LEAF, "b": LEAF}
    gone.rmdir()
    answer = client.ok('LIST "" (a b) RETURN (STATUS (MESSAGES))')
    assert client.told(answer) == [
        'LIST (\\Noselect \\HasNoChildren) "/" "a"',
        'LIST (\\HasNoChildren) "/" "b"',
        'STATUS "b" (MESSAGES 0)',
    ]


def unreadable(imap: ImapBench, name: str) -> None:
    """Let the storage fail for a mailbox: what should be files are directories."""
    where = folder(imap, name)
    for file in where.glob("pymaild.*"):
        file.unlink()
    for word in ("control", "index", "metadata"):
        (where / f"pymaild.{word}" / "x").mkdir(parents=True)


def test_a_reply_that_storage_fails_to_give_is_left_out(imap: ImapBench) -> None:
    """RFC 5819 §2, RFC 9590 §3: the rest of LIST is answered."""
    bare(imap, "a", "b")
    unreadable(imap, ".a")
    client = imap.login("carol")  # the first session may have it open still
    answer = client.ok('LIST "" (a b) RETURN (STATUS (MESSAGES) METADATA /private/comment)')
    assert client.told(answer) == [
        'LIST (\\HasNoChildren) "/" "a"',
        'LIST (\\HasNoChildren) "/" "b"',
        'STATUS "b" (MESSAGES 0)',
        'METADATA "b" (/private/comment NIL)',
    ]


def test_mailboxes_that_cannot_be_opened_are_listed(imap: ImapBench) -> None:
    """LIST looks at names alone, however many mailboxes there are."""
    names = [f"m{number}" for number in range(40)]
    bare(imap, *names)
    client = imap.login("carol")
    for name in names:
        unreadable(imap, f".{name}")
        client.no(f"SELECT {name}")
    found = told(client, '"" m* RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)')
    assert found == dict.fromkeys(sorted(names), LEAF)


def test_metadata_stands_behind_each_mailbox(imap: ImapBench) -> None:
    """RFC 9590 §3: NIL where there is none, nothing of a name without a mailbox."""
    client = bare(imap, "a", "b/c")
    client.ok('SETMETADATA a (/shared/comment "its mail")')
    answer = client.ok('LIST "" (a b b/c) RETURN (METADATA (/Shared/comment /private/comment))')
    assert client.told(answer) == [
        'LIST (\\HasNoChildren) "/" "a"',
        'METADATA "a" (/Shared/comment "its mail" /private/comment NIL)',
        'LIST (\\NonExistent \\HasChildren) "/" "b"',
        'LIST (\\HasNoChildren) "/" "b/c"',
        'METADATA "b/c" (/Shared/comment NIL /private/comment NIL)',
    ]
    answer = client.ok('LIST "" a RETURN (METADATA /shared/comment STATUS (UIDNEXT) CHILDREN)')
    assert client.told(answer)[1:] == [
        'STATUS "a" (UIDNEXT 1)',
        'METADATA "a" (/shared/comment "its mail")',
    ]


# -- older forms, and names written otherwise ----------------------------------------------------


def test_xlist(imap: ImapBench) -> None:
    """Gmail's names of uses; the special-use folders carry them, INBOX its own."""
    client = imap.login()
    client.ok("CREATE x")
    names = client.told(client.ok('XLIST "" *'))
    assert 'XLIST (\\HasNoChildren \\Inbox) "/" "INBOX"' in names
    assert 'XLIST (\\HasNoChildren \\Spam) "/" "Junk"' in names
    assert 'XLIST (\\HasNoChildren \\Sent) "/" "Sent"' in names
    assert 'XLIST (\\HasNoChildren) "/" "x"' in names
    assert client.told(client.ok('XLIST "" ""')) == ['XLIST (\\Noselect) "/" ""']
    assert "XLIST" not in client.told(client.ok("CAPABILITY"))[0].split()


DECOMPOSED, COMPOSED = "o\u0308l", "\u00f6l"


def test_old_names_are_told_with_imap4rev2(imap: ImapBench) -> None:
    """RFC 9051 §6.3.9.7: for a name written in another form than it is kept in."""
    client = bare(imap)
    client.ok("ENABLE IMAP4rev2")
    old = f'("OLDNAME" ("{DECOMPOSED}"))'
    commands = {
        f'CREATE "{DECOMPOSED}"': f'LIST (\\HasNoChildren) "/" "{COMPOSED}" {old}',
        f'SELECT "{DECOMPOSED}"': f'LIST (\\HasNoChildren) "/" "{COMPOSED}" {old}',
        f'RENAME "{DECOMPOSED}" new': f'LIST (\\HasNoChildren) "/" "new" {old}',
        f'RENAME new "{DECOMPOSED}"': f'"/" "{COMPOSED}" ("OLDNAME" ("new"))',
        f'DELETE "{DECOMPOSED}"': f'LIST (\\NonExistent) "/" "{COMPOSED}" {old}',
    }
    for command, line in commands.items():
        lines = client.told(client.ok(command.encode()))
        assert any(found.endswith(line) for found in lines), command
    for plain in ("CREATE a", "RENAME a b", "DELETE b"):
        assert not client.ok(plain).named("LIST")
    rev1 = imap.login("carol")
    assert not rev1.ok(f'CREATE "{DECOMPOSED}"'.encode()).named("LIST")
