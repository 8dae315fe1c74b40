"""How rows are measured: rounds in turn, as many laps in each as fill its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from math import inf
from multiprocessing import active_children
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

from .rows import Row
from .work import Place, Work

SPAN = 0.25  # seconds of a round, or one lap
MEBIBYTE = 1 << 20
PATIENCE = 60.0  # seconds for what a server does behind its answers
_BETTER = 0.7  # of the time of the lap before: it may get better still
_LOOK = 0.05  # seconds between two looks at whether it does


class Disagreement(Exception):
    """The servers did not find the same: there is no figure."""


@dataclass
class Figures:
    """What was measured of one server.

    Of each round the units a second, and the processor time of a unit of server and clients; of
    the commands of a mixed load the seconds that each took.
    """

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    laps: list[float] = field(default_factory=list)
    clients: list[float] = field(default_factory=list)

    @property
    def lap(self) -> float:
        """Seconds of a lap."""
        return median(self.laps)

    @property
    def rate(self) -> float:
        """Units a second."""
        return median(self.rates)

    @property
    def cost(self) -> float:
        """Processor time of the server's processes for a unit, microseconds."""
        return median(self.costs)

    @property
    def client(self) -> float:
        """Processor time of the clients for a unit, microseconds."""
        return median(self.clients)

    @property
    def p99(self) -> float:
        """Milliseconds in which 99 of 100 commands were answered; 0 where nobody looked."""
        return 1000 * quantiles(self.waits, n=100)[-1] if self.waits else 0.0

    def data(self) -> dict[str, Any]:
        """For the file."""
        names = ("rate", "cost", "client", "p99", "rates")
        return {name: getattr(self, name) for name in names}


class Runner:
    """The work of a row on one server."""

    def __init__(self, work: Work, place: Place, span: float, quiet: float) -> None:
        self._work = work
        self._place = place
        self._span = span
        self._quiet = quiet
        self._laps = 0
        self.figures = Figures(waits=work.waits)
        self.found: Any = None

    def warm(self) -> None:
        """Laps that are not counted; they tell how many make a round.

        What they have begun, such as filling a cache, is waited for as long as it makes the next
        one much faster.
        """
        before, taken = inf, self._lap()[0]
        while taken < _BETTER * before:
            settle(self._place.server, self._quiet)
            before, taken = taken, self._lap()[0]
        begun = time.perf_counter()
        while time.perf_counter() - begun < self._span / 2 and taken < self._span:
            taken = self._lap()[0]
        self._laps = max(1, round(self._span / taken))
        self._work.waits.clear()

    def round(self) -> None:
        """One round. What the server does behind its answers costs its processor time.

        The next round, of the other server, begins when it is done.
        """
        before, ours = processor(self._place.server), clients()
        took, units = 0.0, 0.0
        for _ in range(max(1, self._laps)):
            seconds, done = self._lap()
            took += seconds
            units += done
        self.figures.rates.append(units / took)
        self.figures.laps.append(took / max(1, self._laps))
        self.figures.clients.append(1e6 * (clients() - ours) / units)
        settle(self._place.server, self._quiet)
        spent = processor(self._place.server) - before
        self.figures.costs.append(1e6 * spent / units)

    def _lap(self) -> tuple[float, float]:
        if self._work.fresh is not None:
            self._work.fresh()
        begun = time.perf_counter()
        units, self.found = self._work.lap()
        return time.perf_counter() - begun, units


Look = Callable[[dict[str, Runner]], None]


def measure(
    row: Row, places: dict[str, Place], rounds: int, span: float = SPAN, look: Look | None = None
) -> dict[str, Figures]:
    """The figures of each server, of rounds taken in turn after one that warms up.

    A row whose rounds are bounded must find things cold. ``look`` is called behind the last
    round, with the clients still there.
    """
    with ExitStack() as stack:
        runners = {
            name: Runner(row.prepare(place.of(row.user), stack), place, span, row.quiet)
            for name, place in places.items()
        }
        if row.rounds == inf:
            for runner in runners.values():
                runner.warm()
        for _ in range(int(min(rounds, row.rounds))):
            for runner in runners.values():
                runner.round()
            _agree(row, runners)
        if look is not None:
            look(runners)
    return {name: runner.figures for name, runner in runners.items()}


def _agree(row: Row, runners: dict[str, Runner]) -> None:
    found = {name: runner.found for name, runner in runners.items()}
    if len({repr(one) for one in found.values()}) > 1:
        shown = ", ".join(f"{name} {repr(one)[:200]}" for name, one in found.items())
        raise Disagreement(f"{row.name}: {shown}")


def family(server: Any) -> list[psutil.Process]:
    """The master and all below it."""
    master = psutil.Process(server.process.pid)
    return [master, *master.children(recursive=True)]


def processor(server: Any) -> float:
    """Processor seconds of a server's processes, those that have ended included."""
    spent = 0.0
    for process in family(server):
        with suppress(OSError, psutil.Error):
            spent += _scheduled(process.pid)
            times = process.cpu_times()
            spent += times.children_user + times.children_system
    return spent


def settle(server: Any, quiet: float) -> None:
    """Wait until a server has done nothing for ``quiet`` seconds; not for longer than PATIENCE.

    A process that others keep from the processor has something to do as well.
    """
    since = begun = time.perf_counter()
    spent = processor(server)
    while time.perf_counter() - since < quiet and time.perf_counter() - begun < PATIENCE:
        time.sleep(_LOOK)
        before, spent = spent, processor(server)
        if spent - before > _LOOK / 4 or any(map(_at_work, family(server))):
            since = time.perf_counter()


def _at_work(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
    return False


def clients() -> float:
    """Processor seconds of this process and of the clients that it started."""
    return time.process_time() + sum(_scheduled(one.pid or 0) for one in active_children())


def _scheduled(pid: int) -> float:
    """Seconds that the threads of a process have run."""
    paths = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in paths) / 1e9


def pss(processes: list[psutil.Process]) -> float:
    """Proportional memory of processes, MiB."""
    return float(sum(process.memory_full_info().pss for process in processes)) / MEBIBYTE
