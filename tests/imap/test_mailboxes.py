"""LIST, LSUB, NAMESPACE, SELECT, STATUS and the commands that change the tree (RFC 3501 §6.3)."""

from __future__ import annotations

import pytest

from pymaild.mail.settings import MailSettings
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

SPECIAL = ("Archive", "Drafts", "Junk", "Sent", "Trash")


@pytest.fixture
def tree(imap: ImapBench) -> Client:
    client = imap.login()
    for name in ("a/b/c", "a/d", "e"):
        client.ok(f"CREATE {name}")
    return client


def listed(client: Client, command: str) -> dict[str, set[str]]:
    """Names and attributes of LIST or LSUB, the special-use folders left out."""
    verb = command.split()[0]
    found = {}
    for reply in client.ok(command).named(verb):
        attributes, separator, name = reply.values[1:]
        assert separator == b"/"
        found[name.decode()] = {str(attribute) for attribute in attributes}
    return {name: attributes for name, attributes in found.items() if name not in SPECIAL}


NONE, SOME, ABOVE = {"\\HasNoChildren"}, {"\\HasChildren"}, {"\\Noselect", "\\HasChildren"}
GONE = {"\\NonExistent", "\\HasChildren"}  # in the extended syntax

LISTS = [
    ('"" *', {"INBOX": NONE, "a": ABOVE, "a/b": ABOVE, "a/b/c": NONE, "a/d": NONE, "e": NONE}),
    ('"" %', {"INBOX": NONE, "a": ABOVE, "e": NONE}),
    ('"" a/%', {"a/b": ABOVE, "a/d": NONE}),
    ('a/ %', {"a/b": ABOVE, "a/d": NONE}),
    ('"a/b" "/%"', {"a/b/c": NONE}),
    ('"" %/%', {"a/b": ABOVE, "a/d": NONE}),
    ('"" "*c"', {"a/b/c": NONE}),
    ('"" inbox', {"INBOX": NONE}),
    ('"" nothing', {}),
    ('nothing/ *', {}),
    ('"" (a/% e)', {"a/b": GONE, "a/d": NONE, "e": NONE}),
    ('() "" e', {"e": NONE}),
    ('"" e RETURN (CHILDREN SPECIAL-USE)', {"e": NONE}),
]  # fmt: skip


@rfc("9051", "7.3.1", 6)
@rfc("3501", "7.2.2", 3)
@rfc("9051", "5.1.1", 1)
@rfc("3501", "5.1.1", 1)
@rfc("9051", "6.3.9", 2, 6, 7)
@rfc("3501", "6.3.8", 6, 7)
@pytest.mark.parametrize(("arguments", "names"), LISTS)
def test_list(tree: Client, arguments: str, names: dict[str, set[str]]) -> None:
    """RFC 3501 §6.3.8, RFC 3348 §3."""
    assert listed(tree, f"LIST {arguments}") == names


@pytest.mark.parametrize("reference", ['""', "a", '"a/b"', "nothing"])
def test_list_of_the_root(tree: Client, reference: str) -> None:
    """RFC 3501 §6.3.8: an empty pattern asks for the separator."""
    assert tree.told(tree.ok(f'LIST {reference} ""')) == ['LIST (\\Noselect) "/" ""']


def test_special_use_in_plain_list_and_lsub(imap: ImapBench) -> None:
    """RFC 6154 §2, and in LSUB: Outlook looks for it there."""
    client = imap.login()
    for verb in ("LIST", "LSUB"):
        told = client.told(client.ok(f'{verb} "" %'))
        for name in SPECIAL:
            assert f'{verb} (\\HasNoChildren \\{name}) "/" "{name}"' in told
    told = client.told(client.ok('LIST (SPECIAL-USE) "" "*"'))
    assert len(told) == len(SPECIAL)
    told = client.told(client.ok('LIST (SPECIAL-USE) "" "*" RETURN (SPECIAL-USE SUBSCRIBED)'))
    assert all("\\Subscribed" in line for line in told)


@rfc("9051", "6.3.9", 14)
@pytest.mark.parametrize(
    "arguments",
    [
        '""',
        '"" ()',
        '"" (a',
        '(FROB) "" *',
        '"" * RETURN',
        '"" * RETURN (FROB)',
        '"" * FROB',
        '"" a\\b',
    ],
)
def test_malformed_list_is_bad(tree: Client, arguments: str) -> None:
    tree.bad(f"LIST {arguments}")


