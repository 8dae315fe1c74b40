"""Sockets from systemd and what it is told."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pymaild.server.settings import ListenerSettings
from pymaild.server.systemd import inherited, notify

from .conftest import Line, Running, eventually


@pytest.fixture
def manager(server: Running) -> Iterator[socket.socket]:
    """The service manager's end of NOTIFY_SOCKET."""
    path = str(server.base / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        os.chmod(path, 0o777)
        sock.settimeout(20)
        server.environ["NOTIFY_SOCKET"] = path
        yield sock


def test_states_are_told(server: Running, manager: socket.socket) -> None:
    server.start()
    assert manager.recv(4096).split(b"\n") == [b"READY=1", b"MAINPID=%d" % server.pid]
    server.control.raw({"command": "reload"})  # there is no file: told, and still ready
    assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(4096) == b"READY=1"
    server.signal(signal.SIGTERM)
    assert manager.recv(4096) == b"STOPPING=1"
    assert server.ended() == 0


def test_nobody_to_tell() -> None:
    notify("READY=1", environ={})
    notify("READY=1", environ={"NOTIFY_SOCKET": "/nonexistent/socket"})
    notify("READY=1", environ={"NOTIFY_SOCKET": "no path"})


def hand_over(server: Running, *sockets: socket.socket, names: str) -> None:
    """Put sockets where systemd puts them, in the master alone."""

    def arrange() -> None:
        copies = [os.dup(sock.fileno()) for sock in sockets]
        for number, copy in enumerate(copies):
            os.dup2(copy, 3 + number)
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.environ["LISTEN_FDS"] = str(len(sockets))
        os.environ["LISTEN_FDNAMES"] = names

    server.before = arrange


def test_sockets_by_name_and_by_address(server: Running) -> None:
    """One is found by its name, the other by its address; both outlive a drain."""
    path = str(server.base / "given")
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(path)
        os.chmod(path, 0o777)
        server.config = replace(
            server.config,
            listeners=(
                ListenerSettings("plain", "imap", "127.0.0.1:1"),
                ListenerSettings("other", "imap", f"unix:{path}"),
            ),
        )
        hand_over(server, tcp, unix, names="plain:unknown")
        server.start()
        assert server.address("plain") == tcp.getsockname()
        assert server.connect().ask("ECHO tcp") == "tcp"
        assert server.connect("other").ask("ECHO unix") == "unix"
        server.control("drain")
        eventually(lambda: server.pids() == [])
        waiting = Line(socket.create_connection(tcp.getsockname()))
        server.lines.append(waiting)
        server.control("resume")
        assert waiting.read() == "hello"
    server.signal(signal.SIGINT)
    assert server.ended() == 0
    assert os.path.exists(path)  # it is systemd's


def test_sockets_for_another_process_are_left_alone() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
    assert inherited(environ) == []
    assert environ == {}
    assert inherited({}) == []
    assert inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}) == []
