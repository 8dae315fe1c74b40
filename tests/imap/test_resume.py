"""A session that goes on from its record behaves as one that has never stopped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pymaild.imap.record import ImapRecord
from pymaild.imap.session import ImapSession
from pymaild.imap.settings import ImapSettings
from tests.imap.conftest import MESSAGES, Client, ImapBench

Pause = Callable[[ImapBench, Client], Client]

#: What differs between two accounts: where a mailbox was made, and when.
_CHANCE = re.compile(rb"(UIDVALIDITY|MAILBOXID|COPYUID|APPENDUID) \(?[\w-]+\)?")

#: What "me" says, and what another session does meanwhile; each of its own changes is asked for.
SCRIPT = (
    ("me", "LANGUAGE de"),
    ("me", "COMPARATOR i;octet"),
    ("me", 'SETMETADATA "" (/private/filters/values/bright "OR FLAGGED KEYWORD $Bright")'),
    ("me", "ENABLE QRESYNC UTF8=ACCEPT IMAP4rev2"),
    ("me", 'CREATE "Entwürfe"'),
    ("me", "SELECT INBOX"),
    (
        "me",
        "NOTIFY SET (selected (MessageNew (UID FLAGS ENVELOPE) MessageExpunge FlagChange))"
        " (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange"
        " MailboxMetadataChange ServerMetadataChange))",
    ),
    ("me", "UID SEARCH RETURN (SAVE COUNT) SUBJECT o"),
    ("me", "SEARCH RETURN (UPDATE (RFC822.SIZE UID) COUNT) FILTER bright"),
    ("me", "UID SORT RETURN (UPDATE ALL) (REVERSE SUBJECT) UTF-8 NOT DELETED"),
    ("me", 'SETMETADATA "" (/private/filters/values/bright "ALL")'),
    ("other", "STORE 1 +FLAGS (\\Flagged)"),
    ("me", "NOOP"),
    ("other", "STORE 2 +FLAGS ($Bright)"),
    ("me", "NOOP"),
    ("me", "FETCH $ (UID FLAGS)"),
    ("other", "STORE 3 +FLAGS (\\Deleted)"),
    ("me", "NOOP"),
    ("other", "COPY 1 INBOX"),
    ("me", "NOOP"),
    ("other", "EXPUNGE"),
    ("me", "NOOP"),
    ("me", "SEARCH RETURN (ALL) UID $"),
    ("other", "CREATE More"),
    ("me", "NOOP"),
    ("other", "COPY 1 More"),
    ("me", "NOOP"),
    ("other", 'SETMETADATA "" (/private/comment "c")'),
    ("me", "NOOP"),
    ("me", "COPY 1 INBOX"),
    ("me", 'RENAME "Entwürfe" "Größe"'),
    ("other", "RENAME More Less"),
    ("me", "NOOP"),
    ("me", "NOTIFY NONE"),
    ("other", "STORE 1 -FLAGS (\\Flagged)"),
    ("me", 'CANCELUPDATE "t9"'),
    ("me", "NOOP"),
    ("me", "SELECT nothing"),
    ("me", "ENABLE UIDONLY"),
    ("me", "EXAMINE INBOX"),
    ("me", "UID FETCH 1:* FLAGS"),
    ("me", "FETCH 1 FLAGS"),
    ("me", "STATUS INBOX (MESSAGES HIGHESTMODSEQ)"),
)


def play(folder: Path, pause: Pause) -> list[bytes]:
    """What "me" is told, a pause after each of its commands."""
    folder.mkdir()
    with ImapBench(folder, (ImapRecord, ImapSession), ImapSettings()) as bench:
        bench.add_user("alice")
        bench.put("alice", *MESSAGES)
        sessions = {"me": bench.login(id="1"), "other": bench.login(id="2")}
        sessions["other"].ok("SELECT INBOX")
        heard = []
        for who, command in SCRIPT:
            answer = sessions[who].command(command)
            if who == "me":
                heard += [reply.raw for reply in (*answer.untagged, answer.tagged)]
                sessions[who] = pause(bench, sessions[who])
        return [_CHANCE.sub(rb"\1", line) for line in heard]


def test_everything_switched_on_survives(tmp_path: Path) -> None:
    kept = play(tmp_path / "kept", lambda bench, client: client)
    parked = play(tmp_path / "parked", lambda bench, client: bench.resume(client))
    assert parked == kept


def test_what_happened_meanwhile_is_told(tmp_path: Path) -> None:
    """A keyword that is new to the client is named before a message has it."""
    with ImapBench(tmp_path, (ImapRecord, ImapSession), ImapSettings()) as bench:
        bench.add_user("alice")
        bench.put("alice", *MESSAGES)
        client, other = bench.select(), bench.select()
        client.ok("STORE 1 +FLAGS ($Old)")
        client.leave("parked")
        assert client.read().name == "BYE"
        client.wait()
        other.ok("STORE 2 +FLAGS ($New)")
        resumed = bench.connect(ImapRecord.decode(client.record.encode()))
        told = resumed.told(resumed.ok("NOOP"))
        assert [line.split()[0] for line in told] == ["FLAGS", "OK", "2"]
        assert "$Old $New" in told[0]
        assert resumed.told(resumed.ok("NOOP")) == []
