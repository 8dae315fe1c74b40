"""curl with imap:// and pop3:// addresses."""

from __future__ import annotations

from pathlib import Path

from tests.support import corpus
from tests.support.place import run, write
from tests.support.served import Served

from .conftest import MESSAGES, messages, needs

pytestmark = needs("curl")


def curl(server: Served, home: Path, scheme: str, path: str, *options: str) -> bytes:
    """One transfer as alice; returns the octets curl printed."""
    write(home / "netrc", "machine 127.0.0.1 login alice password secret\n")
    port = (server.imap if scheme == "imap" else server.pop3)[1]
    address = f"{scheme}://127.0.0.1:{port}/{path}"
    result = run(["curl", "-sS", "--netrc-file", "netrc", *options, address], home)
    assert result.returncode == 0, result.stdout.decode(errors="replace")
    return result.stdout


def test_imap(server: Served, home: Path) -> None:
    """Listing, examining, a message by UID, a section of it, a search and an upload."""
    assert b"INBOX" in curl(server, home, "imap", "")
    assert curl(server, home, "imap", "INBOX;UID=1") == corpus.crlf(messages()[0])
    assert b"Subject" in curl(server, home, "imap", "INBOX;UID=2;SECTION=HEADER")
    assert b" 1 " in curl(server, home, "imap", "INBOX?ALL")
    write(home / "new.eml", corpus.simple(3))
    curl(server, home, "imap", "Lists", "-T", "new.eml")
    assert b"EXISTS" in curl(server, home, "imap", "Lists", "-X", "EXAMINE Lists")
    with server.client("alice") as imap:
        imap.ok("SELECT Lists")
        assert imap.ok('SEARCH SUBJECT "simple 3"').one("SEARCH").values[1:]


def test_pop3(server: Served, home: Path) -> None:
    """The list, and a message."""
    assert len(curl(server, home, "pop3", "").splitlines()) == MESSAGES
    assert curl(server, home, "pop3", "1").rstrip() == corpus.crlf(messages()[0]).rstrip()
