"""mutt, driven by its own key bindings in a terminal of the test's."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.place import become, environment, write
from tests.support.served import Served

from .conftest import MESSAGES, needs

pytestmark = needs("mutt")

CONFIG = """
set folder = "imap://alice@127.0.0.1:{port}/"
set spoolfile = "+INBOX"
set imap_user = "alice"
set imap_pass = "secret"
set ssl_starttls = no
set ssl_force_tls = no
set imap_authenticators = "login"
set header_cache = ""
set quit = yes
set delete = yes
set move = no
set mark_old = no
set confirmappend = no
set confirmcreate = no
set record = ""
set wait_key = no
set pager_stop = yes
set sleep_time = 0
"""


#: Every extension that mutt can make use of, and a cache in which it remembers what it has seen.
EXTENSIONS = """
set header_cache = "cache"
set imap_condstore = yes
set imap_qresync = yes
set imap_deflate = {deflate}
set imap_idle = yes
set imap_fetch_chunk_size = 5
"""


def mutt(server: Served, home: Path, keys: str, more: str = "", program: str = "mutt") -> str:
    """Open the INBOX, press ``keys`` and let mutt end by itself; returns its screen's octets.

    What it says to the server is in muttdebug0 of its home. ``program``: mutt or neomutt.
    """
    config = write(home / "muttrc", CONFIG.format(port=server.imap[1]) + more)
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [program, "-n", "-d", "3", "-F", str(config), "-e", f"push {keys}"],
        cwd=home,
        env=environment(home, LINES="50", COLUMNS="150", TERM="vt100"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        **become(),
    )
    os.close(terminal)
    try:
        return _screen(main, process)
    finally:
        os.close(main)


def _screen(main: int, process: subprocess.Popen[bytes]) -> str:
    screen = b""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if select.select([main], [], [], 1)[0]:
            try:
                screen += os.read(main, 65536)
            except OSError:  # the terminal's other end is closed: mutt is gone
                break
    else:
        process.send_signal(signal.SIGKILL)
        process.wait()
        raise AssertionError(screen.decode(errors="replace")[-3000:])
    assert process.wait(10) == 0, screen
    return screen.decode(errors="replace")


def test_flag_save_and_delete(server: Served, home: Path) -> None:
    """Flag the first, copy it to a folder, delete the second, leave with a sync."""
    keys = "<first-entry><flag-message><copy-message>+Lists<enter>2<enter><delete-message><quit>"
    mutt(server, home, keys)
    with server.client("alice") as imap:
        assert imap.ok("STATUS Lists (MESSAGES)").one("STATUS").values[2][1] == "9"
        imap.ok("SELECT INBOX")
        assert imap.ok("SEARCH FLAGGED").one("SEARCH").values[1:] == ["1"]
        assert imap.ok("UID SEARCH UID 2").one("SEARCH").values[1:] == []


def test_read(server: Served, home: Path) -> None:
    """Reading a message marks it seen."""
    mutt(server, home, "<first-entry><display-message><exit><quit>")
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        assert imap.ok("SEARCH SEEN").one("SEARCH").values[1:] == ["1"]


def said(home: Path) -> str:
    """What mutt and the server said to each other in the last session."""
    return (home / ".muttdebug0").read_text(errors="replace")


@pytest.mark.parametrize("deflate", ["no", "yes"])
def test_coming_back_by_qresync(server: Served, home: Path, deflate: str) -> None:
    """It enables QRESYNC, and the second session asks for what has changed since the first.

    Meanwhile another client has flagged, removed and added messages. mutt asks by UID FETCH
    with VANISHED, not by SELECT's parameter (RFC 7162 §3.2.6).
    """
    more = EXTENSIONS.format(deflate=deflate)
    mutt(server, home, "<first-entry><flag-message><quit>", more)
    assert "ENABLE QRESYNC" in said(home)
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        imap.ok("UID STORE 3 +FLAGS.SILENT (\\Deleted)")
        imap.ok("EXPUNGE")
        imap.ok("UID STORE 5 +FLAGS.SILENT (\\Answered)")
        imap.appended("INBOX", b"Subject: from another\r\n\r\nbody\r\n")
    keys = "<last-entry><flag-message><first-entry><next-entry><next-entry><flag-message><quit>"
    mutt(server, home, keys, more)
    told = said(home)
    assert re.search(r"UID FETCH 1:12 \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)", told)
    assert "* VANISHED (EARLIER) 3" in told
    assert ("COMPRESS DEFLATE" in told) == (deflate == "yes")
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        flagged = imap.ok("UID SEARCH FLAGGED").one("SEARCH").values[1:]
        assert flagged == ["1", "4", str(MESSAGES + 1)]


def test_changes_by_condstore(server: Served, home: Path) -> None:
    """Without QRESYNC it asks for the flags that have changed since the last time."""
    more = EXTENSIONS.format(deflate="no").replace("imap_qresync = yes", "imap_qresync = no")
    mutt(server, home, "<first-entry><quit>", more)
    with server.client("alice") as imap:
        imap.ok("SELECT INBOX")
        imap.ok("UID STORE 5 +FLAGS.SILENT (\\Flagged)")
    screen = mutt(server, home, "<first-entry><quit>", more)
    assert "(CONDSTORE)" in said(home)
    assert "CHANGEDSINCE" in said(home)
    assert "!" in screen
