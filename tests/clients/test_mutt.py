"""mutt, driven by its own key bindings in a terminal of the test's."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

from tests.support.place import become, environment, write
from tests.support.served import Served

from .conftest import needs

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


def mutt(server: Served, home: Path, keys: str) -> str:
    """Open the INBOX, press ``keys`` and let mutt end by itself; returns its screen's octets."""
    config = write(home / "muttrc", CONFIG.format(port=server.imap[1]))
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        ["mutt", "-n", "-F", str(config), "-e", f"push {keys}"],
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