@rfc("9051", "6.3.7", 1)
@rfc("3501", "6.3.9", 2)
@rfc("3501", "6.3.6", 1)
def test_subscriptions(tree: Client) -> None:
    """RFC 3501 §6.3.6, §6.3.7, §6.3.9."""
    tree.ok("SUBSCRIBE a/b/c")
    tree.ok("SUBSCRIBE e")
    assert set(listed(tree, 'LSUB "" *')) == {"INBOX", "a/b/c", "e"}
    assert listed(tree, 'LSUB "" %')["a"] == {"\\Noselect"}
    assert listed(tree, 'LSUB "a/" %') == {"a/b": {"\\Noselect"}}
    tree.ok("DELETE e")
    assert listed(tree, 'LSUB "" e') == {"e": {"\\Noselect"}}
    tree.ok("UNSUBSCRIBE e")
    tree.ok("UNSUBSCRIBE e")
    assert listed(tree, 'LSUB "" e') == {}


@rfc("3501", "6.3.9", 1)
def test_lsub_tells_names_above_for_percent_only(tree: Client) -> None:
    """RFC 3501 §6.3.9: a name that is not subscribed itself is told where "%" ends the pattern."""
    tree.ok("CREATE a/b")
    tree.ok("SUBSCRIBE a/b/c")
    assert listed(tree, 'LSUB "" a/%') == {"a/b": {"\\Noselect"}}
    assert listed(tree, 'LSUB "a/b" ""') == {}
    for pattern in ("a", "a/b", '"%/b"', "*b"):
        assert listed(tree, f'LSUB "" {pattern}') == {}
    assert listed(tree, 'LSUB "" *c') == {"a/b/c": {"\\HasNoChildren"}}


def test_namespace(imap: ImapBench) -> None:
    """RFC 2342 §5."""
    client = imap.login()
    assert client.told(client.ok("NAMESPACE")) == ['NAMESPACE (("" "/")) (("Users/" "/")) NIL']
    imap.mail = MailSettings(separator=".", prefix="INBOX.", fsync=False)
    client = imap.login("bob")
    assert client.told(client.ok("NAMESPACE")) == [
        'NAMESPACE (("INBOX." ".")) (("Users." ".")) NIL'
    ]
    client.ok("CREATE INBOX.x")
    assert 'LIST (\\HasNoChildren) "." "INBOX.x"' in client.told(client.ok('LIST "" *'))


@rfc("9051", "9", 15)
@rfc("3501", "9", 14)
@rfc("9051", "6.3.4", 4)
@rfc("3501", "6.3.3", 1)
def test_create(tree: Client) -> None:
    """RFC 3501 §6.3.3."""
    tree.ok("CREATE a/")
    tree.ok("SELECT a")
    assert tree.no("CREATE a").code == "ALREADYEXISTS"
    assert tree.no("CREATE inbox").code == "ALREADYEXISTS"
    assert tree.no('CREATE "x//y"').code == "CANNOT"
    assert tree.no('CREATE ""').status == "NO"
    assert tree.no("CREATE " + "x" * 5000).code == "CANNOT"


NAMES_WRONG = [
    b'"a&b"',
    b'"&Jjo!"',
    b'"&U,BTFw-&ZeVnLIqe-"',
    b'"x&AGE-y"',
    b'"&"',
    b'"&AAE"',
    "\u00e4".encode(),
    b'"\xff"',
    b'"a\tb"',
    b'"x&AAE-y"',
]


@rfc("9051", "A.1", 4)
@rfc("3501", "5.1.3", 4)
@rfc("3501", "5.1", 2)
@pytest.mark.parametrize("name", NAMES_WRONG)
def test_new_names_are_modified_utf7(tree: Client, name: bytes) -> None:
    """RFC 3501 §5.1, §5.1.3: 8-bit atoms and other forms of a name are not created."""
    for command in (b"CREATE " + name, b"RENAME e " + name, b"RENAME e x/" + name.strip(b'"')):
        answer = tree.command(command)
        assert answer.status in ("NO", "BAD")
        assert answer.status == "BAD" or answer.code == "CANNOT"
    assert tree.command(b"CREATE " + name).code == "CANNOT"
    assert set(listed(tree, 'LIST "" *')) == {"INBOX", "a", "a/b", "a/b/c", "a/d", "e"}


@rfc("9051", "A.1", 3)
@rfc("3501", "5.1.3", 3)
def test_names_keep_their_form(tree: Client) -> None:
    """RFC 3501 §5.1.3: what was created in modified UTF-7 is told in the same octets."""
    for name in ("&U,BTF2XlZyyKng-", "Entw&APw-rfe", "R&-D", "~peter/&U,BTFw-"):
        tree.ok(f'CREATE "{name}"')
        assert name in listed(tree, f'LIST "" "{name}"')
        tree.ok(f'SELECT "{name}"')


