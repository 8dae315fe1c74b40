"""Special uses that clients give to mailboxes (RFC 6154, RFC 8457)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

ALL = {name: name for name in ("Archive", "Drafts", "Junk", "Sent", "Trash")}


def uses(client: Client, arguments: str = '(SPECIAL-USE) "" *') -> dict[str, str]:
    """The special uses of each name that LIST tells."""
    found = {}
    for reply in client.ok(f"LIST {arguments}").named("LIST"):
        words = [str(word).removeprefix("\\") for word in reply.values[1]]
        its = [word for word in words if not word.startswith(("Has", "No", "Subscribed"))]
        found[reply.values[3].decode()] = " ".join(its)
    return found


@rfc("6154", "2", 1, 2, 3)
@rfc("6154", "3", 4)
@rfc("6154", "6", 1)
def test_what_the_settings_name(imap: ImapBench) -> None:
    client = imap.login()
    words = client.told(client.ok("CAPABILITY"))[0].split()
    assert {"SPECIAL-USE", "CREATE-SPECIAL-USE"} <= set(words)
    assert uses(client) == ALL
    assert uses(client, '"" * RETURN (SPECIAL-USE)') == {"INBOX": "", **ALL}
    assert uses(client, '(SPECIAL-USE SUBSCRIBED) "" *') == ALL
    client.ok("UNSUBSCRIBE Junk")
    assert "Junk" not in uses(client, '(SPECIAL-USE SUBSCRIBED) "" *')


@rfc("6154", "3", 1, 2)
@rfc("6154", "4", 1)
def test_create_with_uses(imap: ImapBench) -> None:
    client = imap.login()
    client.ok("CREATE Both (USE (\\drafts \\Sent))")
    client.ok('CREATE "Important Messages" (USE (\\Important))')  # RFC 8457 §3.2.2
    client.ok("CREATE plain (USE ())")
    assert uses(client) == {
        "Archive": "Archive", "Both": "Drafts Sent", "Important Messages": "Important",
        "Junk": "Junk", "Trash": "Trash"}  # fmt: skip
    answer = client.ok('GETMETADATA Both "/private/specialuse"')
    assert client.told(answer) == ['METADATA "Both" (/private/specialuse "\\\\Drafts \\\\Sent")']
    assert "plain" in uses(client, '"" *')


@pytest.mark.parametrize("use", ["\\All", "\\Flagged", "\\Inbox", "\\Noselect", "\\X-mine", "Sent"])
@rfc("6154", "3", 1, 2)
@rfc("6154", "4", 2, 3)
def test_uses_that_cannot_be_given(imap: ImapBench, use: str) -> None:
    client = imap.login()
    assert client.no(f"CREATE new (USE (\\Sent {use}))").code == "USEATTR"
    assert client.no("CREATE inbox (USE (\\Sent))").status == "NO"
    quoted = use.replace("\\", "\\\\")
    for mailbox, value in (("Junk", f"\\\\Sent {quoted}"), ("INBOX", "\\\\Sent"), ("Junk", "\xe4")):
        wire = f'SETMETADATA {mailbox} (/private/comment "x" /private/specialuse "{value}")'
        assert client.no(wire.encode("latin-1")).code == "USEATTR"
        answer = client.ok(f"GETMETADATA {mailbox} /private/comment")
        assert client.told(answer) == [f'METADATA "{mailbox}" (/private/comment NIL)']
    assert uses(client, '"" *') == {"INBOX": "", **ALL}


@pytest.mark.parametrize(
    "parameters",
    ["()x", "(USE)", "(USE \\Sent)", "(USE (\\Sent) X)", "(X-OTHER (a))", "USE (\\Sent)",
     "(USE (\\Sent)", "(USE (\\Sent)) x"],
)  # fmt: skip
def test_malformed_parameters_are_bad(imap: ImapBench, parameters: str) -> None:
    client = imap.login()
    client.bad(f"CREATE new {parameters}")
    assert "new" not in uses(client, '"" *')


def test_a_use_moves_to_who_asked_for_it_last(imap: ImapBench) -> None:
    """RFC 6154 §5.4."""
    client, other = imap.login(), imap.login()
    client.ok("CREATE SavedDrafts")
    client.ok('SETMETADATA SavedDrafts (/private/specialuse "\\\\Drafts")')
    rest = {"Archive": "Archive", "Junk": "Junk", "Trash": "Trash"}
    assert uses(other) == {**rest, "SavedDrafts": "Drafts", "Sent": "Sent"}
    other.ok("SETMETADATA Sent (/private/specialuse NIL)")
    assert uses(client) == {**rest, "SavedDrafts": "Drafts"}
    client.ok("CREATE New (USE (\\Sent \\Junk))")
    client.ok('SETMETADATA Sent (/private/specialuse "\\\\sent")')
    rest.pop("Junk")
    assert uses(other) == {**rest, "SavedDrafts": "Drafts", "Sent": "Sent", "New": "Junk"}


def test_uses_follow_their_mailbox(imap: ImapBench) -> None:
    """Through RENAME of it and of what is above it."""
    client = imap.login()
    client.ok("RENAME Sent Gesendet")
    client.ok("CREATE Sent")  # as clients do that know no special uses
    names = {name: use for name, use in ALL.items() if name != "Sent"}
    assert uses(client) == {**names, "Gesendet": "Sent"}
    client.ok("CREATE a/b (USE (\\Trash))")
    client.ok("RENAME a c")
    names.pop("Trash")
    assert uses(client) == {**names, "Gesendet": "Sent", "c/b": "Trash"}


def test_uses_go_with_their_mailbox(imap: ImapBench) -> None:
    """A mailbox of the same name has none of the old one's, unless the settings say so."""
    client = imap.login()
    client.ok("CREATE a (USE (\\Trash \\Important))")
    client.ok("DELETE a")
    client.ok("CREATE a")
    assert uses(client) == ALL
    client.ok("DELETE Junk")
    assert "Junk" not in uses(client)
    client.ok("CREATE Junk")
    assert uses(client) == ALL


def test_one_mailbox_can_have_two_uses_from_the_settings(imap: ImapBench) -> None:
    imap.mail = replace(imap.mail, sent="Mine", drafts="Mine", important="Mine")
    assert uses(imap.login())["Junk"] == "Junk"
    imap.add_user("carol")
    assert uses(imap.login("carol"))["Mine"] == "Drafts Sent Important"
