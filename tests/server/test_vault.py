"""The vault dies, whatever the keeper is doing: that costs nobody anything."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from pymaild.server import errands
from tests.support.instance import Instance

from .conftest import eventually
from .test_user_links import OTHER, OWN, SLOT, link, parked, server

__all__ = ["server"]


@contextmanager
def standing_still(*pids: int) -> Iterator[None]:
    """Processes that do nothing meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        eventually(lambda pid=pid: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_vault_that_is_gone_when_it_is_told(server: Instance) -> None:
    """The keeper finds that out when it tells it of a session, and only then hears of its end."""
    (keeper,), (vault,) = server.workers("keeper"), server.workers("vault")
    ours, theirs = socket.socketpair()
    others, held = socket.socketpair()
    first, second = link(server, only=""), link(server, only="", slot=SLOT + 1)
    with ExitStack() as stack:
        for sock in (ours, theirs, others, held, first, second):
            stack.enter_context(sock)
        stack.enter_context(standing_still(*server.workers()))
        errands.send(first, errands.HOLD + errands.key_of(OWN), [theirs.fileno()])
        first.send(parked(server, OWN))
        assert first.recv(100)[:1] == errands.HELD
        with standing_still(keeper):
            errands.send(second, errands.HOLD + errands.key_of(OTHER), [held.fileno()])
            first.send(errands.NEXT)
            os.kill(vault, signal.SIGKILL)
            eventually(lambda: server.workers("vault") not in ([], [vault]), "another vault")
        assert first.recv(65536)[:1] == errands.SESSION
        second.send(errands.NEXT)
        assert second.recv(100)[:1] == errands.NOTHING
        assert server.workers("keeper") == [keeper]
