"""Processes with real signals: start, service, stop, drain, growth, crash, hang."""

from __future__ import annotations

import os
import resource
import signal
import socket
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pymaild.server.failures import EXIT_BOOT, EXIT_CONFIG
from pymaild.server.settings import ListenerSettings

from .conftest import Line, Running, eventually, gone, needs_a_look_into_others


def test_serves_and_stops(server: Running) -> None:
    """A connection is served by a worker that is not root; INT ends the server with code 0."""
    server.start()
    with server.connect() as line:
        assert line.ask("ECHO one") == "one"
        pid, uid = map(int, line.ask("PID").split())
        assert pid in server.pids()
        assert uid != 0
        assert line.ask("QUIT") == "goodbye"
    server.signal(signal.SIGINT)
    assert server.ended() == 0
    assert not os.path.exists(server.config.server.control)
    assert not os.path.exists(server.config.server.pid_file)


@needs_a_look_into_others
def test_children_hold_only_their_own_descriptors(server: Running) -> None:
    """A worker knows no other child's channel, and not the control socket."""
    server.start()
    for pid in server.pids():
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        # Its channel, one public and one private listener, two ends of the way to tls, and those
        # ends of the ways to deflate and index through which nobody else's client or task can be
        # taken; and a connection of its own to the keeper.
        assert sum(link.startswith("socket:") for link in links) == 8, links


