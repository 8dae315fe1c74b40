"""getmail collects mail over POP3 and over IMAP into a Maildir."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import maildir
from tests.support.place import run, write
from tests.support.served import Served

from .conftest import MESSAGES, needs

pytestmark = needs("getmail")

CONFIG = """
[retriever]
type = {type}
server = {address[0]}
port = {address[1]}
username = alice
password = secret
{more}
[destination]
type = Maildir
path = {home}/mail/
[options]
read_all = false
delete = false
verbose = 2
delivered_to = false
received = false
"""
KINDS = {"pop3": ("SimplePOP3Retriever", ""), "imap": ("SimpleIMAPRetriever", "")}


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_fetched_once(server: Served, home: Path, protocol: str) -> None:
    """All messages come; a second run knows them all by UIDL, or by UIDVALIDITY and UID."""
    maildir.make(home / "mail")
    kind, more = KINDS[protocol]
    address = server.imap if protocol == "imap" else server.pop3
    write(home / "getmailrc", CONFIG.format(type=kind, address=address, home=home, more=more))
    for _ in range(2):
        result = run(["getmail", "--getmaildir", home, "--rcfile", "getmailrc"], home)
        assert result.returncode == 0, result.stdout.decode(errors="replace")
        assert len(maildir.files(home / "mail")) == MESSAGES, result.stdout.decode()
