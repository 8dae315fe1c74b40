"""How cost grows with the mailbox: rows at several sizes, and the memory of who served them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psutil

from .mail import sized
from .measure import MEBIBYTE, Disagreement, Runner, family, measure, pss
from .peers import prime
from .rows import LEVEL, ROWS, Row
from .work import Place

ROUNDS, SPAN = 2, 0.1
SIZES, MILLION = (1_000, 10_000, 100_000), 1_000_000
PRIVATE_AIM = 32.0  # MiB of a worker, whatever the mailbox
_SERVING = ("imap", "pop3", "lmtp")  # Dovecot's processes


@dataclass(frozen=True)
class Point:
    """One row on one server at one size: milliseconds of a lap, and memory behind it, MiB."""

    row: str
    server: str
    messages: int
    milliseconds: float
    pss: float
    private: float


def rows(only: str = "") -> list[Row]:
    """What is measured at each size."""
    words = only.split(",")
    chosen = [row for row in (*ROWS, *LEVEL) if row.grows or row in LEVEL]
    return [row for row in chosen if any(word in row.name for word in words)]


def table(places: dict[str, Place], chosen: list[Row], sizes: tuple[int, ...]) -> Iterator[Any]:
    """A :class:`Point` for each row, size and server; a text where a row failed."""
    for messages in sizes:
        there = {name: place.of(sized(messages)) for name, place in places.items()}
        for place in there.values():
            prime(place)
        for row in chosen:
            yield from _points(replace(row, user=sized(messages)), there, messages)


def _points(row: Row, places: dict[str, Place], messages: int) -> Iterator[Any]:
    memory: dict[str, tuple[float, float]] = {}

    def look(runners: dict[str, Runner]) -> None:
        memory.update({name: sizes_of(places[name].server) for name in runners})

    try:
        found = measure(row, places, ROUNDS, SPAN, look)
    except (Disagreement, AssertionError, OSError, RuntimeError) as error:
        yield f"{row.name}, {messages} messages: {error!r}"
        return
    for name, one in found.items():
        yield Point(row.name, name, messages, 1000 * one.lap, *memory[name])


def sizes_of(server: Any) -> tuple[float, float]:
    """PSS of all processes, and the private memory of the largest that serves mail, MiB."""
    everyone = family(server)
    workers = set(server.workers()) if hasattr(server, "workers") else set()
    private = [0.0]
    for process in everyone:
        with suppress(psutil.Error, OSError):
            if process.pid in workers or process.name() in _SERVING:
                private.append(process.memory_full_info().uss / MEBIBYTE)
    return pss(everyone), max(private)


def line(point: Point) -> str:
    """One line of the table."""
    return (
        f"{point.row:22s}{point.messages:>10,}  {point.server:10s}{point.milliseconds:12,.3f} ms"
        f"{point.pss:9.1f} MiB in all{point.private:8.1f} MiB a worker"
    )
