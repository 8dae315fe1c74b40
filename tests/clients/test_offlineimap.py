"""offlineimap keeps a local Maildir the same as the server."""

from __future__ import annotations

from pathlib import Path

from tests.support import maildir
from tests.support.place import run, write
from tests.support.served import Served

from .conftest import MESSAGES, needs

pytestmark = needs("offlineimap")

CONFIG = """
[general]
accounts = alice
metadata = {home}/state
maxsyncaccounts = 1
ui = basic
[Account alice]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {home}/mail
[Repository far]
type = IMAP
remotehost = {address[0]}
remoteport = {address[1]}
remoteuser = alice
remotepass = secret
ssl = no
starttls = no
auth_mechanisms = PLAIN, LOGIN
idlefolders = []
"""


def sync(server: Served, home: Path) -> str:
    """One run of offlineimap; returns what it said."""
    config = write(home / "offlineimaprc", CONFIG.format(address=server.imap, home=home))
    result = run(["offlineimap", "-c", config, "-o", "-u", "basic"], home, timeout=120)
    text = result.stdout.decode(errors="replace")
    assert result.returncode == 0, text
    assert "ERROR" not in text, text
    return text


def test_sync_both_ways(server: Served, home: Path) -> None:
    """All mail arrives; a flag set here and a message sent here are on the server after."""
    sync(server, home)
    inbox = home / "mail" / "INBOX"
    assert len(maildir.files(inbox)) == MESSAGES
    maildir.reflag(maildir.files(inbox)[0], "S")
    maildir.drop(inbox, b"Subject: from near\nMessage-ID: <n@x>\n\nmade by the client\n")
    sync(server, home)
    names = [path.name for path in maildir.files(inbox)]
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        assert len(imap.ok("SEARCH SEEN").one("SEARCH").values[1:]) == 1
        assert len(imap.ok('SEARCH SUBJECT "from near"').one("SEARCH").values[1:]) == 1
    text = sync(server, home)
    assert [path.name for path in maildir.files(inbox)] == names
    assert "Copy message" not in text
