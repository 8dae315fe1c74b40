"""Commands that say that they leave the record alone do (Command.changes).

After such a command the journal keeps the record as it was; what the command had changed would
be lost with its process.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from pymaild.imap.commands import COMMANDS
from tests.imap.conftest import Client, ImapBench
from tests.imap.test_grid import ARGUMENTS

ASKING = sorted(row.name for row in COMMANDS.values() if not row.changes)

#: Those that do not end the session, or its time in this process.
STAYING = sorted(
    {row.name for row in COMMANDS.values()} - {"LOGOUT", "STARTTLS", "COMPRESS", "LOGIN"}
)


def needed(client: Client) -> dict[str, Any]:
    """What would have to be in the record now."""
    state = json.loads(client.running.session.state())
    return {name: value for name, value in state.items() if name != "commands"}


@pytest.mark.parametrize("name", ASKING)
def test_they_do(mail: ImapBench, name: str) -> None:
    client = mail.select()
    client.command("NONSENSE")
    client.ok("NOOP")
    before = needed(client)
    client.ok(name + ARGUMENTS[name])
    after = needed(client)
    moved = after.pop("snapshot") != before.pop("snapshot")
    assert after == before
    assert not moved or name in ("STORE", "UID STORE")


#: What makes a client one that knows mod-sequences, or moves the view on.
MORE = (
    "FETCH 1 (MODSEQ)",
    "STATUS INBOX (HIGHESTMODSEQ)",
    "SEARCH MODSEQ 1",
    "FETCH 2 (BODY[])",
    "STORE 1:* +FLAGS.SILENT (\\Deleted $New)",
    "SEARCH RETURN (SAVE) ALL",
    "SEARCH RETURN (UPDATE COUNT) ALL",
)


@pytest.mark.parametrize("command", [*(name + ARGUMENTS[name] for name in STAYING), *MORE])
def test_the_journal_knows_the_record(mail: ImapBench, command: str) -> None:
    """Whatever is done, the journal says what the record would have to say."""
    client = mail.select()
    client.command(command)
    left = client.running.left()
    assert left is not None
    kept = {key: value for key, value in json.loads(left.record).items() if key != "commands"}
    assert kept == needed(client)
