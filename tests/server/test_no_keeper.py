"""With ``keeper`` off a session has its worker for itself, and dies with it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.imap import Closed
from tests.support.instance import instance


def test_a_session_dies_with_its_worker() -> None:
    """There is no keeper and no vault; the next connection finds another worker."""
    with instance({"alice": "secret"}) as server:
        server.settings["server"].update(keeper=False, park_after=0.0)
        server.start()
        assert not server.workers("keeper") + server.workers("vault")
        with server.client("alice") as client:
            client.ok("SELECT INBOX")
            (row,) = server.control("who")
            assert row["pid"] in server.workers("worker")
            os.kill(row["pid"], signal.SIGKILL)
            with pytest.raises(Closed):
                client.ok("NOOP")
        with server.client("alice") as client:
            client.ok("SELECT INBOX")
