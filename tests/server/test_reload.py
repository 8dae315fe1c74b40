"""HUP: a new configuration is checked first, then new processes take over from old ones."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pymaild.server.config import load_config
from tests.support import certs
from tests.support.place import group_name, user_name

from .conftest import Line, Running, eventually


def text(base: Path, server: str = "", listener: str = "127.0.0.1:0", rest: str = "") -> str:
    me, group = user_name(), group_name()
    return f"""
[server]
hostname = "test.example.org"
user = "{me}"
group = "{group}"
tls_user = "{me}"
auth_user = "{me}"
run_directory = "run"
spool = "spool"
control = "run/control"
pid_file = "pid"
workers_spare = 1
tls_processes = 1
{server}
[log]
to = "file"
file = "log"
level = "debug"
[auth]
passwd_file = "passwd"
[[listener]]
name = "plain"
protocol = "imap"
address = "{listener}"
{rest}
"""


Write = Callable[..., None]


@pytest.fixture
def write(server: Running) -> Write:
    """Write the configuration file; the first call makes it the server's."""

    def write(*args: str, **kwargs: str) -> None:
        (server.base / "pymaild.toml").write_text(text(server.base, *args, **kwargs))

    write("workers_min = 2")
    server.config = load_config(str(server.base / "pymaild.toml"))
    return write


def test_new_workers_take_over(server: Running, write: Write) -> None:
    """Old workers finish their session and leave; no client is disconnected."""
    server.start()
    old = set(server.pids())
    auth = server.pids("auth")
    address = server.address("plain")
    line = server.connect()
    mine = line.pid()
    write("workers_min = 3")
    server.signal(signal.SIGHUP)
    server.logged("configuration reloaded")
    eventually(lambda: old.isdisjoint(set(server.pids()) - {mine}))
    assert line.ask("ECHO still") == "still"
    assert mine in server.pids()
    assert server.address("plain") == address
    assert server.status()["workers"]["min"] == 3
    assert server.connect().pid() not in old
    assert server.pids("auth") == auth  # its settings are what they were
    line.close()
    eventually(lambda: mine not in server.pids())
    assert server.status()["totals"]["crashes"] == 0


def test_broken_configuration_changes_nothing(server: Running, write: Write) -> None:
    """The log and the administrator are told file, line and key."""
    server.start()
    before = server.pids()
    write("workers_min = 3\nworker_max = 5")
    server.signal(signal.SIGHUP)
    line = server.logged("configuration not reloaded")
    assert "pymaild.toml:15: server.worker_max: unknown key; did you mean workers_max?" in line
    reply = server.control.raw({"command": "reload"})
    assert not reply["ok"]
    assert "pymaild.toml:15" in reply["error"]
    assert server.pids() == before
    assert server.status()["workers"]["min"] == 2
    assert server.connect().ask("ECHO x") == "x"


def test_impossible_listener_changes_nothing(server: Running, write: Write) -> None:
    server.start()
    address = server.address("plain")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        second = f'[[listener]]\nname = "second"\naddress = "127.0.0.1:{port}"'
        write("workers_min = 2", rest=second)
        assert "Address already in use" in server.control.raw({"command": "reload"})["error"]
    assert server.address("plain") == address
    assert [row["name"] for row in server.status()["listeners"]] == ["plain"]


def test_listeners_come_and_go(server: Running, write: Write) -> None:
    server.start()
    address = server.address("plain")
    path = server.base / "new"
    write("workers_min = 2", rest=f'[[listener]]\nname = "new"\naddress = "unix:{path}"')
    server.control("reload")
    assert server.address("plain") == address
    assert server.connect("new").ask("ECHO new") == "new"
    write("workers_min = 2")
    server.control("reload")
    assert not path.exists()
    assert [row["name"] for row in server.status()["listeners"]] == ["plain"]
    with server.connect() as line:
        assert line.ask("ECHO x") == "x"


def test_tls_comes_with_a_reload(server: Running, write: Write) -> None:
    """An open connection survives that its tls process is replaced."""
    cert, key = certs.make(server.base)
    tls = f"""
[[listener]]
name = "tls"
address = "127.0.0.1:0"
tls = true
[tls]
handshake_timeout = %d
[[tls.certificate]]
cert = "{cert}"
key = "{key}"
"""
    server.start()
    write("workers_min = 2", rest=tls % 10)
    server.control("reload")
    eventually(lambda: server.pids("tls"))
    line = server.connect_tls(certs.context(cert))
    (old,) = server.pids("tls")
    write("workers_min = 2", rest=tls % 20)
    server.control("reload")

    def old_leaves() -> bool:
        states = {row["pid"]: row["state"] for row in server.status()["roles"]}
        return bool(states[old] == "leaving")

    eventually(old_leaves)
    new = server.connect_tls(certs.context(cert))
    assert line.ask("ECHO old") == "old"
    assert new.ask("ECHO new") == "new"
    line.close()
    eventually(lambda: old not in server.pids("tls"))
    assert server.status()["totals"]["crashes"] == 0


def test_changed_auth_settings_replace_the_auth_process(server: Running, write: Write) -> None:
    server.start()
    (old,) = server.pids("auth")
    config = server.base / "pymaild.toml"
    config.write_text(config.read_text().replace("[auth]", "[auth]\nfailure_delay = 1"))
    server.control("reload")
    eventually(lambda: old not in server.pids("auth") and server.pids("auth"))
    assert server.status()["totals"]["crashes"] == 0


def test_log_file_changes_with_a_reload(server: Running, write: Write) -> None:
    server.start()
    config = server.base / "pymaild.toml"
    config.write_text(config.read_text().replace('file = "log"', 'file = "log.new"'))
    server.control("reload")
    eventually(lambda: "reloaded" in (server.base / "log.new").read_text())


def test_settings_of_the_start_stay(server: Running, write: Write) -> None:
    """What only a start can change is kept, with a line in the log."""
    server.start()
    config = server.base / "pymaild.toml"
    config.write_text(config.read_text().replace('"run/control"', '"run/other"'))
    server.control("reload")
    server.logged("server.control: the new value counts from the next start on")
    assert os.path.exists(server.base / "run" / "control")
    assert server.status()["state"] == "running"


def test_reload_while_drained(server: Running, write: Write) -> None:
    server.start()
    server.control("drain")
    path = server.base / "new"
    write("workers_min = 3", rest=f'[[listener]]\nname = "new"\naddress = "unix:{path}"')
    server.control("reload")
    assert server.status()["listeners"] == []
    assert not path.exists()
    server.control("resume")
    assert server.connect("new").ask("ECHO new") == "new"
    eventually(lambda: len(server.pids()) >= 3)


def test_no_connection_is_lost(server: Running, write: Write) -> None:
    """Clients come all the time while workers are replaced, added and removed."""
    server.start()
    served: list[int] = []
    failures: list[str] = []
    over = threading.Event()

    def client() -> None:
        count = 0
        while not over.is_set():
            try:
                with Line(server.raw()) as line:
                    greeting, answer = line.read(), line.ask("ECHO x")
                    if (greeting, answer) != ("hello", "x"):
                        failures.append(f"{greeting!r} {answer!r}")
            except OSError as error:
                failures.append(repr(error))
            count += 1
        served.append(count)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(12):
        generation = set(server.pids())
        write(f"workers_min = {2 + number % 3}")
        server.control("reload")
        server.signal(signal.SIGTTIN)
        server.signal(signal.SIGTTOU)
        eventually(lambda old=generation: not old & set(server.pids()), "the change")
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(served)
    assert server.status()["totals"]["crashes"] == 0
