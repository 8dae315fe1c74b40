"""neomutt: it makes use of the same extensions as mutt, and of the server's search."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.served import Served

from .conftest import MESSAGES, needs
from .test_mutt import EXTENSIONS, mutt

pytestmark = needs("neomutt")


def test_coming_back_by_qresync(server: Served, home: Path) -> None:
    """What another client has done meanwhile is found, and what it flags is flagged."""
    more = EXTENSIONS.format(deflate="no")
    mutt(server, home, "<first-entry><flag-message><quit>", more, "neomutt")
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        imap.ok("UID STORE 3 +FLAGS.SILENT (\\Deleted)")
        imap.ok("EXPUNGE")
        imap.appended("INBOX", b"Subject: from another\r\n\r\nbody\r\n")
    keys = "<last-entry><flag-message><first-entry><next-entry><next-entry><flag-message><quit>"
    mutt(server, home, keys, more, "neomutt")
    told = (home / ".neomuttdebug0").read_text(errors="replace")
    assert "ENABLE QRESYNC" in told
    assert re.search(r"UID FETCH 1:12 \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)", told)
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        flagged = imap.ok("UID SEARCH FLAGGED").one("SEARCH").values[1:]
        assert flagged == ["1", "4", str(MESSAGES + 1)]


def test_search_on_the_server(server: Served, home: Path) -> None:
    """A pattern with "=" is left to SEARCH; what is found is flagged."""
    with server.client("alice") as imap:
        imap.appended("INBOX", b"Subject: x\r\n\r\nneedle in a haystack\r\n")
    keys = "<tag-pattern>=bneedle<enter><tag-prefix><flag-message><quit>"
    mutt(server, home, keys, "", "neomutt")
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        flagged = imap.ok("UID SEARCH FLAGGED").one("SEARCH").values[1:]
        assert flagged == [str(MESSAGES + 1)]
