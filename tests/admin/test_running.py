"""A server in the background, steered by `pymailctl` and by the init script."""

from __future__ import annotations

import imaplib
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin.conftest import Programs
from tests.support.place import PYTHON, ROOT, become, environment, write

SCRIPT = ROOT / "etc" / "init.d" / "pymaild"


@pytest.fixture
def running(programs: Programs) -> Iterator[Programs]:
    """The instance, served in the background; it is stopped at the end."""
    programs("pymaild", "serve")
    yield programs
    if pid_file(programs).exists():
        pid = int(pid_file(programs).read_text())
        programs("pymailctl", "stop", "--now")
        await_end(pid)


def pid_file(programs: Programs) -> Path:
    return programs.base / "instance" / "run" / "pid"


def await_end(pid: int) -> None:
    """Wait until a process, which is not our child, has ended."""
    try:
        ending = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([ending], [], [], 30)[0], "the server does not end"
    finally:
        os.close(ending)


def port(programs: Programs, name: str) -> int:
    listeners = programs.json("pymailctl", "status")["listeners"]
    address = next(row["address"] for row in listeners if row["name"] == name)
    return int(address.rpartition(":")[2])


def test_serve_returns_when_the_server_answers(running: Programs) -> None:
    with socket.create_connection(("127.0.0.1", port(running, "imap")), 20) as client:
        lines = client.makefile("rb")
        client.sendall(b"a LOGIN demo demo\r\nb SELECT INBOX\r\n")
        while not (line := lines.readline()).startswith(b"b "):
            assert line
        status = running.json("pymailctl", "status")
        assert status["state"] == "running"
        assert status["pid"] == int(pid_file(running).read_text())
        assert status["sessions"]["imap"] == 1
        (session,) = running.json("pymailctl", "who")
        assert (session["user"], session["mailbox"]) == ("demo", "INBOX")
        assert "demo" in running("pymailctl", "who", "--user", "demo")
        assert "demo" not in running("pymailctl", "who", "--protocol", "pop3")
        assert running.json("pymailctl", "kick", session["id"]) == {"kicked": 1}
        assert lines.read().startswith(b"* BYE ")
        lines.close()


def test_what_people_see_of_it(running: Programs) -> None:
    shown = running("pymailctl", "status")
    assert shown.startswith("pymaild 0.")
    assert "listening: imaps on 127.0.0.1:" in shown
    assert "\x1b" not in shown


def test_a_user_that_is_added_can_log_in_at_once(running: Programs) -> None:
    running("pymailctl", "user", "add", "alice", "--stdin", data="pässword\n".encode())
    with imaplib.IMAP4("127.0.0.1", port(running, "imap"), timeout=20) as client:
        client.authenticate("PLAIN", lambda _: "\0alice\0pässword".encode())
        assert client.state == "AUTH"


def test_mail_that_is_imported_beside_a_session_appears(running: Programs) -> None:
    with imaplib.IMAP4("127.0.0.1", port(running, "imap"), timeout=20) as client:
        client.login("demo", "demo")
        before = int(client.select("INBOX")[1][0] or b"")
        write(running.base / "mbox", b"From a  Tue Jul 23 19:39:23 2002\nSubject: x\n\nx\n")
        running("pymailctl", "import", "demo", "mbox")
        client.noop()
        assert client.response("EXISTS")[1][-1] == str(before + 1).encode()


def test_drain_resume_reload_and_log_level(running: Programs) -> None:
    assert running.json("pymailctl", "drain") == {"state": "drained"}
    assert running.json("pymailctl", "resume") == {"state": "running"}
    assert running.json("pymailctl", "reload") == {"state": "running"}
    running("pymailctl", "log", "level", "debug")
    assert running.fails("pymailctl", "log", "level", "loud")[0] == 64


