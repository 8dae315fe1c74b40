"""fetchmail collects mail over POP3 and over IMAP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.place import run, write
from tests.support.served import Served

from .conftest import MESSAGES, needs

pytestmark = needs("fetchmail")

CONFIG = """
set no bouncemail
poll 127.0.0.1 service {port} protocol {protocol} {options}:
  user "alice" password "secret" {flags} sslproto "" mda "/bin/sh {home}/mda"
"""
STORE = 'cat > "{home}/got/$$.eml"\n'


def fetch(server: Served, home: Path, protocol: str, flags: str, options: str = "") -> int:
    """One run; returns fetchmail's exit code (0: mail was fetched, 1: there was none)."""
    (home / "got").mkdir(exist_ok=True)
    (home / "got").chmod(0o777)
    write(home / "mda", STORE.format(home=home), 0o755)
    address = server.imap if protocol == "imap" else server.pop3
    text = CONFIG.format(
        port=address[1], protocol=protocol, flags=flags, home=home, options=options
    )
    config = write(home / "fetchmailrc", text)
    result = run(["fetchmail", "-v", "-f", config, "--pidfile", home / "pid"], home)
    assert result.returncode in (0, 1), result.stdout.decode(errors="replace")
    return result.returncode


def count(home: Path) -> int:
    """How many messages the delivery program got."""
    return len(list((home / "got").iterdir()))


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_fetched_once_and_deleted(server: Served, home: Path, protocol: str) -> None:
    """All messages come, are removed from the server, and a second run finds none."""
    assert fetch(server, home, protocol, "fetchall nokeep") == 0
    assert count(home) == MESSAGES
    assert fetch(server, home, protocol, "nokeep") == 1
    with server.client("alice") as imap:
        assert imap.ok("SELECT INBOX").one("EXISTS").number == 0


def test_kept_mail_is_known_by_its_uidl(server: Served, home: Path) -> None:
    """With `keep` and UIDL a second run fetches nothing: unique ids are stable."""
    assert fetch(server, home, "pop3", "keep", "uidl") == 0
    assert fetch(server, home, "pop3", "keep", "uidl") == 1
    assert count(home) == MESSAGES