def test_delete(tree: Client) -> None:
    """RFC 3501 §6.3.4."""
    assert tree.no("DELETE inbox").status == "NO"
    assert tree.no("DELETE nothing").code == "NONEXISTENT"
    tree.ok("DELETE a/b/c")
    assert "a/b" not in listed(tree, 'LIST "" *')


def test_delete_of_the_selected_mailbox(tree: Client) -> None:
    tree.ok("SELECT e")
    answer = tree.ok("DELETE e")
    assert answer.untagged[0].code == ["CLOSED"]
    tree.bad("CHECK")
    tree.ok("SELECT INBOX")
    assert not tree.ok("DELETE a/d").untagged
    tree.ok("CHECK")


@rfc("9051", "6.3.6", 1, 2, 3)
@rfc("3501", "6.3.5", 1, 2, 3)
def test_rename(tree: Client) -> None:
    """RFC 3501 §6.3.5: what lies below goes with it."""
    tree.ok("RENAME a new/a")
    assert {"new", "new/a", "new/a/b", "new/a/b/c", "new/a/d"} <= set(listed(tree, 'LIST "" *'))
    assert tree.no("RENAME nothing x").code == "NONEXISTENT"
    assert tree.no("RENAME e new/a/d").code == "ALREADYEXISTS"
    assert tree.no("RENAME e INBOX").status == "NO"
    assert tree.no("RENAME e e/f").status == "NO"


def test_rename_of_the_selected_mailbox(tree: Client) -> None:
    uid = tree.appended("a/b/c", b"x: y\r\n\r\n")
    tree.ok("SELECT a/b/c")
    tree.ok("RENAME a moved")
    assert tree.record.mailbox == "moved/b/c"
    assert tree.told(tree.ok("FETCH 1 UID")) == [f"1 FETCH (UID {uid})"]
    tree.ok("STORE 1 +FLAGS (\\Seen)")
    tree.appended("moved/b/c", b"x: y\r\n\r\n")


def test_rename_of_another_mailbox_when_the_selected_one_has_gone(
    imap: ImapBench, tree: Client
) -> None:
    """The new name is none for the selected mailbox, however long both are."""
    tree.ok("CREATE Mine")
    tree.ok("SELECT Mine")
    other = imap.login()
    other.ok("DELETE Mine")
    tree.send(b"x RENAME Archive Longer\r\n")
    assert tree.read().raw == b"* BYE The selected mailbox was deleted or renumbered\r\n"
    assert listed(other, 'LIST "" Longer')


def test_rename_of_inbox_moves_its_mail(mail: ImapBench) -> None:
    """RFC 3501 §6.3.5: INBOX stays, empty."""
    client = mail.select()
    answer = client.ok("RENAME INBOX old")
    assert len(answer.named("EXPUNGE")) == 3
    assert "MESSAGES 3" in client.told(client.ok("STATUS old (MESSAGES)"))[0]
    assert "MESSAGES 0" in client.told(client.ok("STATUS INBOX (MESSAGES)"))[0]


@rfc("9051", "6.3.2", 6, 7)
@rfc("3501", "6.3.1", 1, 2, 4)
def test_select(mail: ImapBench) -> None:
    """RFC 3501 §6.3.1: all that it must tell."""
    client = mail.login()
    answer = client.ok("SELECT inbox")
    codes = answer.codes()
    assert answer.code == "READ-WRITE"
    assert answer.one("EXISTS").number == 3
    assert answer.one("RECENT").number == 3
    assert "\\*" not in map(str, answer.one("FLAGS").values[1])
    assert "\\*" in map(str, codes["PERMANENTFLAGS"][0])
    assert codes["UNSEEN"] == ["1"]
    assert codes["UIDNEXT"] == ["4"]
    assert int(codes["UIDVALIDITY"][0]) > 0
    client.ok("STORE 1:3 +FLAGS.SILENT (\\Seen)")
    answer = client.ok("SELECT INBOX")
    assert answer.untagged[0].code == ["CLOSED"]
    assert "UNSEEN" not in answer.codes()


@rfc("9051", "6.3.3", 2)
@rfc("3501", "6.3.2", 1, 2, 3)
def test_examine(mail: ImapBench) -> None:
    """RFC 3501 §6.3.2: nothing changes, \\Recent neither."""
    client = mail.login()
    answer = client.ok("EXAMINE INBOX")
    assert answer.code == "READ-ONLY"
    assert answer.codes()["PERMANENTFLAGS"] == [[]]
    assert client.ok("FETCH 1 FLAGS").one("FETCH").values[2][1] == ["\\Recent"]
    client.ok("CLOSE")
    assert mail.login().ok("SELECT INBOX").one("RECENT").number == 3