def title(pid: int) -> str:
    """What the list of processes shows."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0 ").decode()


def test_umask_and_titles(server: Running) -> None:
    """Workers create private files, and process titles say what each process does."""
    server.start()
    with server.connect() as line:
        pid = line.pid()
        assert "Umask:\t0077" in Path(f"/proc/{pid}/status").read_text()
        eventually(lambda: title(pid) == "pymaild: imap 127.0.0.1")
        assert line.ask("LOGIN alice") == "welcome"
        assert line.ask("NOTE INBOX idle") == "noted"
        eventually(lambda: title(pid) == "pymaild: imap alice INBOX idle")
    eventually(lambda: title(pid) == "pymaild: worker idle")
    assert title(server.pid).startswith("pymaild: master")


def test_int_interrupts_a_session_inside_a_command(server: Running) -> None:
    """INT does not wait for a client that is in the middle of a literal."""
    server.start()
    line = server.connect()
    assert line.ask("SWALLOW 100") == "go"
    server.signal(signal.SIGINT)
    assert server.ended() == 0
    assert line.read() == ""


def test_int_tells_an_idle_session(server: Running) -> None:
    server.start()
    line = server.connect()
    server.signal(signal.SIGINT)
    assert line.read() == "bye Server is shutting down"
    assert server.ended() == 0


def test_term_lets_a_command_finish(server: Running) -> None:
    """TERM waits for the end of a command, says goodbye at the next idle moment, and ends."""
    server.start()
    line = server.connect()
    assert line.ask("SWALLOW 10") == "go"
    server.signal(signal.SIGTERM)
    eventually(lambda: server.status()["state"] == "draining")
    line.sock.sendall(b"0123456789")
    assert line.read() == "swallowed"
    assert line.read() == "bye Server is shutting down"
    assert server.ended() == 0


def test_term_has_a_limit(server: Running) -> None:
    server.change("server", drain_timeout=0.3)
    server.start()
    line = server.connect()
    assert line.ask("SWALLOW 10") == "go"
    server.signal(signal.SIGTERM)
    assert server.ended() == 0
    assert line.read() == ""


def test_term_refuses_new_connections(server: Running) -> None:
    server.start()
    address = server.address("plain")
    line = server.connect()
    assert line.ask("SWALLOW 10") == "go"
    server.signal(signal.SIGTERM)
    eventually(lambda: server.status()["state"] == "draining")

    def refused() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(address) != 0

    eventually(refused, "the refusal")


def test_drain_and_resume(server: Running) -> None:
    """A drained server accepts nothing and stays; resumed, it listens where it did."""
    server.start()
    address = server.address("plain")
    line = server.connect()
    server.control("drain")
    assert line.read() == "bye Server is shutting down"
    assert server.status()["state"] == "drained"
    eventually(lambda: server.pids() == [])
    with socket.socket() as probe:
        assert probe.connect_ex(address) != 0
    server.control("resume")
    assert server.address("plain") == address
    with server.connect() as line:
        assert line.ask("ECHO back") == "back"


def test_sigterm_to_one_worker_drains_it(server: Running) -> None:
    server.start()
    line = server.connect()
    pid = line.pid()
    os.kill(pid, signal.SIGTERM)
    assert line.read() == "bye Server is shutting down"
    eventually(lambda: gone(pid))
    eventually(lambda: len(server.pids()) >= 2)
    assert server.status()["totals"]["crashes"] == 0


def test_crashed_worker_is_replaced(server: Running) -> None:
    """A crash is counted and logged with a traceback, and another worker comes."""
    server.start()
    line = server.connect()
    pid = line.pid()
    line.sock.sendall(b"CRASH\r\n")
    assert line.read() == ""
    eventually(lambda: pid not in server.pids() and len(server.pids()) >= 2)
    assert server.status()["totals"]["crashes"] == 1
    assert "SIGSEGV" in server.logged(f"worker process {pid} died")
    server.logged("Segmentation fault")
    with server.connect() as again:
        assert again.ask("ECHO alive") == "alive"


def test_no_delay_after_a_session(server: Running) -> None:
    """A worker that died of its session had started well: the next one need not wait."""
    server.start()
    for _ in range(3):
        line = server.connect()
        pid = line.pid()
        line.sock.sendall(b"CRASH\r\n")
        assert line.read() == ""
        assert "next in 0.00 s" in server.logged(f"worker process {pid} died")


def test_hung_worker_is_aborted(server: Running) -> None:
    """No heartbeat: SIGABRT, a traceback in the log, and another worker."""
    server.change("server", hang_timeout=1.0)
    server.start()
    line = server.connect()
    pid = line.pid()
    line.sock.sendall(b"HANG\r\n")
    assert line.read() == ""
    server.logged(f"worker process {pid} hangs")
    assert "SIGABRT" in server.logged(f"worker process {pid} died")
    server.logged("in hang")
    eventually(lambda: pid not in server.pids())


def test_stopped_worker_is_killed(server: Running) -> None:
    """A process that cannot even react to SIGABRT gets SIGKILL."""
    server.change("server", hang_timeout=1.0)
    server.start()
    pid = server.pids()[0]
    os.kill(pid, signal.SIGSTOP)
    assert "SIGKILL" in server.logged(f"worker process {pid} died")


def test_idle_processes_do_not_count_as_hung(server: Running) -> None:
    """All roles beat more often than a short timeout; nobody dies in a while without work."""
    server.change("server", hang_timeout=2.0)
    server.start()
    before = server.pids() + server.pids("auth")
    first = server.connect()
    server.logged("ready")
    # A wait of the session's stream is longer than the timeout: it has to beat meanwhile.
    os.kill(server.pid, signal.SIGTTIN)
    eventually(lambda: len(server.pids()) >= 3)
    assert first.ask("ECHO there") == "there"
    assert set(before) <= set(server.pids() + server.pids("auth"))
    assert server.status()["totals"]["crashes"] == 0


def test_master_death_ends_the_children(server: Running) -> None:
    server.start()
    line = server.connect()
    family = psutil.Process(server.pid).children(recursive=True)
    os.kill(server.pid, signal.SIGKILL)
    assert line.read() == "bye Server has failed, please connect again"
    server.leave(family)


def test_grows_with_load_and_shrinks(server: Running) -> None:
    server.change("server", workers_spare_max=2, workers_max=12)
    server.start()
    lines = [server.connect() for _ in range(5)]
    assert len({line.pid() for line in lines}) == 5
    workers = server.status()["workers"]
    assert workers["busy"] == 5
    for line in lines:
        line.close()
    eventually(lambda: len(server.pids()) <= 3, "the shrinking")
    assert server.status()["totals"]["connections"] == 5


def test_at_most_workers_max(server: Running) -> None:
    """Connections beyond the last worker wait and are served when one is free."""
    server.change("server", workers_max=2)
    server.start()
    lines = [server.connect(), server.connect()]
    waiting = Line(server.raw())
    server.lines.append(waiting)
    server.logged("all 2 workers are busy")
    lines[0].close()
    assert waiting.read() == "hello"
    assert len(server.pids()) == 2


def test_ttin_and_ttou(server: Running) -> None:
    server.start()
    server.signal(signal.SIGTTIN)
    eventually(lambda: len(server.pids()) == 3)
    assert server.status()["workers"]["min"] == 3
    server.signal(signal.SIGTTOU)
    eventually(lambda: len(server.pids()) == 2)
    assert server.status()["workers"]["min"] == 2


def test_workers_retire_after_their_sessions(server: Running) -> None:
    server.change("server", worker_sessions=2)
    server.start()
    for _ in range(10):
        with server.connect() as line:
            assert line.ask("ECHO x") == "x"
    assert server.status()["totals"]["crashes"] == 0
    assert server.status()["totals"]["connections"] == 10


def test_usr1_reopens_the_log(server: Running) -> None:
    """All processes write into the new file, also those that could not open it."""
    server.start()
    log = server.base / "log"
    log.rename(server.base / "log.1")
    server.signal(signal.SIGUSR1)
    server.logged("log opened again")
    line = server.connect()
    line.sock.close()
    line.file.close()
    server.lines.clear()
    server.logged("ends here: closed")
    assert "ends here: closed" not in (server.base / "log.1").read_text()


def test_usr1_reaches_a_busy_worker(server: Running) -> None:
    server.start()
    line = server.connect()
    (server.base / "log").rename(server.base / "log.1")
    server.signal(signal.SIGUSR1)
    server.logged("log opened again")
    assert line.ask("ECHO x") == "x"
    line.close()
    server.lines.clear()
    server.logged("ends here: closed")


def test_log_level_changes_everywhere(server: Running) -> None:
    server.change("log", level="error")
    server.start()
    assert server.control("log-level", level="debug") == {"level": "debug"}
    server.connect().close()
    server.logged("debug: server: session=")
    assert not server.control.raw({"command": "log-level", "level": "loud"})["ok"]


def test_boot_failure_has_one_line_and_a_code(server: Running) -> None:
    """An address in use: exit code 71, one line on standard error, no process left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listeners = (ListenerSettings("plain", "imap", f"127.0.0.1:{port}"),)
        server.config = replace(server.config, listeners=listeners)
        server.launch()
        assert server.ended() == EXIT_BOOT
    errors = (server.base / "stderr").read_text().splitlines()
    assert len(errors) == 1
    assert "listener plain: Address already in use" in errors[0]
    assert not os.path.exists(server.config.server.control)


