"""The threads that examine what takes time, and the way back from them into the loop."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from pymaild.auth.answers import Reply
from pymaild.auth.service import Check, bug

log = logging.getLogger("pymaild.auth")


class Threads:
    """Runs checks, ``count`` at a time, and keeps ``queue`` waiting at most.

    When ``done_fd`` is readable the loop is to call :meth:`deliver`.
    """

    def __init__(self, name: str, count: int, queue: int) -> None:
        self._name = name
        self._pool = ThreadPoolExecutor(count, name)
        self._room = count + queue
        self._done: deque[tuple[Future[None], Check, Callable[[Reply], None]]] = deque()
        self.done_fd, self._wake_fd = os.pipe()
        for fd in (self.done_fd, self._wake_fd):
            os.set_blocking(fd, False)

    def submit(self, check: Check, done: Callable[[Reply], None]) -> bool:
        """Queue a check; false when the queue is full."""
        if not self._room:
            log.error("too many logins wait to be checked (%s)", self._name)
            return False
        self._room -= 1
        future = self._pool.submit(check.run)
        future.add_done_callback(lambda future: self._finished(future, check, done))
        return True

    def deliver(self) -> None:
        """Conclude the checks that have run."""
        os.read(self.done_fd, 4096)
        while self._done:
            future, check, done = self._done.popleft()
            self._room += 1
            try:
                future.result()
                answer: Reply = check.finish()
            except Exception:
                answer = bug()
            done(answer)

    def close(self) -> None:
        """Let the threads end with the check they are in."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        os.close(self.done_fd)
        os.close(self._wake_fd)

    def _finished(self, future: Future[None], check: Check, done: Callable[[Reply], None]) -> None:
        if future.cancelled():
            return
        self._done.append((future, check, done))
        with contextlib.suppress(BlockingIOError):  # then it has enough to wake up for
            os.write(self._wake_fd, b"\0")