def test_upgrade(running: Programs) -> None:
    """A client that waits notices nothing; the command ends when the new program serves."""
    before = running.json("pymailctl", "status")["pid"]
    with imaplib.IMAP4("127.0.0.1", port(running, "imap"), timeout=20) as client:
        client.login("demo", "demo")
        client.select("INBOX")
        pid = running.json("pymailctl", "upgrade")["pid"]
        assert pid == int(pid_file(running).read_text()) != before
        assert running.json("pymailctl", "status")["pid"] == pid
        assert client.noop()[0] == "OK"
    await_end(before)
    assert "is the server now" in running("pymailctl", "upgrade")
    await_end(pid)


def test_an_upgrade_that_fails(running: Programs) -> None:
    before = running.json("pymailctl", "status")["pid"]
    running("pymailctl", "drain")
    assert running.fails("pymailctl", "upgrade") == (69, "pymailctl: the server is drained\n")
    text = running.config.read_text()
    running.config.write_text(text.replace("#workers_min", "workers_mni"))
    assert running.fails("pymailctl", "upgrade")[0] == 78
    assert int(pid_file(running).read_text()) == before


def test_a_broken_file_is_refused_and_the_server_can_still_be_steered(running: Programs) -> None:
    text = running.config.read_text()
    running.config.write_text(text.replace("#workers_min", "workers_mni"))
    code, said = running.fails("pymailctl", "reload")
    assert code == 78
    assert "did you mean workers_min?" in said
    assert running.json("pymailctl", "status")["state"] == "running"


def test_a_second_server_does_not_start(running: Programs) -> None:
    code, said = running.fails("pymaild", "serve")
    assert code in (71, 78)
    assert len(said.splitlines()) == 1
    assert running.json("pymailctl", "status")["state"] == "running"


# -- the init script -------------------------------------------------------------------------------


class Script:
    """Runs the init script on the instance."""

    def __init__(self, programs: Programs) -> None:
        self.base = programs.base
        daemon = write(
            self.base / "pymaild",
            f'#!/bin/sh\nPYTHONPATH={ROOT} exec {PYTHON} -m pymaild.admin.daemon "$@"\n',
            0o755,
        )
        self.defaults = write(
            self.base / "defaults",
            f"DAEMON={daemon}\nCONFIG={programs.config}\nPIDFILE={self.base}/own-pid\n",
        )

    def __call__(self, *words: str) -> subprocess.CompletedProcess[Any]:
        return subprocess.run(
            [str(SCRIPT), *words],
            env=environment(self.base, PYMAILD_DEFAULTS=str(self.defaults)),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **become(PYTHON),
        )

    def code(self, *words: str) -> int:
        """The exit code alone."""
        return self(*words).returncode


@pytest.fixture
def script(programs: Programs) -> Iterator[Script]:
    """The script; whatever it started is stopped at the end."""
    found = Script(programs)
    yield found
    assert found.code("stop") == 0
    assert found.code("status") == 3


def test_the_script_starts_reloads_restarts_and_stops(script: Script) -> None:
    assert script.code("status") == 3
    assert script.code("stop") == 0
    assert script.code("start") == 0
    first = (script.base / "own-pid").read_text()
    assert script.code("start") == 0
    assert script.code("status") == 0
    for word in ("reload", "force-reload"):
        assert script.code(word) == 0
    assert (script.base / "own-pid").read_text() == first
    assert script.code("upgrade") == 0
    second = (script.base / "own-pid").read_text()
    assert second != first
    await_end(int(first))
    assert script.code("restart") == 0
    assert (script.base / "own-pid").read_text() != second
    assert script.code("stop") == 0
    assert script.code("upgrade") == 7
    assert script.code("try-restart") == 0
    assert script.code("status") == 3
    assert script.code("reload") == 7
    assert script.code("frobnicate") == 2


def test_the_script_says_why_it_cannot_start(script: Script, programs: Programs) -> None:
    programs.config.write_text("[server]\nworkers_min = 0\n")
    done = script("start")
    assert done.returncode == 1
    assert "pymaild.toml:2: server.workers_min: must be at least 1" in done.stderr


def test_a_stale_process_number_is_not_a_running_server(script: Script) -> None:
    write(script.base / "own-pid", f"{os.getpid()}\n")
    assert script.code("status") == 1
    (script.base / "own-pid").unlink()