def test_a_select_that_fails_leaves_nothing_selected(mail: ImapBench) -> None:
    """RFC 3501 §6.3.1."""
    client = mail.select()
    assert client.no("SELECT nothing").code == "NONEXISTENT"
    client.bad("FETCH 1 FLAGS")


@rfc("3501", "6.3.10", 1)
@rfc("8438", "3", 1)
@rfc("7889", "3.2", 1)
def test_status(mail: ImapBench) -> None:
    """RFC 3501 §6.3.10, RFC 8438 §3, RFC 7889 §3.1; \\Recent stays."""
    client = mail.login()
    items = "MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE APPENDLIMIT"
    told = client.told(client.ok(f"STATUS InBox ({items})"))[0]
    size = sum(int(line.split()[-1].rstrip(")")) for line in sizes(mail))
    limit = mail.mail.message_size
    assert told == (
        f'STATUS "INBOX" (MESSAGES 3 RECENT 3 UIDNEXT 4 UNSEEN 3 DELETED 0 SIZE {size} '
        f"APPENDLIMIT {limit})"
    )


@rfc("9051", "6.3.11", 3)
def test_status_of_the_selected_mailbox(mail: ImapBench) -> None:
    """RFC 3501 §6.3.10: messages that are \\Recent to this session have that flag."""
    client = mail.select()
    assert client.told(client.ok("STATUS inbox (RECENT)")) == ['STATUS "INBOX" (RECENT 3)']
    mail.put("alice", b"Subject: new\r\n\r\n")
    assert "RECENT 4 MESSAGES 4" in client.told(client.ok("STATUS INBOX (RECENT MESSAGES)"))[0]
    assert client.told(client.ok("STATUS Archive (RECENT)")) == ['STATUS "Archive" (RECENT 0)']
    other = mail.login()
    assert other.told(other.ok("STATUS INBOX (RECENT)")) == ['STATUS "INBOX" (RECENT 0)']
    mail.put("alice", b"Subject: new\r\n\r\n")
    other.ok("EXAMINE INBOX")
    assert other.told(other.ok("STATUS INBOX (RECENT)")) == ['STATUS "INBOX" (RECENT 1)']


@rfc("7889", "5", 1)
@pytest.mark.parametrize("item", ["appendlimit", "AppendLimit", "APPENDLIMIT"])
def test_append_limit_is_asked_for_in_any_case(mail: ImapBench, item: str) -> None:
    limit = mail.mail.message_size
    client = mail.login()
    assert client.told(client.ok(f"STATUS INBOX ({item})")) == [
        f'STATUS "INBOX" (APPENDLIMIT {limit})'
    ]
    client.ok(f'LIST "" INBOX RETURN (STATUS ({item}))')


def test_append_limit_is_a_number_of_32_bits(mail: ImapBench) -> None:
    """RFC 7889 §5, RFC 3501 §9 (number)."""
    mail.mail = MailSettings(fsync=False, message_size=2**40)  # type: ignore[arg-type]
    client = mail.login()
    told = (
        client.told(client.ok("CAPABILITY"))[0]
        + client.told(client.ok("STATUS INBOX (APPENDLIMIT)"))[0]
    )
    assert "APPENDLIMIT=4294967295" in told
    assert "(APPENDLIMIT 4294967295)" in told


def sizes(mail: ImapBench) -> list[str]:
    client = mail.login()
    client.ok("EXAMINE INBOX")
    return client.told(client.ok("FETCH 1:* RFC822.SIZE"))


@pytest.mark.parametrize(
    "arguments", ["INBOX", "INBOX ()", "INBOX MESSAGES", "INBOX (FROB)", "INBOX (MESSAGES"]
)
def test_malformed_status_is_bad(mail: ImapBench, arguments: str) -> None:
    mail.login().bad(f"STATUS {arguments}")


def test_enable_and_id(imap: ImapBench) -> None:
    """RFC 5161 §3.1, RFC 2971 §3.1."""
    client = imap.login()
    assert client.told(client.ok("ENABLE X-NOTHING IDLE")) == ["ENABLED"]
    for wrong in ('ID "x"', "ID (x y)", 'ID ("a")', "ID", 'ID ("a" "b"', "ID FOO"):
        client.bad(wrong)
    client.bad("ID (" + " ".join(f'"{n}" "x"' for n in range(40)) + ")")
    for kind, told in (("name", '"pymaild"'), ("nothing", "NIL"), ("full", '"version"')):
        imap.configure(id=kind)
        assert told in (other := imap.connect()).told(other.ok("ID NIL"))[0]