def test_impossible_configuration_has_a_code(server: Running) -> None:
    listeners = (ListenerSettings("tls", "imap", "127.0.0.1:0", tls=True),)
    server.config = replace(server.config, listeners=listeners)
    server.launch()
    assert server.ended() == EXIT_CONFIG
    assert "listener tls: tls: needs a [[tls.certificate]]" in (server.base / "stderr").read_text()


def test_second_server_does_not_start(server: Running, base: str) -> None:
    server.start()
    second = Running(server.base, server.config)
    second.launch()
    assert second.ended() == EXIT_BOOT
    assert "another server listens" in (server.base / "stderr").read_text()
    with server.connect() as line:
        assert line.ask("ECHO unharmed") == "unharmed"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can lose rights")
def test_missing_user_is_told(server: Running) -> None:
    server.change("server", user="nobody-of-that-name")
    server.launch()
    assert server.ended() == EXIT_CONFIG
    assert "no user 'nobody-of-that-name'" in (server.base / "stderr").read_text()


def test_out_of_descriptors(server: Running) -> None:
    """EMFILE leaves the connection in the queue, and is logged once, until there is room."""
    server.change("server", workers_min=1, workers_max=1)
    server.start()
    with server.connect() as line:
        pid = line.pid()
        assert line.ask("NOFILE 3") == "limited"
    waiting = Line(server.raw())
    server.lines.append(waiting)
    server.logged("no connection can be accepted: [Errno 24]")
    os.kill(pid, signal.SIGTERM)
    assert waiting.read() == "hello"
    assert waiting.pid() != pid
    assert server.log().count("no connection can be accepted") == 1


def test_children_without_room_do_not_stop_the_master(server: Running) -> None:
    """When fork needs descriptors that there are not, the master goes on and tries again."""
    server.start()
    before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    server_pid = server.pid
    os.kill(server_pid, signal.SIGTTIN)
    server.logged("no worker process can be started: [Errno 24]")
    resource.prlimit(server_pid, resource.RLIMIT_NOFILE, before)
    eventually(lambda: len(server.pids()) == 3)
