"""How rows are measured: rounds in turn, as many laps in each as fill its time."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from .rows import Row
from .work import Place, Work

SPAN = 0.25  # seconds of a round, or one lap
MEBIBYTE = 1 << 20


class Disagreement(Exception):
    """The servers did not find the same: there is no figure."""


@dataclass
class Figures:
    """What was measured of one server: by rounds, units and processor seconds a second."""

    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Units a second."""
        return median(self.rates)

    @property
    def cost(self) -> float:
        """Processor time of the server's processes for a unit, microseconds."""
        return median(self.costs)

    def data(self) -> dict[str, Any]:
        """For the file."""
        return {"rate": self.rate, "cost": self.cost, "rates": self.rates}


class Runner:
    """The work of a row on one server."""

    def __init__(self, work: Work, place: Place, span: float) -> None:
        self._work = work
        self._place = place
        self._span = span
        self._laps = 0
        self.figures = Figures()
        self.found: Any = None

    def warm(self) -> None:
        """Laps that are not counted; they tell how many make a round."""
        taken = self._lap()[0]
        begun = time.perf_counter()
        while time.perf_counter() - begun < self._span / 2 and taken < self._span:
            taken = self._lap()[0]
        self._laps = max(1, round(self._span / taken))

    def round(self) -> None:
        """One round."""
        before = processor(self._place.server)
        took, units = 0.0, 0.0
        for _ in range(max(1, self._laps)):
            seconds, done = self._lap()
            took += seconds
            units += done
        self.figures.rates.append(units / took)
        spent = processor(self._place.server) - before
        self.figures.costs.append(1e6 * spent / units)

    def _lap(self) -> tuple[float, float]:
        if self._work.fresh is not None:
            self._work.fresh()
        begun = time.perf_counter()
        units, self.found = self._work.lap()
        return time.perf_counter() - begun, units


def measure(
    row: Row, places: dict[str, Place], rounds: int, span: float = SPAN
) -> dict[str, Figures]:
    """The figures of each server, of rounds taken in turn after one that warms up.

    A row whose rounds are bounded is too long to be warmed up, or must find things cold.
    """
    with ExitStack() as stack:
        runners = {
            name: Runner(row.prepare(place.of(row.user), stack), place, span)
            for name, place in places.items()
        }
        if row.rounds == inf:
            for runner in runners.values():
                runner.warm()
        for _ in range(int(min(rounds, row.rounds))):
            for runner in runners.values():
                runner.round()
            _agree(row, runners)
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
            for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
                spent += int(path.read_text().split()[0]) / 1e9
            times = process.cpu_times()
            spent += times.children_user + times.children_system
    return spent


def pss(processes: list[psutil.Process]) -> float:
    """Proportional memory of processes, MiB."""
    return float(sum(process.memory_full_info().pss for process in processes)) / MEBIBYTE
