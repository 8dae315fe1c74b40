"""A server that is upgraded while a test looks on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.support.instance import Instance
from tests.support.place import place

from .conftest import eventually, gone

USERS = {"alice": "secret", "bob": "hidden"}


class Upgradable(Instance):
    """An instance whose master is not the process that was started, after a while."""

    @property
    def master(self) -> psutil.Process:
        """The process that is the server now."""
        return psutil.Process(self.control("status")["pid"])

    def family(self) -> list[psutil.Process]:
        """The master and all processes below it."""
        return [self.master, *self.master.children(recursive=True)]

    def usr2(self) -> psutil.Process:
        """Upgrade; returns the old master, which need not have ended yet."""
        old = self.master
        old.send_signal(signal.SIGUSR2)
        eventually(lambda: self.control("status")["pid"] != old.pid, f"the upgrade\n{self.log()}")
        return old

    def upgrade(self) -> None:
        """Upgrade, and wait until the old master has ended."""
        ended(self.usr2())
        eventually(lambda: "the old master has left" in self.log())

    def logged(self, text: str) -> str:
        """Wait for a line of the log."""

        def look() -> str:
            return next((line for line in self.log().splitlines() if text in line), "")

        return str(eventually(look, f"the log line {text!r}"))

    def end(self) -> None:
        """Stop it, if it has not been; no process may be left."""
        assert self.process
        if not (self.base / "pid").exists():
            return
        family = self.family()
        assert self.bugs() == 0
        family[0].send_signal(signal.SIGINT)
        self.process.poll()
        for process in family:
            ended(process)


def ended(process: psutil.Process) -> None:
    """Wait until a process, whosoever child it is, has ended."""
    eventually(lambda: gone(process.pid), f"the end of {process}")


@contextmanager
def upgradable(
    kind: type[Upgradable] = Upgradable, prepare: Callable[[Upgradable], None] = lambda made: None
) -> Iterator[Upgradable]:
    """A server in a folder of its own; none of its processes is left at the end."""
    with place("up") as base:
        made = kind(base, dict(USERS))
        prepare(made)
        made.start()
        started = made.family()
        try:
            yield made
            made.end()
        finally:
            print(made.log())  # shown by pytest when the test fails
            with suppress(OSError, ValueError, psutil.NoSuchProcess):
                started += made.family()
            for process in started:
                if not gone(process.pid):
                    process.kill()
            assert made.process
            made.process.wait(20)
