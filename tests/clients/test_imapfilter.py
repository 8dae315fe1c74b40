"""imapfilter: rules in Lua, which search, flag, copy and move on the server."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support import corpus
from tests.support.place import become, environment, write
from tests.support.served import Served

from .conftest import MESSAGES, needs

pytestmark = needs("imapfilter")

ACCOUNT = """
options.starttls = false
options.create = true
options.subscribe = true
options.expunge = true
alice = IMAP {{ server = "127.0.0.1", port = {port}, username = "alice", password = "secret" }}
"""


def imapfilter(server: Served, home: Path, rules: str) -> str:
    """Run rules on alice's account; returns what they print."""
    config = write(home / "config.lua", ACCOUNT.format(port=server.imap[1]) + rules)
    command = ["imapfilter", "-c", str(config)]
    done = subprocess.run(
        command,
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        **become(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules(server: Served, home: Path) -> None:
    """Flag, copy, move into a folder that is made for it, delete; what is told in between."""
    with server.client("alice") as imap:
        imap.appended("INBOX", corpus.simple(1))
        imap.appended("INBOX", corpus.simple(2), "(\\Seen)")
    printed = imapfilter(
        server,
        home,
        """
        print(alice.INBOX:check_status())
        one = alice.INBOX:contain_subject("simple 1")
        one:mark_flagged()
        one:copy_messages(alice.Lists)
        alice.INBOX:contain_subject("simple 2"):move_messages(alice["Filed/Here"])
        rest = alice.INBOX:is_larger(0) * alice.INBOX:is_unseen() - one
        rest:delete_messages()
        print(#alice.INBOX:select_all())
        """,
    )
    assert printed.split()[-1] == "1"
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        assert imap.ok("UID SEARCH FLAGGED").one("SEARCH").values[1:] == [str(MESSAGES + 1)]
        assert imap.ok("STATUS Filed/Here (MESSAGES)").one("STATUS").values[2][1] == "1"
        assert imap.ok("STATUS Lists (MESSAGES)").one("STATUS").values[2][1] == "9"
        subscribed = imap.ok('LSUB "" *').untagged
        assert any(b"Filed/Here" in reply.raw for reply in subscribed)
