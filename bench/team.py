"""Work done at once: one process for each, so that none of them waits for another's client."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import Any

from .mail import TEAM, team
from .work import Place, Prepare, Work

CONTEXT = multiprocessing.get_context("fork")
END = "end"


class Member:
    """A process that does one thing of a :class:`Work` when it is told to."""

    def __init__(self, prepare: Prepare, place: Place) -> None:
        self._mine, theirs = CONTEXT.Pipe()
        arguments = (theirs, prepare, place)
        self._process = CONTEXT.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def tell(self, what: str) -> None:
        """Let it begin."""
        self._mine.send(what)

    def heard(self) -> Any:
        """Wait for the result; an error there is an error here."""
        result = self._mine.recv()
        if isinstance(result, Exception):
            raise result
        return result

    def end(self) -> None:
        """Let the process go."""
        with suppress(OSError):
            self._mine.send(END)
        self._process.join(10)
        self._process.kill()


def _serve(control: Connection, prepare: Prepare, place: Place) -> None:
    with ExitStack() as stack:
        try:
            work = prepare(place, stack)
            acts: dict[str, Callable[[], Any]] = {"lap": work.lap, "ready": lambda: None}
            acts["fresh"] = work.fresh or acts["ready"]
            while (what := control.recv()) != END:
                control.send(acts[what]())
        except Exception as error:
            control.send(RuntimeError(repr(error)))


def gather(members: list[Member], what: str) -> list[Any]:
    """Let all do it at once; returns what each of them found."""
    for member in members:
        member.tell(what)
    return [member.heard() for member in members]


def at_once(prepare: Prepare, size: int = TEAM) -> Prepare:
    """The same work by several clients, each with a user of its own."""

    def together(place: Place, stack: ExitStack) -> Work:
        members = [Member(prepare, place.of(team(number))) for number in range(size)]
        for member in members:
            stack.callback(member.end)
        gather(members, "ready")

        def lap() -> tuple[float, Any]:
            done = gather(members, "lap")
            return sum(units for units, _ in done), [seen for _, seen in done]

        return Work(lap, lambda: void(gather(members, "fresh")))

    return together


def void(_: object) -> None:
    """Nothing of it."""
