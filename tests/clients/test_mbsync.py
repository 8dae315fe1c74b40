"""mbsync (isync) keeps a local Maildir the same as the server, in both directions."""

from __future__ import annotations

from pathlib import Path

from tests.support import maildir
from tests.support.place import run, write
from tests.support.served import Served

from .conftest import MESSAGES, needs

pytestmark = needs("mbsync")

CONFIG = """
IMAPStore far
Host {address[0]}
Port {address[1]}
User alice
Pass secret
SSLType None
AuthMechs LOGIN
PipelineDepth 20

MaildirStore near
Path {home}/mail/
Inbox {home}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
CopyArrivalDate yes
SyncState *
"""


def sync(server: Served, home: Path) -> str:
    """One run of mbsync; returns what it said."""
    (home / "mail").mkdir(exist_ok=True)
    (home / "mail").chmod(0o777)
    config = write(home / "mbsyncrc", CONFIG.format(address=server.imap, home=home))
    result = run(["mbsync", "-c", config, "-a"], home)
    assert result.returncode == 0, result.stdout.decode(errors="replace")
    return result.stdout.decode(errors="replace")


def state(home: Path) -> dict[str, bytes]:
    """The local copy: every message file with its octets."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted((home / "mail").rglob("*"))
        if path.is_file() and path.parent.name in ("cur", "new")
    }


def test_everything_arrives_and_a_second_run_changes_nothing(server: Served, home: Path) -> None:
    """UIDs and UIDVALIDITY are stable, so mbsync finds nothing to do again."""
    sync(server, home)
    first = state(home)
    assert sum("/INBOX/" in name for name in first) == MESSAGES
    assert any("/Lists/" in name for name in first)
    sync(server, home)
    assert state(home) == first


def test_changes_travel_both_ways(server: Served, home: Path) -> None:
    """A flag and a new message of each side reach the other, an expunge too."""
    sync(server, home)
    inbox = home / "mail" / "INBOX"
    maildir.reflag(maildir.files(inbox)[0], "FS")
    maildir.drop(inbox, b"Subject: from near\n\nmade by the client\n")
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        imap.ok("UID STORE 3 +FLAGS.SILENT (\\Deleted)")
        imap.ok("EXPUNGE")
        imap.appended("INBOX", b"Subject: from far\r\n\r\nmade by another\r\n", "(\\Answered)")
        sync(server, home)
        imap.ok("NOOP")
        flagged = imap.ok("SEARCH FLAGGED SEEN").one("SEARCH").values[1:]
        found = imap.ok('SEARCH SUBJECT "from near"').one("SEARCH").values[1:]
    assert len(flagged) == 1
    assert len(found) == 1
    local = [path for path in maildir.files(inbox) if b"from far" in path.read_bytes()]
    assert [maildir.letters(path) for path in local] == ["R"]
    assert len(maildir.files(inbox)) == MESSAGES + 1
