"""Processes with real signals: start, service, stop."""

from __future__ import annotations

import os
import signal

from .conftest import Running


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
