"""ID (RFC 2971): the server tells who it is, and treats all clients alike."""

from __future__ import annotations

import pytest

from pymaild import __version__
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

CLIENTS = [
    "NIL",
    "()",
    '("name" "Thunderbird" "version" "115.0")',
    '("name" "iPhone Mail" "os" "iOS" "os-version" "18.0")',
    '("name" "Microsoft Outlook")',
    '("name" NIL)',
]

COMMANDS = [
    "CAPABILITY",
    'LIST "" *',
    "SELECT INBOX",
    "FETCH 1:* (FLAGS ENVELOPE)",
    "SEARCH ALL",
    "STATUS Archive (MESSAGES UIDNEXT)",
    "FETCH 9 FLAGS",
    "NONSENSE",
]


def told(client: Client, command: str) -> list[bytes]:
    """All replies of a command, without its tag."""
    answer = client.command(command)
    return [*(reply.raw for reply in answer.untagged), answer.tagged.raw.split(b" ", 1)[1]]


@rfc("2971", "3", 1, 2, 4, 6)
def test_no_client_is_treated_as_another(mail: ImapBench) -> None:
    mail.login().ok("SELECT INBOX")  # so that nothing is recent to those that follow
    found = []
    for identity in CLIENTS:
        client = mail.login()
        client.ok(f"ID {identity}")
        found.append([told(client, command) for command in COMMANDS])
    assert all(one == found[0] for one in found)


@rfc("2971", "3.2", 1)
@rfc("2971", "3", 8)
@rfc("2971", "3.3", 1, 2, 3, 5)
@pytest.mark.parametrize("setting", ["full", "name", "nothing"])
def test_the_reply_is_true_and_short(imap: ImapBench, setting: str) -> None:
    imap.configure(id=setting)
    for client in (imap.connect(), imap.login()):
        (reply,) = client.ok('ID ("name" "test")').untagged
        fields = reply.values[1] or []
        names, values = fields[::2], fields[1::2]
        assert len(set(names)) == len(names) <= 30
        assert all(len(name) <= 30 for name in names)
        assert all(len(value) <= 1024 for value in values)
        wanted = {"full": [b"pymaild", __version__.encode()], "name": [b"pymaild"], "nothing": []}
        assert values == wanted[setting]


def test_more_fields_than_there_may_be(imap: ImapBench) -> None:
    fields = " ".join(f'"f{number}" "v"' for number in range(31))
    imap.connect().bad(f"ID ({fields})")
