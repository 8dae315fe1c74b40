"""The administrator's socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pymaild import __version__
from pymaild.server.control import Control, Gradual
from pymaild.server.loop import Loop

from .conftest import Running, eventually


def test_status(server: Running) -> None:
    before = time.time()
    server.start()
    line = server.connect()
    line.ask("ECHO x")
    status = server.status()
    assert status["version"] == __version__
    assert status["pid"] == server.pid
    assert before - 1 < status["started"] < time.time()
    assert status["state"] == "running"
    assert status["workers"]["busy"] == 1
    assert status["workers"]["max"] == 256
    assert {row["role"] for row in status["roles"]} == {
        *("keeper", "vault", "worker", "auth", "deflate")
    }
    assert status["sessions"] == {"imap": 1, "pop3": 0, "lmtp": 0}
    assert status["totals"]["connections"] == 1
    assert status["totals"]["commands"] == 1
    assert set(status["totals"]) == {
        *("connections", "logins", "failed_logins", "commands"),
        *("delivered", "bugs", "crashes", "parked", "woken", "left_while_parked"),
    }


def test_totals_outlive_their_processes(server: Running) -> None:
    server.change("server", worker_sessions=1)
    server.start()
    for _ in range(5):
        with server.connect() as line:
            pid = line.pid()
        eventually(lambda pid=pid: pid not in server.pids())
    assert server.status()["totals"]["connections"] == 5
    assert server.status()["totals"]["commands"] == 5


def test_who(server: Running) -> None:
    server.start()
    assert server.control("who") == []
    line = server.connect()
    assert line.ask("LOGIN alice") == "welcome"
    assert line.ask("NOTE Archive/2026 idle") == "noted"
    (row,) = server.control("who")
    assert row["id"] == line.facts()["id"]
    assert row["pid"] == line.pid()
    assert (row["protocol"], row["user"], row["mailbox"]) == ("imap", "alice", "Archive/2026")
    assert (row["state"], row["peer"], row["tls"]) == ("idle", "127.0.0.1", "")
    line.close()
    eventually(lambda: server.control("who") == [])


def test_long_facts_are_cut(server: Running) -> None:
    server.start()
    line = server.connect()
    assert line.ask(f"LOGIN {'ü' * 3000}") == "welcome"
    assert line.ask(f"NOTE {'m' * 3000} idle") == "noted"
    (row,) = server.control("who")
    assert row["user"].startswith("üüü")
    assert row["pid"] == line.pid()


@pytest.mark.parametrize("key", ["id", "user", "address"])
def test_kick(server: Running, key: str) -> None:
    """A kicked session hears why; the worker goes on."""
    server.start()
    line = server.connect()
    line.ask("LOGIN alice")
    pid = line.pid()
    value = {"id": line.facts()["id"], "user": "alice", "address": "127.0.0.1"}[key]
    assert server.control("kick", **{key: "somebody else"}) == {"kicked": 0}
    assert server.control("kick", **{key: value}) == {"kicked": 1}
    assert line.read() == "bye Disconnected by the administrator"
    assert line.read() == ""
    eventually(lambda: server.control("who") == [])
    assert pid in server.pids()
    assert server.connect().ask("ECHO next") == "next"


def test_kick_inside_a_command(server: Running) -> None:
    server.start()
    line = server.connect()
    assert line.ask("SWALLOW 100") == "go"
    assert server.control("kick", address="127.0.0.1") == {"kicked": 1}
    assert line.read() == ""


def test_kick_of_a_client_that_does_not_read(server: Running) -> None:
    server.start()
    line = server.connect()
    line.sock.sendall(b"MUCH 100000000\r\n")
    (row,) = server.control("who")
    assert line.file.read(1024)  # it is writing
    server.control("kick", id=row["id"])
    eventually(lambda: server.control("who") == [])


def test_kick_whom(server: Running) -> None:
    server.start()
    assert "kick whom" in server.control.raw({"command": "kick"})["error"]
    assert "kick whom" in server.control.raw({"command": "kick", "user": ""})["error"]


@pytest.mark.parametrize(
    "line",
    [b"nonsense\n", b"[]\n", b'"x"\n', b"{}\n", b'{"command": "explode"}\n', b'{"command": []}\n'],
)
def test_bad_requests(server: Running, line: bytes) -> None:
    server.start()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(server.config.server.control)
        link.sendall(line + b'{"command": "who"}\n')
        replies = link.makefile("rb")
        assert "unknown command" in json.loads(replies.readline())["error"]
        assert json.loads(replies.readline()) == {"ok": True, "result": []}
        replies.close()


def test_endless_request_is_cut_off(server: Running) -> None:
    server.start()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(server.config.server.control)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            link.sendall(b"x" * 65536 * 1000)
    assert server.status()["state"] == "running"


def test_many_pipelined_requests(server: Running) -> None:
    """An administrator who does not read his replies holds up nobody."""
    server.start()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(server.config.server.control)
        link.sendall(b'{"command": "status"}\n' * 1000)
        assert server.status()["state"] == "running"
        with link.makefile("rb") as replies:
            assert all(json.loads(replies.readline())["ok"] for _ in range(1000))


def test_an_answer_in_pieces_leaves_others_their_turn(tmp_path: Path) -> None:
    """Between two pieces of one answer another request is answered, and a third that asks in the
    same breath has its answer behind the first; nothing is made for one who does not read."""
    made: list[int] = []

    def pieces() -> Iterator[str]:
        for number in range(1000):
            made.append(number)
            yield f"{',' if number else '['}{number}"
        yield "]"

    loop, listener = Loop(), socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "control"))
    listener.listen()
    commands = {"long": lambda arguments: Gradual(pieces()), "made": lambda arguments: len(made)}
    control = Control(listener, commands, loop.watch)
    control.open()
    first, second = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with first, second:
        for client in (first, second):
            client.connect(str(tmp_path / "control"))
        loop.wait(1)
        first.sendall(b'{"command": "long"}\n{"command": "made"}\n')
        loop.wait(1)
        second.sendall(b'{"command": "made"}\n')
        second.setblocking(False)
        answer = b""
        while not answer:
            loop.wait(1)
            with suppress(BlockingIOError):
                answer = second.recv(1000)
        assert json.loads(answer)["result"] < 5
        for _ in range(2000):
            loop.wait(0)
        assert len(made) < 1000, "a client that does not read was given more than it has room for"
        told = b""
        while told.count(b"\n") < 2:
            loop.wait(0)
            with suppress(BlockingIOError):
                told += first.recv(65536, socket.MSG_DONTWAIT)
        long, short = (json.loads(line)["result"] for line in told.splitlines())
        assert (long, short) == (list(range(1000)), 1000)
    control.close()
    loop.close()


def test_an_answer_that_breaks_off_ends_the_connection(tmp_path: Path) -> None:
    def pieces() -> Iterator[str]:
        yield "["
        raise RuntimeError("in the middle")

    loop, listener = Loop(), socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "control"))
    listener.listen()
    control = Control(listener, {"long": lambda arguments: Gradual(pieces())}, loop.watch)
    control.open()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "control"))
        client.sendall(b'{"command": "long"}\n')
        for _ in range(5):
            loop.wait(0)
        assert client.recv(1000) == b'{"ok": true, "result": ['
        assert client.recv(1000) == b""
    control.close()
    loop.close()


def test_stop(server: Running) -> None:
    server.start()
    assert server.control("stop") == {"state": "draining"}
    assert server.ended() == 0


def test_stop_now(server: Running) -> None:
    server.start()
    line = server.connect()
    assert line.ask("SWALLOW 10") == "go"
    assert server.control("stop", now=True) == {"state": "stopping"}
    assert server.ended() == 0


def test_drain_twice_and_resume_without_drain(server: Running) -> None:
    server.start()
    assert "the server is running" in server.control.raw({"command": "resume"})["error"]
    server.control("drain")
    assert server.control("drain") == {"state": "drained"}
    server.signal(signal.SIGTERM)
    assert server.ended() == 0


def test_rights(server: Running) -> None:
    server.start()
    assert os.stat(server.config.server.control).st_mode & 0o777 == 0o660
