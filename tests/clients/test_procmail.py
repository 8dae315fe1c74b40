"""procmail pipes mail into `pymaild deliver`, as a .forward or .procmailrc does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import corpus
from tests.support.instance import Instance
from tests.support.place import PYTHON, ROOT, become, environment, run, write

from .conftest import MESSAGES, needs

RECIPE = """
SHELL=/bin/sh
VERBOSE=on
LOGFILE={home}/procmail.log
DEFAULT={home}/undelivered
PYTHONPATH={root}
:0 w
* ^Subject: simple 2
| {python} -m pymaild.admin.daemon deliver -c {config} -d alice -m Lists
:0 w
| {python} -m pymaild.admin.daemon deliver -c {config} -d alice
"""


@pytest.fixture(autouse=True)
def only_ours(request: pytest.FixtureRequest) -> None:
    """Another server has no such program."""
    if request.config.getoption("--server") != "pymaild":
        pytest.skip("this is a program of pymaild's own")


@needs("procmail")
def test_procmail(server: Instance, home: Path) -> None:
    """One message to the INBOX, one by address detail to a folder."""
    text = RECIPE.format(home=home, root=ROOT, python=PYTHON, config=server.config)
    recipe = write(home / "procmailrc", text)
    for path in (home, recipe):  # procmail reads only what is its user's own
        os.chown(path, become(PYTHON).get("user", os.getuid()), -1)
    for number in (1, 2):
        message = corpus.simple(number).replace(b"\r\n", b"\n")
        # Whoever can start the server's Python runs procmail.
        result = subprocess.run(
            ["procmail", recipe],
            cwd=home,
            env=environment(home),
            input=message,
            timeout=60,
            check=False,
            **become(PYTHON),
        )
        assert result.returncode == 0, (home / "procmail.log").read_text()
        assert not (home / "undelivered").exists(), (home / "procmail.log").read_text()
    with server.client("alice") as imap:
        assert imap.ok("SELECT INBOX").one("EXISTS").number == MESSAGES + 1
        imap.ok("SELECT Lists")
        assert imap.ok('SEARCH SUBJECT "simple 2"').one("SEARCH").values[1:]


def deliver(server: Instance, home: Path, user: str, message: bytes) -> int:
    """Run the program; returns its exit code."""
    command: list[str | Path] = [PYTHON, "-m", "pymaild.admin.daemon", "deliver"]
    options = ["-c", server.config, "-d", user]
    return run([*command, *options], home, message, PYTHONPATH=str(ROOT)).returncode


def test_exit_codes(server: Instance, home: Path) -> None:
    """0 delivered, 67 no such user (EX_NOUSER): an MTA bounces or keeps the mail by them."""
    assert deliver(server, home, "alice", corpus.simple(3)) == 0
    assert deliver(server, home, "nobody-here", corpus.simple(3)) == 67
